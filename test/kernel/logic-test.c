// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu_logic.h, the driver's own file, in user space.
 */
#include "kernel-shim.h"
#include "driver-test.h"

static void span_pages(void)
{
	u64 pages = 99;

	CHECK_EQ(vgpu_span_pages(0x1000, 1, 4096, &pages), 0);
	CHECK_EQ(pages, 1);
	CHECK_EQ(vgpu_span_pages(0x1fff, 2, 4096, &pages), 0);
	CHECK_EQ(pages, 2);
	CHECK_EQ(vgpu_span_pages(0x1fff, 1, 4096, &pages), 0);
	CHECK_EQ(pages, 1);
	CHECK_EQ(vgpu_span_pages(0x1001, 8191, 4096, &pages), 0);
	CHECK_EQ(pages, 2);
	CHECK_EQ(vgpu_span_pages(0x1001, 8192, 4096, &pages), 0);
	CHECK_EQ(pages, 3);
}

static void span_refuses_empty_and_wrapping(void)
{
	u64 pages;

	CHECK_EQ(vgpu_span_pages(0x1000, 0, 4096, &pages), -EINVAL);
	CHECK_EQ(vgpu_span_pages(~0ull, 2, 4096, &pages), -EINVAL);
	CHECK_EQ(vgpu_span_pages(0x1000, ~0ull, 4096, &pages), -EINVAL);
	/* The end is the last byte of the address space's last page. */
	CHECK_EQ(vgpu_span_pages(~0ull - 4095, 4095, 4096, &pages), -EINVAL);
	CHECK_EQ(vgpu_span_pages(~0ull - 8191, 4096, 4096, &pages), 0);
}

