// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting for a fence.
 *
 * A wait polls the timeline first and sleeps then. How long it polls follows
 * how long waits have lasted: where they are short, sleeping would cost more
 * than the wait; where they are long, polling burns a core for nothing.
 */
#include "internal.h"

#include <sched.h>
#include <time.h>

/* Polling yields the core this often, for the device may need it. */
#define SPINS_PER_YIELD 8u
#define POLL_LEAST_NS 5000u
#define POLL_LONG_WAITS_NS 20000u
/* How often a poller asks whether the device is still there. */
#define CHECK_INTERVAL_NS 1000000u

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void spin_pause(unsigned int turn)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
	if (turn % SPINS_PER_YIELD == SPINS_PER_YIELD - 1)
		sched_yield();
}

static uint64_t poll_budget_ns(struct vgpu *context)
{
	uint64_t average = atomic_load_explicit(&context->wait_average_ns, memory_order_relaxed);

	switch (atomic_load_explicit(&context->wait_mode, memory_order_relaxed)) {
	case VGPU_WAIT_POLL:
		return NO_TIMEOUT;
	case VGPU_WAIT_INTERRUPT:
		return 0;
	default:
		return average > context->ops->poll_average_max_ns ? POLL_LONG_WAITS_NS :
								     2 * average + POLL_LEAST_NS;
	}
}

bool poll_fence(struct vgpu *context, uint32_t stream, uint64_t fence, uint64_t begin_ns,
		uint64_t budget_ns)
{
	uint64_t checked_ns = begin_ns;

	for (unsigned int turn = 0;; turn++) {
		uint64_t now;

		if (fence_reached(context, stream, fence) || context_is_bad(context))
			return true;
		spin_pause(turn);
		if (turn % SPINS_PER_YIELD)
			continue;
		now = now_ns();
		if (now - begin_ns >= budget_ns)
			return false;
		if (now - checked_ns >= CHECK_INTERVAL_NS) {
			checked_ns = now;
			context->ops->check(context);
		}
	}
}

static void average_update(struct vgpu *context, uint64_t lasted_ns)
{
	uint64_t average = atomic_load_explicit(&context->wait_average_ns, memory_order_relaxed);

	/* Racing updates lose a sample, which does not matter. */
	lasted_ns = MIN(lasted_ns, 8 * context->ops->poll_average_max_ns);
	atomic_store_explicit(&context->wait_average_ns, (average * 7 + lasted_ns) / 8,
			      memory_order_relaxed);
}

enum vgpu_result wait_fence(struct vgpu *context, uint32_t stream, uint64_t fence)
{
	uint64_t begin_ns;
	uint64_t budget_ns;

	if (fence_reached(context, stream, fence))
		return context_is_bad(context) ? context_failure(context) : VGPU_SUCCESS;
	begin_ns = now_ns();
	budget_ns = poll_budget_ns(context);
	if (!budget_ns || !poll_fence(context, stream, fence, begin_ns, budget_ns)) {
		while (!fence_reached(context, stream, fence) && !context_is_bad(context)) {
			enum vgpu_result result = context->ops->sleep(context, stream, fence);

			if (result != VGPU_SUCCESS)
				return result;
		}
	}
	average_update(context, now_ns() - begin_ns);
	return context_is_bad(context) ? context_failure(context) : VGPU_SUCCESS;
}
