// SPDX-License-Identifier: GPL-2.0
/*
 * Rings: bounce buffers, the control queue's requests and replies, the event
 * queue, and sleeping until a ring moves.
 *
 * Interrupts are off on the control and the submit queue unless someone sleeps
 * for them (q->sleepers): replies come at once, so a short poll sees most of
 * them. A buffer in a ring belongs to the device. A caller that gives up
 * (killed, time-out) therefore only drops its own reference; the memory goes
 * when the device returns it or the ring is shut down.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "vgpu_compat.h"
#include "vgpu_drv.h"
#include "vgpu_trace.h"

/* Event messages are small and wakers coalesce: more would not help. */
#define VGPU_EVENTS_MAX	32u

/* -- bounce buffers ------------------------------------------------------ */

/**
 * vgpu_buffer_init - allocate memory that the device may access
 * @buf: to be filled in
 * @bytes: length, nonzero
 * @pieces_max: most descriptors that it may take
 * @gfp: added to the usual flags, e.g. __GFP_ZERO
 *
 * Return: 0 or -ENOMEM.
 */
int vgpu_buffer_init(struct vgpu_buffer *buf, size_t bytes,
		     unsigned int pieces_max, gfp_t gfp)
{
	size_t chunk = vgpu_chunk_bytes(bytes, pieces_max);
	unsigned int count;

	buf->sg = NULL;
	buf->count = 0;
	if (!chunk)
		return -ENOMEM;
	gfp |= GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	count = DIV_ROUND_UP(bytes, chunk);
	buf->bytes = bytes;
	buf->chunk_bytes = chunk;
	buf->sg = &buf->one;
	if (count > 1)
		buf->sg = kcalloc(count, sizeof(*buf->sg), GFP_KERNEL_ACCOUNT);
	if (!buf->sg)
		return -ENOMEM;
	sg_init_table(buf->sg, count);
	while (buf->count < count) {
		size_t n = min(chunk, bytes - buf->count * chunk);
		void *p = kmalloc(n, gfp);

		if (!p) {
			vgpu_buffer_free(buf);
			return -ENOMEM;
		}
		sg_set_buf(&buf->sg[buf->count++], p, n);
	}
	return 0;
}

/**
 * vgpu_buffer_free - free a buffer's memory
 * @buf: initialised, or never successfully so
 */
void vgpu_buffer_free(struct vgpu_buffer *buf)
{
	unsigned int i;

	for (i = 0; i < buf->count; i++)
		kfree(sg_virt(&buf->sg[i]));
	if (buf->sg != &buf->one)
		kfree(buf->sg);
	buf->sg = NULL;
	buf->count = 0;
}

/* The byte at @offset, and how many follow it in its chunk. */
static void *vgpu_buffer_at(const struct vgpu_buffer *buf, size_t offset,
			    size_t *room)
{
	struct scatterlist *sg = &buf->sg[offset / buf->chunk_bytes];

	offset %= buf->chunk_bytes;
	*room = sg->length - offset;
	return (u8 *)sg_virt(sg) + offset;
}

/**
 * vgpu_buffer_write - copy kernel memory into a buffer
 * @buf: destination
 * @offset: where
 * @from: source
 * @bytes: how much; the caller has checked that it fits
 */
void vgpu_buffer_write(struct vgpu_buffer *buf, size_t offset,
		       const void *from, size_t bytes)
{
	while (bytes) {
		size_t room;
		void *to = vgpu_buffer_at(buf, offset, &room);
		size_t n = min(room, bytes);

		memcpy(to, from, n);
		from = (const u8 *)from + n;
		offset += n;
		bytes -= n;
	}
}

/**
 * vgpu_buffer_read - copy a part of a buffer into kernel memory
 * @buf: source
 * @offset: where
 * @to: destination
 * @bytes: how much; the caller has checked that it is there
 */
void vgpu_buffer_read(const struct vgpu_buffer *buf, size_t offset, void *to,
		      size_t bytes)
{
	while (bytes) {
		size_t room;
		const void *from = vgpu_buffer_at(buf, offset, &room);
		size_t n = min(room, bytes);

		memcpy(to, from, n);
		to = (u8 *)to + n;
		offset += n;
		bytes -= n;
	}
}

/**
 * vgpu_buffer_from_user - copy user memory into a buffer, once
 * @buf: destination
 * @offset: where
 * @from: source
 * @bytes: how much; the caller has checked that it fits
 *
 * Return: 0 or -EFAULT.
 */
