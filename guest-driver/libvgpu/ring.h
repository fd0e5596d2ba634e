/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue in shared memory, with EVENT_IDX.
 *
 *   descriptors   16 * size                          aligned 16
 *   available     flags, idx, ring[size], used_event aligned 2
 *   used          flags, idx, ring[size]{id,len}, avail_event   aligned 4
 *
 * Notification, both ways: a side is told when the index passes the event
 * index that it wrote last. Each side writes its event index, then a full
 * barrier, then looks again; the other publishes, then a full barrier, then
 * reads the event index: so one of them always sees the other.
 */
#ifndef LIBVGPU_RING_H
#define LIBVGPU_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_DESC_NEXT 1u
#define RING_DESC_WRITE 2u
#define RING_NO_INTERRUPT 1u
#define RING_NO_NOTIFY 1u

struct ring_desc {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags;
	uint16_t next;
};

struct ring_used_entry {
	uint32_t id;
	uint32_t bytes;
};

struct ring {
	uint16_t size;
	bool event_idx;
	/* Next free place in the available ring, published so far. */
	uint16_t avail_idx;
	uint16_t used_seen;
	struct ring_desc *desc;
	uint16_t *avail;
	uint16_t *used;
};

static inline size_t ring_desc_bytes(uint16_t size)
{
	return 16u * (size_t)size;
}

static inline size_t ring_avail_bytes(uint16_t size)
{
	return 6u + 2u * (size_t)size;
}

static inline size_t ring_used_bytes(uint16_t size)
{
	return 6u + 8u * (size_t)size;
}

/* Bytes of a ring whose parts begin at ring_*_offset(). */
static inline size_t ring_avail_offset(uint16_t size)
{
	return ring_desc_bytes(size);
}

static inline size_t ring_used_offset(uint16_t size)
{
	return (ring_avail_offset(size) + ring_avail_bytes(size) + 63) & ~(size_t)63;
}

static inline size_t ring_bytes(uint16_t size)
{
	return ring_used_offset(size) + ring_used_bytes(size);
}

static inline void ring_init(struct ring *ring, void *memory, uint16_t size, bool event_idx)
{
	*ring = (struct ring){
		.size = size,
		.event_idx = event_idx,
		.desc = memory,
		.avail = (uint16_t *)((uint8_t *)memory + ring_avail_offset(size)),
		.used = (uint16_t *)((uint8_t *)memory + ring_used_offset(size)),
	};
}

/* virtio's vring_need_event(): whether going from old to new passes event. */
static inline bool ring_need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
	return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

/* Makes the chain that begins at head available. True: the device must be notified. */
static inline bool ring_publish(struct ring *ring, uint16_t head)
{
	uint16_t old_idx = ring->avail_idx;

	ring->avail[2 + (old_idx & (ring->size - 1))] = head;
	ring->avail_idx = (uint16_t)(old_idx + 1);
	__atomic_store_n(&ring->avail[1], ring->avail_idx, __ATOMIC_RELEASE);
	atomic_thread_fence(memory_order_seq_cst);
	if (ring->event_idx) {
		uint16_t event = __atomic_load_n(&ring->used[2 + 4 * (size_t)ring->size],
						 __ATOMIC_RELAXED);

		return ring_need_event(event, ring->avail_idx, old_idx);
	}
	return !(__atomic_load_n(&ring->used[0], __ATOMIC_RELAXED) & RING_NO_NOTIFY);
}

static inline bool ring_has_used(const struct ring *ring)
{
	return __atomic_load_n(&ring->used[1], __ATOMIC_ACQUIRE) != ring->used_seen;
}

/* Takes one used entry; false if there is none. The entry is the device's word. */
static inline bool ring_take(struct ring *ring, struct ring_used_entry *entry)
{
	const struct ring_used_entry *entries;

	if (!ring_has_used(ring))
		return false;
	entries = (const struct ring_used_entry *)(ring->used + 2);
	*entry = entries[ring->used_seen & (ring->size - 1)];
	ring->used_seen++;
	return true;
}

/* Asks for a notification at the next used entry. True: there is one already. */
static inline bool ring_interrupt_on(struct ring *ring)
{
	if (ring->event_idx)
		__atomic_store_n(&ring->avail[2 + ring->size], ring->used_seen, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->avail[0], 0, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_seq_cst);
	return ring_has_used(ring);
}

/* A hint: a notification may still come. */
static inline void ring_interrupt_off(struct ring *ring)
{
	if (ring->event_idx)
		__atomic_store_n(&ring->avail[2 + ring->size],
				 (uint16_t)(ring->used_seen + 0x7fff), __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->avail[0], RING_NO_INTERRUPT, __ATOMIC_RELAXED);
}

#endif
