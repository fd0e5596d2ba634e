// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of libvgpu against the mock back end, from one thread.
 */
#include "libvgpu-test.h"

#include <signal.h>
#include <sys/wait.h>

#define MIB (1u << 20)

static void fill_pattern(uint8_t *at, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1664525u + 1013904223u;
		at[i] = (uint8_t)(seed >> 24);
	}
}

static void opens_and_tells(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	struct vgpu_device_info info;
	struct vgpu_mem_info memory;
	vgpu_context *context;

	OK(vgpu_open(NULL, &context));
	OK(vgpu_device_info(context, &info));
	CHECK(!strcmp(info.adapter, "mock") && !strcmp(info.transport, "unix"));
	CHECK(info.streams_max == 63 && info.grid_max == 65535);
	OK(vgpu_mem_info(context, &memory));
	CHECK(memory.total_bytes == 256 * MIB && memory.context_bytes == 0);
	vgpu_close(context);
	/* The device serves the next one. */
	OK(vgpu_open(NULL, &context));
	vgpu_close(context);
	mock_stop(&mock);
}

static void check_roundtrip(vgpu_context *context, vgpu_devptr base, uint8_t *up, uint8_t *down,
			    size_t bytes, size_t offset)
{
	fill_pattern(up, bytes, (uint32_t)(bytes * 31 + offset));
	memset(down, 0xee, bytes + 8);
	OK(vgpu_memset_d8(context, base, 0xaa, bytes + 64));
	OK(vgpu_memcpy_h2d(context, base + offset, up, bytes));
	OK(vgpu_memcpy_d2h(context, down, base + offset, bytes));
	CHECK(!memcmp(up, down, bytes));
	CHECK(down[bytes] == 0xee);
	/* The neighbours are as they were. */
	OK(vgpu_memcpy_d2h(context, down, base, offset + 1));
	for (size_t i = 0; i < offset; i++)
		CHECK(down[i] == 0xaa);
	OK(vgpu_memcpy_d2h(context, down, base + offset + bytes, 16));
	CHECK(down[0] == 0xaa && down[15] == 0xaa);
}

static void copies_of_every_size(void)
{
	static const size_t sizes[] = { 1, 3, 4, 255, 4095, 4096, 4097, 65536, MIB + 3,
					5 * MIB - 1, 20 * MIB + 7 };
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	uint8_t *pageable = malloc(21 * MIB), *pageable2 = malloc(21 * MIB);
	void *pinned, *pinned2;
	vgpu_devptr base;

	OK(vgpu_mem_alloc(context, 21 * MIB, &base));
	OK(vgpu_host_alloc(context, 21 * MIB, &pinned));
	OK(vgpu_host_alloc(context, 21 * MIB, &pinned2));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_roundtrip(context, base, pageable, pageable2, sizes[i], i % 5);
		check_roundtrip(context, base, pinned, pinned2, sizes[i], i % 7);
		check_roundtrip(context, base, (uint8_t *)pinned + 1, pageable2 + 3, sizes[i], 3);
	}
	OK(vgpu_memcpy_h2d(context, base, NULL, 0));
	OK(vgpu_host_free(context, pinned));
	OK(vgpu_host_free(context, pinned2));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_host_free(context, pinned2));
	free(pageable);
	free(pageable2);
	vgpu_close(context);
	mock_stop(&mock);
}

static void async_source_is_free_at_once(void)
{
	/* More bytes in flight than the bounce buffer has, and more pieces. */
	struct mock mock = mock_start("--delay-us=3000", NULL, NULL);
	vgpu_context *context = open_default();
	uint32_t *source = malloc(MIB), *result = malloc(40 * MIB);
	vgpu_stream stream;
	vgpu_devptr base;

	OK(vgpu_mem_alloc(context, 40 * MIB, &base));
	OK(vgpu_stream_create(context, &stream));
	for (uint32_t i = 0; i < 400; i++) {
		uint32_t bytes = i % 10 ? (i % 2 ? 10000 : 2000) : MIB;

		for (uint32_t k = 0; k < bytes / 4; k++)
			source[k] = i * 300000 + k;
		OK(vgpu_memcpy_h2d_async(context, base + i * 65536ull, source,
					 i % 10 ? bytes : MIB / 16 * 15, stream));
	}
	OK(vgpu_stream_synchronize(context, stream));
	OK(vgpu_memcpy_d2h_async(context, result, base, 40 * MIB, stream));
	/* The large ones are overwritten at each 64 KiB by those that came after. */
	for (uint32_t i = 0; i < 400; i++)
		for (uint32_t k = 0; k < (i % 10 ? (i % 2 ? 2500u : 500u) : 16384u); k++)
			CHECK(result[i * 16384 + k] == i * 300000 + k);
	for (uint32_t i = 3; i < 400; i += 10)
		CHECK(result[i * 16384 + 5000] == i / 10 * 10 * 300000 + 3 * 16384 + 5000);
	free(source);
	free(result);
	vgpu_close(context);
	mock_stop(&mock);
}

