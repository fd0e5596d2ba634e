// SPDX-License-Identifier: Apache-2.0
/*
 * Sleeping until a fence, over the unix: transport.
 *
 * Several threads may sleep, but an eventfd wakes one for sure: the one that
 * reads it. So one thread, the leader, sleeps on the event queue for all; before
 * it does so again it takes the messages, arms what is still waited for, and tells
 * the others to look. When it leaves, another becomes leader. A lone waiter is
 * leader itself, so that it costs one wake-up and no hand-over.
 *
 * The arm page holds, for each stream, the least fence that anyone waits for.
 * Arm, full barrier, look again: the device writes the fence, then a full
 * barrier, then reads the arm page, so that one of the two sees the other.
 *
 * Waking up takes as long as a short launch. So the leader asks to be told shortly
 * before, too, and polls then; once in a wait, for the device only guesses.
 */
#include "user.h"

#include <unistd.h>

#define EVENT_BYTES sizeof(struct vgpu_event_message)
/* How long before a fence completes a message is asked for, and how long is polled then. */
#define AHEAD_NS 200000u

void user_events_init(struct user_device *device)
{
	struct ring *ring = &device->rings[VGPU_QUEUE_EVENT];
	bool kick = false;

	_Static_assert(EVENT_RING * sizeof(struct vgpu_event_message) <= PAGE, "messages fit");
	for (uint16_t i = 0; i < EVENT_RING; i++) {
		ring->desc[i] = (struct ring_desc){
			.address = device->area_address + EVENTS_OFFSET + i * EVENT_BYTES,
			.bytes = EVENT_BYTES, .flags = RING_DESC_WRITE };
		kick |= ring_publish(ring, i);
	}
	ring_interrupt_on(ring);
	if (kick)
		user_kick(device, VGPU_QUEUE_EVENT);
}

/* ---- With wait_lock held -------------------------------------------------------------- */

/* Gives the buffers of all messages back. True if one says that a fence of the context is near. */
static bool events_take(struct user_device *device, const struct vgpu *context)
{
	struct ring *ring = &device->rings[VGPU_QUEUE_EVENT];
	struct vgpu_event_message *messages = (void *)(device->area + EVENTS_OFFSET);
	struct ring_used_entry entry;
	bool kick = false, soon = false;

	do {
		while (ring_take(ring, &entry)) {
			struct vgpu_event_message message;

			if (entry.id >= EVENT_RING) {
				user_lose(device, "it used an event buffer that does not exist");
				return false;
			}
			message = *(volatile struct vgpu_event_message *)&messages[entry.id];
			soon |= message.type == VGPU_EVENT_TYPE_SOON && message.context == context->id;
			kick |= ring_publish(ring, (uint16_t)entry.id);
		}
	} while (ring_interrupt_on(ring));
	if (kick)
		user_kick(device, VGPU_QUEUE_EVENT);
	return soon;
}

/* Writes the least fence that is waited for on a stream and not reached. */
static void arm(struct user_device *device, struct vgpu *context, uint32_t stream)
{
	struct user_context *own = context->transport;
	volatile uint8_t *slot = own->arm + VGPU_TIMELINE_HEADER_BYTES +
				 (size_t)stream * VGPU_TIMELINE_SLOT_BYTES;
	uint64_t done = timeline_fence(context, stream);
	uint64_t least = 0;
	uint32_t ahead_ns = 0;

	for (struct waiter *waiter = device->waiters; waiter; waiter = waiter->next)
		if (waiter->context == context && waiter->stream == stream &&
		    waiter->fence > done && (!least || waiter->fence < least)) {
			least = waiter->fence;
			ahead_ns = waiter->told ? 0 : AHEAD_NS;
		}
	__atomic_store_n((volatile uint32_t *)(slot + offsetof(struct vgpu_arm_slot, ahead_ns)),
			 ahead_ns, __ATOMIC_RELAXED);
	__atomic_store_n((volatile uint64_t *)slot, least, __ATOMIC_RELEASE);
	atomic_thread_fence(memory_order_seq_cst);
}

/*
 * A slot that was just armed may have been passed meanwhile: then the device told
 * nobody, for it saw what was armed before. Whoever waits for that is told here.
 */
static void tell_others(struct user_device *device, const struct waiter *self)
{
	const uint64_t one = 1;

	for (struct waiter *waiter = device->waiters; waiter; waiter = waiter->next) {
		if (waiter == self ||
		    !fence_reached(waiter->context, waiter->stream, waiter->fence))
			continue;
		if (!device->has_leader)
			pthread_cond_broadcast(&device->wait_changed);
		else if (write(device->call[VGPU_QUEUE_EVENT], &one, sizeof(one)) < 0)
			continue;
		return;
	}
}

static void arm_all(struct user_device *device)
{
	for (struct waiter *waiter = device->waiters; waiter; waiter = waiter->next)
		arm(device, waiter->context, waiter->stream);
}

/*
 * Polls as the leader, with its own fence not armed, so that the device need not
 * say again what is seen here. Others' messages stay where they are meanwhile.
 */
static void poll_soon(struct user_device *device, struct waiter *self)
{
	uint64_t fence = self->fence;

	self->told = true;
	self->fence = 0;
	arm(device, self->context, self->stream);
	self->fence = fence;
	device->has_leader = true;
	pthread_mutex_unlock(&device->wait_lock);
	poll_fence(self->context, self->stream, fence, now_ns(), AHEAD_NS);
	pthread_mutex_lock(&device->wait_lock);
	device->has_leader = false;
}

/*
 * Takes what has rung before, arms anew, tells the others to look once more, and
 * sleeps unless there is nothing left to wait for. Who wakes has nothing else to do before
 * it returns to the program: that is done here, while the device is at work.
 */
static void lead(struct user_device *device, struct waiter *self)
{
	user_call_take(device, VGPU_QUEUE_EVENT);
	if (events_take(device, self->context) && !self->told) {
		poll_soon(device, self);
		return;
	}
	arm_all(device);
	pthread_cond_broadcast(&device->wait_changed);
	if (fence_reached(self->context, self->stream, self->fence) ||
	    context_is_bad(self->context))
		return;
	device->has_leader = true;
	pthread_mutex_unlock(&device->wait_lock);
	user_sleep_on(device, VGPU_QUEUE_EVENT);
	pthread_mutex_lock(&device->wait_lock);
	device->has_leader = false;
}

enum vgpu_result user_sleep(struct vgpu *context, uint32_t stream, uint64_t fence)
{
	struct user_device *device = user_device(context);
	struct waiter self = { .context = context, .stream = stream, .fence = fence };
	struct waiter **link;

	pthread_mutex_lock(&device->wait_lock);
	self.next = device->waiters;
	device->waiters = &self;
	arm(device, context, stream);
	tell_others(device, &self);
	while (!fence_reached(context, stream, fence) && !context_is_bad(context) &&
	       !atomic_load(&device->lost)) {
		if (device->has_leader)
			pthread_cond_wait(&device->wait_changed, &device->wait_lock);
		else
			lead(device, &self);
	}
	for (link = &device->waiters; *link != &self; link = &(*link)->next)
		;
	*link = self.next;
	arm(device, context, stream);
	tell_others(device, &self);
	if (device->waiters && !device->has_leader)
		pthread_cond_broadcast(&device->wait_changed);
	pthread_mutex_unlock(&device->wait_lock);
	return VGPU_SUCCESS;
}