int vgpu_buffer_from_user(struct vgpu_buffer *buf, size_t offset,
			  const void __user *from, size_t bytes)
{
	while (bytes) {
		size_t room;
		void *to = vgpu_buffer_at(buf, offset, &room);
		size_t n = min(room, bytes);

		if (copy_from_user(to, from, n))
			return -EFAULT;
		from = (const u8 __user *)from + n;
		offset += n;
		bytes -= n;
		cond_resched();
	}
	return 0;
}

/**
 * vgpu_buffer_to_user - copy a part of a buffer into user memory
 * @buf: source
 * @offset: where
 * @to: destination
 * @bytes: how much; the caller has checked that it is there
 *
 * Return: 0 or -EFAULT.
 */
int vgpu_buffer_to_user(const struct vgpu_buffer *buf, size_t offset,
			void __user *to, size_t bytes)
{
	while (bytes) {
		size_t room;
		const void *from = vgpu_buffer_at(buf, offset, &room);
		size_t n = min(room, bytes);

		if (copy_to_user(to, from, n))
			return -EFAULT;
		to = (u8 __user *)to + n;
		offset += n;
		bytes -= n;
		cond_resched();
	}
	return 0;
}

/* -- sleeping for a ring ------------------------------------------------- */

/* With q->lock held: those who sleep look again. Sleepers count first. */
static void vgpu_queue_wake_locked(struct vgpu_queue *q)
{
	WRITE_ONCE(q->wakes, q->wakes + 1);
	if (q->sleepers)
		wake_up_all(&q->wait);
}

/**
 * vgpu_queue_wake - make everyone who waits for a queue look again
 * @q: the queue
 */
void vgpu_queue_wake(struct vgpu_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	vgpu_queue_wake_locked(q);
	spin_unlock_irqrestore(&q->lock, flags);
}

/**
 * vgpu_queue_prepare - ask for an interrupt, before sleeping
 * @vd: the device
 * @q: one of its queues
 *
 * To be followed by vgpu_queue_finish() in any case.
 *
 * Return: false if the caller should look at the ring once more instead of
 * sleeping.
 */
bool vgpu_queue_prepare(struct vgpu_device *vd, struct vgpu_queue *q)
{
	unsigned long flags;
	bool quiet = false;
	bool entered;
	int cookie;

	entered = vgpu_enter(vd, &cookie);
	spin_lock_irqsave(&q->lock, flags);
	q->sleepers++;
	if (entered)
		quiet = virtqueue_enable_cb(q->vq);
	spin_unlock_irqrestore(&q->lock, flags);
	if (entered)
		vgpu_exit(vd, cookie);
	return quiet;
}

/**
 * vgpu_queue_finish - undo vgpu_queue_prepare()
 * @vd: the device
 * @q: one of its queues
 */
void vgpu_queue_finish(struct vgpu_device *vd, struct vgpu_queue *q)
{
	unsigned long flags;
	bool entered;
	int cookie;

	entered = vgpu_enter(vd, &cookie);
	spin_lock_irqsave(&q->lock, flags);
	if (!--q->sleepers && entered)
		virtqueue_disable_cb(q->vq);
	spin_unlock_irqrestore(&q->lock, flags);
	if (entered)
		vgpu_exit(vd, cookie);
}

/**
 * vgpu_queue_wait_room - sleep until something of a ring is given back
 * @vd: the device
 * @q: one of its queues
 * @wakes: q->wakes from before the caller looked at the ring
 * @killable: a fatal signal ends the wait
 *
 * Return: 0 to try again, -EINTR, or -ETIMEDOUT (the device is given up then).
 */
int vgpu_queue_wait_room(struct vgpu_device *vd, struct vgpu_queue *q,
			 unsigned long wakes, bool killable)
{
	long left = vgpu_timeout_jiffies();
	long ret = 1;

	if (vgpu_queue_prepare(vd, q)) {
		if (killable)
			ret = wait_event_killable_timeout(q->wait,
							  READ_ONCE(q->wakes) != wakes ||
							  READ_ONCE(vd->broken), left);
		else
			ret = wait_event_timeout(q->wait,
						 READ_ONCE(q->wakes) != wakes ||
						 READ_ONCE(vd->broken), left);
	}
	vgpu_queue_finish(vd, q);
	if (ret > 0)
		return 0;
	if (ret < 0)
		return -EINTR;
	vgpu_device_break(vd, "a ring does not move");
	return -ETIMEDOUT;
}

