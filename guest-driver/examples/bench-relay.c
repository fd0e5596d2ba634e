// SPDX-License-Identifier: Apache-2.0
/* See bench-relay.h. */
#include "bench-relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 600
#define PAGE_BYTES 4096
/* As in libvgpu. */
#define SPINS_PER_YIELD 8u
#define POLL_AVERAGE_MAX_NS 200000u
#define SAMPLE_MAX_NS (8 * POLL_AVERAGE_MAX_NS)
#define POLL_LEAST_NS 5000u
#define POLL_LONG_WAITS_NS 20000u

/* A cache line each. */
struct relay_page {
	_Alignas(64) _Atomic uint32_t asked;
	_Alignas(64) _Atomic uint32_t done;
	_Alignas(64) _Atomic uint32_t asleep;
};

static uint64_t now_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool poll_done(struct relay_page *page, uint32_t turn, uint64_t begin, uint64_t budget)
{
	for (unsigned int spins = 0; atomic_load(&page->done) != turn; spins++) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
		if (spins % SPINS_PER_YIELD != SPINS_PER_YIELD - 1)
			continue;
		sched_yield();
		if (now_nanoseconds() - begin >= budget)
			return false;
	}
	return true;
}

static bool sleep_until_done(struct relay_page *page, int bell, uint32_t turn)
{
	char byte;

	atomic_store(&page->asleep, 1);
	if (atomic_load(&page->done) == turn && atomic_exchange(&page->asleep, 0))
		return true;
	/* The other side took the word away, or will, and rings for it. */
	while (read(bell, &byte, 1) != 1)
		if (errno != EINTR)
			return false;
	return true;
}

bool relay_round_trips(const char *path, enum vgpu_wait_mode mode, long n, uint64_t *samples)
{
	char bell_path[PATH_BYTES];
	int file = open(path, O_RDWR | O_CLOEXEC), bell;
	struct relay_page *page;
	uint64_t average = 0;
	bool ok = true;
	int error;

	snprintf(bell_path, sizeof(bell_path), "%s.bell", path);
	bell = open(bell_path, O_RDWR | O_CLOEXEC);
	page = file < 0 || bell < 0 ? MAP_FAILED :
				      mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
					   file, 0);
	for (long i = 0; page != MAP_FAILED && ok && i < n; i++) {
		uint64_t begin = now_nanoseconds();
		uint64_t budget = mode == VGPU_WAIT_POLL	  ? UINT64_MAX :
				  mode == VGPU_WAIT_INTERRUPT	  ? 0 :
				  average > POLL_AVERAGE_MAX_NS ? POLL_LONG_WAITS_NS :
								    2 * average + POLL_LEAST_NS;
		uint32_t turn = atomic_load(&page->asked) + 1;

		atomic_store(&page->asked, turn);
		ok = (budget && poll_done(page, turn, begin, budget)) ||
		     sleep_until_done(page, bell, turn);
		samples[i] = now_nanoseconds() - begin;
		average -= average / 8;
		average += (samples[i] < SAMPLE_MAX_NS ? samples[i] : SAMPLE_MAX_NS) / 8;
	}
	ok = ok && page != MAP_FAILED;
	error = errno;
	if (page != MAP_FAILED)
		munmap(page, PAGE_BYTES);
	close(file);
	close(bell);
	errno = error;
	return ok;
}