static void fills_and_device_copies(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	uint8_t bytes[64];
	vgpu_devptr base;

	OK(vgpu_mem_alloc(context, 64, &base));
	OK(vgpu_memset_d8(context, base, 0, 64));
	OK(vgpu_memset_d8(context, base + 1, 0x11, 3));
	OK(vgpu_memset_d16(context, base + 4, 0x2233, 2));
	OK(vgpu_memset_d32(context, base + 8, 0x44556677, 2));
	OK(vgpu_memcpy_d2d(context, base + 18, base + 1, 20));
	OK(vgpu_memcpy_d2h(context, bytes, base, 64));
	CHECK(!memcmp(bytes, "\0\x11\x11\x11\x33\x22\x33\x22\x77\x66\x55\x44\x77\x66\x55\x44\0", 17));
	CHECK(!memcmp(bytes + 18, "\x11\x11\x11\x33\x22\x33\x22\x77", 8));
	FAILS(VGPU_ERROR_MISALIGNED, vgpu_memset_d32(context, base + 2, 1, 1));
	TEXT_HAS("not a multiple of 4");
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memset_d16(context, base, 1, 33));
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memset_d32(context, base, 1, 1ull << 62));
	OK(vgpu_memset_d16(context, base, 1, 32));
	OK(vgpu_memset_d8(context, base, 1, 0));
	vgpu_close(context);
	mock_stop(&mock);
}

static void mistakes_cost_nothing(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_devptr base, other;
	char data[300];

	FAILS(VGPU_ERROR_SIZE_ZERO, vgpu_mem_alloc(context, 0, &base));
	CHECK(base == 0);
	FAILS(VGPU_ERROR_ALLOCATION_TOO_LARGE, vgpu_mem_alloc(context, 300ull * MIB, &base));
	TEXT_HAS("314572800");
	TEXT_HAS("268435456");
	OK(vgpu_mem_alloc(context, 100, &base));
	FAILS(VGPU_ERROR_OUT_OF_MEMORY, vgpu_mem_alloc(context, 256ull * MIB, &other));
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memcpy_h2d(context, base, data, 101));
	TEXT_HAS("101");
	TEXT_HAS("100");
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memcpy_h2d(context, base + 100, data, 1));
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memcpy_d2h(context, data, base + 99, 2));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_memcpy_h2d(context, base + 101, data, 1));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_memcpy_d2h(context, data, 0, 1));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_memcpy_d2d(context, base, base - 1, 1));
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memcpy_d2d(context, base, base, UINT64_MAX));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_memcpy_h2d(context, base, NULL, 4));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_mem_free(context, base + 4));
	OK(vgpu_mem_free(context, 0));
	OK(vgpu_mem_free(context, base));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_mem_free(context, base));
	TEXT_HAS("was freed");
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_memcpy_h2d(context, base, data, 1));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_stream_synchronize(context, 12345));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_stream_destroy(context, VGPU_STREAM_DEFAULT));
	FAILS(VGPU_ERROR_NOT_SUPPORTED, vgpu_host_register(context, data, sizeof(data)));
	FAILS(VGPU_ERROR_SIZE_ZERO, vgpu_host_register(context, data, 0));
	/* The context is as good as new. */
	OK(vgpu_mem_alloc(context, 100, &base));
	OK(vgpu_memcpy_h2d(context, base, data, 100));
	vgpu_close(context);
	mock_stop(&mock);
}

