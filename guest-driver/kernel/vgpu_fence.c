// SPDX-License-Identifier: GPL-2.0
/*
 * Fences: the timeline page that the device writes, the arm page that asks it
 * for an interrupt, and waiting.
 *
 * A waiter looks at the timeline, polls for a while, and then sleeps: with
 * context->lock held, the least fence that anyone on the stream waits for is
 * written into the arm slot, then, after a full barrier, the timeline is read
 * again. The device does it in the opposite order (completes, full barrier,
 * reads the arm slot), so one of the two sees the other. Each event wakes all
 * waiters of the context; those that are not done yet arm again.
 *
 * Nothing in the timeline is trusted: a fence that was never submitted fails
 * the context, a foreign epoch ends the session. Sleepers look again once in a
 * while and have the device pinged, so that one that forgets an interrupt costs
 * time, and one that is gone an error, but neither a hang.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "vgpu_drv.h"
#include "vgpu_trace.h"

/*
 * How long a sleeper trusts the device to send the interrupt: first and last.
 * The first is short for refused submissions, which cause no interrupt.
 */
#define VGPU_HEARTBEAT_FIRST_NS	(10 * NSEC_PER_MSEC)
#define VGPU_HEARTBEAT_LAST_NS	NSEC_PER_SEC

/**
 * struct vgpu_sleeper - someone who wants an interrupt
 * @node: in stream->sleepers
 * @fence: what for
 */
struct vgpu_sleeper {
	struct list_head node;
	u64 fence;
};

static struct vgpu_timeline_slot *vgpu_slot(struct vgpu_context *ctx, u32 stream)
{
	return page_address(ctx->timeline) + VGPU_TIMELINE_HEADER_BYTES +
	       stream * VGPU_TIMELINE_SLOT_BYTES;
}

static struct vgpu_arm_slot *vgpu_arm_slot(struct vgpu_context *ctx, u32 stream)
{
	return page_address(ctx->arm) + VGPU_TIMELINE_HEADER_BYTES +
	       stream * VGPU_TIMELINE_SLOT_BYTES;
}

/**
 * vgpu_fence_init - prepare a new context's streams
 * @ctx: the context
 */
void vgpu_fence_init(struct vgpu_context *ctx)
{
	unsigned int i;

	BUILD_BUG_ON(!IS_ENABLED(CONFIG_64BIT));
	BUILD_BUG_ON(PAGE_SIZE < VGPU_TIMELINE_PAGE_BYTES);
	BUILD_BUG_ON(VGPU_TIMELINE_HEADER_BYTES + VGPU_STREAMS_MAX *
		     VGPU_TIMELINE_SLOT_BYTES > VGPU_TIMELINE_PAGE_BYTES);
	BUILD_BUG_ON(sizeof(struct vgpu_timeline_slot) !=
		     VGPU_TIMELINE_SLOT_BYTES);
	BUILD_BUG_ON(sizeof(struct vgpu_arm_slot) != VGPU_TIMELINE_SLOT_BYTES);
	spin_lock_init(&ctx->lock);
	init_waitqueue_head(&ctx->wait);
	for (i = 0; i < VGPU_STREAMS_MAX; i++) {
		INIT_LIST_HEAD(&ctx->streams[i].sleepers);
		/* As long as the module parameter allows, to begin with. */
		ctx->streams[i].poll_ns = U64_MAX;
	}
}

/**
 * vgpu_context_alive - can the context still be used?
 * @ctx: the context
 *
 * Return: false once the device is gone or has lost the context's session.
 */
bool vgpu_context_alive(const struct vgpu_context *ctx)
{
	return vgpu_usable(ctx->vd) && !READ_ONCE(ctx->vd->lost) &&
	       ctx->session == READ_ONCE(ctx->vd->session);
}

/**
 * vgpu_context_wake - make all waiters of a context look again
 * @ctx: the context; any calling context
 */
void vgpu_context_wake(struct vgpu_context *ctx)
{
	atomic_inc(&ctx->wakes);
	wake_up_all(&ctx->wait);
}

/**
 * vgpu_contexts_wake - make all waiters of a device look again
 * @vd: the device
 */
void vgpu_contexts_wake(struct vgpu_device *vd)
{
	struct vgpu_context *ctx;
	unsigned long flags, id;

	xa_lock_irqsave(&vd->contexts, flags);
	xa_for_each(&vd->contexts, id, ctx)
		vgpu_context_wake(ctx);
	xa_unlock_irqrestore(&vd->contexts, flags);
}

