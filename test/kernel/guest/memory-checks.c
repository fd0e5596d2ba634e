// SPDX-License-Identifier: GPL-2.0
/*
 * Pinned memory: what is registered, who gets it back, and when.
 */
#include <signal.h>

#include "driver-check.h"

static int pin(int fd, void *p, uint64_t bytes, uint32_t *hostmem)
{
	struct vgpu_ioctl_pin a = { .address = (uintptr_t)p, .bytes = bytes };
	int ret = ioctl(fd, VGPU_IOC_PIN, &a);

	if (hostmem)
		*hostmem = a.hostmem;
	return ret;
}

static int unpin(int fd, uint32_t hostmem)
{
	struct vgpu_ioctl_unpin a = { .hostmem = hostmem };

	return ioctl(fd, VGPU_IOC_UNPIN, &a);
}

static void increment(int fd, uint32_t hostmem)
{
	uint64_t fence = tell(fd, 0, MOCK_INCREMENT, hostmem);

	CHECK_EQ(wait_fence(fd, 0, fence, 20000000000ull, 0, NULL), 0);
}

static uint8_t *pages(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Exactly the registered bytes change, wherever they begin and end. */
static void pins_cover_exactly(void)
{
	static const size_t offsets[] = { 0, 1, 4095, 4096, 5000 };
	static const size_t lengths[] = { 1, 2, 4096, 4097, 100000 };
	uint8_t *p = pages(200000);
	int fd = open_device();
	size_t i, k, at;
	uint32_t hostmem;

	for (i = 0; i < 5; i++)
		for (k = 0; k < 5; k++) {
			memset(p, 7, 200000);
			CHECK_EQ(pin(fd, p + offsets[i], lengths[k], &hostmem),
				 0);
			increment(fd, hostmem);
			CHECK_EQ(unpin(fd, hostmem), 0);
			for (at = 0; at < 200000; at++)
				CHECK_EQ(p[at], at >= offsets[i] &&
					 at < offsets[i] + lengths[k] ? 8 : 7);
		}
	CHECK_EQ(stat_of("pinned_bytes"), 0);
}

/* Pages that were never touched, and such that are not neighbours. */
static void scattered_pages(void)
{
	const size_t bytes = 16 << 20;
	uint8_t *p = pages(bytes);
	int fd = open_device();
	uint32_t hostmem;
	size_t i;

	/* Touched in an order that makes physical neighbours unlikely. */
	for (i = 0; i < bytes; i += 4096)
		p[i * 37 % bytes] = 1;
	CHECK_EQ(pin(fd, p, bytes, &hostmem), 0);
	CHECK_EQ(stat_of("pinned_bytes"), (long long)bytes);
	increment(fd, hostmem);
	for (i = 0; i < bytes; i++)
		CHECK_EQ(p[i], i % 4096 ? 1 : 2);
	CHECK_EQ(unpin(fd, hostmem), 0);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
}

static void bad_pins_are_refused(void)
{
	struct vgpu_ioctl_pin flags = { .flags = 1, .bytes = 4096 };
	struct vgpu_ioctl_unpin reserved = { .reserved = 1 };
	int fd = open_device();
	uint8_t *p = pages(8192);

	flags.address = (uintptr_t)p;
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_PIN, &flags), EINVAL);
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_UNPIN, &reserved), EINVAL);
	CHECK_ERRNO(pin(fd, p, 0, NULL), EINVAL);
	CHECK_ERRNO(pin(fd, p, ~0ull, NULL), EINVAL);
	CHECK_ERRNO(pin(fd, (void *)~0xfffull, 4096, NULL), EINVAL);
	CHECK_ERRNO(pin(fd, (void *)~0x1fffull, 4096, NULL), EFAULT);
	CHECK_ERRNO(pin(fd, NULL, 4096, NULL), EFAULT);
	munmap(p + 4096, 4096);
	CHECK_ERRNO(pin(fd, p, 8192, NULL), EFAULT);
	CHECK_EQ(mprotect(p, 4096, PROT_READ), 0);
	CHECK_ERRNO(pin(fd, p, 4096, NULL), EFAULT);
	CHECK_ERRNO(pin(fd, map_timeline(fd), 4096, NULL), EFAULT);
	CHECK_ERRNO(pin(fd, p, 1ull << 36, NULL), EDQUOT);
	CHECK_ERRNO(unpin(fd, 0), ENOENT);
	CHECK_ERRNO(unpin(fd, 1), ENOENT);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
}

static void handles_are_limited_and_used_again(void)
{
	uint32_t hostmem[64];
	int fd = open_device(), i;
	uint8_t *p = pages(4096);
	uint64_t count;

	for (i = 0; i < 63; i++)
		CHECK_EQ(pin(fd, p + i, 16, &hostmem[i]), 0);
	CHECK_ERRNO(pin(fd, p, 16, NULL), ENOSPC);
	CHECK_EQ(stat_of("pinned_bytes"), 63 * 4096);
	CHECK_EQ(unpin(fd, hostmem[30]), 0);
	CHECK_ERRNO(unpin(fd, hostmem[30]), ENOENT);
	CHECK_EQ(pin(fd, p, 16, &hostmem[30]), 0);
	CHECK_EQ(memory_info(fd, NULL, &count, NULL), 0);
	CHECK_EQ(count, 63);
	/* Another file's handles are its own. */
	CHECK_ERRNO(unpin(open_device(), hostmem[0]), ENOENT);
	close(fd);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
}