static void launches(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_function add = get_function(context, "add");
	struct vgpu_function_info info;
	struct vgpu_parameter parameter;
	float a[200], b[200], result[200];
	uint32_t n = 200, wrong[2] = { 0 };
	vgpu_devptr da, db, dr;
	struct vgpu_dim3 grid = { 4, 1, 1 }, none = { 0, 0, 0 };
	struct vgpu_stats stats;

	for (int i = 0; i < 200; i++) {
		a[i] = (float)i;
		b[i] = 1000.0f - 2.0f * (float)i;
	}
	OK(vgpu_mem_alloc(context, sizeof(a), &da));
	OK(vgpu_mem_alloc(context, sizeof(b), &db));
	OK(vgpu_mem_alloc(context, sizeof(b), &dr));
	OK(vgpu_memcpy_h2d(context, da, a, sizeof(a)));
	OK(vgpu_memcpy_h2d(context, db, b, sizeof(b)));
	struct vgpu_arg args[4] = { vgpu_arg_pointer(da), vgpu_arg_pointer(db),
				    vgpu_arg_pointer(dr), vgpu_arg_value(&n, sizeof(n)) };

	OK(vgpu_function_info(context, add, &info));
	CHECK(info.parameter_count == 4 && info.block.x == 64);
	OK(vgpu_function_parameter(context, add, 2, &parameter));
	CHECK(!strcmp(parameter.name, "result") && parameter.writes == 1);
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_function_parameter(context, add, 4, &parameter));
	OK(vgpu_launch(context, add, grid, none, args, 4, VGPU_STREAM_DEFAULT));
	OK(vgpu_memcpy_d2h(context, result, dr, sizeof(result)));
	for (int i = 0; i < 200; i++)
		CHECK(result[i] == a[i] + b[i]);
	OK(vgpu_launch(context, add, grid, (struct vgpu_dim3){ 64, 1, 1 }, args, 4, 0));

	FAILS(VGPU_ERROR_LAUNCH_SIZE,
	      vgpu_launch(context, add, (struct vgpu_dim3){ 4, 0, 1 }, none, args, 4, 0));
	FAILS(VGPU_ERROR_LAUNCH_SIZE,
	      vgpu_launch(context, add, (struct vgpu_dim3){ 65536, 1, 1 }, none, args, 4, 0));
	TEXT_HAS("65535");
	FAILS(VGPU_ERROR_LAUNCH_BLOCK,
	      vgpu_launch(context, add, grid, (struct vgpu_dim3){ 32, 1, 1 }, args, 4, 0));
	TEXT_HAS("64 x 1 x 1");
	FAILS(VGPU_ERROR_LAUNCH_BLOCK,
	      vgpu_launch(context, get_function(context, "free"), grid, none, NULL, 0, 0));
	FAILS(VGPU_ERROR_LAUNCH_BLOCK,
	      vgpu_launch(context, get_function(context, "free"), grid,
			  (struct vgpu_dim3){ 257, 1, 1 }, NULL, 0, 0));
	OK(vgpu_launch(context, get_function(context, "free"), grid,
		       (struct vgpu_dim3){ 256, 1, 1 }, NULL, 0, 0));
	FAILS(VGPU_ERROR_ARGUMENT_COUNT, vgpu_launch(context, add, grid, none, args, 3, 0));
	TEXT_HAS("3 arguments for \"add\", which has 4");
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_launch(context, add, grid, none, NULL, 4, 0));
	args[3] = vgpu_arg_value(wrong, sizeof(wrong));
	FAILS(VGPU_ERROR_ARGUMENT_KIND, vgpu_launch(context, add, grid, none, args, 4, 0));
	TEXT_HAS("8 bytes, the variable has 4");
	args[3] = vgpu_arg_pointer(dr);
	OK(vgpu_launch(context, add, grid, none, args, 4, 0) == VGPU_SUCCESS ? VGPU_SUCCESS :
	   VGPU_ERROR_INTERNAL);
	args[3] = vgpu_arg_value(&n, sizeof(n));
	args[0] = vgpu_arg_value(&n, sizeof(n));
	FAILS(VGPU_ERROR_ARGUMENT_KIND, vgpu_launch(context, add, grid, none, args, 4, 0));
	args[0] = vgpu_arg_pointer(0);
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_launch(context, add, grid, none, args, 4, 0));
	args[0] = vgpu_arg_pointer(da + sizeof(a));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_launch(context, add, grid, none, args, 4, 0));
	args[0] = vgpu_arg_pointer(da + sizeof(a) - 2);
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_launch(context, add, grid, none, args, 4, 0));
	args[0] = vgpu_arg_pointer(da + 2);
	FAILS(VGPU_ERROR_MISALIGNED, vgpu_launch(context, add, grid, none, args, 4, 0));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_launch(context, 7, grid, none, args, 4, 0));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_launch(context, add, grid, none, args, 4, add));
	TEXT_HAS("is a function, not a stream");
	OK(vgpu_synchronize(context));
	OK(vgpu_statistics(context, &stats));
	CHECK(stats.launches == 4 && stats.gpu_time_ns == 4000);
	vgpu_close(context);
	mock_stop(&mock);
}

