// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu_fence.c, the driver's own file, against a device that is a thread.
 *
 * The heartbeats are compiled as an hour here, so that a lost wake-up is a
 * hang (the test's time limit) and not a second's delay.
 */
#include "kernel-shim.h"
#include "driver-test.h"

unsigned int vgpu_poll_us;
_Thread_local bool shim_signal;

static struct vgpu_device vd;
static struct vgpu_context ctx;
static struct page timeline, arm_page;
static atomic_bool stop;
static atomic64_t events, lost;

bool vgpu_usable(const struct vgpu_device *d)
{
	return !READ_ONCE(d->broken);
}

void vgpu_session_lost(struct vgpu_device *d, u64 session, const char *why)
{
	(void)session;
	(void)why;
	atomic64_inc(&lost);
	WRITE_ONCE(d->lost, true);
	vgpu_contexts_wake(d);
}

void vgpu_submit_reap(struct vgpu_device *d)
{
	(void)d;
}

void vgpu_device_ping(struct vgpu_device *d)
{
	(void)d;
}

static struct vgpu_timeline_slot *slot(u32 stream)
{
	return (void *)(timeline.bytes + 64 + 32 * stream);
}

static struct vgpu_arm_slot *arm_slot(u32 stream)
{
	return (void *)(arm_page.bytes + 64 + 32 * stream);
}

static void set_up(void)
{
	memset(&ctx, 0, sizeof(ctx));
	memset(&vd, 0, sizeof(vd));
	vd.config.streams_max = VGPU_STREAMS_MAX;
	vd.session = 1;
	vd.contexts.only = &ctx;
	ctx.vd = &vd;
	ctx.session = 1;
	ctx.epoch = 7;
	ctx.timeline = &timeline;
	ctx.arm = &arm_page;
	vgpu_fence_init(&ctx);
}

/* What the specification asks of a device. */
static void complete(u32 stream, u64 fence, u32 status)
{
	u64 before = slot(stream)->fence, armed;

	__atomic_store_n(&slot(stream)->status, status, __ATOMIC_RELAXED);
	__atomic_store_n(&slot(stream)->fence, fence, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	armed = __atomic_load_n(&arm_slot(stream)->fence, __ATOMIC_RELAXED);
	if (before < armed && armed <= fence) {
		atomic64_inc(&events);
		vgpu_context_wake(&ctx);
	}
}

static int wait_for(u32 stream, u64 fence, u64 timeout_ns, u32 flags,
		    u32 *status)
{
	struct vgpu_ioctl_wait arg = {
		.stream = stream, .fence = fence, .timeout_ns = timeout_ns,
		.flags = flags, .status = 12345,
	};
	int ret = vgpu_fence_wait(&ctx, &arg);

	*status = arg.status;
	return ret;
}

static void complete_fence_needs_no_wait(void)
{
	u32 status;

	set_up();
	ctx.streams[3].submitted = 2;
	complete(3, 2, VGPU_STATUS_TIMEOUT);
	CHECK_EQ(wait_for(3, 1, 0, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_TIMEOUT);
	CHECK_EQ(wait_for(3, 0, 0, VGPU_WAIT_NO_SLEEP, &status), 0);
	CHECK_EQ(vd.stats.waits_done.v, 2);
}

static void bad_arguments(void)
{
	u32 status;

	set_up();
	ctx.streams[0].submitted = 2;
	CHECK_EQ(wait_for(0, 3, 0, 0, &status), -EINVAL);
	CHECK_EQ(wait_for(VGPU_STREAMS_MAX, 0, 0, 0, &status), -EINVAL);
	CHECK_EQ(wait_for(0, 1, 0, 4, &status), -EINVAL);
}

static void time_runs_out(void)
{
	u32 status;

	set_up();
	ctx.streams[0].submitted = 1;
	CHECK_EQ(wait_for(0, 1, 0, 0, &status), -ETIME);
	CHECK_EQ(wait_for(0, 1, ~0ull, VGPU_WAIT_NO_SLEEP, &status), -ETIME);
	CHECK_EQ(wait_for(0, 1, 3000000, 0, &status), -ETIME);
	/* Nobody waits: nothing is armed. */
	CHECK_EQ(arm_slot(0)->fence, 0);
}

static void a_signal_leaves_the_time_that_is_left(void)
{
	struct vgpu_ioctl_wait arg = { .fence = 1, .timeout_ns = 60000000000 };

	set_up();
	ctx.streams[0].submitted = 1;
	shim_signal = true;
	CHECK_EQ(vgpu_fence_wait(&ctx, &arg), -ERESTARTSYS);
	CHECK(arg.timeout_ns < 60000000000);
	CHECK(arg.timeout_ns > 1000000000);
	arg.timeout_ns = VGPU_WAIT_FOREVER;
	CHECK_EQ(vgpu_fence_wait(&ctx, &arg), -ERESTARTSYS);
	CHECK(arg.timeout_ns == VGPU_WAIT_FOREVER);
	CHECK_EQ(arm_slot(0)->fence, 0);
}

static void a_fence_from_the_future_fails_the_context(void)
{
	u32 status;

	set_up();
	ctx.streams[0].submitted = 4;
	slot(0)->fence = 5;
	CHECK_EQ(wait_for(0, 4, ~0ull, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_INTERNAL);
	CHECK_EQ(vd.stats.device_errors.v, 1);
	/* Other streams do not hang either. */
	ctx.streams[1].submitted = 1;
	CHECK_EQ(wait_for(1, 1, ~0ull, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_INTERNAL);
}

/* VGPU-DRV-23. */
static void another_epoch_ends_the_session(void)
{
	struct vgpu_timeline_header *header = (void *)timeline.bytes;
	u32 status;

	set_up();
	ctx.streams[0].submitted = 2;
	header->epoch = 7;
	CHECK_EQ(wait_for(0, 2, 0, 0, &status), -ETIME);
	CHECK_EQ(lost.v, 0);
	header->epoch = 8;
	CHECK_EQ(wait_for(0, 2, ~0ull, 0, &status), -ENODEV);
	CHECK_EQ(status, VGPU_STATUS_DEVICE_LOST);
	CHECK_EQ(lost.v, 1);
}

/* -- sleepers that something else than a fence must wake ------------------ */

struct sleeper {
	u32 stream, status;
	u64 fence;
	int ret;
};

static void *sleep_once(void *p)
{
	struct sleeper *s = p;

	s->ret = wait_for(s->stream, s->fence, ~0ull, VGPU_WAIT_NO_POLL,
			  &s->status);
	return NULL;
}

static void wait_until_armed(u32 stream, u64 fence)
{
	while (__atomic_load_n(&arm_slot(stream)->fence, __ATOMIC_SEQ_CST) !=
	       fence)
		sched_yield();
}

static void failure_wakes_sleepers(void)
{
	struct sleeper s = { .stream = 5, .fence = 1 };
	pthread_t t;

	set_up();
	ctx.streams[5].submitted = 1;
	pthread_create(&t, NULL, sleep_once, &s);
	wait_until_armed(5, 1);
	vgpu_context_fail(&ctx, VGPU_STATUS_MALFORMED);
	vgpu_context_fail(&ctx, VGPU_STATUS_INTERNAL);
	pthread_join(t, NULL);
	CHECK_EQ(s.ret, 0);
	CHECK_EQ(s.status, VGPU_STATUS_MALFORMED);
}

static void loss_of_the_device_wakes_sleepers(void)
{
	struct sleeper s = { .fence = 1 };
	pthread_t t;

	set_up();
	ctx.streams[0].submitted = 1;
	pthread_create(&t, NULL, sleep_once, &s);
	wait_until_armed(0, 1);
	WRITE_ONCE(vd.broken, true);
	vgpu_contexts_wake(&vd);
	pthread_join(t, NULL);
	CHECK_EQ(s.ret, -ENODEV);
}

/* The one with the least fence leaves; the other's fence must be armed then. */
static void the_next_fence_is_armed_in_turn(void)
{
	struct sleeper a = { .fence = 1 }, b = { .fence = 2 };
	pthread_t ta, tb;

	set_up();
	ctx.streams[0].submitted = 2;
	pthread_create(&tb, NULL, sleep_once, &b);
	wait_until_armed(0, 2);
	pthread_create(&ta, NULL, sleep_once, &a);
	wait_until_armed(0, 1);
	complete(0, 1, 0);
	pthread_join(ta, NULL);
	wait_until_armed(0, 2);
	complete(0, 2, 0);
	pthread_join(tb, NULL);
	CHECK_EQ(a.ret, 0);
	CHECK_EQ(b.ret, 0);
	CHECK_EQ(events.v, 2);
	CHECK_EQ(arm_slot(0)->fence, 0);
}

/* -- a race of everyone against everyone --------------------------------- */

#define ROUNDS	4000
#define WAITERS	4

static void *device_thread(void *unused)
{
	unsigned int seed = 1;
	u64 done;

	(void)unused;
	while (!atomic_load(&stop)) {
		u64 submitted = __atomic_load_n(&ctx.streams[0].submitted,
						__ATOMIC_ACQUIRE);

		done = slot(0)->fence;
		if (done < submitted)
			complete(0, done + 1 + rand_r(&seed) % (submitted - done),
				 0);
		if (rand_r(&seed) % 4 == 0)
			sched_yield();
	}
	return NULL;
}

static void *racing_waiter(void *p)
{
	unsigned int seed = (unsigned int)(uintptr_t)p;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		u64 fence = __atomic_add_fetch(&ctx.streams[0].submitted, 1,
					       __ATOMIC_SEQ_CST);
		u32 flags = rand_r(&seed) % 2 ? VGPU_WAIT_NO_POLL : 0;
		/* Some give up early, so that others' turns get disturbed. */
		u64 timeout = rand_r(&seed) % 8 ? ~0ull : 2000;
		u32 status;
		int ret = wait_for(0, fence, timeout, flags, &status);

		CHECK(!ret || (ret == -ETIME && timeout == 2000));
		CHECK_EQ(status, 0);
	}
	return NULL;
}

/* VGPU-DRV-16, 18. */
static void no_wake_up_is_lost(void)
{
	pthread_t device, waiters[WAITERS];
	uintptr_t i;

	set_up();
	vgpu_poll_us = 1;
	pthread_create(&device, NULL, device_thread, NULL);
	for (i = 0; i < WAITERS; i++)
		pthread_create(&waiters[i], NULL, racing_waiter, (void *)(i + 1));
	for (i = 0; i < WAITERS; i++)
		pthread_join(waiters[i], NULL);
	atomic_store(&stop, true);
	pthread_join(device, NULL);
	CHECK(vd.stats.waits_slept.v > 0);
	CHECK(events.v > 0);
	CHECK(ctx.streams[0].sleepers.next == &ctx.streams[0].sleepers);
}

int main(int argc, char **argv)
{
	static const struct driver_test tests[] = {
		{ "complete_fence_needs_no_wait", complete_fence_needs_no_wait },
		{ "bad_arguments", bad_arguments },
		{ "time_runs_out", time_runs_out },
		{ "a_signal_leaves_the_time_that_is_left",
		  a_signal_leaves_the_time_that_is_left },
		{ "a_fence_from_the_future_fails_the_context",
		  a_fence_from_the_future_fails_the_context },
		{ "another_epoch_ends_the_session",
		  another_epoch_ends_the_session },
		{ "failure_wakes_sleepers", failure_wakes_sleepers },
		{ "loss_of_the_device_wakes_sleepers",
		  loss_of_the_device_wakes_sleepers },
		{ "the_next_fence_is_armed_in_turn",
		  the_next_fence_is_armed_in_turn },
		{ "no_wake_up_is_lost", no_wake_up_is_lost },
		{ NULL, NULL },
	};

	return driver_test_main(tests, argc, argv);
}
