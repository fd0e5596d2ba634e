// SPDX-License-Identifier: GPL-2.0
/*
 * VGPU_IOC_SUBMIT: copy the commands once, number them, put them into the ring.
 *
 * Nobody waits for the acknowledgment: what went wrong shows on the timeline.
 * Used buffers are taken back at the next submission, so that the queue needs
 * no interrupt unless the ring is full. An acknowledgment that is not OK
 * fails the context, in case that the timeline can't tell (the device does not
 * know the context, say).
 */
#include <linux/compiler.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "vgpu_drv.h"
#include "vgpu_trace.h"

/**
 * vgpu_submit_drop - free a submission that the device does not own any more
 * @s: the submission
 */
void vgpu_submit_drop(struct vgpu_submission *s)
{
	vgpu_buffer_free(&s->request);
	kfree(s);
}

static u32 vgpu_submit_status(struct vgpu_device *vd,
			      const struct vgpu_submission *s)
{
	if (s->used == sizeof(s->response))
		return le32_to_cpu(s->response.status);
	atomic64_inc(&vd->stats.device_errors);
	return VGPU_STATUS_INTERNAL;
}

/* The device has given @s back: its context, if there still is one, learns. */
static void vgpu_submit_returned(struct vgpu_device *vd,
				 struct vgpu_submission *s)
{
	u32 status = vgpu_submit_status(vd, s);
	struct vgpu_context *ctx;
	unsigned long flags;

	trace_vgpu_submit_response(vd, s->context, status);
	if (status != VGPU_STATUS_OK)
		atomic64_inc(&vd->stats.submit_errors);
	xa_lock_irqsave(&vd->contexts, flags);
	ctx = xa_load(&vd->contexts, s->context);
	if (ctx && ctx->serial == s->serial) {
		atomic64_inc(&ctx->returned);
		if (status != VGPU_STATUS_OK)
			vgpu_context_fail(ctx, status);
	}
	xa_unlock_irqrestore(&vd->contexts, flags);
	if (status == VGPU_STATUS_NOT_INITIALISED)
		vgpu_session_lost(vd, s->session,
				  "a submission finds no session");
	vgpu_submit_drop(s);
}

/* With q->lock held: move used buffers to @list. */
static void vgpu_submit_collect(struct vgpu_queue *q, struct list_head *list)
{
	struct vgpu_submission *s;
	unsigned int used;

	while ((s = virtqueue_get_buf(q->vq, &used))) {
		q->owned--;
		s->used = used;
		list_add_tail(&s->node, list);
	}
}

static void vgpu_submit_dispose(struct vgpu_device *vd, struct list_head *list)
{
	struct vgpu_submission *s, *next;

	if (list_empty(list))
		return;
	list_for_each_entry_safe(s, next, list, node)
		vgpu_submit_returned(vd, s);
	/* There is room now, and vgpu_submit_settle() may be done. */
	vgpu_queue_wake(&vd->queues[VGPU_QUEUE_SUBMIT]);
}

/**
 * vgpu_submit_reap - take back what the device has acknowledged
 * @vd: the device
 */
void vgpu_submit_reap(struct vgpu_device *vd)
{
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_SUBMIT];
	unsigned long flags;
	LIST_HEAD(list);
	int cookie;

	if (!vgpu_enter(vd, &cookie))
		return;
	spin_lock_irqsave(&q->lock, flags);
	vgpu_submit_collect(q, &list);
	spin_unlock_irqrestore(&q->lock, flags);
	if (virtqueue_is_broken(q->vq))
		vgpu_device_break(vd, "the submit queue is broken");
	vgpu_exit(vd, cookie);
	vgpu_submit_dispose(vd, &list);
}

/**
 * vgpu_submit_settle - wait until the device has taken a context's submissions
 * @ctx: the context
 * @killable: whether a fatal signal ends the wait
 *
 * Queues are not ordered among each other: without this a control request
 * could overtake the submissions made before it, and those of a context that
 * is gone could meet the next one with the same id. The device acknowledges at
 * once, so that there is mostly nothing to wait for.
 *
 * Return: 0, -EINTR, -ENODEV or -ETIMEDOUT.
 */
int vgpu_submit_settle(struct vgpu_context *ctx, bool killable)
{
	struct vgpu_device *vd = ctx->vd;
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_SUBMIT];
	s64 target = atomic64_read(&ctx->queued);
	u64 end = ktime_get_ns() + (u64)READ_ONCE(vgpu_poll_us) * NSEC_PER_USEC;
	int err;

	while (atomic64_read(&ctx->returned) < target) {
		unsigned long wakes = READ_ONCE(q->wakes);

		vgpu_submit_reap(vd);
		if (atomic64_read(&ctx->returned) >= target)
			break;
		if (READ_ONCE(vd->broken) || READ_ONCE(vd->stopped))
			return -ENODEV;
		if (!need_resched() && ktime_get_ns() < end) {
			cpu_relax();
			continue;
		}
		err = vgpu_queue_wait_room(vd, q, wakes, killable);
		if (err)
			return err;
	}
	return 0;
}