static void large_commands(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_function big = get_function(context, "big");
	struct vgpu_arg args[20];
	static uint8_t value[4096];
	char *code = malloc(2 * MIB), *huge = calloc(1, 5 * MIB);
	vgpu_module module;

	for (int i = 0; i < 20; i++)
		args[i] = vgpu_arg_value(value, sizeof(value));
	for (int i = 0; i < 80; i++)
		OK(vgpu_launch(context, big, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, args, 20, 0));
	OK(vgpu_synchronize(context));
	memset(code, ' ', 2 * MIB);
	OK(vgpu_module_load(context, code, 2 * MIB, VGPU_FORMAT_WGSL, &module, NULL, 0));
	FAILS(VGPU_ERROR_REQUEST_TOO_LARGE,
	      vgpu_module_load(context, huge, 4 * MIB - 40, VGPU_FORMAT_WGSL, &module, NULL, 0));
	TEXT_HAS("4194264");
	FAILS(VGPU_ERROR_REQUEST_TOO_LARGE,
	      vgpu_module_load(context, huge, 5 * MIB, VGPU_FORMAT_WGSL, &module, NULL, 0));
	TEXT_HAS("4194304");
	OK(vgpu_synchronize(context));
	free(code);
	free(huge);
	vgpu_close(context);
	mock_stop(&mock);
}

static void modules_and_functions(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_module module, gone;
	vgpu_function one, two;
	static char log[60000];

	FAILS(VGPU_ERROR_MODULE_INVALID,
	      vgpu_module_load(context, "bad code", 8, VGPU_FORMAT_WGSL, &module, log,
			       sizeof(log)));
	CHECK(module == 0);
	TEXT_HAS("mock: line 1: bad code");
	CHECK(strlen(log) == 49999 && !strncmp(log, "mock: line 1", 12));
	CHECK(!strcmp(log + strlen(log) - 4, "ENDx"));
	FAILS(VGPU_ERROR_FORMAT_UNKNOWN, vgpu_module_load(context, "x", 1, 9, &module, NULL, 0));
	FAILS(VGPU_ERROR_SIZE_ZERO,
	      vgpu_module_load(context, "x", 0, VGPU_FORMAT_WGSL, &module, NULL, 0));
	module = load_module(context);
	FAILS(VGPU_ERROR_FUNCTION_NOT_FOUND, vgpu_function_get(context, module, "absent", &one));
	TEXT_HAS("\"absent\"");
	FAILS(VGPU_ERROR_FUNCTION_NOT_FOUND, vgpu_function_get(context, module, "", &one));
	OK(vgpu_function_get(context, module, "nothing", &one));
	OK(vgpu_function_get(context, module, "nothing", &two));
	CHECK(one == two);
	gone = module;
	OK(vgpu_module_unload(context, module));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_module_unload(context, gone));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN,
	      vgpu_launch(context, one, (struct vgpu_dim3){ 1, 1, 1 },
			  (struct vgpu_dim3){ 0, 0, 0 }, NULL, 0, 0));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_function_get(context, gone, "nothing", &one));
	vgpu_close(context);
	mock_stop(&mock);
}