/**
 * vgpu_context_fail - note that fences of a context may never complete
 * @ctx: the context
 * @status: why, VGPU_STATUS_*; the first one sticks
 */
void vgpu_context_fail(struct vgpu_context *ctx, u32 status)
{
	cmpxchg(&ctx->failed, VGPU_STATUS_OK, status);
	vgpu_context_wake(ctx);
}

/* The epoch in the page is 0 until the device first writes the header. */
static bool vgpu_epoch_changed(struct vgpu_context *ctx)
{
	struct vgpu_timeline_header *header = page_address(ctx->timeline);
	u32 epoch = le32_to_cpu(READ_ONCE(header->epoch));

	return epoch && epoch != ctx->epoch;
}

static u64 vgpu_completed(struct vgpu_context *ctx, u32 stream)
{
	/* What the device wrote before the fence is visible after this. */
	return le64_to_cpu(virt_load_acquire(&vgpu_slot(ctx, stream)->fence));
}

/*
 * Has the wait ended? Return: 1 not yet, 0 yes, -ENODEV; *status is set unless
 * 1 is returned. A fence that has completed has done so for good, whatever
 * happened to the device since.
 */
static int vgpu_fence_look(struct vgpu_context *ctx, u32 stream, u64 fence,
			   u32 *status)
{
	u64 completed = vgpu_completed(ctx, stream);
	u64 submitted = READ_ONCE(ctx->streams[stream].submitted);

	switch (vgpu_fence_check(completed, submitted, fence)) {
	case VGPU_FENCE_DONE:
		*status = le32_to_cpu(READ_ONCE(vgpu_slot(ctx, stream)->status));
		return 0;
	case VGPU_FENCE_BOGUS:
		atomic64_inc(&ctx->vd->stats.device_errors);
		vgpu_context_fail(ctx, VGPU_STATUS_INTERNAL);
		break;
	case VGPU_FENCE_PENDING:
		break;
	}
	if (vgpu_epoch_changed(ctx) && vgpu_context_alive(ctx))
		vgpu_session_lost(ctx->vd, ctx->session,
				  "a new epoch on a timeline");
	if (!vgpu_context_alive(ctx)) {
		*status = VGPU_STATUS_DEVICE_LOST;
		return -ENODEV;
	}
	*status = READ_ONCE(ctx->failed);
	return *status == VGPU_STATUS_OK;
}

/* With ctx->lock held: arm the least fence that anyone waits for. */
static void vgpu_arm(struct vgpu_context *ctx, u32 stream)
{
	struct vgpu_stream *s = &ctx->streams[stream];
	struct vgpu_arm_slot *slot = vgpu_arm_slot(ctx, stream);
	struct vgpu_sleeper *sleeper;
	u64 completed = vgpu_completed(ctx, stream);
	u64 least;

	/* Each round leaves out at least one sleeper: the loop ends. */
	for (;;) {
		least = 0;
		list_for_each_entry(sleeper, &s->sleepers, node)
			least = vgpu_arm_least(least, completed, sleeper->fence);
		if (least != s->armed) {
			s->armed = least;
			WRITE_ONCE(slot->fence, cpu_to_le64(least));
		}
		if (!least)
			return;
		/* Pairs with the device's, between timeline and arm slot. */
		virt_mb();
		if (vgpu_completed(ctx, stream) < least)
			return;
		completed = max(completed, vgpu_completed(ctx, stream));
		/* Others may sleep for what has just completed. */
		vgpu_context_wake(ctx);
	}
}

/* Poll for at most @budget_ns; false if a sleep is next. */
static bool vgpu_fence_poll(struct vgpu_context *ctx, u32 stream, u64 fence,
			    u64 end_ns)
{
	do {
		if (vgpu_completed(ctx, stream) >= fence)
			return true;
		/* Whoever else wants this CPU matters more. */
		if (need_resched() || signal_pending(current) ||
		    READ_ONCE(ctx->failed) != VGPU_STATUS_OK)
			return false;
		cpu_relax();
	} while (ktime_get_ns() < end_ns);
	return false;
}