/* The submission with everything in it but the fence. */
static struct vgpu_submission *vgpu_submit_build(struct vgpu_context *ctx,
						 const struct vgpu_ioctl_submit *arg)
{
	struct vgpu_queue *q = &ctx->vd->queues[VGPU_QUEUE_SUBMIT];
	struct vgpu_request_header header = {
		.type = cpu_to_le32(VGPU_REQ_SUBMIT),
		.context = cpu_to_le32(ctx->id),
	};
	struct vgpu_submit_request submit = {
		.stream = cpu_to_le32(arg->stream),
		.command_count = cpu_to_le32(arg->command_count),
		.command_bytes = cpu_to_le32(arg->command_bytes),
	};
	const size_t head = sizeof(header) + sizeof(submit);
	struct vgpu_submission *s = kmalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	int err;

	if (!s)
		return ERR_PTR(-ENOMEM);
	s->context = ctx->id;
	s->serial = ctx->serial;
	s->session = ctx->session;
	memset(&s->response, 0, sizeof(s->response));
	err = vgpu_buffer_init(&s->request, head + arg->command_bytes,
			       q->entries - 1, 0);
	if (!err) {
		vgpu_buffer_write(&s->request, 0, &header, sizeof(header));
		vgpu_buffer_write(&s->request, sizeof(header), &submit,
				  sizeof(submit));
		err = vgpu_buffer_from_user(&s->request, head,
					    u64_to_user_ptr(arg->commands),
					    arg->command_bytes);
	}
	if (err) {
		vgpu_submit_drop(s);
		return ERR_PTR(err);
	}
	return s;
}

/*
 * With q->lock held: number @s and put it into the ring. The number is public
 * before the device can complete it, for a waiter compares the two.
 */
static int vgpu_submit_add(struct vgpu_queue *q, struct vgpu_stream *stream,
			   struct vgpu_submission *s, u64 *fence)
{
	const size_t at = sizeof(struct vgpu_request_header) +
			  offsetof(struct vgpu_submit_request, fence);
	struct scatterlist response, *sgs[2] = { s->request.sg, &response };
	u64 number = stream->submitted + 1;
	__le64 wire = cpu_to_le64(number);
	int err;

	sg_init_one(&response, &s->response, sizeof(s->response));
	vgpu_buffer_write(&s->request, at, &wire, sizeof(wire));
	WRITE_ONCE(stream->submitted, number);
	err = virtqueue_add_sgs(q->vq, sgs, 1, 1, s, GFP_ATOMIC);
	if (err)
		WRITE_ONCE(stream->submitted, number - 1);
	else
		*fence = number;
	return err;
}

/* One attempt; -ENOSPC: the ring is full, *wakes is for waiting. */
static int vgpu_submit_try(struct vgpu_context *ctx, struct vgpu_submission *s,
			   u32 stream, u64 *fence, unsigned long *wakes)
{
	struct vgpu_device *vd = ctx->vd;
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_SUBMIT];
	unsigned long flags;
	LIST_HEAD(list);
	bool notify;
	int cookie;
	int err;

	if (!vgpu_context_alive(ctx) || !vgpu_enter(vd, &cookie))
		return -ENODEV;
	spin_lock_irqsave(&q->lock, flags);
	vgpu_submit_collect(q, &list);
	*wakes = q->wakes;
	err = vgpu_submit_add(q, &ctx->streams[stream], s, fence);
	if (!err) {
		q->owned++;
		atomic64_inc(&ctx->queued);
	}
	notify = !err && virtqueue_kick_prepare(q->vq);
	spin_unlock_irqrestore(&q->lock, flags);
	if (notify) {
		atomic64_inc(&vd->stats.kicks);
		virtqueue_notify(q->vq);
	}
	vgpu_exit(vd, cookie);
	vgpu_submit_dispose(vd, &list);
	return err;
}

/**
 * vgpu_submit - VGPU_IOC_SUBMIT
 * @ctx: the context
 * @arg: the ioctl's argument; @arg->fence is filled in
 *
 * Return: 0 or a negative error number, see vgpu_ioctl.h.
 */
int vgpu_submit(struct vgpu_context *ctx, struct vgpu_ioctl_submit *arg)
{
	struct vgpu_device *vd = ctx->vd;
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_SUBMIT];
	struct vgpu_submission *s;
	unsigned long wakes;
	int err;

	if (arg->flags || arg->stream >= vd->config.streams_max ||
	    vgpu_submit_check(arg->command_bytes, arg->command_count,
			      vd->config.submit_bytes_max))
		return -EINVAL;
	if (!vgpu_context_alive(ctx))
		return -ENODEV;
	s = vgpu_submit_build(ctx, arg);
	if (IS_ERR(s))
		return PTR_ERR(s);
	for (;;) {
		err = vgpu_submit_try(ctx, s, arg->stream, &arg->fence, &wakes);
		if (err != -ENOSPC)
			break;
		atomic64_inc(&vd->stats.submit_stalls);
		err = vgpu_queue_wait_room(vd, q, wakes, true);
		if (err)
			break;
	}
	if (!err) {
		atomic64_inc(&vd->stats.submits);
		atomic64_add(arg->command_bytes, &vd->stats.copied_bytes);
		trace_vgpu_submit_queue(ctx, arg->stream, arg->fence,
					arg->command_count, arg->command_bytes);
		return 0;
	}
	vgpu_submit_drop(s);
	if (err == -EIO)
		return -ENODEV;
	return err;
}