static void failure_sticks(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default(), *other = open_default();
	vgpu_function bad = get_function(context, "fail");
	vgpu_devptr pointer;
	void *memory;

	OK(vgpu_host_alloc(context, 100, &memory));
	OK(vgpu_launch(context, bad, (struct vgpu_dim3){ 1, 1, 1 }, (struct vgpu_dim3){ 0, 0, 0 },
		       NULL, 0, 0));
	FAILS(VGPU_ERROR_LAUNCH_FAILED, vgpu_synchronize(context));
	TEXT_HAS("the function \"fail\" failed");
	TEXT_HAS("value 123, limit 45");
	FAILS(VGPU_ERROR_LAUNCH_FAILED, vgpu_mem_alloc(context, 4, &pointer));
	TEXT_HAS("value 123, limit 45");
	FAILS(VGPU_ERROR_LAUNCH_FAILED, vgpu_synchronize(context));
	OK(vgpu_host_free(context, memory));
	/* It is that context's affair alone. */
	OK(vgpu_mem_alloc(other, 4, &pointer));
	OK(vgpu_memset_d32(other, pointer, 1, 1));
	vgpu_close(context);
	OK(vgpu_memset_d32(other, pointer, 2, 1));
	vgpu_close(other);
	mock_stop(&mock);
}

static void refused_submit_fails_the_context(void)
{
	struct mock mock = mock_start("--refuse-submit=2", NULL, NULL);
	vgpu_context *context = open_default();
	enum vgpu_result result = VGPU_SUCCESS;
	vgpu_devptr pointer;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	OK(vgpu_memset_d32(context, pointer, 1, 1));
	/* This mock says so in the answer only. */
	vgpu_memset_d32_async(context, pointer, 1, 1, 0);
	for (int i = 0; i < 10000 && result == VGPU_SUCCESS; i++) {
		result = vgpu_memset_d32_async(context, pointer, 1, 1, 0);
		if (result == VGPU_SUCCESS)
			result = vgpu_stream_flush(context, 0);
		usleep(100);
	}
	CHECK(result == VGPU_ERROR_MALFORMED);
	TEXT_HAS("refused a submit");
	vgpu_close(context);
	mock_stop(&mock);
}

static void events_and_streams(void)
{
	struct mock mock = mock_start("--delay-us=2000", NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_event start, end, unused;
	vgpu_stream a, b, streams[70];
	vgpu_devptr pointer;
	int64_t ns = 0;
	int count = 0;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	OK(vgpu_stream_create(context, &a));
	OK(vgpu_stream_create(context, &b));
	OK(vgpu_event_create_timed(context, &start));
	OK(vgpu_event_create(context, &end));
	OK(vgpu_event_create(context, &unused));
	OK(vgpu_event_query(context, start));
	OK(vgpu_event_wait(context, start, a));
	OK(vgpu_event_synchronize(context, start));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_event_elapsed(context, start, end, &ns));
	TEXT_HAS("never recorded");
	OK(vgpu_event_record(context, start, a));
	for (int i = 0; i < 10; i++)
		OK(vgpu_memset_d32_async(context, pointer, 1, 1, a));
	OK(vgpu_event_record(context, end, a));
	FAILS(VGPU_ERROR_NOT_READY, vgpu_event_query(context, end));
	/* The record is sent before the wait that needs it (the mock checks). */
	OK(vgpu_event_wait(context, end, b));
	OK(vgpu_memset_d32_async(context, pointer, 2, 1, b));
	FAILS(VGPU_ERROR_NOT_READY, vgpu_stream_query(context, b));
	OK(vgpu_event_synchronize(context, end));
	OK(vgpu_event_query(context, end));
	OK(vgpu_event_elapsed(context, start, end, &ns));
	CHECK(ns > 0);
	/* Only the first one asked to be timed (the mock marks its time). */
	CHECK(ns % 1000 == 999);
	OK(vgpu_event_elapsed(context, end, start, &ns));
	CHECK(ns < 0);
	OK(vgpu_event_destroy(context, start));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_event_record(context, start, a));
	/* A new event on the old one's place goes on with its generations (the mock checks). */
	OK(vgpu_event_create(context, &start));
	OK(vgpu_event_query(context, start));
	OK(vgpu_event_record(context, start, b));
	OK(vgpu_stream_synchronize(context, b));
	OK(vgpu_event_query(context, start));
	OK(vgpu_stream_destroy(context, a));
	FAILS(VGPU_ERROR_HANDLE_UNKNOWN, vgpu_stream_destroy(context, a));
	while (count < 70 && vgpu_stream_create(context, &streams[count]) == VGPU_SUCCESS)
		count++;
	CHECK(count == 61);
	TEXT_HAS("the limit is 63");
	vgpu_close(context);
	mock_stop(&mock);
}

