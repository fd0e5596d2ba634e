/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of driver-check share: the device's file, ioctls that fail
 * the case instead of returning, and commands for the mock device.
 */
#ifndef DRIVER_CHECK_H
#define DRIVER_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "virtio_vgpu.h"
#include "vgpu_ioctl.h"

/* As in test/support/mock-vgpu.ts. */
enum mischief {
	MOCK_DELAY = 0x8001,
	MOCK_FUTURE_FENCE = 0x8002,
	MOCK_EPOCH_EVENT = 0x8003,
	MOCK_EPOCH_TIMELINE = 0x8004,
	MOCK_AMNESIA = 0x8005,
	MOCK_REFUSE = 0x8006,
	MOCK_USED_LENGTH = 0x8007,
	MOCK_SLOW_CONTROL = 0x8008,
	MOCK_MUTE = 0x8009,
	MOCK_BAD_EVENTS = 0x800a,
	MOCK_INCREMENT = 0x800b,
	MOCK_SILENT = 0x800c,
	MOCK_STALL = 0x800d,
};

struct check {
	const char *name;
	void (*run)(void);
};

extern const struct check basic_checks[];
extern const struct check memory_checks[];
extern const struct check fault_checks[];

#define FAIL(...) do {							\
	printf("%s:%d: ", __FILE__, __LINE__);				\
	printf(__VA_ARGS__);						\
	printf("\n");							\
	fflush(stdout);							\
	_exit(1);							\
} while (0)

#define CHECK(condition) do {						\
	if (!(condition))						\
		FAIL("%s does not hold (errno %d)", #condition, errno);	\
} while (0)

#define CHECK_EQ(a, b) do {						\
	long long a_ = (long long)(a), b_ = (long long)(b);		\
									\
	if (a_ != b_)							\
		FAIL("%s is %lld, not %lld (errno %d)", #a, a_, b_,	\
		     errno);						\
} while (0)

/* The call fails with exactly this error. */
#define CHECK_ERRNO(call, error) do {					\
	errno = 0;							\
	if ((call) != -1)						\
		FAIL("%s succeeds", #call);				\
	if (errno != (error))						\
		FAIL("%s gives errno %d, not %d", #call, errno, error);	\
} while (0)

int open_device(void);
uint64_t now_ms(void);
void sleep_ms(unsigned int ms);
/* Queues one command with an argument; returns its fence. */
uint64_t tell(int fd, uint32_t stream, enum mischief what, uint64_t argument);
/* VGPU_IOC_WAIT: 0 or the negative errno; the status goes to *status. */
int wait_fence(int fd, uint32_t stream, uint64_t fence, uint64_t timeout_ns,
	       uint32_t flags, uint32_t *status);
/* MEMORY_INFO: 0 or the negative errno; the mock counts objects in it. */
int memory_info(int fd, uint32_t *status, uint64_t *hostmems,
		uint64_t *contexts);
uint64_t contexts_on_device(int fd);
/* A number of debugfs vgpu/vgpuN/stats, of the device that /dev/vgpu0 is. */
long long stat_of(const char *name);
void *map_timeline(int fd);
/* Waits for a child of fork(), which must end within the time. */
int reap(pid_t pid, unsigned int within_ms);

#endif /* DRIVER_CHECK_H */