/* Return: as vgpu_fence_look(), or -ETIME, -ERESTARTSYS. */
static int vgpu_fence_sleep(struct vgpu_context *ctx, u32 stream, u64 fence,
			    u64 deadline, u32 *status)
{
	struct vgpu_stream *s = &ctx->streams[stream];
	struct vgpu_sleeper sleeper = { .fence = fence };
	u64 heartbeat = VGPU_HEARTBEAT_FIRST_NS;
	int ret;

	spin_lock_irq(&ctx->lock);
	list_add(&sleeper.node, &s->sleepers);
	spin_unlock_irq(&ctx->lock);
	for (;;) {
		int wakes = atomic_read(&ctx->wakes);
		u64 now;

		vgpu_submit_reap(ctx->vd);
		spin_lock_irq(&ctx->lock);
		vgpu_arm(ctx, stream);
		spin_unlock_irq(&ctx->lock);
		ret = vgpu_fence_look(ctx, stream, fence, status);
		if (ret <= 0)
			break;
		now = ktime_get_ns();
		if (now >= deadline) {
			ret = -ETIME;
			break;
		}
		if (heartbeat == VGPU_HEARTBEAT_LAST_NS)
			vgpu_device_ping(ctx->vd);
		now = min(deadline - now, heartbeat);
		heartbeat = min_t(u64, heartbeat * 2, VGPU_HEARTBEAT_LAST_NS);
		if (wait_event_interruptible_hrtimeout(ctx->wait,
						       atomic_read(&ctx->wakes) != wakes ||
						       vgpu_completed(ctx, stream) >= fence,
						       ns_to_ktime(now)) == -ERESTARTSYS) {
			ret = -ERESTARTSYS;
			break;
		}
	}
	spin_lock_irq(&ctx->lock);
	list_del(&sleeper.node);
	/* If this was the one armed, the others' turn must not be lost. */
	vgpu_arm(ctx, stream);
	spin_unlock_irq(&ctx->lock);
	return ret;
}

static int vgpu_fence_wait_slow(struct vgpu_context *ctx,
				const struct vgpu_ioctl_wait *arg, u64 start,
				u64 deadline, u32 *status)
{
	struct vgpu_stream *s = &ctx->streams[arg->stream];
	u64 max_ns = (u64)READ_ONCE(vgpu_poll_us) * NSEC_PER_USEC;
	u64 budget = min(READ_ONCE(s->poll_ns), max_ns);
	atomic64_t *counter = &ctx->vd->stats.waits_polled;
	int ret = 1;

	if (!(arg->flags & VGPU_WAIT_NO_POLL) && budget &&
	    vgpu_fence_poll(ctx, arg->stream, arg->fence,
			    min(deadline, start + budget)))
		ret = vgpu_fence_look(ctx, arg->stream, arg->fence, status);
	if (ret > 0) {
		counter = &ctx->vd->stats.waits_slept;
		ret = vgpu_fence_sleep(ctx, arg->stream, arg->fence, deadline,
				       status);
	}
	if (ret)
		counter = &ctx->vd->stats.waits_failed;
	else
		WRITE_ONCE(s->poll_ns,
			   vgpu_poll_next(budget, ktime_get_ns() - start,
					  max_ns));
	atomic64_inc(counter);
	return ret;
}

/**
 * vgpu_fence_wait - VGPU_IOC_WAIT
 * @ctx: the context
 * @arg: the ioctl's argument; @arg->status is filled in, and after a signal
 *	@arg->timeout_ns is what is left
 *
 * Return: 0 or a negative error number, see vgpu_ioctl.h.
 */
int vgpu_fence_wait(struct vgpu_context *ctx, struct vgpu_ioctl_wait *arg)
{
	u64 start, deadline, now;
	int ret;

	if (arg->flags & ~(VGPU_WAIT_NO_SLEEP | VGPU_WAIT_NO_POLL) ||
	    arg->reserved || arg->stream >= ctx->vd->config.streams_max ||
	    arg->fence > READ_ONCE(ctx->streams[arg->stream].submitted))
		return -EINVAL;
	arg->status = VGPU_STATUS_OK;
	ret = vgpu_fence_look(ctx, arg->stream, arg->fence, &arg->status);
	if (ret <= 0) {
		atomic64_inc(&ctx->vd->stats.waits_done);
		return ret;
	}
	if (arg->flags & VGPU_WAIT_NO_SLEEP || !arg->timeout_ns)
		return -ETIME;
	start = ktime_get_ns();
	deadline = vgpu_deadline(start, arg->timeout_ns);
	trace_vgpu_wait_begin(ctx, arg->stream, arg->fence, 0);
	ret = vgpu_fence_wait_slow(ctx, arg, start, deadline, &arg->status);
	trace_vgpu_wait_end(ctx, arg->stream, arg->fence, ret);
	if (ret == -ERESTARTSYS && deadline != VGPU_WAIT_FOREVER) {
		now = ktime_get_ns();
		arg->timeout_ns = now < deadline ? deadline - now : 0;
	}
	return ret;
}
