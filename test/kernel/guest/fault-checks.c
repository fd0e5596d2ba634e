// SPDX-License-Identifier: GPL-2.0
/*
 * A device that breaks the rules, loses its state, goes away, or falls silent.
 * The last cases leave the driver without a usable device.
 */
#include <pthread.h>

#include "driver-check.h"

static void a_refused_submission_fails_the_context(void)
{
	int fd = open_device(), other = open_device();
	uint32_t status = 0;
	uint64_t fence, start = now_ms();

	fence = tell(fd, 4, MOCK_REFUSE, 0);
	CHECK_EQ(wait_fence(fd, 4, fence, VGPU_WAIT_FOREVER, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_MALFORMED);
	CHECK(now_ms() - start < 500);
	CHECK(stat_of("submit_errors") > 0);
	/* Nobody else is the worse for it. */
	fence = tell(other, 4, MOCK_DELAY, 0);
	CHECK_EQ(wait_fence(other, 4, fence, VGPU_WAIT_FOREVER, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_OK);
}

static void a_fence_from_the_future_fails_the_context(void)
{
	long long errors = stat_of("device_errors");
	int fd = open_device();
	uint32_t status = 0;
	uint64_t other = tell(fd, 1, MOCK_DELAY, 60000);
	uint64_t fence = tell(fd, 0, MOCK_FUTURE_FENCE, 1000000);

	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_INTERNAL);
	CHECK(stat_of("device_errors") > errors);
	CHECK_EQ(wait_fence(fd, 1, other, VGPU_WAIT_FOREVER, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_INTERNAL);
}

/* VGPU-DRV-11. */
static void wrong_lengths_are_errors(void)
{
	static const uint64_t lengths[] = { 0, 4, 31 };
	long long errors = stat_of("device_errors");
	int fd = open_device();
	unsigned int i;

	for (i = 0; i < 3; i++) {
		uint64_t fence = tell(fd, 0, MOCK_USED_LENGTH, lengths[i]);

		CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
		CHECK_EQ(memory_info(fd, NULL, NULL, NULL), -EIO);
		CHECK_EQ(stat_of("device_errors"), errors + i + 1);
	}
	CHECK_EQ(memory_info(fd, NULL, NULL, NULL), 0);
}

/* VGPU-DRV-22. */
static void nonsense_events_are_counted(void)
{
	long long errors = stat_of("event_errors");
	int fd = open_device();
	uint64_t fence = tell(fd, 0, MOCK_BAD_EVENTS, 0);

	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
	sleep_ms(50);
	CHECK_EQ(stat_of("event_errors"), errors + 3);
}

static void a_forgotten_interrupt_costs_time_only(void)
{
	int fd = open_device();
	uint64_t start, fence;

	tell(fd, 0, MOCK_SILENT, 0);
	start = now_ms();
	fence = tell(fd, 0, MOCK_DELAY, 200);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, VGPU_WAIT_NO_POLL,
			    NULL), 0);
	CHECK(now_ms() - start < 3000);
}

struct sleeper {
	int fd, ret;
	uint64_t fence;
	uint32_t status;
};

static void *sleep_in_thread(void *p)
{
	struct sleeper *s = p;

	s->ret = wait_fence(s->fd, 0, s->fence, VGPU_WAIT_FOREVER, 0, &s->status);
	return NULL;
}

/* VGPU-DRV-7, 23. */
static void loses_its_state(enum mischief how)
{
	struct sleeper s = { .fd = open_device() };
	struct vgpu_ioctl_pin pin = { .bytes = 1 << 20 };
	struct vgpu_ioctl_info before, after;
	int other = open_device(), fd;
	pthread_t thread;
	uint32_t status;

	pin.address = (uintptr_t)malloc(1 << 20);
	CHECK_EQ(ioctl(s.fd, VGPU_IOC_INFO, &before), 0);
	CHECK_EQ(ioctl(s.fd, VGPU_IOC_PIN, &pin), 0);
	s.fence = tell(s.fd, 0, MOCK_DELAY, 60000);
	pthread_create(&thread, NULL, sleep_in_thread, &s);
	sleep_ms(100);
	tell(how == MOCK_EPOCH_TIMELINE ? s.fd : other, 1, how, 0);
	if (how == MOCK_AMNESIA) {
		CHECK_EQ(memory_info(other, &status, NULL, NULL), 0);
		CHECK_EQ(status, VGPU_STATUS_NOT_INITIALISED);
	}
	pthread_join(thread, NULL);
	CHECK_EQ(s.ret, -ENODEV);
	CHECK_EQ(s.status, VGPU_STATUS_DEVICE_LOST);
	CHECK_EQ(memory_info(other, NULL, NULL, NULL), -ENODEV);
	CHECK_ERRNO(ioctl(s.fd, VGPU_IOC_PIN, &pin), ENODEV);
	/* A new context begins a new session. */
	fd = open_device();
	CHECK_EQ(ioctl(fd, VGPU_IOC_INFO, &after), 0);
	CHECK(before.epoch != after.epoch);
	CHECK_EQ(contexts_on_device(fd), 1);
	CHECK_EQ(wait_fence(fd, 0, tell(fd, 0, MOCK_DELAY, 0),
			    VGPU_WAIT_FOREVER, 0, &status), 0);
	CHECK_EQ(status, VGPU_STATUS_OK);
	close(s.fd);
	close(other);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
	CHECK_EQ(stat_of("leaked_bytes"), 0);
	CHECK_EQ(contexts_on_device(fd), 1);
}

