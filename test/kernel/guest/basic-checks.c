// SPDX-License-Identifier: GPL-2.0
/*
 * Contexts, control requests, submissions, waiting, the timeline's mapping.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "driver-check.h"

static void node_is_for_everyone(void)
{
	struct stat s;

	CHECK_EQ(stat("/dev/vgpu0", &s), 0);
	CHECK(S_ISCHR(s.st_mode));
	CHECK_EQ(s.st_mode & 0777, 0666);
}

static void info(void)
{
	struct vgpu_ioctl_info i;
	int fd = open_device();

	memset(&i, 0xff, sizeof(i));
	CHECK_EQ(ioctl(fd, VGPU_IOC_INFO, &i), 0);
	CHECK_EQ(i.abi_version, VGPU_IOCTL_ABI_VERSION);
	CHECK_EQ(i.device_index, 0);
	CHECK_EQ(i.capabilities, VGPU_CAP_WGSL);
	CHECK(i.epoch);
	CHECK(i.pinned_bytes_max > 1 << 20);
	CHECK(!i.reserved[0] && !i.reserved[1]);
}

static int control(int fd, void *request, uint32_t request_bytes,
		   void *response, uint32_t response_bytes)
{
	struct vgpu_ioctl_control c = {
		.request = (uintptr_t)request,
		.response = (uintptr_t)response,
		.request_bytes = request_bytes,
		.response_bytes = response_bytes,
	};

	return ioctl(fd, VGPU_IOC_CONTROL, &c);
}

/* VGPU-DRV-8, 9, 10. */
static void bad_requests_are_refused(void)
{
	static const uint32_t own[] = { VGPU_REQ_INIT, VGPU_REQ_CONTEXT_CREATE,
		VGPU_REQ_CONTEXT_DESTROY, VGPU_REQ_HOSTMEM_REGISTER,
		VGPU_REQ_HOSTMEM_UNREGISTER };
	struct vgpu_request_header r = { .type = VGPU_REQ_MEMORY_INFO };
	struct vgpu_ioctl_control c = { .reserved = 1 };
	char out[64];
	int fd = open_device();
	unsigned int i;

	CHECK_ERRNO(ioctl(fd, _IO('V', 0xc9)), ENOTTY);
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_INFO, NULL), EFAULT);
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_CONTROL, NULL), EFAULT);
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_CONTROL, &c), EINVAL);
	CHECK_ERRNO(control(fd, NULL, 16, out, 64), EFAULT);
	CHECK_ERRNO(control(fd, &r, 15, out, 64), EINVAL);
	CHECK_ERRNO(control(fd, &r, 16, out, 31), EINVAL);
	CHECK_ERRNO(control(fd, &r, 16, out, 1048577), EINVAL);
	CHECK_ERRNO(control(fd, &r, ~0u, out, 64), EINVAL);
	CHECK_ERRNO(control(fd, &r, 16, NULL, 64), EFAULT);
	for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
		r.type = own[i];
		CHECK_ERRNO(control(fd, &r, 16, out, 64), EPERM);
	}
	r.type = VGPU_REQ_SUBMIT;
	CHECK_ERRNO(control(fd, &r, 16, out, 64), EINVAL);
	r.type = 0x10000 + VGPU_REQ_MEMORY_INFO;
	CHECK_ERRNO(control(fd, &r, 16, out, 64), EINVAL);
	r.type = VGPU_REQ_MEMORY_INFO;
	r.flags = 1;
	CHECK_ERRNO(control(fd, &r, 16, out, 64), EINVAL);
	r.flags = 0;
	r.context = 5;
	CHECK_ERRNO(control(fd, &r, 16, out, 64), EINVAL);
	r.context = 0;
	CHECK_EQ(control(fd, &r, 16, out, 64), 0);
}

static void requests_are_answered(void)
{
	uint64_t hostmems = 99, contexts = 0;
	uint32_t status = 99;
	int fd = open_device();

	CHECK_EQ(memory_info(fd, &status, &hostmems, &contexts), 0);
	CHECK_EQ(status, VGPU_STATUS_OK);
	CHECK_EQ(hostmems, 0);
	CHECK(contexts >= 1);
}

