/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver's decisions that need nothing of the kernel: sums over untrusted
 * numbers, range coalescing, fence and poll arithmetic. They are in a header
 * of their own so that the tests in test/kernel compile these very lines in
 * user space.
 */
#ifndef VGPU_LOGIC_H
#define VGPU_LOGIC_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/types.h>
#endif

#include "virtio_vgpu.h"

/**
 * struct vgpu_range - physically contiguous whole pages
 * @address: physical address of the first byte
 * @bytes: a multiple of the page size
 * @dma: what the device calls @address; equal to it without an IOMMU
 */
struct vgpu_range {
	u64 address;
	u64 bytes;
	u64 dma;
};

/**
 * vgpu_span_pages - how many pages a range of user addresses touches
 * @address: first byte
 * @bytes: length
 * @page_bytes: page size, a power of two
 * @pages: out: pages from the one with the first byte to that with the last
 *
 * Return: 0, or -EINVAL for an empty range or one that wraps around.
 */
static inline int vgpu_span_pages(u64 address, u64 bytes, u64 page_bytes,
				  u64 *pages)
{
	u64 offset = address & (page_bytes - 1);

	if (!bytes || address + bytes < address)
		return -EINVAL;
	/* The end rounded up must not wrap around either. */
	if (address + bytes > ~(u64)0 - page_bytes + 1)
		return -EINVAL;
	*pages = (offset + bytes + page_bytes - 1) / page_bytes;
	return 0;
}

/**
 * vgpu_ranges_add - append one page to a list of ranges, coalescing
 * @ranges: the list
 * @count: in, out: entries in use
 * @count_max: room in the list
 * @range_bytes_max: longest range wanted
 * @address: physical address of the page
 * @page_bytes: its size
 *
 * A page that directly follows the last range makes that range longer.
 *
 * Return: 0, or -E2BIG if another entry would be needed and none is left.
 */
static inline int vgpu_ranges_add(struct vgpu_range *ranges, u32 *count,
				  u32 count_max, u64 range_bytes_max,
				  u64 address, u64 page_bytes)
{
	struct vgpu_range *last = *count ? &ranges[*count - 1] : NULL;

	if (last && last->address + last->bytes == address &&
	    last->bytes + page_bytes <= range_bytes_max) {
		last->bytes += page_bytes;
		return 0;
	}
	if (*count >= count_max)
		return -E2BIG;
	ranges[*count].address = address;
	ranges[*count].bytes = page_bytes;
	ranges[*count].dma = address;
	++*count;
	return 0;
}

/**
 * vgpu_ranges_entry - the part of one range that belongs to a registration
 * @range: the range, whole pages
 * @skip: in, out: bytes still to be left out at the start of the first page
 * @left: in, out: bytes of the registration that are still to be placed
 * @address: out: device address of the part
 * @bytes: out: its length; 0 once everything is placed
 */
static inline void vgpu_ranges_entry(const struct vgpu_range *range, u64 *skip,
				     u64 *left, u64 *address, u64 *bytes)
{
	u64 room = range->bytes - *skip;

	*address = range->dma + *skip;
	*bytes = *left < room ? *left : room;
	*left -= *bytes;
	*skip = 0;
}

/**
 * vgpu_entries_max - how many ranges one registration can have
 * @hostmem_entries_max: the device's limit on entries
 * @control_request_bytes_max: the device's limit on the request that holds them
 *
 * Return: the smaller of the two, in entries.
 */
static inline u32 vgpu_entries_max(u32 hostmem_entries_max,
				   u32 control_request_bytes_max)
{
	const u32 head = sizeof(struct vgpu_request_header) +
			 sizeof(struct vgpu_hostmem_register_request);
	u32 fit;

	if (control_request_bytes_max < head)
		return 0;
	fit = (control_request_bytes_max - head) /
	      sizeof(struct vgpu_hostmem_entry);
	return fit < hostmem_entries_max ? fit : hostmem_entries_max;
}

enum vgpu_fence_state {
	VGPU_FENCE_PENDING,
	VGPU_FENCE_DONE,
	VGPU_FENCE_BOGUS,
};

/**
 * vgpu_fence_check - has a fence completed?
 * @completed: what the device wrote into the slot; not trusted
 * @submitted: the last fence submitted on the stream, read after @completed
 * @fence: the fence in question, at most @submitted
 *
 * Return: VGPU_FENCE_BOGUS if the device claims to have completed what it was
 * never given.
 */
static inline enum vgpu_fence_state vgpu_fence_check(u64 completed,
						     u64 submitted, u64 fence)
{
	if (completed > submitted)
		return VGPU_FENCE_BOGUS;
	return completed >= fence ? VGPU_FENCE_DONE : VGPU_FENCE_PENDING;
}

