/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of the virtio-vgpu driver and who may touch them.
 *
 *   vgpu_device   one per virtio device, counted by its struct device
 *     vgpu_queue    control, event, submit; q->lock guards the virtqueue
 *     vgpu_context  one per open file, in device->contexts by its id
 *       vgpu_stream   64, fences and their waiters; context->lock
 *       vgpu_hostmem  pinned and registered memory, in context->hostmems
 *
 * The rule on memory: what the device may write (timeline page, arm page,
 * pinned pages, requests in a ring) is freed only after the device has said
 * that it is done with it: a used buffer, the reply to a request that ends a
 * registration, a context or a session. A device that never says so keeps the
 * memory for ever ("leaked" in debugfs).
 *
 * Locks, outermost first: session_lock (mutex), unmap_lock (mutex), queue
 * locks, xa_lock of contexts, context->lock. device->srcu is held while a
 * virtqueue is used, never while sleeping for the device.
 */
#ifndef VGPU_DRV_H
#define VGPU_DRV_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "virtio_vgpu.h"
#include "vgpu_ioctl.h"
#include "vgpu_logic.h"

/* Longest poll before a sleep. */
extern unsigned int vgpu_poll_us;
/* Most pinned memory of one file; 0 = half of the memory. */
extern unsigned int vgpu_pinned_mib_max;

struct vgpu_device;

/**
 * struct vgpu_queue - a virtqueue and those who wait for it
 * @vq: the virtqueue; only inside vgpu_enter()
 * @entries: size of its ring
 * @lock: guards @vq, @owned, @sleepers and @wakes
 * @owned: buffers that the device has
 * @wait: waiters for a reply or for room
 * @sleepers: how many want an interrupt
 * @wakes: counts wake-ups, so that none is missed between looking and sleeping
 */
struct vgpu_queue {
	struct virtqueue *vq;
	unsigned int entries;
	spinlock_t lock;
	unsigned int owned;
	wait_queue_head_t wait;
	unsigned int sleepers;
	unsigned long wakes;
};

/**
 * struct vgpu_buffer - kernel memory that the device reads or writes
 * @bytes: length
 * @chunk_bytes: length of each chunk but the last
 * @count: chunks, each one entry of @sg
 * @sg: the chunks
 * @one: @sg of a buffer of one chunk
 */
struct vgpu_buffer {
	size_t bytes;
	size_t chunk_bytes;
	unsigned int count;
	struct scatterlist *sg;
	struct scatterlist one;
};

/**
 * struct vgpu_control - a request on the control queue
 * @refs: one for the caller, one for the ring
 * @request: header and payload
 * @response: room for the reply
 * @used: bytes that the device claims to have written
 * @error: set instead of @used if the ring was shut down
 * @done: set last, read first
 */
struct vgpu_control {
	refcount_t refs;
	struct vgpu_buffer request;
	struct vgpu_buffer response;
	u32 used;
	int error;
	bool done;
};

/**
 * struct vgpu_submission - a request on the submit queue
 * @node: in a list of those given back
 * @request: headers and commands
 * @used: bytes that the device claims to have written
 * @context: id of the context
 * @serial: the context's serial, since ids are used again
 * @session: the context's session
 * @response: the device's acknowledgment
 */
struct vgpu_submission {
	struct list_head node;
	struct vgpu_buffer request;
	u32 used;
	u32 context;
	u64 serial;
	u64 session;
	struct vgpu_response_header response ____cacheline_aligned;
};

/**
 * struct vgpu_stats - counters, shown in debugfs
 * @submits: submissions queued
 * @submit_errors: submissions refused by the device
 * @submit_stalls: submissions that found the ring full
 * @kicks: notifications of the control and the submit queue
 * @copied_bytes: commands, requests and replies that were copied from and to
 *	user space; bulk data is not, it is pinned
 * @controls: control requests sent
 * @controls_abandoned: control requests whose caller was killed
 * @waits_done: waits that found the fence complete
 * @waits_polled: waits that ended while polling
 * @waits_slept: waits that slept
 * @waits_failed: waits that ended by time-out, signal or failure
 * @interrupts: callbacks of the three queues
 * @events: event messages
 * @event_errors: event messages that made no sense
 * @device_errors: other things that a device must not do
 * @pinned_bytes: memory pinned now, leaked memory not included
 * @leaked_bytes: memory that can't be freed because the device never let go
 * @pings: times that the device was asked whether it is still there
 */