/* The largest request and reply, which are scattered over several chunks. */
static void largest_requests_pass(void)
{
	struct vgpu_request_header *r = calloc(1, 1048576);
	struct vgpu_response_header *out = calloc(1, 1048576);
	int fd = open_device();

	r->type = VGPU_REQ_MODULE_QUERY;
	CHECK_EQ(control(fd, r, 1048576, out, 1048576), 0);
	CHECK_EQ(out->status, VGPU_STATUS_NOT_SUPPORTED);
}

/* VGPU-DRV-4. */
static void bad_submissions_are_refused(void)
{
	struct vgpu_command_header nop[2] = {
		{ VGPU_CMD_NOP, 0, 8 }, { VGPU_CMD_NOP, 0, 8 } };
	struct vgpu_ioctl_submit s = { .commands = (uintptr_t)nop,
		.command_bytes = 16, .command_count = 2 };
	int fd = open_device();

	s.flags = 1;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_SUBMIT, &s), EINVAL);
	s.flags = 0;
	s.stream = 64;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_SUBMIT, &s), EINVAL);
	s.stream = 63;
	s.command_count = 3;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_SUBMIT, &s), EINVAL);
	s.command_count = 2;
	s.command_bytes = 15;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_SUBMIT, &s), EINVAL);
	s.command_bytes = 4194304;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_SUBMIT, &s), EINVAL);
	s.command_bytes = 16;
	s.commands = 8;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_SUBMIT, &s), EFAULT);
	s.commands = (uintptr_t)nop;
	CHECK_EQ(ioctl(fd, VGPU_IOC_SUBMIT, &s), 0);
	/* None of the refused ones took a number. */
	CHECK_EQ(s.fence, 1);
}

/* VGPU-DRV-19, 20. */
static void fences_count_per_stream(void)
{
	struct vgpu_ioctl_submit empty = { .stream = 7 };
	struct vgpu_timeline_slot *slot;
	struct vgpu_timeline_header *header;
	int fd = open_device();
	uint64_t i;

	header = map_timeline(fd);
	CHECK_EQ(header->magic, VGPU_TIMELINE_MAGIC);
	for (i = 1; i <= 5; i++)
		CHECK_EQ(tell(fd, 3, MOCK_DELAY, 0), i);
	CHECK_EQ(ioctl(fd, VGPU_IOC_SUBMIT, &empty), 0);
	CHECK_EQ(empty.fence, 1);
	CHECK_EQ(wait_fence(fd, 3, 5, VGPU_WAIT_FOREVER, 0, NULL), 0);
	CHECK_EQ(wait_fence(fd, 7, 1, VGPU_WAIT_FOREVER, 0, NULL), 0);
	slot = (void *)((char *)header + 64 + 32 * 3);
	CHECK_EQ(slot->fence, 5);
	CHECK_EQ(wait_fence(fd, 3, 0, 0, 0, NULL), 0);
	CHECK_EQ(wait_fence(fd, 3, 6, 0, 0, NULL), -EINVAL);
	CHECK_EQ(wait_fence(fd, 64, 0, 0, 0, NULL), -EINVAL);
	CHECK_EQ(wait_fence(fd, 3, 5, 0, 4, NULL), -EINVAL);
}

static void largest_submission_passes(void)
{
	uint32_t bytes = 4194304 - 40;
	struct vgpu_command_header *c = calloc(1, bytes);
	struct vgpu_ioctl_submit s = { .commands = (uintptr_t)c,
		.command_bytes = bytes, .command_count = 1 };
	int fd = open_device();
	int i;

	c->opcode = VGPU_CMD_NOP;
	c->bytes = bytes;
	for (i = 0; i < 4; i++)
		CHECK_EQ(ioctl(fd, VGPU_IOC_SUBMIT, &s), 0);
	CHECK_EQ(wait_fence(fd, 0, s.fence, 20000000000ull, 0, NULL), 0);
}

/* More than the ring holds, with nobody waiting in between. */
static void a_full_ring_moves_on(void)
{
	int fd = open_device();
	uint64_t fence = 0;
	int i;

	for (i = 0; i < 3000; i++)
		fence = tell(fd, i % 2, MOCK_DELAY, 0);
	CHECK_EQ(fence, 1500);
	CHECK_EQ(wait_fence(fd, 1, fence, 20000000000ull, 0, NULL), 0);
	CHECK_EQ(wait_fence(fd, 0, fence, 20000000000ull, 0, NULL), 0);
}

