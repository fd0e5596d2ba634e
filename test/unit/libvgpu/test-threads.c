// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of libvgpu against the mock back end, from several threads: all
 * waiters wake, whoever sleeps for all; a device that dies wakes everyone.
 */
#include "libvgpu-test.h"

#include <stdbool.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define THREADS 8

struct worker {
	pthread_t thread;
	vgpu_context *context;
	vgpu_devptr pointer;
	vgpu_function function;
	uint32_t number;
	int rounds;
	bool shares_stream;
	double woke_at;
	enum vgpu_result result;
};

static void *copies_in_turns(void *argument)
{
	struct worker *self = argument;
	vgpu_stream stream = VGPU_STREAM_DEFAULT;
	uint32_t *data = malloc(40000), *back = malloc(40000);

	if (!self->shares_stream)
		OK(vgpu_stream_create(self->context, &stream));
	for (int round = 0; round < self->rounds; round++) {
		size_t bytes = round % 3 ? 40000 : 400;

		for (uint32_t i = 0; i < bytes / 4; i++)
			data[i] = self->number * 1000000 + (uint32_t)round * 10000 + i;
		OK(vgpu_memcpy_h2d_async(self->context, self->pointer, data, bytes, stream));
		OK(vgpu_memcpy_d2h_async(self->context, back, self->pointer, bytes, stream));
		OK(vgpu_stream_synchronize(self->context, stream));
		CHECK(!memcmp(data, back, bytes));
	}
	if (!self->shares_stream)
		OK(vgpu_stream_destroy(self->context, stream));
	free(data);
	free(back);
	return NULL;
}

static void many_threads_on(bool one_stream, enum vgpu_wait_mode mode, const char *option,
			    int contexts_count, int rounds)
{
	struct mock mock = mock_start(option, NULL, NULL);
	struct worker workers[THREADS] = { 0 };
	vgpu_context *contexts[4];

	for (int i = 0; i < contexts_count; i++) {
		contexts[i] = open_default();
		OK(vgpu_set_wait_mode(contexts[i], mode));
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i].context = contexts[i % (uint32_t)contexts_count];
		workers[i].number = i;
		workers[i].rounds = rounds;
		workers[i].shares_stream = one_stream;
		OK(vgpu_mem_alloc(workers[i].context, 40000, &workers[i].pointer));
		pthread_create(&workers[i].thread, NULL, copies_in_turns, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < contexts_count; i++)
		vgpu_close(contexts[i]);
	mock_stop(&mock);
}

static void many_threads(enum vgpu_wait_mode mode, const char *option, int contexts_count,
			 int rounds)
{
	many_threads_on(false, mode, option, contexts_count, rounds);
}

/* Fences of one stream, each waited for by another thread. */
static void threads_sleeping_on_one_stream(void)
{
	many_threads_on(true, VGPU_WAIT_INTERRUPT, "--delay-us=0", 2, 300);
	many_threads_on(true, VGPU_WAIT_INTERRUPT, "--soon-us=20", 2, 40);
}

/* They are told before their fences complete: soon after, or so late that they sleep again. */
static void threads_told_soon(void)
{
	many_threads(VGPU_WAIT_INTERRUPT, "--soon-us=30", 1, 60);
	many_threads(VGPU_WAIT_INTERRUPT, "--soon-us=1000", 2, 6);
}

static void threads_sleeping(void)
{
	many_threads(VGPU_WAIT_INTERRUPT, "--delay-us=100", 1, 60);
}

static void threads_sleeping_no_delay(void)
{
	many_threads(VGPU_WAIT_INTERRUPT, "--delay-us=0", 1, 300);
}

static void threads_polling(void)
{
	many_threads(VGPU_WAIT_POLL, "--delay-us=20", 1, 40);
}

static void threads_adapting_on_contexts(void)
{
	many_threads(VGPU_WAIT_AUTO, "--delay-us=50", 4, 60);
}

static void threads_sleeping_without_event_idx(void)
{
	many_threads(VGPU_WAIT_INTERRUPT, "--no-event-idx", 3, 100);
}

static void *waits_for_ever(void *argument)
{
	struct worker *self = argument;

	self->result = vgpu_synchronize(self->context);
	self->woke_at = now_seconds();
	return NULL;
}