/* -- control queue ------------------------------------------------------- */

/**
 * vgpu_control_put - drop a reference to a control request
 * @c: the request, or NULL
 */
void vgpu_control_put(struct vgpu_control *c)
{
	if (!c || !refcount_dec_and_test(&c->refs))
		return;
	vgpu_buffer_free(&c->request);
	vgpu_buffer_free(&c->response);
	kfree(c);
}

/**
 * vgpu_control_alloc - a control request with its header filled in
 * @vd: the device
 * @type: VGPU_REQ_*
 * @context: context id
 * @request_bytes: header and payload
 * @response_bytes: room for the reply, header included
 *
 * Return: the request, or NULL if there is no memory.
 */
struct vgpu_control *vgpu_control_alloc(struct vgpu_device *vd, u32 type,
					u32 context, size_t request_bytes,
					size_t response_bytes)
{
	struct vgpu_request_header header = {
		.type = cpu_to_le32(type),
		.context = cpu_to_le32(context),
	};
	/* Request and reply share one chain, at most as long as the ring. */
	unsigned int pieces_max = vd->queues[VGPU_QUEUE_CONTROL].entries / 2;
	struct vgpu_control *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return NULL;
	refcount_set(&c->refs, 1);
	/*
	 * The reply is zeroed because the device's word is all there is for
	 * how much of it was written, and it is copied to user space.
	 */
	if (vgpu_buffer_init(&c->request, request_bytes, pieces_max, 0) ||
	    vgpu_buffer_init(&c->response, response_bytes, pieces_max,
			     __GFP_ZERO)) {
		vgpu_control_put(c);
		return NULL;
	}
	vgpu_buffer_write(&c->request, 0, &header, sizeof(header));
	return c;
}

static void vgpu_control_complete(struct vgpu_device *vd,
				  struct vgpu_control *c, u32 used, int error)
{
	trace_vgpu_control_response(vd, c, used, error);
	c->used = used;
	c->error = error;
	/* Pairs with the load in vgpu_control_done(). */
	smp_store_release(&c->done, true);
	vgpu_control_put(c);
}

static bool vgpu_control_done(struct vgpu_control *c)
{
	/* Pairs with the store in vgpu_control_complete(). */
	return smp_load_acquire(&c->done);
}

/* With q->lock held, inside vgpu_enter() or the callback. */
static void vgpu_control_reap_locked(struct vgpu_device *vd,
				     struct vgpu_queue *q)
{
	struct vgpu_control *c;
	bool any = false;
	unsigned int used;

	while ((c = virtqueue_get_buf(q->vq, &used))) {
		q->owned--;
		vgpu_control_complete(vd, c, used, 0);
		any = true;
	}
	if (any)
		vgpu_queue_wake_locked(q);
}

static void vgpu_control_reap(struct vgpu_device *vd)
{
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_CONTROL];
	unsigned long flags;
	int cookie;

	if (!vgpu_enter(vd, &cookie))
		return;
	spin_lock_irqsave(&q->lock, flags);
	vgpu_control_reap_locked(vd, q);
	spin_unlock_irqrestore(&q->lock, flags);
	if (virtqueue_is_broken(q->vq))
		vgpu_device_break(vd, "the control queue is broken");
	vgpu_exit(vd, cookie);
}

static void vgpu_control_callback(struct virtqueue *vq)
{
	struct vgpu_device *vd = vq->vdev->priv;
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_CONTROL];
	unsigned long flags;

	atomic64_inc(&vd->stats.interrupts[VGPU_QUEUE_CONTROL]);
	spin_lock_irqsave(&q->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		vgpu_control_reap_locked(vd, q);
	} while (q->sleepers && !virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&q->lock, flags);
}

static void vgpu_control_trace(struct vgpu_device *vd, struct vgpu_control *c)
{
	struct vgpu_request_header header;

	if (!trace_vgpu_control_queue_enabled())
		return;
	vgpu_buffer_read(&c->request, 0, &header, sizeof(header));
	trace_vgpu_control_queue(vd, c, le32_to_cpu(header.type),
				 le32_to_cpu(header.context), c->request.bytes);
}

/**
 * vgpu_queues_idle - has the device given back all requests?
 * @vd: the device
 *
 * Return: true if so, and if the rings are in order.
 */