/* Well below the second after which a sleeper looks by itself. */
static void sleepers_are_interrupted(void)
{
	int fd = open_device();
	uint64_t fence, start;
	int i;

	for (i = 0; i < 5; i++) {
		start = now_ms();
		fence = tell(fd, 0, MOCK_DELAY, 60);
		CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER,
				    i % 2 ? 0 : VGPU_WAIT_NO_POLL, NULL), 0);
		CHECK(now_ms() - start >= 50);
		CHECK(now_ms() - start < 800);
	}
	CHECK(stat_of("interrupts_event") > 0);
}

static void time_runs_out(void)
{
	int fd = open_device();
	uint64_t fence = tell(fd, 0, MOCK_DELAY, 400), start = now_ms();

	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER,
			    VGPU_WAIT_NO_SLEEP, NULL), -ETIME);
	CHECK_EQ(wait_fence(fd, 0, fence, 0, 0, NULL), -ETIME);
	CHECK_EQ(wait_fence(fd, 0, fence, 30000000, 0, NULL), -ETIME);
	CHECK(now_ms() - start >= 30);
	CHECK(now_ms() - start < 350);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
}

struct waiter {
	pthread_t thread;
	int fd;
	uint32_t stream;
	uint64_t fence;
	int ret;
};

static void *wait_in_thread(void *p)
{
	struct waiter *w = p;

	w->ret = wait_fence(w->fd, w->stream, w->fence, 30000000000ull,
			    VGPU_WAIT_NO_POLL, NULL);
	return NULL;
}

static void many_wait_on_one_stream(void)
{
	struct waiter w[12];
	int fd = open_device();
	uint64_t start = now_ms();
	int i;

	for (i = 0; i < 12; i++) {
		w[i].fd = fd;
		w[i].stream = i % 2;
		w[i].fence = tell(fd, i % 2, MOCK_DELAY, 20 * (i + 1));
	}
	/* The later ones first, so that the arm slot must go down. */
	for (i = 11; i >= 0; i--)
		pthread_create(&w[i].thread, NULL, wait_in_thread, &w[i]);
	for (i = 0; i < 12; i++) {
		pthread_join(w[i].thread, NULL);
		CHECK_EQ(w[i].ret, 0);
	}
	CHECK(now_ms() - start < 1000);
}

/* Queues have no order among each other: the driver keeps it. */
static void control_requests_do_not_overtake(void)
{
	int fd = open_device();
	uint64_t start = now_ms();

	tell(fd, 0, MOCK_STALL, 300);
	tell(fd, 0, MOCK_DELAY, 0);
	CHECK(now_ms() - start < 250);
	CHECK_EQ(memory_info(fd, NULL, NULL, NULL), 0);
	CHECK(now_ms() - start >= 280);
	CHECK(now_ms() - start < 1200);
}

/* What a closed context has queued must not meet the next one with its id. */
static void a_context_ends_after_its_submissions(void)
{
	int fd = open_device();
	uint64_t start = now_ms();
	int i;

	tell(fd, 0, MOCK_STALL, 300);
	for (i = 0; i < 10; i++)
		tell(fd, 0, MOCK_DELAY, 0);
	CHECK(now_ms() - start < 250);
	close(fd);
	CHECK(now_ms() - start >= 280);
	fd = open_device();
	CHECK_EQ(tell(fd, 0, MOCK_DELAY, 0), 1);
	CHECK_EQ(wait_fence(fd, 0, 1, VGPU_WAIT_FOREVER, 0, NULL), 0);
	CHECK_EQ(stat_of("submit_errors"), 0);
}

static void nothing(int number)
{
	(void)number;
}

static void after(unsigned int ms, pid_t pid, int number)
{
	if (fork())
		return;
	sleep_ms(ms);
	kill(pid, number);
	_exit(0);
}

static void signals_interrupt_waits(void)
{
	struct sigaction action = { .sa_handler = nothing };
	int fd = open_device();
	uint64_t fence = tell(fd, 0, MOCK_DELAY, 500), start = now_ms();

	sigaction(SIGUSR1, &action, NULL);
	after(50, getpid(), SIGUSR1);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), -EINTR);
	/* With SA_RESTART the call goes on, and its time does not start anew. */
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	after(50, getpid(), SIGUSR1);
	after(120, getpid(), SIGUSR1);
	CHECK_EQ(wait_fence(fd, 0, fence, 200000000, 0, NULL), -ETIME);
	CHECK(now_ms() - start < 400);
	after(20, getpid(), SIGUSR1);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
}