/* What is queued behind a record, even in the same breath, does not hold the event up. */
static void event_does_not_wait_for_what_follows(void)
{
	struct mock mock = mock_start("--delay-us=5000", NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_function hang = get_function(context, "hang");
	vgpu_devptr pointer;
	vgpu_event event;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	OK(vgpu_event_create(context, &event));
	for (int i = 0; i < 3; i++)
		OK(vgpu_memset_d32_async(context, pointer, 1, 1, 0));
	OK(vgpu_event_record(context, event, 0));
	OK(vgpu_launch(context, hang, (struct vgpu_dim3){ 1, 1, 1 }, (struct vgpu_dim3){ 0, 0, 0 },
		       NULL, 0, 0));
	OK(vgpu_stream_flush(context, 0));
	OK(vgpu_event_synchronize(context, event));
	FAILS(VGPU_ERROR_NOT_READY, vgpu_stream_query(context, 0));
	/* Closing would wait for the launch; the device's end ends that. */
	kill(mock.pid, SIGKILL);
	waitpid(mock.pid, NULL, 0);
	vgpu_close(context);
	unlink(mock.path);
}

static void queue_limit_is_kept(void)
{
	/* The mock counts what waits on its queue. */
	struct mock mock = mock_start("--queue-max=16", "--delay-us=50", NULL);
	vgpu_context *context = open_default();
	vgpu_function nothing = get_function(context, "nothing");
	struct vgpu_stats stats;
	vgpu_stream stream;

	OK(vgpu_stream_create(context, &stream));
	for (int i = 0; i < 2000; i++)
		OK(vgpu_launch(context, nothing, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, NULL, 0, i % 3 ? 0 : stream));
	OK(vgpu_synchronize(context));
	OK(vgpu_statistics(context, &stats));
	CHECK(stats.launches == 2000);
	vgpu_close(context);
	mock_stop(&mock);
}

static void batching_saves_kicks(void)
{
	struct mock mock = mock_start("--delay-us=200", NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_function nothing = get_function(context, "nothing");
	struct vgpu_stats before, after;

	OK(vgpu_statistics(context, &before));
	for (int i = 0; i < 640; i++)
		OK(vgpu_launch(context, nothing, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, NULL, 0, 0));
	OK(vgpu_synchronize(context));
	OK(vgpu_statistics(context, &after));
	CHECK(after.launches - before.launches == 640);
	/* At most one kick a submit, far fewer submits than launches. */
	CHECK(after.wait_ns - before.wait_ns <= 40);
	vgpu_close(context);
	mock_stop(&mock);
}

static void works_without_event_idx(void)
{
	struct mock mock = mock_start("--no-event-idx", "--delay-us=200", NULL);
	vgpu_context *context = open_default();
	vgpu_devptr pointer;
	uint32_t value = 0;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	for (int mode = VGPU_WAIT_AUTO; mode <= VGPU_WAIT_INTERRUPT; mode++) {
		OK(vgpu_set_wait_mode(context, (enum vgpu_wait_mode)mode));
		for (uint32_t i = 0; i < 50; i++) {
			OK(vgpu_memset_d32(context, pointer, i, 1));
			OK(vgpu_memcpy_d2h(context, &value, pointer, 4));
			CHECK(value == i);
		}
	}
	vgpu_close(context);
	mock_stop(&mock);
}

static void pinned_memory_comes_and_goes(void)
{
	struct mock mock = mock_start("--slots=4", NULL, NULL);
	vgpu_context *context = open_default();
	void *pieces[40], *large;
	vgpu_devptr base;

	OK(vgpu_mem_alloc(context, 64 * MIB, &base));
	/* Far more than the four slots would hold one by one. */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++) {
			OK(vgpu_host_alloc(context, (size_t)(i + 1) * 100000, &pieces[i]));
			CHECK((uintptr_t)pieces[i] % 4096 == 0);
			memset(pieces[i], i, (size_t)(i + 1) * 100000);
		}
		for (int i = 0; i < 40; i++)
			CHECK(*(uint8_t *)pieces[i] == i);
		for (int i = 0; i < 40; i++)
			OK(vgpu_host_free(context, pieces[(i * 7) % 40]));
	}
	for (int round = 0; round < 5; round++) {
		OK(vgpu_host_alloc(context, 200u * MIB, &large));
		OK(vgpu_memcpy_d2h(context, (uint8_t *)large + 100 * MIB, base, 64 * MIB));
		OK(vgpu_host_free(context, large));
	}
	FAILS(VGPU_ERROR_QUOTA, vgpu_host_alloc(context, (size_t)5 << 30, &large));
	TEXT_HAS("4294967296");
	/* Registering what is pinned already works, and ends without ending it. */
	OK(vgpu_host_alloc(context, 10000, &large));
	OK(vgpu_host_register(context, (uint8_t *)large + 10, 100));
	OK(vgpu_memcpy_d2h(context, (uint8_t *)large + 5, base, 9000));
	OK(vgpu_host_unregister(context, (uint8_t *)large + 10));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_host_unregister(context, large));
	OK(vgpu_memcpy_d2h(context, large, base, 10000));
	vgpu_close(context);
	mock_stop(&mock);
}