static void death_wakes(enum vgpu_wait_mode mode)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	struct worker workers[4] = { 0 };
	vgpu_context *contexts[2] = { open_default(), open_default() };
	double killed_at;
	int status;

	for (int i = 0; i < 2; i++) {
		vgpu_function hang = get_function(contexts[i], "hang");

		OK(vgpu_set_wait_mode(contexts[i], mode));
		OK(vgpu_launch(contexts[i], hang, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, NULL, 0, 0));
	}
	for (int i = 0; i < 4; i++) {
		workers[i].context = contexts[i % 2];
		pthread_create(&workers[i].thread, NULL, waits_for_ever, &workers[i]);
	}
	usleep(100000);
	kill(mock.pid, SIGKILL);
	waitpid(mock.pid, &status, 0);
	killed_at = now_seconds();
	for (int i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		CHECK(workers[i].result == VGPU_ERROR_DEVICE_LOST);
		CHECK(workers[i].woke_at - killed_at < 5);
	}
	vgpu_close(contexts[0]);
	vgpu_close(contexts[1]);
	unlink(mock.path);
}

static void death_wakes_sleepers(void)
{
	death_wakes(VGPU_WAIT_INTERRUPT);
}

static void death_wakes_pollers(void)
{
	death_wakes(VGPU_WAIT_POLL);
}

static void *waits_for_event(void *argument)
{
	struct worker *self = argument;

	self->result = vgpu_event_synchronize(self->context, self->pointer);
	self->woke_at = now_seconds();
	return NULL;
}

/* Fences of one stream, waited for by as many threads: each is armed in its turn. */
static void sleepers_of_one_stream(void)
{
	struct mock mock = mock_start("--delay-us=20000", NULL, NULL);
	vgpu_context *context = open_default();
	struct worker workers[THREADS] = { 0 };
	vgpu_devptr pointer;

	OK(vgpu_set_wait_mode(context, VGPU_WAIT_INTERRUPT));
	OK(vgpu_mem_alloc(context, 4, &pointer));
	for (int i = 0; i < THREADS; i++) {
		workers[i].context = context;
		OK(vgpu_event_create(context, &workers[i].pointer));
		OK(vgpu_memset_d32_async(context, pointer, 1, 1, 0));
		OK(vgpu_event_record(context, workers[i].pointer, 0));
		OK(vgpu_stream_flush(context, 0));
	}
	for (int i = THREADS - 1; i >= 0; i--)
		pthread_create(&workers[i].thread, NULL, waits_for_event, &workers[i]);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		CHECK(workers[i].result == VGPU_SUCCESS);
	}
	vgpu_close(context);
	mock_stop(&mock);
}

/* The thread that sleeps for all has longer to wait than the others. */
static void leader_wakes_followers(void)
{
	struct mock mock = mock_start("--delay-us=50000", NULL, NULL);
	vgpu_context *context = open_default();
	struct worker leader = { .context = context }, followers[3] = { 0 };
	vgpu_function hang = get_function(context, "hang");
	vgpu_stream hung, stream;
	vgpu_devptr pointer;
	int status;

	OK(vgpu_set_wait_mode(context, VGPU_WAIT_INTERRUPT));
	OK(vgpu_mem_alloc(context, 4, &pointer));
	OK(vgpu_stream_create(context, &hung));
	OK(vgpu_stream_create(context, &stream));
	OK(vgpu_event_create(context, &leader.pointer));
	OK(vgpu_launch(context, hang, (struct vgpu_dim3){ 1, 1, 1 }, (struct vgpu_dim3){ 0, 0, 0 },
		       NULL, 0, hung));
	OK(vgpu_event_record(context, leader.pointer, hung));
	pthread_create(&leader.thread, NULL, waits_for_event, &leader);
	usleep(120000);
	for (int i = 0; i < 3; i++) {
		followers[i].context = context;
		OK(vgpu_event_create(context, &followers[i].pointer));
		OK(vgpu_memset_d32_async(context, pointer, 1, 1, stream));
		OK(vgpu_event_record(context, followers[i].pointer, stream));
		pthread_create(&followers[i].thread, NULL, waits_for_event, &followers[i]);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(followers[i].thread, NULL);
		CHECK(followers[i].result == VGPU_SUCCESS);
	}
	kill(mock.pid, SIGKILL);
	waitpid(mock.pid, &status, 0);
	pthread_join(leader.thread, NULL);
	CHECK(leader.result == VGPU_ERROR_DEVICE_LOST);
	vgpu_close(context);
	unlink(mock.path);
}