static void timeline_is_read_only(void)
{
	int fd = open_device();
	void *p;

	CHECK_EQ(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
		 MAP_FAILED, 1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED,
		 1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED, 1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096) == MAP_FAILED,
		 1);
	CHECK_EQ(errno, EINVAL);
	p = map_timeline(fd);
	CHECK_ERRNO(mprotect(p, 4096, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERRNO(mprotect(p, 4096, PROT_READ | PROT_EXEC), EACCES);
	CHECK_EQ(mremap(p, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED, 1);
	/* The mapping keeps the context when the file is closed. */
	close(fd);
	CHECK_EQ(((struct vgpu_timeline_header *)p)->magic, VGPU_TIMELINE_MAGIC);
}

static void contexts_are_limited_and_given_back(void)
{
	int first = open_device(), fd[8], i;
	uint64_t before = contexts_on_device(first);

	CHECK_EQ(before, 1);
	for (i = 0; i < 7; i++)
		fd[i] = open_device();
	CHECK_EQ(contexts_on_device(first), 8);
	CHECK_ERRNO(open("/dev/vgpu0", O_RDWR), EBUSY);
	for (i = 0; i < 7; i++)
		close(fd[i]);
	CHECK_EQ(contexts_on_device(first), 1);
}

/* VGPU-DRV-12. */
static void exec_keeps_the_context(void)
{
	char number[16];
	int fd = open("/dev/vgpu0", O_RDWR);
	pid_t pid;

	CHECK_EQ(tell(fd, 0, MOCK_DELAY, 0), 1);
	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "driver-check", "--after-exec", number,
		      NULL);
		_exit(99);
	}
	CHECK_EQ(reap(pid, 10000), 0);
	/* The child's end did not end the context, which is this file's. */
	CHECK_EQ(tell(fd, 0, MOCK_DELAY, 0), 3);
	CHECK_EQ(wait_fence(fd, 0, 3, VGPU_WAIT_FOREVER, 0, NULL), 0);
}

static void processes_do_not_disturb_each_other(void)
{
	pid_t pid[3];
	int i, n;

	for (i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (n = 0; n < 20; n++) {
			int fd = open_device();
			uint64_t fence = 0;
			int k;

			for (k = 0; k < 30; k++)
				fence = tell(fd, k % 3, MOCK_DELAY, k % 3);
			CHECK_EQ(wait_fence(fd, 2, fence, 20000000000ull, 0,
					    NULL), 0);
			CHECK_EQ(wait_fence(fd, 0, fence, 20000000000ull, 0,
					    NULL), 0);
			close(fd);
		}
		_exit(0);
	}
	for (i = 0; i < 3; i++)
		CHECK_EQ(reap(pid[i], 50000), 0);
}

const struct check basic_checks[] = {
	{ "node_is_for_everyone", node_is_for_everyone },
	{ "info", info },
	{ "bad_requests_are_refused", bad_requests_are_refused },
	{ "requests_are_answered", requests_are_answered },
	{ "largest_requests_pass", largest_requests_pass },
	{ "bad_submissions_are_refused", bad_submissions_are_refused },
	{ "fences_count_per_stream", fences_count_per_stream },
	{ "largest_submission_passes", largest_submission_passes },
	{ "a_full_ring_moves_on", a_full_ring_moves_on },
	{ "sleepers_are_interrupted", sleepers_are_interrupted },
	{ "time_runs_out", time_runs_out },
	{ "many_wait_on_one_stream", many_wait_on_one_stream },
	{ "signals_interrupt_waits", signals_interrupt_waits },
	{ "control_requests_do_not_overtake",
	  control_requests_do_not_overtake },
	{ "a_context_ends_after_its_submissions",
	  a_context_ends_after_its_submissions },
	{ "timeline_is_read_only", timeline_is_read_only },
	{ "contexts_are_limited_and_given_back",
	  contexts_are_limited_and_given_back },
	{ "exec_keeps_the_context", exec_keeps_the_context },
	{ "processes_do_not_disturb_each_other",
	  processes_do_not_disturb_each_other },
	{ NULL, NULL },
};