bool vgpu_queues_idle(struct vgpu_device *vd)
{
	struct vgpu_queue *control = &vd->queues[VGPU_QUEUE_CONTROL];
	struct vgpu_queue *submit = &vd->queues[VGPU_QUEUE_SUBMIT];
	bool idle = false;
	int cookie;

	vgpu_control_reap(vd);
	vgpu_submit_reap(vd);
	if (!vgpu_enter(vd, &cookie))
		return false;
	if (!virtqueue_is_broken(control->vq) &&
	    !virtqueue_is_broken(submit->vq))
		idle = !READ_ONCE(control->owned) && !READ_ONCE(submit->owned);
	vgpu_exit(vd, cookie);
	return idle;
}

/* Put the request into the ring; waits while that is full. */
static int vgpu_control_queue(struct vgpu_device *vd, struct vgpu_control *c,
			      bool killable)
{
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_CONTROL];
	struct scatterlist *sgs[2] = { c->request.sg, c->response.sg };
	unsigned long flags, wakes;
	bool notify;
	int cookie;
	int err;

	for (;;) {
		if (READ_ONCE(vd->broken) || !vgpu_enter(vd, &cookie))
			return -ENODEV;
		refcount_inc(&c->refs);
		spin_lock_irqsave(&q->lock, flags);
		vgpu_control_reap_locked(vd, q);
		wakes = q->wakes;
		err = virtqueue_add_sgs(q->vq, sgs, 1, 1, c, GFP_ATOMIC);
		notify = !err && virtqueue_kick_prepare(q->vq);
		if (!err) {
			q->owned++;
			vgpu_control_trace(vd, c);
		}
		spin_unlock_irqrestore(&q->lock, flags);
		if (notify) {
			atomic64_inc(&vd->stats.kicks);
			virtqueue_notify(q->vq);
		}
		vgpu_exit(vd, cookie);
		if (!err)
			break;
		vgpu_control_put(c);
		if (err != -ENOSPC)
			return err == -ENOMEM ? -ENOMEM : -ENODEV;
		err = vgpu_queue_wait_room(vd, q, wakes, killable);
		if (err)
			return err;
	}
	atomic64_inc(&vd->stats.controls);
	return 0;
}

/* A short poll: the device answers most requests in some microseconds. */
static void vgpu_control_poll(struct vgpu_device *vd, struct vgpu_control *c)
{
	u64 end = ktime_get_ns() + (u64)READ_ONCE(vgpu_poll_us) * NSEC_PER_USEC;

	while (!vgpu_control_done(c) && !need_resched() &&
	       ktime_get_ns() < end) {
		vgpu_control_reap(vd);
		cpu_relax();
	}
}

static long vgpu_control_sleep(struct vgpu_device *vd, struct vgpu_control *c,
			       bool killable, long left)
{
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_CONTROL];

	if (!vgpu_queue_prepare(vd, q))
		vgpu_control_reap(vd);
	if (killable)
		left = wait_event_killable_timeout(q->wait,
						   vgpu_control_done(c) ||
						   READ_ONCE(vd->broken), left);
	else
		left = wait_event_timeout(q->wait, vgpu_control_done(c) ||
					  READ_ONCE(vd->broken), left);
	vgpu_queue_finish(vd, q);
	return left;
}

/**
 * vgpu_control_send - make a request and wait for its reply
 * @vd: the device
 * @c: the request; the caller keeps its reference
 * @killable: whether a fatal signal ends the wait
 *
 * Return: 0 once there is a reply, to be checked with vgpu_control_status();
 * -EINTR: killed, the request may or may not take effect; -ETIMEDOUT: the
 * device has been given up; -ENODEV; -ENOMEM.
 */
int vgpu_control_send(struct vgpu_device *vd, struct vgpu_control *c,
		      bool killable)
{
	long left = vgpu_timeout_jiffies();
	int err = vgpu_control_queue(vd, c, killable);

	if (err)
		return err;
	vgpu_control_poll(vd, c);
	if (!vgpu_control_done(c)) {
		left = vgpu_control_sleep(vd, c, killable, left);
		/* Perhaps only the interrupt was lost. */
		vgpu_control_reap(vd);
	}
	if (vgpu_control_done(c))
		return c->error;
	if (left < 0) {
		atomic64_inc(&vd->stats.controls_abandoned);
		return -EINTR;
	}
	if (left > 0)
		return -ENODEV;
	vgpu_device_break(vd, "a control request is not answered");
	return -ETIMEDOUT;
}

