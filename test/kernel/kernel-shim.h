/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as vgpu_logic.h and vgpu_fence.c need, on threads:
 * the tests compile those files of the driver unchanged. Header names of the
 * kernel resolve to empty files that the test makes.
 */
#ifndef KERNEL_SHIM_H
#define KERNEL_SHIM_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define ERESTARTSYS	512
#define PAGE_SIZE	4096ul
#define U64_MAX		(~(u64)0)
#define NSEC_PER_SEC	1000000000ull
#define NSEC_PER_USEC	1000ull
#define NSEC_PER_MSEC	1000000ull
#define IS_ENABLED(x)	1
#define BUILD_BUG_ON(c)	_Static_assert(!(c), #c)

#define READ_ONCE(x)		(*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define le32_to_cpu(x)		(x)
#define le64_to_cpu(x)		(x)
#define cpu_to_le64(x)		(x)
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define virt_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define virt_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new)	__sync_val_compare_and_swap(p, old, new)
#define cpu_relax()		sched_yield()
#define need_resched()		false
#define trace_vgpu_wait_begin(ctx, stream, fence, ret)	((void)(ret))
#define trace_vgpu_wait_end(ctx, stream, fence, ret)	((void)(ret))
#define current			NULL

extern _Thread_local bool shim_signal;
#define signal_pending(task)	((void)(task), shim_signal)

typedef struct { int v; } atomic_t;
typedef struct { s64 v; } atomic64_t;
#define atomic_read(a)		__atomic_load_n(&(a)->v, __ATOMIC_SEQ_CST)
#define atomic_inc(a)		__atomic_fetch_add(&(a)->v, 1, __ATOMIC_SEQ_CST)
#define atomic64_inc(a)		__atomic_fetch_add(&(a)->v, 1, __ATOMIC_SEQ_CST)
#define atomic64_read(a)	__atomic_load_n(&(a)->v, __ATOMIC_SEQ_CST)

/* -- locks and lists ------------------------------------------------------ */

typedef pthread_mutex_t spinlock_t;
#define spin_lock_init(l)	pthread_mutex_init(l, NULL)
#define spin_lock_irq(l)	pthread_mutex_lock(l)
#define spin_unlock_irq(l)	pthread_mutex_unlock(l)

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *h)
{
	h->next = h;
	h->prev = h;
}

static inline void list_add(struct list_head *n, struct list_head *h)
{
	n->next = h->next;
	n->prev = h;
	h->next->prev = n;
	h->next = n;
}

static inline void list_del(struct list_head *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
}

#define container_of(p, t, m)	((t *)((char *)(p) - offsetof(t, m)))
#define list_for_each_entry(p, h, m) \
	for (p = container_of((h)->next, __typeof__(*p), m); &p->m != (h); \
	     p = container_of(p->m.next, __typeof__(*p), m))

/* -- time and sleeping ---------------------------------------------------- */

static inline u64 ktime_get_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

#define ns_to_ktime(ns)		(ns)

typedef struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_condattr_t attr;
} wait_queue_head_t;

static inline void init_waitqueue_head(wait_queue_head_t *w)
{
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&w->attr);
	pthread_condattr_setclock(&w->attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &w->attr);
}

static inline void wake_up_all(wait_queue_head_t *w)
{
	pthread_mutex_lock(&w->lock);
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static inline int shim_wait(wait_queue_head_t *w, u64 end)
{
	struct timespec t = { .tv_sec = end / NSEC_PER_SEC,
			      .tv_nsec = end % NSEC_PER_SEC };

	return pthread_cond_timedwait(&w->cond, &w->lock, &t);
}

#define wait_event_interruptible_hrtimeout(w, condition, ns) ({		\
	u64 end_ = ktime_get_ns() + (ns);				\
	int ret_ = 0;							\
	pthread_mutex_lock(&(w).lock);					\
	while (!(condition)) {						\
		if (shim_signal) {					\
			ret_ = -ERESTARTSYS;				\
			break;						\
		}							\
		if (shim_wait(&(w), end_)) {				\
			ret_ = -ETIME;					\
			break;						\
		}							\
	}								\
	pthread_mutex_unlock(&(w).lock);				\
	ret_;								\
})

/* -- the driver's own structures, as far as vgpu_fence.c uses them -------- */

#include "virtio_vgpu.h"
#include "vgpu_ioctl.h"
#include "vgpu_logic.h"

struct page {
	u8 bytes[PAGE_SIZE];
};

#define page_address(p)	((void *)(p)->bytes)

struct xarray {
	struct vgpu_context *only;
};

#define xa_lock_irqsave(xa, flags)	((void)(flags))
#define xa_unlock_irqrestore(xa, flags)	((void)(flags))
#define xa_for_each(xa, id, entry) \
	for (id = 0, entry = (xa)->only; !id && entry; id++)

struct vgpu_stats {
	atomic64_t waits_done, waits_polled, waits_slept, waits_failed;
	atomic64_t device_errors;
};

struct vgpu_device {
	bool lost, broken;
	u64 session;
	struct { u32 streams_max; } config;
	struct vgpu_stats stats;
	struct xarray contexts;
};

struct vgpu_stream {
	u64 submitted;
	u64 poll_ns;
	struct list_head sleepers;
	u64 armed;
};

struct vgpu_context {
	struct vgpu_device *vd;
	u64 session;
	u32 epoch, failed;
	spinlock_t lock;
	wait_queue_head_t wait;
	atomic_t wakes;
	struct page *timeline, *arm;
	struct vgpu_stream streams[VGPU_STREAMS_MAX];
};

extern unsigned int vgpu_poll_us;
bool vgpu_usable(const struct vgpu_device *vd);
void vgpu_session_lost(struct vgpu_device *vd, u64 session, const char *why);
void vgpu_submit_reap(struct vgpu_device *vd);
void vgpu_device_ping(struct vgpu_device *vd);
void vgpu_fence_init(struct vgpu_context *ctx);
int vgpu_fence_wait(struct vgpu_context *ctx, struct vgpu_ioctl_wait *arg);
bool vgpu_context_alive(const struct vgpu_context *ctx);
void vgpu_context_fail(struct vgpu_context *ctx, u32 status);
void vgpu_context_wake(struct vgpu_context *ctx);
void vgpu_contexts_wake(struct vgpu_device *vd);

#endif /* KERNEL_SHIM_H */