/**
 * vgpu_arm_least - fold one awaited fence into the value to arm
 * @least: least pending fence so far, 0 for none
 * @completed: last fence completed
 * @fence: a fence that someone waits for
 *
 * Return: the least fence above @completed, 0 for none.
 */
static inline u64 vgpu_arm_least(u64 least, u64 completed, u64 fence)
{
	if (fence <= completed)
		return least;
	return !least || fence < least ? fence : least;
}

/**
 * vgpu_poll_next - how long to poll the next time
 * @budget_ns: how long polling was allowed this time
 * @waited_ns: how long the wait took as a whole
 * @max_ns: upper limit, 0 = never poll
 *
 * Waits that are much longer than a poll make polling a waste: the budget
 * halves, down to an eighth of the limit. A wait that a poll could have seen,
 * or nearly (an interrupt and a wake-up cost some tens of microseconds),
 * doubles it again.
 *
 * Return: the new budget.
 */
static inline u64 vgpu_poll_next(u64 budget_ns, u64 waited_ns, u64 max_ns)
{
	u64 min_ns = max_ns / 8;
	u64 next;

	if (waited_ns > 4 * max_ns)
		next = budget_ns / 2;
	else
		next = budget_ns * 2;
	if (next < min_ns)
		next = min_ns;
	return next < max_ns ? next : max_ns;
}

/**
 * vgpu_deadline - now plus a relative time-out, without wrapping around
 * @now_ns: now
 * @timeout_ns: VGPU_WAIT_FOREVER for no limit
 *
 * Return: the deadline; VGPU_WAIT_FOREVER if there is none.
 */
static inline u64 vgpu_deadline(u64 now_ns, u64 timeout_ns)
{
	if (timeout_ns > ~(u64)0 - now_ns)
		return ~(u64)0;
	return now_ns + timeout_ns;
}

#define VGPU_CHUNK_BYTES	65536u
#define VGPU_CHUNK_BYTES_MAX	4194304u

/**
 * vgpu_chunk_bytes - size of the pieces of a bounce buffer
 * @bytes: length of the buffer
 * @pieces_max: most descriptors that it may take
 *
 * Return: 64 KiB, or the next power of two with which it fits; 0 if none does.
 */
static inline u32 vgpu_chunk_bytes(u64 bytes, u32 pieces_max)
{
	u32 chunk = VGPU_CHUNK_BYTES;

	while (chunk <= VGPU_CHUNK_BYTES_MAX) {
		if ((bytes + chunk - 1) / chunk <= pieces_max)
			return chunk;
		chunk *= 2;
	}
	return 0;
}

/**
 * vgpu_request_check - may user space make this control request?
 * @type: type field of the request
 *
 * Return: 0, -EPERM for one of the driver's own, -EINVAL for all else.
 */
static inline int vgpu_request_check(u32 type)
{
	if (type >= VGPU_REQ_SUBMIT)
		return -EINVAL;
	if (VGPU_REQ_USER_MASK >> type & 1)
		return 0;
	if (type >= VGPU_REQ_INIT && type <= VGPU_REQ_HOSTMEM_UNREGISTER)
		return -EPERM;
	return -EINVAL;
}

/**
 * vgpu_submit_check - are the sizes of a submission possible?
 * @command_bytes: bytes of commands
 * @command_count: number of commands
 * @submit_bytes_max: the device's limit, headers included
 *
 * The device refuses all that this refuses, but a refusal there costs the
 * context.
 *
 * Return: 0 or -EINVAL.
 */
static inline int vgpu_submit_check(u32 command_bytes, u32 command_count,
				    u32 submit_bytes_max)
{
	const u64 head = sizeof(struct vgpu_request_header) +
			 sizeof(struct vgpu_submit_request);

	if (command_bytes % 8 || head + command_bytes > submit_bytes_max)
		return -EINVAL;
	if (!command_count != !command_bytes)
		return -EINVAL;
	if ((u64)command_count * sizeof(struct vgpu_command_header) >
	    command_bytes)
		return -EINVAL;
	return 0;
}

/**
 * vgpu_status_errno - a device status as an error number
 * @status: VGPU_STATUS_*; not trusted, any value is possible
 *
 * Return: 0 for OK, else a negative error number.
 */
static inline int vgpu_status_errno(u32 status)
{
	switch (status) {
	case VGPU_STATUS_OK:
		return 0;
	case VGPU_STATUS_OUT_OF_MEMORY:
	case VGPU_STATUS_QUOTA:
		return -ENOMEM;
	case VGPU_STATUS_HANDLE_LIMIT:
		return -ENOSPC;
	case VGPU_STATUS_CONTEXT_LIMIT:
		return -EBUSY;
	case VGPU_STATUS_NOT_INITIALISED:
	case VGPU_STATUS_DEVICE_LOST:
		return -ENODEV;
	default:
		return -EIO;
	}
}

#endif /* VGPU_LOGIC_H */