/**
 * vgpu_control_status - check the header of a reply
 * @c: a request that vgpu_control_send() returned 0 for
 * @status: out: VGPU_STATUS_* as the device gave it
 *
 * Return: 0, or -EIO if the device wrote less than a header or claims to have
 * written more than there is room for.
 */
int vgpu_control_status(struct vgpu_control *c, u32 *status)
{
	struct vgpu_response_header header;

	if (c->used < sizeof(header) || c->used > c->response.bytes)
		return -EIO;
	vgpu_buffer_read(&c->response, 0, &header, sizeof(header));
	*status = le32_to_cpu(header.status);
	return 0;
}

/**
 * vgpu_control_simple - a request and a reply of fixed size
 * @vd: the device
 * @type: VGPU_REQ_*
 * @context: context id
 * @payload: what follows the request header
 * @payload_bytes: its length, may be 0
 * @result: what follows the response header, filled in if the status is OK
 * @result_bytes: its length, may be 0
 * @killable: whether a fatal signal ends the wait
 * @status: out: VGPU_STATUS_*
 *
 * Return: 0 if the device has answered, or a negative error number.
 */
int vgpu_control_simple(struct vgpu_device *vd, u32 type, u32 context,
			const void *payload, size_t payload_bytes,
			void *result, size_t result_bytes, bool killable,
			u32 *status)
{
	const size_t in = sizeof(struct vgpu_request_header);
	const size_t out = sizeof(struct vgpu_response_header);
	struct vgpu_control *c;
	int err;

	c = vgpu_control_alloc(vd, type, context, in + payload_bytes,
			       out + result_bytes);
	if (!c)
		return -ENOMEM;
	vgpu_buffer_write(&c->request, in, payload, payload_bytes);
	err = vgpu_control_send(vd, c, killable);
	if (!err)
		err = vgpu_control_status(c, status);
	if (!err && *status == VGPU_STATUS_OK) {
		if (c->used < out + result_bytes)
			err = -EIO;
		else
			vgpu_buffer_read(&c->response, out, result,
					 result_bytes);
	}
	if (err == -EIO)
		atomic64_inc(&vd->stats.device_errors);
	vgpu_control_put(c);
	return err;
}

/* -- event queue --------------------------------------------------------- */

static int vgpu_event_post(struct vgpu_queue *q, struct vgpu_event_message *m)
{
	struct scatterlist sg;

	sg_init_one(&sg, m, sizeof(*m));
	return virtqueue_add_inbuf(q->vq, &sg, 1, m, GFP_ATOMIC);
}

static void vgpu_event_epoch(struct vgpu_device *vd, u32 epoch)
{
	/* A late message about the epoch that this session began with? */
	if (epoch != READ_ONCE(vd->epoch))
		vgpu_session_lost(vd, READ_ONCE(vd->session), "a new epoch");
}

static void vgpu_event_handle(struct vgpu_device *vd,
			      const struct vgpu_event_message *m,
			      unsigned int used)
{
	u32 id = le32_to_cpu(m->context);
	struct vgpu_context *ctx;
	unsigned long flags;

	atomic64_inc(&vd->stats.events);
	trace_vgpu_event(vd, le32_to_cpu(m->type), id, le32_to_cpu(m->epoch));
	if (used != sizeof(*m))
		goto bad;
	switch (le32_to_cpu(m->type)) {
	case VGPU_EVENT_TYPE_FENCE:
		if (id >= vd->config.contexts_max)
			goto bad;
		/* A context that has just gone is no error. */
		xa_lock_irqsave(&vd->contexts, flags);
		ctx = xa_load(&vd->contexts, id);
		if (ctx)
			vgpu_context_wake(ctx);
		xa_unlock_irqrestore(&vd->contexts, flags);
		return;
	case VGPU_EVENT_TYPE_EPOCH:
		vgpu_event_epoch(vd, le32_to_cpu(m->epoch));
		return;
	}
bad:
	atomic64_inc(&vd->stats.event_errors);
}

static void vgpu_event_callback(struct virtqueue *vq)
{
	struct vgpu_device *vd = vq->vdev->priv;
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_EVENT];
	struct vgpu_event_message copy, *m;
	unsigned long flags;
	unsigned int used;

	atomic64_inc(&vd->stats.interrupts[VGPU_QUEUE_EVENT]);
	spin_lock_irqsave(&q->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while ((m = virtqueue_get_buf(vq, &used))) {
			copy = *m;
			vgpu_event_post(q, m);
			vgpu_event_handle(vd, &copy, used);
		}
	} while (!virtqueue_enable_cb(vq));
	if (virtqueue_kick_prepare(vq))
		virtqueue_notify(vq);
	spin_unlock_irqrestore(&q->lock, flags);
}