static void *launches_on_one_stream(void *argument)
{
	struct worker *self = argument;

	for (int i = 0; i < self->rounds; i++) {
		OK(vgpu_launch(self->context, self->function, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, NULL, 0, 0));
		if (i % 100 == 0)
			OK(vgpu_stream_synchronize(self->context, 0));
	}
	return NULL;
}

static void one_stream_for_all(void)
{
	struct mock mock = mock_start("--queue-max=100", NULL, NULL);
	vgpu_context *context = open_default();
	struct worker workers[THREADS] = { 0 };
	struct vgpu_stats stats;
	vgpu_function function = get_function(context, "nothing");

	for (int i = 0; i < THREADS; i++) {
		workers[i].context = context;
		workers[i].function = function;
		workers[i].rounds = 2000;
		pthread_create(&workers[i].thread, NULL, launches_on_one_stream, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	OK(vgpu_synchronize(context));
	OK(vgpu_statistics(context, &stats));
	CHECK(stats.launches == THREADS * 2000);
	vgpu_close(context);
	mock_stop(&mock);
}

static void *launches_and_sleeps(void *argument)
{
	struct worker *self = argument;

	for (int i = 0; i < self->rounds; i++) {
		OK(vgpu_launch(self->context, self->function, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, NULL, 0, 0));
		OK(vgpu_stream_synchronize(self->context, 0));
	}
	return NULL;
}

/* Sleepers of one stream come and go while its fences complete: no wake-up may be lost. */
static void sleepers_come_and_go(void)
{
	struct mock mock = mock_start("--delay-us=1", NULL, NULL);
	vgpu_context *context = open_default();
	struct worker workers[THREADS] = { 0 };
	vgpu_function function = get_function(context, "nothing");

	OK(vgpu_set_wait_mode(context, VGPU_WAIT_INTERRUPT));
	for (int i = 0; i < THREADS; i++) {
		workers[i].context = context;
		workers[i].function = function;
		workers[i].rounds = 1000;
		pthread_create(&workers[i].thread, NULL, launches_and_sleeps, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	vgpu_close(context);
	mock_stop(&mock);
}

static void *allocates(void *argument)
{
	struct worker *self = argument;

	for (int i = 0; i < self->rounds; i++) {
		vgpu_devptr pointer;
		vgpu_event event;
		void *memory;

		OK(vgpu_mem_alloc(self->context, 100, &pointer));
		OK(vgpu_host_alloc(self->context, 5000, &memory));
		OK(vgpu_event_create(self->context, &event));
		OK(vgpu_memcpy_h2d_async(self->context, pointer, memory, 100, 0));
		OK(vgpu_event_record(self->context, event, 0));
		OK(vgpu_event_synchronize(self->context, event));
		OK(vgpu_event_destroy(self->context, event));
		OK(vgpu_host_free(self->context, memory));
		OK(vgpu_mem_free(self->context, pointer));
	}
	return NULL;
}

static void tables_from_all_threads(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	struct worker workers[THREADS] = { 0 };
	struct vgpu_mem_info info;

	for (int i = 0; i < THREADS; i++) {
		workers[i].context = context;
		workers[i].rounds = 100;
		pthread_create(&workers[i].thread, NULL, allocates, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	OK(vgpu_mem_info(context, &info));
	CHECK(info.allocation_count == 0);
	vgpu_close(context);
	mock_stop(&mock);
}

const struct test threads_tests[] = {
	{ "threads-sleeping", threads_sleeping },
	{ "threads-sleeping-no-delay", threads_sleeping_no_delay },
	{ "threads-polling", threads_polling },
	{ "threads-adapting-on-contexts", threads_adapting_on_contexts },
	{ "threads-sleeping-on-one-stream", threads_sleeping_on_one_stream },
	{ "threads-told-soon", threads_told_soon },
	{ "threads-sleeping-without-event-idx", threads_sleeping_without_event_idx },
	{ "death-wakes-sleepers", death_wakes_sleepers },
	{ "death-wakes-pollers", death_wakes_pollers },
	{ "sleepers-of-one-stream", sleepers_of_one_stream },
	{ "leader-wakes-followers", leader_wakes_followers },
	{ "one-stream-for-all", one_stream_for_all },
	{ "sleepers-come-and-go", sleepers_come_and_go },
	{ "tables-from-all-threads", tables_from_all_threads },
	{ NULL, NULL },
};