static void a_new_epoch_by_event(void)
{
	loses_its_state(MOCK_EPOCH_EVENT);
}

static void a_new_epoch_on_the_timeline(void)
{
	loses_its_state(MOCK_EPOCH_TIMELINE);
}

static void a_device_that_forgets(void)
{
	loses_its_state(MOCK_AMNESIA);
}

/* Closed with nothing opened since: the release itself renews the session. */
/* VGPU-DRV-24. */
static void closing_after_a_loss_leaks_nothing(void)
{
	struct vgpu_ioctl_pin pin = { .bytes = 1 << 20 };
	int fd = open_device();

	pin.address = (uintptr_t)malloc(1 << 20);
	CHECK_EQ(ioctl(fd, VGPU_IOC_PIN, &pin), 0);
	tell(fd, 0, MOCK_AMNESIA, 0);
	sleep_ms(20);
	close(fd);
	CHECK_EQ(stat_of("pinned_bytes"), 0);
	CHECK_EQ(stat_of("leaked_bytes"), 0);
	fd = open_device();
	CHECK_EQ(contexts_on_device(fd), 1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (long long)strlen(text));
	close(fd);
}

#define DRIVER "/sys/bus/virtio/drivers/virtio_vgpu/"

static void device_name(char *name, size_t bytes)
{
	char target[256];
	ssize_t n = readlink("/sys/class/vgpu/vgpu0/device", target,
			     sizeof(target) - 1);

	CHECK(n > 0);
	target[n] = 0;
	snprintf(name, bytes, "%s", strrchr(target, '/') + 1);
}

static void removal_with_open_files(void)
{
	struct sleeper s = { .fd = open_device() };
	struct vgpu_ioctl_pin pin = { .bytes = 1 << 20 };
	struct vgpu_timeline_header *timeline = map_timeline(s.fd);
	struct vgpu_ioctl_submit empty = { 0 };
	struct vgpu_ioctl_info info;
	pthread_t thread;
	char name[32];

	device_name(name, sizeof(name));
	pin.address = (uintptr_t)malloc(1 << 20);
	CHECK_EQ(ioctl(s.fd, VGPU_IOC_PIN, &pin), 0);
	s.fence = tell(s.fd, 0, MOCK_DELAY, 60000);
	pthread_create(&thread, NULL, sleep_in_thread, &s);
	sleep_ms(100);
	put(DRIVER "unbind", name);
	pthread_join(thread, NULL);
	CHECK_EQ(s.ret, -ENODEV);
	CHECK_ERRNO(ioctl(s.fd, VGPU_IOC_INFO, &info), ENODEV);
	CHECK_ERRNO(ioctl(s.fd, VGPU_IOC_SUBMIT, &empty), ENODEV);
	CHECK_ERRNO(ioctl(s.fd, VGPU_IOC_PIN, &pin), ENODEV);
	CHECK_EQ(memory_info(s.fd, NULL, NULL, NULL), -ENODEV);
	CHECK_ERRNO(open("/dev/vgpu0", O_RDWR), ENOENT);
	/* The page is still this process's to read. */
	CHECK_EQ(timeline->magic, VGPU_TIMELINE_MAGIC);
	munmap(timeline, 4096);
	close(s.fd);
	put(DRIVER "bind", name);
	s.fd = open_device();
	CHECK_EQ(wait_fence(s.fd, 0, tell(s.fd, 0, MOCK_DELAY, 0),
			    VGPU_WAIT_FOREVER, 0, NULL), 0);
	CHECK_EQ(contexts_on_device(s.fd), 1);
}

/* Nobody asks the device anything but who sleeps. */
static void sleepers_notice_that_the_device_forgot(void)
{
	int fd = open_device(), other = open_device();
	uint64_t fence = tell(fd, 0, MOCK_DELAY, 60000), start = now_ms();
	long long pings = stat_of("pings");
	uint32_t status;

	tell(other, 0, MOCK_AMNESIA, 0);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, &status), -ENODEV);
	CHECK_EQ(status, VGPU_STATUS_DEVICE_LOST);
	CHECK(now_ms() - start < 6000);
	CHECK(stat_of("pings") > pings);
}

