// SPDX-License-Identifier: GPL-2.0
/*
 * driver-check: runs in a guest with the mock device (test/support/mock-vgpu.ts)
 * and holds the guest driver to its promises. Each case runs in a process of
 * its own and ends with a line "ok NAME" or "not ok NAME".
 *
 *   driver-check [NAME…]     all cases, or those named
 */
#include <stdarg.h>

#include "driver-check.h"

const char *device_path = "/dev/vgpu0";

int open_device(void)
{
	int fd = open(device_path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		FAIL("%s: errno %d", device_path, errno);
	return fd;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

uint64_t tell(int fd, uint32_t stream, enum mischief what, uint64_t argument)
{
	struct {
		struct vgpu_command_header header;
		uint64_t argument;
	} command = {
		.header = { .opcode = what, .bytes = 16 },
		.argument = argument,
	};
	struct vgpu_ioctl_submit submit = {
		.commands = (uintptr_t)&command,
		.command_bytes = sizeof(command),
		.command_count = 1,
		.stream = stream,
	};

	CHECK_EQ(ioctl(fd, VGPU_IOC_SUBMIT, &submit), 0);
	return submit.fence;
}

int wait_fence(int fd, uint32_t stream, uint64_t fence, uint64_t timeout_ns,
	       uint32_t flags, uint32_t *status)
{
	struct vgpu_ioctl_wait wait = {
		.stream = stream,
		.flags = flags,
		.fence = fence,
		.timeout_ns = timeout_ns,
	};
	int ret = ioctl(fd, VGPU_IOC_WAIT, &wait) ? -errno : 0;

	if (status)
		*status = wait.status;
	return ret;
}

int memory_info(int fd, uint32_t *status, uint64_t *hostmems,
		uint64_t *contexts)
{
	struct vgpu_request_header request = { .type = VGPU_REQ_MEMORY_INFO };
	struct {
		struct vgpu_response_header header;
		uint64_t counts[4];
	} response;
	struct vgpu_ioctl_control control = {
		.request = (uintptr_t)&request,
		.response = (uintptr_t)&response,
		.request_bytes = sizeof(request),
		.response_bytes = sizeof(response),
	};

	memset(&response, 0x77, sizeof(response));
	if (ioctl(fd, VGPU_IOC_CONTROL, &control))
		return -errno;
	if (status)
		*status = response.header.status;
	if (response.header.status != VGPU_STATUS_OK) {
		CHECK_EQ(control.response_bytes, sizeof(response.header));
		return 0;
	}
	CHECK_EQ(control.response_bytes, sizeof(response));
	CHECK_EQ(response.header.payload_bytes, 32);
	if (hostmems)
		*hostmems = response.counts[0];
	if (contexts)
		*contexts = response.counts[1];
	return 0;
}

uint64_t contexts_on_device(int fd)
{
	uint64_t contexts = 0;
	uint32_t status;

	CHECK_EQ(memory_info(fd, &status, NULL, &contexts), 0);
	CHECK_EQ(status, VGPU_STATUS_OK);
	return contexts;
}

long long stat_of(const char *name)
{
	char path[96], line[128];
	long long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/vgpu/%s/stats",
		 strrchr(device_path, '/') + 1);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		size_t n = strlen(name);

		if (!strncmp(line, name, n) && line[n] == ' ')
			value = atoll(line + n);
	}
	fclose(f);
	if (value < 0)
		FAIL("no counter %s", name);
	return value;
}

void *map_timeline(int fd)
{
	void *p = mmap(NULL, VGPU_MMAP_TIMELINE_BYTES, PROT_READ, MAP_SHARED,
		       fd, VGPU_MMAP_TIMELINE_OFFSET);

	CHECK(p != MAP_FAILED);
	return p;
}

int reap(pid_t pid, unsigned int within_ms)
{
	uint64_t end = now_ms() + within_ms;
	int status;

	while (now_ms() < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(5);
	}
	FAIL("process %d does not end within %u ms", pid, within_ms);
}

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

static int run_all(const struct check *checks, int argc, char **argv)
{
	int failed = 0;

	for (; checks->name; checks++) {
		uint64_t start = now_ms();
		int status = -1;
		pid_t pid;

		if (!wanted(checks->name, argc, argv))
			continue;
		pid = fork();
		if (!pid) {
			alarm(60);
			checks->run();
			fflush(stdout);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		printf("%s %s %llu ms\n", status ? "not ok" : "ok", checks->name,
		       (unsigned long long)(now_ms() - start));
		fflush(stdout);
		failed += status != 0;
	}
	return failed;
}

/* What exec_keeps_the_context runs after exec(): the inherited file works. */
static int after_exec(int fd)
{
	uint64_t fence = tell(fd, 0, MOCK_DELAY, 0);

	CHECK_EQ(fence, 2);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
	return 0;
}

int main(int argc, char **argv)
{
	int failed;

	if (getenv("VGPU_DEVICE"))
		device_path = getenv("VGPU_DEVICE");
	if (argc == 3 && !strcmp(argv[1], "--after-exec"))
		return after_exec(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "--hold")) {
		/* Keeps a context and a mapping until it is killed. */
		map_timeline(open_device());
		pause();
	}
	failed = run_all(basic_checks, argc, argv);
	failed += run_all(memory_checks, argc, argv);
	failed += run_all(fault_checks, argc, argv);
	return failed != 0;
}