static void slots_run_out_with_a_text(void)
{
	struct mock mock = mock_start("--slots=2", NULL, NULL);
	vgpu_context *context = open_default();
	void *memory;

	OK(vgpu_host_alloc(context, 64 * MIB, &memory));
	FAILS(VGPU_ERROR_HOST_MEMORY, vgpu_host_alloc(context, 4096, &memory));
	TEXT_HAS("memory slots");
	vgpu_close(context);
	mock_stop(&mock);
}

/* VGPU-DRV-2. */
static void wrong_device_is_refused(void)
{
	struct mock mock = mock_start("--garbage", NULL, NULL);
	vgpu_context *context;

	FAILS(VGPU_ERROR_OPEN_FAILED, vgpu_open(NULL, &context));
	TEXT_HAS("0x12345678");
	mock_stop(&mock);
}

/* VGPU-DRV-3. */
static void wrong_version_is_refused(void)
{
	struct mock mock = mock_start("--version-two", NULL, NULL);
	vgpu_context *context;

	FAILS(VGPU_ERROR_OPEN_FAILED, vgpu_open(NULL, &context));
	TEXT_HAS("version");
	mock_stop(&mock);
}

/* VGPU-DRV-5: GET_CAPABILITIES tells of PTX, and INIT has not put it into force. */
static void capabilities_out_of_force_are_not_used(void)
{
	static const char ptx[] = ".version 8.0\n.target sm_75\n.address_size 64\n";
	struct mock mock = mock_start("--ptx-unasked", NULL, NULL);
	vgpu_context *context = open_default();
	struct vgpu_device_info info;
	vgpu_module module;

	OK(vgpu_device_info(context, &info));
	CHECK(!(info.capabilities & VGPU_DEVICE_PTX));
	FAILS(VGPU_ERROR_NOT_SUPPORTED, vgpu_module_load(context, ptx, sizeof(ptx),
							 VGPU_FORMAT_PTX, &module, NULL, 0));
	vgpu_close(context);
	mock_stop(&mock);
}