/**
 * vgpu_queues_fill - give the device its event buffers
 * @vd: a device that is ready
 */
void vgpu_queues_fill(struct vgpu_device *vd)
{
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_EVENT];
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&q->lock, flags);
	for (i = 0; i < vd->events_count; i++)
		if (vgpu_event_post(q, &vd->events[i]))
			break;
	virtqueue_kick(q->vq);
	spin_unlock_irqrestore(&q->lock, flags);
}

/* -- submit queue's interrupt -------------------------------------------- */

static void vgpu_submit_callback(struct virtqueue *vq)
{
	struct vgpu_device *vd = vq->vdev->priv;
	struct vgpu_queue *q = &vd->queues[VGPU_QUEUE_SUBMIT];
	unsigned long flags;

	/* Whoever waits for room takes the used buffers back. */
	atomic64_inc(&vd->stats.interrupts[VGPU_QUEUE_SUBMIT]);
	spin_lock_irqsave(&q->lock, flags);
	virtqueue_disable_cb(vq);
	vgpu_queue_wake_locked(q);
	spin_unlock_irqrestore(&q->lock, flags);
}

/* -- start and stop ------------------------------------------------------ */

/**
 * vgpu_queues_start - find the virtqueues and allocate the event buffers
 * @vd: the device, not ready yet
 *
 * Return: 0 or a negative error number.
 */
int vgpu_queues_start(struct vgpu_device *vd)
{
	struct virtqueue_info info[VGPU_QUEUE_COUNT] = {
		[VGPU_QUEUE_CONTROL] = { "control", vgpu_control_callback },
		[VGPU_QUEUE_EVENT] = { "event", vgpu_event_callback },
		[VGPU_QUEUE_SUBMIT] = { "submit", vgpu_submit_callback },
	};
	struct virtqueue *vqs[VGPU_QUEUE_COUNT];
	unsigned int entries, i;
	int err = vgpu_find_vqs(vd->vdev, VGPU_QUEUE_COUNT, vqs, info);

	if (err)
		return err;
	for (i = 0; i < VGPU_QUEUE_COUNT; i++) {
		vd->queues[i].vq = vqs[i];
		vd->queues[i].entries = virtqueue_get_vring_size(vqs[i]);
	}
	virtqueue_disable_cb(vqs[VGPU_QUEUE_CONTROL]);
	virtqueue_disable_cb(vqs[VGPU_QUEUE_SUBMIT]);
	entries = min(VGPU_EVENTS_MAX, vd->queues[VGPU_QUEUE_EVENT].entries);
	vd->events = kcalloc(entries, sizeof(*vd->events), GFP_KERNEL);
	if (!vd->events) {
		vd->vdev->config->del_vqs(vd->vdev);
		return -ENOMEM;
	}
	vd->events_count = entries;
	return 0;
}

/**
 * vgpu_queues_stop - take everything out of the rings and delete them
 * @vd: the device; vd->stopped is set and no one is inside vgpu_enter()
 */
void vgpu_queues_stop(struct vgpu_device *vd)
{
	struct vgpu_queue *control = &vd->queues[VGPU_QUEUE_CONTROL];
	struct vgpu_queue *submit = &vd->queues[VGPU_QUEUE_SUBMIT];
	struct vgpu_submission *s;
	struct vgpu_control *c;
	unsigned int i;

	/* No callback runs any more once this has returned. */
	virtio_reset_device(vd->vdev);
	while ((c = virtqueue_detach_unused_buf(control->vq)))
		vgpu_control_complete(vd, c, 0, -ENODEV);
	while ((s = virtqueue_detach_unused_buf(submit->vq)))
		vgpu_submit_drop(s);
	while (virtqueue_detach_unused_buf(vd->queues[VGPU_QUEUE_EVENT].vq))
		;
	vd->vdev->config->del_vqs(vd->vdev);
	for (i = 0; i < VGPU_QUEUE_COUNT; i++) {
		vd->queues[i].vq = NULL;
		vd->queues[i].owned = 0;
		vgpu_queue_wake(&vd->queues[i]);
	}
	kfree(vd->events);
	vd->events = NULL;
}