/* After fork() the device writes the parent's pages, not the child's. */
static void fork_leaves_pins_with_the_parent(void)
{
	uint8_t *p = pages(65536);
	int fd = open_device();
	uint32_t hostmem;
	int to_child[2];
	pid_t pid;
	char c;

	memset(p, 1, 65536);
	CHECK_EQ(pin(fd, p, 65536, &hostmem), 0);
	CHECK_EQ(pipe(to_child), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(read(to_child[0], &c, 1), 1);
		CHECK_EQ(p[100], 1);
		memset(p, 50, 65536);
		/* The child may use the file, too. */
		CHECK_EQ(pin(fd, p, 4096, &hostmem), 0);
		increment(fd, hostmem);
		CHECK_EQ(p[100], 51);
		CHECK_EQ(p[5000], 50);
		_exit(0);
	}
	/* The parent writes first, which breaks the sharing of the pages. */
	memset(p, 3, 65536);
	increment(fd, hostmem);
	CHECK_EQ(p[0], 4);
	CHECK_EQ(p[65535], 4);
	CHECK_EQ(write(to_child[1], "x", 1), 1);
	CHECK_EQ(reap(pid, 10000), 0);
	CHECK_EQ(p[100], 4);
	/* The child's pin lives as long as the file. */
	CHECK_EQ(stat_of("pinned_bytes"), 65536 + 4096);
	close(fd);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
}

/* VGPU-DRV-14. */
static void unmapped_memory_stays_pinned(void)
{
	uint8_t *p = pages(1 << 20);
	int fd = open_device();
	uint32_t hostmem;

	CHECK_EQ(pin(fd, p, 1 << 20, &hostmem), 0);
	munmap(p, 1 << 20);
	increment(fd, hostmem);
	CHECK_EQ(stat_of("pinned_bytes"), 1 << 20);
	CHECK_EQ(unpin(fd, hostmem), 0);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
}

/* A process that is killed in the middle leaves nothing behind. */
static void kill_in_a_copy(void)
{
	int observer = open_device();
	pid_t pid = fork();

	if (!pid) {
		int fd = open_device();
		uint32_t hostmem;

		CHECK_EQ(pin(fd, pages(4 << 20), 4 << 20, &hostmem), 0);
		tell(fd, 0, MOCK_INCREMENT, hostmem);
		wait_fence(fd, 0, tell(fd, 0, MOCK_DELAY, 60000),
			   VGPU_WAIT_FOREVER, 0, NULL);
		_exit(1);
	}
	while (contexts_on_device(observer) < 2 || !stat_of("pinned_bytes"))
		sleep_ms(5);
	sleep_ms(50);
	kill(pid, SIGKILL);
	CHECK_EQ(reap(pid, 5000), SIGKILL);
	CHECK_EQ(contexts_on_device(observer), 1);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
	CHECK_EQ(stat_of("leaked_bytes"), 0);
}

/* Killed while the device takes its time to answer. */
static void kill_in_a_request(bool in_pin)
{
	int observer = open_device();
	long long abandoned = stat_of("controls_abandoned");
	pid_t pid = fork();

	if (!pid) {
		int fd = open_device();
		uint64_t fence = tell(fd, 0, MOCK_SLOW_CONTROL, 1500);

		CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
		if (in_pin)
			pin(fd, pages(4 << 20), 4 << 20, NULL);
		else
			memory_info(fd, NULL, NULL, NULL);
		_exit(1);
	}
	sleep_ms(600);
	kill(pid, SIGKILL);
	CHECK_EQ(reap(pid, 5000), SIGKILL);
	CHECK_EQ(stat_of("controls_abandoned"), abandoned + 1);
	CHECK_EQ(contexts_on_device(observer), 1);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
	CHECK_EQ(stat_of("leaked_bytes"), 0);
	/* The late answer finds its buffers still there. */
	sleep_ms(1500);
	CHECK_EQ(contexts_on_device(observer), 1);
}

static void kill_in_a_control_request(void)
{
	kill_in_a_request(false);
}

static void kill_in_a_registration(void)
{
	kill_in_a_request(true);
}

const struct check memory_checks[] = {
	{ "pins_cover_exactly", pins_cover_exactly },
	{ "scattered_pages", scattered_pages },
	{ "bad_pins_are_refused", bad_pins_are_refused },
	{ "handles_are_limited_and_used_again",
	  handles_are_limited_and_used_again },
	{ "fork_leaves_pins_with_the_parent", fork_leaves_pins_with_the_parent },
	{ "unmapped_memory_stays_pinned", unmapped_memory_stays_pinned },
	{ "kill_in_a_copy", kill_in_a_copy },
	{ "kill_in_a_control_request", kill_in_a_control_request },
	{ "kill_in_a_registration", kill_in_a_registration },
	{ NULL, NULL },
};