/* VGPU-DRV-7: a device that is replaced again and again while a context is made. */
static void a_context_outlasts_lost_sessions(void)
{
	struct mock mock = mock_start("--forgets=8", NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_devptr pointer;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	vgpu_close(context);
	mock_stop(&mock);
	mock = mock_start("--forgets=9", NULL, NULL);
	FAILS(VGPU_ERROR_DEVICE_LOST, vgpu_open(NULL, &context));
	TEXT_HAS("lost its state 9 times");
	mock_stop(&mock);
}

static void second_program_is_told(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_devptr pointer;
	int status;
	pid_t child = fork();

	if (!child) {
		setenv("VGPU_TIMEOUT", "1", 1);
		FAILS(VGPU_ERROR_OPEN_FAILED, vgpu_open(NULL, &context));
		TEXT_HAS("within 1 s");
		TEXT_HAS("one program at a time");
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	OK(vgpu_mem_alloc(context, 4, &pointer));
	/* One that waits gets its turn. */
	child = fork();
	if (!child) {
		context = open_default();
		OK(vgpu_mem_alloc(context, 4, &pointer));
		vgpu_close(context);
		_exit(0);
	}
	usleep(50000);
	vgpu_close(context);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	mock_stop(&mock);
}

/* VGPU-DRV-12. */
static void child_is_refused(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_devptr pointer;
	uint32_t value = 0;
	int status;
	pid_t child;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	child = fork();
	if (!child) {
		FAILS(VGPU_ERROR_FORKED, vgpu_memset_d32(context, pointer, 5, 1));
		TEXT_HAS("fork()");
		FAILS(VGPU_ERROR_FORKED, vgpu_synchronize(context));
		vgpu_close(context);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	/* The parent goes on. */
	OK(vgpu_memset_d32(context, pointer, 7, 1));
	OK(vgpu_memcpy_d2h(context, &value, pointer, 4));
	CHECK(value == 7);
	/* A child does not hold the connection: when we leave, it can have one. */
	child = fork();
	if (!child) {
		usleep(200000);
		context = open_default();
		vgpu_close(context);
		_exit(0);
	}
	vgpu_close(context);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	mock_stop(&mock);
}

static void dead_device_is_told_at_once(void)
{
	struct mock mock = mock_start(NULL, NULL, NULL);
	vgpu_context *context = open_default();
	vgpu_function hang = get_function(context, "hang");
	enum vgpu_result result = VGPU_SUCCESS;
	vgpu_devptr pointer;
	int status;

	OK(vgpu_mem_alloc(context, 4, &pointer));
	OK(vgpu_launch(context, hang, (struct vgpu_dim3){ 1, 1, 1 }, (struct vgpu_dim3){ 0, 0, 0 },
		       NULL, 0, 0));
	FAILS(VGPU_ERROR_NOT_READY, vgpu_stream_query(context, 0));
	kill(mock.pid, SIGKILL);
	waitpid(mock.pid, &status, 0);
	/* Not even queueing goes on for long. */
	for (int i = 0; i < 100000 && result == VGPU_SUCCESS; i++)
		result = vgpu_memset_d32_async(context, pointer, 1, 1, 0);
	CHECK(result == VGPU_ERROR_DEVICE_LOST);
	TEXT_HAS("lost");
	FAILS(VGPU_ERROR_DEVICE_LOST, vgpu_mem_alloc(context, 4, &pointer));
	FAILS(VGPU_ERROR_DEVICE_LOST, vgpu_synchronize(context));
	vgpu_close(context);
	unlink(mock.path);
}

const struct test device_tests[] = {
	{ "opens-and-tells", opens_and_tells },
	{ "copies-of-every-size", copies_of_every_size },
	{ "async-source-is-free-at-once", async_source_is_free_at_once },
	{ "fills-and-device-copies", fills_and_device_copies },
	{ "mistakes-cost-nothing", mistakes_cost_nothing },
	{ "launches", launches },
	{ "large-commands", large_commands },
	{ "modules-and-functions", modules_and_functions },
	{ "failure-sticks", failure_sticks },
	{ "refused-submit-fails-the-context", refused_submit_fails_the_context },
	{ "events-and-streams", events_and_streams },
	{ "event-does-not-wait-for-what-follows", event_does_not_wait_for_what_follows },
	{ "queue-limit-is-kept", queue_limit_is_kept },
	{ "batching-saves-kicks", batching_saves_kicks },
	{ "works-without-event-idx", works_without_event_idx },
	{ "pinned-memory-comes-and-goes", pinned_memory_comes_and_goes },
	{ "slots-run-out-with-a-text", slots_run_out_with_a_text },
	{ "wrong-device-is-refused", wrong_device_is_refused },
	{ "wrong-version-is-refused", wrong_version_is_refused },
	{ "capabilities-out-of-force-are-not-used", capabilities_out_of_force_are_not_used },
	{ "a-context-outlasts-lost-sessions", a_context_outlasts_lost_sessions },
	{ "second-program-is-told", second_program_is_told },
	{ "child-is-refused", child_is_refused },
	{ "dead-device-is-told-at-once", dead_device_is_told_at_once },
	{ NULL, NULL },
};