struct vgpu_stats {
	atomic64_t submits;
	atomic64_t submit_errors;
	atomic64_t submit_stalls;
	atomic64_t kicks;
	atomic64_t copied_bytes;
	atomic64_t controls;
	atomic64_t controls_abandoned;
	atomic64_t waits_done;
	atomic64_t waits_polled;
	atomic64_t waits_slept;
	atomic64_t waits_failed;
	atomic64_t interrupts[VGPU_QUEUE_COUNT];
	atomic64_t events;
	atomic64_t event_errors;
	atomic64_t device_errors;
	atomic64_t pinned_bytes;
	atomic64_t leaked_bytes;
	atomic64_t pings;
};

/**
 * struct vgpu_device - one virtio-vgpu device
 * @dev: /dev/vgpuN; its reference count is this structure's
 * @cdev: the character device
 * @vdev: the virtio device; only inside vgpu_enter()
 * @index: N
 * @srcu: held where virtqueues are used
 * @stopped: the virtqueues are gone
 * @closing: remove or freeze has begun
 * @broken: the device does not answer, or answers nonsense
 * @lost: the device has lost its state; a new session may bring it back
 * @queues: by VGPU_QUEUE_*
 * @events: buffers of the event queue
 * @events_count: how many
 * @state_lock: guards @lost, @epoch and @session against the event handler
 * @session_lock: serialises INIT and the creation of contexts
 * @session: counts INITs that succeeded
 * @session_quiet: sessions up to here are over, by the device's word
 * @epoch: the device's epoch, of this session
 * @capabilities: in force
 * @config: limits from config space, checked
 * @entries_max: ranges that fit into one registration
 * @hostmems_max: handles are below it
 * @contexts: by id
 * @serial: of the last context
 * @ping: asks the device whether it is still there, for who sleeps long
 * @unmap_lock: taken to undo DMA mappings
 * @dma_dev: device for DMA mappings; NULL if physical addresses are used
 * @stats: counters
 * @debugfs: directory
 */
struct vgpu_device {
	struct device dev;
	struct cdev cdev;
	struct virtio_device *vdev;
	int index;
	struct srcu_struct srcu;
	bool stopped;
	bool closing;
	bool broken;
	bool lost;
	struct vgpu_queue queues[VGPU_QUEUE_COUNT];
	struct vgpu_event_message *events;
	unsigned int events_count;
	spinlock_t state_lock;
	struct mutex session_lock;
	u64 session;
	u64 session_quiet;
	u32 epoch;
	u64 capabilities;
	struct {
		u32 contexts_max;
		u32 streams_max;
		u32 control_request_bytes_max;
		u32 submit_bytes_max;
		u32 hostmem_entries_max;
	} config;
	u32 entries_max;
	u32 hostmems_max;
	struct xarray contexts;
	atomic64_t serial;
	struct work_struct ping;
	struct mutex unmap_lock;
	struct device *dma_dev;
	struct vgpu_stats stats;
	struct dentry *debugfs;
};

/**
 * struct vgpu_stream - fences of one stream
 * @submitted: last fence given out; written under the submit queue's lock
 * @poll_ns: how long the next wait polls; a hint, raced for without harm
 * @sleepers: struct vgpu_sleeper; context->lock
 * @armed: what the arm slot holds; context->lock
 */
struct vgpu_stream {
	u64 submitted;
	u64 poll_ns;
	struct list_head sleepers;
	u64 armed;
};

/**
 * struct vgpu_context - what belongs to one open file
 * @vd: the device
 * @id: on the device
 * @serial: unique for the life of the device
 * @session: the session in which it was created
 * @epoch: the epoch of that session
 * @failed: VGPU_STATUS_* if the driver knows that fences may never complete
 * @queued: submissions put into the ring
 * @returned: submissions that the device has given back
 * @lock: guards the streams' lists and arm slots
 * @wait: waiters for fences
 * @wakes: counts wake-ups
 * @timeline: page that the device writes
 * @arm: page that the driver writes
 * @timeline_dma: device address of @timeline
 * @arm_dma: device address of @arm
 * @mapped: DMA mappings exist; vd->unmap_lock
 * @streams: fences
 * @hostmems: registered memory, by handle
 * @pinned_bytes: pinned by this file
 * @pid: who opened it
 * @name: its name
 */
struct vgpu_context {
	struct vgpu_device *vd;
	u32 id;
	u64 serial;
	u64 session;
	u32 epoch;
	u32 failed;
	atomic64_t queued;
	atomic64_t returned;
	spinlock_t lock;
	wait_queue_head_t wait;
	atomic_t wakes;
	struct page *timeline;
	struct page *arm;
	u64 timeline_dma;
	u64 arm_dma;
	bool mapped;
	struct vgpu_stream streams[VGPU_STREAMS_MAX];
	struct xarray hostmems;
	atomic64_t pinned_bytes;
	pid_t pid;
	char name[TASK_COMM_LEN];
};