static void ranges_coalesce(void)
{
	struct vgpu_range r[3];
	u32 count = 0;

	CHECK_EQ(vgpu_ranges_add(r, &count, 3, ~0ull, 0x10000, 4096), 0);
	CHECK_EQ(vgpu_ranges_add(r, &count, 3, ~0ull, 0x11000, 4096), 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(r[0].bytes, 8192);
	/* The page before is no neighbour in this sense. */
	CHECK_EQ(vgpu_ranges_add(r, &count, 3, ~0ull, 0xf000, 4096), 0);
	CHECK_EQ(count, 2);
	/* The same page twice is two ranges. */
	CHECK_EQ(vgpu_ranges_add(r, &count, 3, ~0ull, 0xf000, 4096), 0);
	CHECK_EQ(count, 3);
	CHECK_EQ(r[2].address, 0xf000);
	CHECK_EQ(r[2].dma, 0xf000);
}

static void ranges_have_a_limit(void)
{
	struct vgpu_range r[3];
	u32 count = 0;

	memset(r, 0x5a, sizeof(r));
	CHECK_EQ(vgpu_ranges_add(r, &count, 2, ~0ull, 0x10000, 4096), 0);
	CHECK_EQ(vgpu_ranges_add(r, &count, 2, ~0ull, 0x20000, 4096), 0);
	CHECK_EQ(vgpu_ranges_add(r, &count, 2, ~0ull, 0x30000, 4096), -E2BIG);
	CHECK_EQ(count, 2);
	CHECK_EQ(r[2].address, 0x5a5a5a5a5a5a5a5all);
	/* A full list still grows at its end. */
	CHECK_EQ(vgpu_ranges_add(r, &count, 2, ~0ull, 0x21000, 4096), 0);
	CHECK_EQ(r[1].bytes, 8192);
}

static void ranges_keep_to_the_longest(void)
{
	struct vgpu_range r[4];
	u32 count = 0;
	u64 page;

	for (page = 0; page < 7; page++)
		CHECK_EQ(vgpu_ranges_add(r, &count, 4, 3 * 4096,
					 page * 4096, 4096), 0);
	CHECK_EQ(count, 3);
	CHECK_EQ(r[0].bytes, 3 * 4096);
	CHECK_EQ(r[2].bytes, 4096);
}

/* Entries cover exactly the registered bytes, whatever the offset. */
static void entries_cover_exactly(void)
{
	u64 offset, bytes;

	for (offset = 0; offset < 4096; offset += 511)
		for (bytes = 1; offset + bytes <= 5 * 4096; bytes += 333) {
			struct vgpu_range r[3] = {
				{ 0x10000, 4096, 0x910000 },
				{ 0x40000, 3 * 4096, 0x940000 },
				{ 0x90000, 4096, 0x990000 },
			};
			u64 skip = offset, left = bytes, total = 0, a, n;
			u32 i;

			for (i = 0; i < 3; i++) {
				vgpu_ranges_entry(&r[i], &skip, &left, &a, &n);
				CHECK(a >= r[i].dma);
				CHECK(a + n <= r[i].dma + r[i].bytes);
				CHECK(i || a == r[i].dma + offset);
				CHECK(!i || a == r[i].dma);
				total += n;
			}
			CHECK_EQ(total, bytes);
			CHECK_EQ(left, 0);
		}
}

static void entries_fit_the_request(void)
{
	CHECK_EQ(vgpu_entries_max(65535, 1048576), (1048576 - 32) / 16);
	CHECK_EQ(vgpu_entries_max(100, 1048576), 100);
	CHECK_EQ(vgpu_entries_max(65535, 48), 1);
	CHECK_EQ(vgpu_entries_max(65535, 47), 0);
	CHECK_EQ(vgpu_entries_max(65535, 31), 0);
	CHECK_EQ(vgpu_entries_max(65535, 0), 0);
}

static void fences_compare(void)
{
	CHECK_EQ(vgpu_fence_check(4, 9, 5), VGPU_FENCE_PENDING);
	CHECK_EQ(vgpu_fence_check(5, 9, 5), VGPU_FENCE_DONE);
	CHECK_EQ(vgpu_fence_check(9, 9, 5), VGPU_FENCE_DONE);
	CHECK_EQ(vgpu_fence_check(10, 9, 5), VGPU_FENCE_BOGUS);
	CHECK_EQ(vgpu_fence_check(0, 0, 0), VGPU_FENCE_DONE);
	CHECK_EQ(vgpu_fence_check(~0ull, 9, 5), VGPU_FENCE_BOGUS);
}

static void the_least_pending_fence_is_armed(void)
{
	u64 least = 0;

	least = vgpu_arm_least(least, 3, 7);
	CHECK_EQ(least, 7);
	least = vgpu_arm_least(least, 3, 9);
	CHECK_EQ(least, 7);
	least = vgpu_arm_least(least, 3, 3);
	CHECK_EQ(least, 7);
	least = vgpu_arm_least(least, 3, 4);
	CHECK_EQ(least, 4);
	CHECK_EQ(vgpu_arm_least(0, 3, 2), 0);
}

static void polling_adapts(void)
{
	u64 budget = 50000;
	int i;

	for (i = 0; i < 20; i++)
		budget = vgpu_poll_next(budget, 10000000, 50000);
	CHECK_EQ(budget, 50000 / 8);
	for (i = 0; i < 20; i++)
		budget = vgpu_poll_next(budget, 40000, 50000);
	CHECK_EQ(budget, 50000);
	CHECK_EQ(vgpu_poll_next(50000, 10, 0), 0);
	CHECK_EQ(vgpu_poll_next(0, 10, 50000), 50000 / 8);
}

static void deadlines_do_not_wrap(void)
{
	CHECK_EQ(vgpu_deadline(100, 50), 150);
	CHECK(vgpu_deadline(100, VGPU_WAIT_FOREVER) == VGPU_WAIT_FOREVER);
	CHECK(vgpu_deadline(100, ~0ull - 99) == ~0ull);
	CHECK(vgpu_deadline(100, ~0ull - 101) == ~0ull - 1);
}

static void chunks_fit_the_ring(void)
{
	CHECK_EQ(vgpu_chunk_bytes(1, 1), 65536);
	CHECK_EQ(vgpu_chunk_bytes(65536 * 8, 8), 65536);
	CHECK_EQ(vgpu_chunk_bytes(65536 * 8 + 1, 8), 131072);
	CHECK_EQ(vgpu_chunk_bytes(4194304, 1), 4194304);
	CHECK_EQ(vgpu_chunk_bytes(4194304 + 1, 1), 0);
	CHECK_EQ(vgpu_chunk_bytes(16, 0), 0);
}

/* VGPU-DRV-10. */
static void only_user_requests_pass(void)
{
	u32 type;

	CHECK_EQ(vgpu_request_check(VGPU_REQ_GET_CAPABILITIES), 0);
	for (type = VGPU_REQ_MEMORY_ALLOC; type <= VGPU_REQ_STATISTICS; type++)
		CHECK_EQ(vgpu_request_check(type), 0);
	CHECK_EQ(vgpu_request_check(VGPU_REQ_INIT), -EPERM);
	CHECK_EQ(vgpu_request_check(VGPU_REQ_CONTEXT_CREATE), -EPERM);
	CHECK_EQ(vgpu_request_check(VGPU_REQ_CONTEXT_DESTROY), -EPERM);
	CHECK_EQ(vgpu_request_check(VGPU_REQ_HOSTMEM_REGISTER), -EPERM);
	CHECK_EQ(vgpu_request_check(VGPU_REQ_HOSTMEM_UNREGISTER), -EPERM);
	CHECK_EQ(vgpu_request_check(0), -EINVAL);
	CHECK_EQ(vgpu_request_check(7), -EINVAL);
	CHECK_EQ(vgpu_request_check(VGPU_REQ_SUBMIT), -EINVAL);
	/* Shifts by 64 and more are not defined: these must not shift. */
	CHECK_EQ(vgpu_request_check(64 + 2), -EINVAL);
	CHECK_EQ(vgpu_request_check(~0u), -EINVAL);
}

/* VGPU-DRV-4. */
static void submissions_are_plausible(void)
{
	const u32 most = 4194304 - 40;

	CHECK_EQ(vgpu_submit_check(0, 0, 4194304), 0);
	CHECK_EQ(vgpu_submit_check(8, 1, 4194304), 0);
	CHECK_EQ(vgpu_submit_check(8, 2, 4194304), -EINVAL);
	CHECK_EQ(vgpu_submit_check(8, 0, 4194304), -EINVAL);
	CHECK_EQ(vgpu_submit_check(0, 1, 4194304), -EINVAL);
	CHECK_EQ(vgpu_submit_check(12, 1, 4194304), -EINVAL);
	CHECK_EQ(vgpu_submit_check(most, 1, 4194304), 0);
	CHECK_EQ(vgpu_submit_check(most + 8, 1, 4194304), -EINVAL);
	CHECK_EQ(vgpu_submit_check(~7u, 1, 4194304), -EINVAL);
	CHECK_EQ(vgpu_submit_check(0, 0, 39), -EINVAL);
}

static void statuses_become_errors(void)
{
	u32 status;

	CHECK_EQ(vgpu_status_errno(VGPU_STATUS_OK), 0);
	CHECK_EQ(vgpu_status_errno(VGPU_STATUS_QUOTA), -ENOMEM);
	CHECK_EQ(vgpu_status_errno(VGPU_STATUS_CONTEXT_LIMIT), -EBUSY);
	CHECK_EQ(vgpu_status_errno(VGPU_STATUS_NOT_INITIALISED), -ENODEV);
	for (status = 1; status < 300; status++)
		CHECK(vgpu_status_errno(status) < 0);
	CHECK_EQ(vgpu_status_errno(~0u), -EIO);
}

int main(int argc, char **argv)
{
	static const struct driver_test tests[] = {
		{ "span_pages", span_pages },
		{ "span_refuses_empty_and_wrapping",
		  span_refuses_empty_and_wrapping },
		{ "ranges_coalesce", ranges_coalesce },
		{ "ranges_have_a_limit", ranges_have_a_limit },
		{ "ranges_keep_to_the_longest", ranges_keep_to_the_longest },
		{ "entries_cover_exactly", entries_cover_exactly },
		{ "entries_fit_the_request", entries_fit_the_request },
		{ "fences_compare", fences_compare },
		{ "the_least_pending_fence_is_armed",
		  the_least_pending_fence_is_armed },
		{ "polling_adapts", polling_adapts },
		{ "deadlines_do_not_wrap", deadlines_do_not_wrap },
		{ "chunks_fit_the_ring", chunks_fit_the_ring },
		{ "only_user_requests_pass", only_user_requests_pass },
		{ "submissions_are_plausible", submissions_are_plausible },
		{ "statuses_become_errors", statuses_become_errors },
		{ NULL, NULL },
	};

	return driver_test_main(tests, argc, argv);
}
