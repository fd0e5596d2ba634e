// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel driver's arithmetic over numbers of user space and of the device
 * (vgpu_logic.h, as it is), held against the same in 128 bits.
 */
#include "kernel-shim.h"
#include "fuzz.h"
#include "vgpu_logic.h"

_Thread_local bool shim_signal;

typedef unsigned __int128 wide;
#define RANGES 8u

static void spans(struct input *in)
{
	u64 address = take_u64(in), bytes = take_u64(in), pages = 0;

	if (vgpu_span_pages(address, bytes, 4096, &pages))
		return;
	PROMISE(bytes > 0);
	PROMISE((wide)address + bytes <= (wide)1 << 64);
	PROMISE(pages == ((wide)address % 4096 + bytes + 4095) / 4096);
}

/* Pages of a registration: what is handed to the device is what was asked for. */
static void ranges(struct input *in)
{
	struct vgpu_range list[RANGES];
	u64 limit = take_u64(in), skip = take_u8(in) * 16, bytes = take_u32(in) % 100000 + 1;
	u64 left = bytes, total = 0, placed = 0;
	u32 count = 0, count_max = take_u8(in) % (RANGES + 1);

	for (u64 page = 0; page * 4096 < skip + bytes; page++) {
		u64 address = (take_u64(in) & 0xf) * 4096;

		if (vgpu_ranges_add(list, &count, count_max, limit, address, 4096))
			return;
		PROMISE(count <= count_max);
		total += 4096;
	}
	for (u32 i = 0; i < count; i++) {
		u64 address, part;

		PROMISE(list[i].bytes && list[i].bytes % 4096 == 0);
		PROMISE(list[i].bytes <= limit || list[i].bytes == 4096);
		if (skip >= list[i].bytes)
			return;
		vgpu_ranges_entry(&list[i], &skip, &left, &address, &part);
		PROMISE(address >= list[i].dma);
		PROMISE(address + part <= list[i].dma + list[i].bytes);
		placed += part;
	}
	PROMISE(placed == bytes && !left && placed <= total);
}

static void fences(struct input *in)
{
	u64 completed = take_u64(in), submitted = take_u64(in), fence = take_u64(in), least;
	enum vgpu_fence_state state = vgpu_fence_check(completed, submitted, fence);

	PROMISE((state == VGPU_FENCE_BOGUS) == (completed > submitted));
	PROMISE(state != VGPU_FENCE_DONE || (completed >= fence && completed <= submitted));
	least = vgpu_arm_least(take_u64(in), completed, fence);
	PROMISE(fence <= completed || (least && least <= fence));
}

static void times(struct input *in)
{
	u64 now = take_u64(in), timeout = take_u64(in), max = take_u64(in) >> 4, next;

	PROMISE(vgpu_deadline(now, timeout) >= now);
	PROMISE(vgpu_deadline(now, timeout) >= timeout);
	next = vgpu_poll_next(take_u64(in) % (max + 1), take_u64(in), max);
	PROMISE(next <= max && next >= max / 8);
}

static void sizes(struct input *in)
{
	u32 entries = take_u32(in), request = take_u32(in), bytes = take_u32(in),
	    count = take_u32(in), limit = take_u32(in), most, chunk;
	u64 length = take_u64(in) >> 8;
	u32 pieces = take_u32(in);
	const wide head = sizeof(struct vgpu_request_header) +
			  sizeof(struct vgpu_hostmem_register_request);

	most = vgpu_entries_max(entries, request);
	PROMISE(most <= entries);
	PROMISE(!most || head + (wide)most * sizeof(struct vgpu_hostmem_entry) <= request);
	chunk = vgpu_chunk_bytes(length, pieces);
	PROMISE(!chunk || ((wide)length + chunk - 1) / chunk <= pieces);
	if (!vgpu_submit_check(bytes, count, limit)) {
		PROMISE((wide)bytes + sizeof(struct vgpu_request_header) +
			sizeof(struct vgpu_submit_request) <= limit);
		PROMISE((wide)count * sizeof(struct vgpu_command_header) <= bytes);
	}
	PROMISE(vgpu_status_errno(count) <= 0);
	PROMISE((vgpu_status_errno(count) == 0) == (count == VGPU_STATUS_OK));
	PROMISE(vgpu_request_check(count) <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input in = { data, bytes };

	switch (take_u8(&in) % 5) {
	case 0: spans(&in); break;
	case 1: ranges(&in); break;
	case 2: fences(&in); break;
	case 3: times(&in); break;
	default: sizes(&in);
	}
	return 0;
}