static void sleepers_notice_a_mute_device(void)
{
	int fd = open_device();
	uint64_t fence = tell(fd, 0, MOCK_DELAY, 60000), start = now_ms();
	char name[32];

	put("/sys/module/virtio_vgpu/parameters/timeout_s", "2");
	tell(fd, 1, MOCK_MUTE, 5500);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), -ENODEV);
	CHECK(now_ms() - start >= 2000);
	CHECK(now_ms() - start < 5400);
	close(fd);
	put("/sys/module/virtio_vgpu/parameters/timeout_s", "30");
	/* It comes to itself, and a new driver finds it well. */
	while (now_ms() - start < 5700)
		sleep_ms(20);
	device_name(name, sizeof(name));
	put(DRIVER "unbind", name);
	put(DRIVER "bind", name);
	fd = open_device();
	CHECK_EQ(contexts_on_device(fd), 1);
}

/* Given up, but only slow: it is taken back, without its old contexts. */
static void a_late_device_is_taken_back(void)
{
	int fd = open_device(), other;
	uint64_t start = now_ms(), fence;
	struct vgpu_ioctl_info info;

	put("/sys/module/virtio_vgpu/parameters/timeout_s", "1");
	fence = tell(fd, 0, MOCK_SLOW_CONTROL, 2500);
	CHECK_EQ(wait_fence(fd, 0, fence, VGPU_WAIT_FOREVER, 0, NULL), 0);
	CHECK_EQ(memory_info(fd, NULL, NULL, NULL), -ETIMEDOUT);
	CHECK_ERRNO(open("/dev/vgpu0", O_RDWR), ENODEV);
	put("/sys/module/virtio_vgpu/parameters/timeout_s", "30");
	while (now_ms() - start < 2800)
		sleep_ms(20);
	other = open_device();
	CHECK_EQ(contexts_on_device(other), 1);
	CHECK_ERRNO(ioctl(fd, VGPU_IOC_INFO, &info), ENODEV);
	close(fd);
	CHECK_EQ(stat_of("leaked_bytes"), 0);
	CHECK_EQ(contexts_on_device(other), 1);
}

/* The last one: the device is given up, and nobody hangs because of it. */
static void a_mute_device_is_given_up(void)
{
	struct vgpu_ioctl_pin pin = { .bytes = 1 << 20 };
	int fd = open_device(), other = open_device();
	uint64_t start;
	char name[32];

	put("/sys/module/virtio_vgpu/parameters/timeout_s", "2");
	pin.address = (uintptr_t)malloc(1 << 20);
	CHECK_EQ(ioctl(fd, VGPU_IOC_PIN, &pin), 0);
	CHECK_EQ(wait_fence(fd, 0, tell(fd, 0, MOCK_MUTE, 3600000), VGPU_WAIT_FOREVER,
			    0, NULL), 0);
	start = now_ms();
	CHECK_EQ(memory_info(fd, NULL, NULL, NULL), -ETIMEDOUT);
	CHECK(now_ms() - start >= 1900);
	CHECK(now_ms() - start < 4000);
	CHECK_EQ(memory_info(other, NULL, NULL, NULL), -ENODEV);
	CHECK_ERRNO(open("/dev/vgpu0", O_RDWR), ENODEV);
	start = now_ms();
	close(fd);
	close(other);
	CHECK(now_ms() - start < 1000);
	/* What the device may still write is not given back. */
	CHECK_EQ(stat_of("pinned_bytes"), 0);
	CHECK(stat_of("leaked_bytes") >= (1 << 20) + 4 * 4096);
	device_name(name, sizeof(name));
	put(DRIVER "unbind", name);
	CHECK(now_ms() - start < 3000);
}

const struct check fault_checks[] = {
	{ "a_refused_submission_fails_the_context",
	  a_refused_submission_fails_the_context },
	{ "a_fence_from_the_future_fails_the_context",
	  a_fence_from_the_future_fails_the_context },
	{ "wrong_lengths_are_errors", wrong_lengths_are_errors },
	{ "nonsense_events_are_counted", nonsense_events_are_counted },
	{ "a_new_epoch_by_event", a_new_epoch_by_event },
	{ "a_new_epoch_on_the_timeline", a_new_epoch_on_the_timeline },
	{ "a_device_that_forgets", a_device_that_forgets },
	{ "closing_after_a_loss_leaks_nothing",
	  closing_after_a_loss_leaks_nothing },
	{ "removal_with_open_files", removal_with_open_files },
	{ "a_forgotten_interrupt_costs_time_only",
	  a_forgotten_interrupt_costs_time_only },
	{ "sleepers_notice_that_the_device_forgot",
	  sleepers_notice_that_the_device_forgot },
	{ "a_late_device_is_taken_back", a_late_device_is_taken_back },
	{ "sleepers_notice_a_mute_device", sleepers_notice_a_mute_device },
	{ "a_mute_device_is_given_up", a_mute_device_is_given_up },
	{ NULL, NULL },
};