/* vgpu_drv.c: life of a device and of its session */
bool vgpu_enter(struct vgpu_device *vd, int *cookie);
void vgpu_exit(struct vgpu_device *vd, int cookie);
bool vgpu_usable(const struct vgpu_device *vd);
long vgpu_timeout_jiffies(void);
void vgpu_device_break(struct vgpu_device *vd, const char *why);
void vgpu_device_revive(struct vgpu_device *vd);
void vgpu_session_lost(struct vgpu_device *vd, u64 session, const char *why);
int vgpu_session_ensure(struct vgpu_device *vd);
int vgpu_session_renew(struct vgpu_device *vd);
void vgpu_device_ping(struct vgpu_device *vd);

/* vgpu_vq.c: rings */
int vgpu_queues_start(struct vgpu_device *vd);
void vgpu_queues_fill(struct vgpu_device *vd);
void vgpu_queues_stop(struct vgpu_device *vd);
void vgpu_queue_wake(struct vgpu_queue *q);
bool vgpu_queues_idle(struct vgpu_device *vd);
bool vgpu_queue_prepare(struct vgpu_device *vd, struct vgpu_queue *q);
void vgpu_queue_finish(struct vgpu_device *vd, struct vgpu_queue *q);
int vgpu_queue_wait_room(struct vgpu_device *vd, struct vgpu_queue *q,
			 unsigned long wakes, bool killable);

int vgpu_buffer_init(struct vgpu_buffer *buf, size_t bytes,
		     unsigned int pieces_max, gfp_t gfp);
void vgpu_buffer_free(struct vgpu_buffer *buf);
void vgpu_buffer_write(struct vgpu_buffer *buf, size_t offset,
		       const void *from, size_t bytes);
void vgpu_buffer_read(const struct vgpu_buffer *buf, size_t offset, void *to,
		      size_t bytes);
int vgpu_buffer_from_user(struct vgpu_buffer *buf, size_t offset,
			  const void __user *from, size_t bytes);
int vgpu_buffer_to_user(const struct vgpu_buffer *buf, size_t offset,
			void __user *to, size_t bytes);

struct vgpu_control *vgpu_control_alloc(struct vgpu_device *vd, u32 type,
					u32 context, size_t request_bytes,
					size_t response_bytes);
void vgpu_control_put(struct vgpu_control *c);
int vgpu_control_send(struct vgpu_device *vd, struct vgpu_control *c,
		      bool killable);
int vgpu_control_status(struct vgpu_control *c, u32 *status);
int vgpu_control_simple(struct vgpu_device *vd, u32 type, u32 context,
			const void *payload, size_t payload_bytes,
			void *result, size_t result_bytes, bool killable,
			u32 *status);

/* vgpu_submit.c */
int vgpu_submit(struct vgpu_context *ctx, struct vgpu_ioctl_submit *arg);
void vgpu_submit_reap(struct vgpu_device *vd);
int vgpu_submit_settle(struct vgpu_context *ctx, bool killable);
void vgpu_submit_drop(struct vgpu_submission *s);

/* vgpu_fence.c */
void vgpu_fence_init(struct vgpu_context *ctx);
int vgpu_fence_wait(struct vgpu_context *ctx, struct vgpu_ioctl_wait *arg);
bool vgpu_context_alive(const struct vgpu_context *ctx);
void vgpu_context_fail(struct vgpu_context *ctx, u32 status);
void vgpu_context_wake(struct vgpu_context *ctx);
void vgpu_contexts_wake(struct vgpu_device *vd);

/* vgpu_object.c: contexts and pinned memory */
int vgpu_context_create(struct vgpu_device *vd, struct vgpu_context **out);
void vgpu_context_destroy(struct vgpu_context *ctx);
void vgpu_contexts_unmap(struct vgpu_device *vd);
u64 vgpu_pinned_bytes_max(void);
int vgpu_pin(struct vgpu_context *ctx, struct vgpu_ioctl_pin *arg);
int vgpu_unpin(struct vgpu_context *ctx, const struct vgpu_ioctl_unpin *arg);

/* vgpu_ioctl.c */
extern const struct file_operations vgpu_fops;

/* vgpu_debugfs.c */
void vgpu_debugfs_init(void);
void vgpu_debugfs_exit(void);
void vgpu_debugfs_add(struct vgpu_device *vd);
void vgpu_debugfs_remove(struct vgpu_device *vd);

#endif /* VGPU_DRV_H */
