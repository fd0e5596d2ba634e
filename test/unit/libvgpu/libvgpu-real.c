// SPDX-License-Identifier: Apache-2.0
/*
 * libvgpu-real --list | NAME: one test of libvgpu with a real device, the one
 * that VGPU_DEVICE names.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "libvgpu-test.h"

#define MIB (1u << 20)

static const char code[] =
	"@group(0) @binding(0) var<storage, read> a: array<u32>;\n"
	"@group(0) @binding(1) var<storage, read> b: array<u32>;\n"
	"@group(0) @binding(2) var<storage, read_write> sum: array<u32>;\n"
	"struct P { count: u32, rounds: u32 }\n"
	"@group(0) @binding(3) var<uniform> p: P;\n"
	"@compute @workgroup_size(64)\n"
	"fn add(@builtin(global_invocation_id) id: vec3u) {\n"
	"  if (id.x < p.count) { sum[id.x] = a[id.x] + b[id.x]; }\n"
	"}\n"
	"@compute @workgroup_size(64)\n"
	"fn slow(@builtin(global_invocation_id) id: vec3u) {\n"
	"  var x = id.x;\n"
	"  for (var i = 0u; i < p.rounds; i++) { x = x * 1664525u + 1013904223u; }\n"
	"  sum[id.x % arrayLength(&sum)] = x;\n"
	"}\n";

struct p {
	uint32_t count, rounds;
};

static vgpu_function load(vgpu_context *context, const char *name)
{
	vgpu_module module;
	vgpu_function function;

	OK(vgpu_module_load(context, code, strlen(code), VGPU_FORMAT_WGSL, &module, NULL, 0));
	OK(vgpu_function_get(context, module, name, &function));
	return function;
}

static void launch_add(vgpu_context *context, vgpu_function add, vgpu_devptr a, vgpu_devptr b,
		       vgpu_devptr sum, uint32_t count, vgpu_stream stream)
{
	struct p p = { count, 0 };
	struct vgpu_arg args[] = { vgpu_arg_pointer(a), vgpu_arg_pointer(b), vgpu_arg_pointer(sum),
				   vgpu_arg_value(&p, sizeof(p)) };

	OK(vgpu_launch(context, add, (struct vgpu_dim3){ (count + 63) / 64, 1, 1 },
		       (struct vgpu_dim3){ 0, 0, 0 }, args, 4, stream));
}

static void arguments_may_alias(void)
{
	vgpu_context *context = open_default();
	vgpu_function add = load(context, "add");
	uint32_t host[1024], back[1024];
	vgpu_devptr x;

	for (uint32_t i = 0; i < 1024; i++)
		host[i] = i * 3;
	OK(vgpu_mem_alloc(context, sizeof(host), &x));
	OK(vgpu_memcpy_h2d(context, x, host, sizeof(host)));
	/* x + x into another place, then into itself, then pointers into the middle. */
	launch_add(context, add, x, x, x + 2048, 512, 0);
	launch_add(context, add, x, x, x, 512, 0);
	launch_add(context, add, x + 4, x + 2048 + 4, x + 2048 + 4, 100, 0);
	OK(vgpu_memcpy_d2h(context, back, x, sizeof(back)));
	for (uint32_t i = 0; i < 512; i++) {
		CHECK(back[i] == i * 6);
		CHECK(back[512 + i] == (i >= 1 && i <= 100 ? i * 12 : i * 6));
	}
	vgpu_close(context);
}

static void compile_errors_reach_the_program(void)
{
	static const char bad[] = "@compute @workgroup_size(1)\nfn main() {\n  let x = undefined_name;\n}\n";
	vgpu_context *context = open_default();
	vgpu_function function;
	vgpu_module module;
	char log[2000];

	FAILS(VGPU_ERROR_MODULE_INVALID,
	      vgpu_module_load(context, bad, strlen(bad), VGPU_FORMAT_WGSL, &module, log,
			       sizeof(log)));
	CHECK(strstr(log, "undefined_name"));
	TEXT_HAS("undefined_name");
	FAILS(VGPU_ERROR_MODULE_INVALID,
	      vgpu_module_load(context, "fn (", 4, VGPU_FORMAT_WGSL, &module, NULL, 0));
	OK(vgpu_module_load(context, code, strlen(code), VGPU_FORMAT_WGSL, &module, log,
			    sizeof(log)));
	FAILS(VGPU_ERROR_FUNCTION_NOT_FOUND, vgpu_function_get(context, module, "nope", &function));
	OK(vgpu_function_get(context, module, "add", &function));
	OK(vgpu_module_unload(context, module));
	OK(vgpu_synchronize(context));
	vgpu_close(context);
}

static const char ptx[] =
	".version 7.0\n.target sm_75\n.address_size 64\n"
	".global .align 4 .u32 bias = 100;\n"
	".visible .entry add(.param .u64 out, .param .u32 value)\n"
	"{\n"
	"  .reg .b32 %r<5>; .reg .b64 %rd<5>;\n"
	"  ld.param.u64 %rd1, [out];\n"
	"  ld.param.u32 %r1, [value];\n"
	"  ld.global.u32 %r2, [bias];\n"
	"  add.u32 %r3, %r1, %r2;\n"
	"  mov.u32 %r4, %tid.x;\n"
	"  mul.wide.u32 %rd2, %r4, 4;\n"
	"  add.u64 %rd3, %rd1, %rd2;\n"
	"  st.global.u32 [%rd3], %r3;\n"
	"  ret;\n"
	"}\n"
	".visible .entry small() .maxntid 8, 1, 1 { trap; }\n"
	".visible .entry tensor(.param .u64 out)\n"
	"{\n"
	"  .reg .f16x2 %h<9>; .reg .f32 %f<9>;\n"
	"  mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%h1,%h2}, {%h3}, {%f1,%f2,%f3,%f4};\n"
	"  ret;\n"
	"}\n";

struct __attribute__((packed)) add_parameters {
	vgpu_devptr out;
	uint32_t value;
};

static void check_words(vgpu_context *context, vgpu_devptr out, uint32_t count, uint32_t value)
{
	uint32_t back[32] = { 0 };

	OK(vgpu_memcpy_d2h(context, back, out, sizeof(back)));
	for (uint32_t i = 0; i < 32; i++)
		CHECK(back[i] == (i < count ? value : 0));
}

static void modules_in_ptx(void)
{
	vgpu_context *context = open_default();
	const struct vgpu_dim3 one = { 1, 1, 1 }, block = { 16, 1, 1 };
	struct vgpu_function_info info;
	struct vgpu_parameter parameter;
	struct add_parameters raw = { 0, 7 };
	vgpu_devptr out, bias, again;
	vgpu_function add, none;
	vgpu_module module;
	uint32_t value = 0;
	uint64_t bytes;
	char log[300];

	OK(vgpu_module_load(context, ptx, sizeof(ptx), VGPU_FORMAT_PTX, &module, log, sizeof(log)));
	CHECK(!*log);
	OK(vgpu_function_get(context, module, "add", &add));
	OK(vgpu_function_info(context, add, &info));
	CHECK(info.format == VGPU_FORMAT_PTX && info.parameter_count == 2);
	CHECK(info.parameter_bytes == sizeof(raw) && info.block.x == 0);
	OK(vgpu_function_parameter(context, add, 1, &parameter));
	CHECK(parameter.offset == 8 && parameter.bytes_min == 4);
	OK(vgpu_mem_alloc(context, 128, &out));
	raw.out = out;
	OK(vgpu_launch_raw(context, add, one, block, 0, &raw, sizeof(raw), 0));
	check_words(context, out, 16, 107);

	/* The variable is memory as any other, but not to be freed. */
	OK(vgpu_module_symbol(context, module, "bias", &bias, &bytes));
	OK(vgpu_module_symbol(context, module, "bias", &again, NULL));
	CHECK(bytes == 4 && bias == again);
	OK(vgpu_memcpy_d2h(context, &value, bias, 4));
	CHECK(value == 100);
	OK(vgpu_memset_d32(context, bias, 1000, 1));
	FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memset_d8(context, bias, 0, 5));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_mem_free(context, bias));
	FAILS(VGPU_ERROR_SYMBOL_NOT_FOUND,
	      vgpu_module_symbol(context, module, "absent", &again, NULL));
	value = 5;
	OK(vgpu_launch(context, add, one, (struct vgpu_dim3){ 32, 1, 1 },
		       (struct vgpu_arg[]){ vgpu_arg_pointer(out), vgpu_arg_value(&value, 4) }, 2,
		       0));
	check_words(context, out, 32, 1005);

	/* Mistakes that cost nothing. */
	FAILS(VGPU_ERROR_ARGUMENT_COUNT,
	      vgpu_launch_raw(context, add, one, block, 0, &raw, sizeof(raw) + 4, 0));
	FAILS(VGPU_ERROR_ARGUMENT_KIND,
	      vgpu_launch(context, add, one, block,
			  (struct vgpu_arg[]){ vgpu_arg_value(&value, 4),
					       vgpu_arg_value(&value, 4) }, 2, 0));
	FAILS(VGPU_ERROR_LAUNCH_BLOCK,
	      vgpu_launch_raw(context, add, one, (struct vgpu_dim3){ 0, 0, 0 }, 0, &raw,
			      sizeof(raw), 0));
	FAILS(VGPU_ERROR_LAUNCH_SIZE,
	      vgpu_launch_raw(context, add, one, block, 1u << 30, &raw, sizeof(raw), 0));
	FAILS(VGPU_ERROR_NOT_SUPPORTED, vgpu_function_get(context, module, "tensor", &none));
	TEXT_HAS("kernel tensor: ");
	TEXT_HAS("mma");
	OK(vgpu_function_get(context, module, "small", &none));
	FAILS(VGPU_ERROR_LAUNCH_BLOCK,
	      vgpu_launch_raw(context, none, one, (struct vgpu_dim3){ 9, 1, 1 }, 0, NULL, 0, 0));
	FAILS(VGPU_ERROR_MODULE_INVALID,
	      vgpu_module_load(context, ".version", 8, VGPU_FORMAT_PTX, &again, NULL, 0));
	FAILS(VGPU_ERROR_MODULE_INVALID,
	      vgpu_module_load(context, ptx, sizeof(ptx), VGPU_FORMAT_FATBIN, &again, NULL, 0));
	OK(vgpu_module_unload(context, module));
	FAILS(VGPU_ERROR_POINTER_INVALID, vgpu_memcpy_d2h(context, &value, bias, 4));
	OK(vgpu_mem_free(context, out));
	vgpu_close(context);
}

/* Each in a context of its own: a fault ends it. */
static void faults_of_kernels(void)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };
	struct add_parameters raw = { 16, 1 };
	vgpu_context *context = open_default();
	vgpu_function function;
	vgpu_module module;

	OK(vgpu_module_load(context, ptx, strlen(ptx), VGPU_FORMAT_PTX, &module, NULL, 0));
	OK(vgpu_function_get(context, module, "small", &function));
	OK(vgpu_launch_raw(context, function, one, one, 0, NULL, 0, 0));
	FAILS(VGPU_ERROR_TRAP, vgpu_synchronize(context));
	TEXT_HAS("kernel small executes a trap: line");
	vgpu_close(context);

	context = open_default();
	OK(vgpu_module_load_flags(context, ptx, strlen(ptx), VGPU_FORMAT_PTX,
				  VGPU_MODULE_LOAD_CHECKED, &module, NULL, 0));
	OK(vgpu_function_get(context, module, "add", &function));
	OK(vgpu_launch_raw(context, function, one, one, 0, &raw, sizeof(raw), 0));
	FAILS(VGPU_ERROR_ILLEGAL_ADDRESS, vgpu_synchronize(context));
	TEXT_HAS("kernel add accesses an illegal address: line");
	vgpu_close(context);

	/* The same by the environment. */
	setenv("VGPU_CHECKED", "1", 1);
	context = open_default();
	OK(vgpu_module_load(context, ptx, strlen(ptx), VGPU_FORMAT_PTX, &module, NULL, 0));
	OK(vgpu_function_get(context, module, "add", &function));
	raw.out = 0x123456;
	OK(vgpu_launch_raw(context, function, one, one, 0, &raw, sizeof(raw), 0));
	FAILS(VGPU_ERROR_ILLEGAL_ADDRESS, vgpu_synchronize(context));
	vgpu_close(context);
}

/* Also where the pointer, the size or a second argument makes the binding another one. */
static void arrays_are_as_long_as_was_asked_for(void)
{
	static const char lengths[] =
		"@group(0) @binding(0) var<storage, read> x: array<f32>;\n"
		"@group(0) @binding(1) var<storage, read_write> length: array<u32>;\n"
		"@compute @workgroup_size(1) fn main() { length[0] = arrayLength(&x); }\n";
	static const struct {
		uint64_t bytes, offset;
		bool alias;
		uint32_t expected;
	} cases[] = {
		{ 1000, 0, false, 250 }, { 1000, 4, false, 249 }, { 1000, 256, false, 186 },
		{ 1002, 0, false, 250 }, { 1003, 996, false, 1 }, { 1000, 0, true, 250 },
		{ 1001, 8, true, 248 },	 { 1024, 0, false, 256 }, { 4, 0, false, 1 },
	};
	vgpu_context *context = open_default();
	vgpu_devptr x, length;
	vgpu_function function;
	vgpu_module module;

	OK(vgpu_module_load(context, lengths, strlen(lengths), VGPU_FORMAT_WGSL, &module, NULL, 0));
	OK(vgpu_function_get(context, module, "main", &function));
	OK(vgpu_mem_alloc(context, 4, &length));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t got = 0;

		OK(vgpu_mem_alloc(context, cases[i].bytes, &x));
		struct vgpu_arg args[] = { vgpu_arg_pointer(x + cases[i].offset),
					   vgpu_arg_pointer(cases[i].alias ? x : length) };

		OK(vgpu_launch(context, function, (struct vgpu_dim3){ 1, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, args, 2, VGPU_STREAM_DEFAULT));
		OK(vgpu_memcpy_d2h(context, &got, cases[i].alias ? x : length, sizeof(got)));
		CHECK(got == cases[i].expected);
		FAILS(VGPU_ERROR_OUT_OF_RANGE, vgpu_memset_d8(context, x, 1, cases[i].bytes + 1));
		OK(vgpu_mem_free(context, x));
	}
	OK(vgpu_synchronize(context));
	vgpu_close(context);
}

static void check_copies(vgpu_context *context, vgpu_devptr base, uint8_t *up, uint8_t *down,
			 size_t bytes, size_t offset)
{
	for (size_t i = 0; i < bytes; i++)
		up[i] = (uint8_t)(i * 7 + (i >> 10) + bytes + offset);
	memset(down, 0, bytes);
	OK(vgpu_memset_d8(context, base, 0xaa, bytes + 64));
	OK(vgpu_memcpy_h2d(context, base + offset, up, bytes));
	OK(vgpu_memcpy_d2h(context, down, base + offset, bytes));
	CHECK(!memcmp(up, down, bytes));
	OK(vgpu_memcpy_d2h(context, down, base, offset + 1));
	for (size_t i = 0; i < offset; i++)
		CHECK(down[i] == 0xaa);
	OK(vgpu_memcpy_d2h(context, down, base + offset + bytes, 5));
	CHECK(down[0] == 0xaa && down[4] == 0xaa);
}

static void copies_of_any_size_and_alignment(void)
{
	static const size_t sizes[] = { 1, 2, 5, 4095, 4099, 100001, 2 * MIB + 3, 33 * MIB + 1 };
	vgpu_context *context = open_default();
	uint8_t *a = malloc(34 * MIB), *b = malloc(34 * MIB);
	void *pinned, *pinned2;
	vgpu_devptr base;

	OK(vgpu_mem_alloc(context, 34 * MIB, &base));
	OK(vgpu_host_alloc(context, 34 * MIB, &pinned));
	OK(vgpu_host_alloc(context, 34 * MIB, &pinned2));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_copies(context, base, a, b, sizes[i], i % 4);
		check_copies(context, base, pinned, pinned2, sizes[i], (i + 1) % 4);
		check_copies(context, base, (uint8_t *)pinned + 1, b, sizes[i], (i + 2) % 4);
	}
	free(a);
	free(b);
	vgpu_close(context);
}

static void overlapping_device_copies(void)
{
	vgpu_context *context = open_default();
	uint8_t *expected = malloc(MIB), *back = malloc(MIB);
	vgpu_devptr base;

	for (uint32_t i = 0; i < MIB; i++)
		expected[i] = (uint8_t)(i * 31 + (i >> 8));
	OK(vgpu_mem_alloc(context, MIB, &base));
	OK(vgpu_memcpy_h2d(context, base, expected, MIB));
	OK(vgpu_memcpy_d2d_async(context, base + 1001, base + 3, 500000, 0));
	OK(vgpu_memcpy_d2d_async(context, base + 17, base + 4000, 500001, 0));
	OK(vgpu_memcpy_d2d_async(context, base, base + 524288, 65536, 0));
	memmove(expected + 1001, expected + 3, 500000);
	memmove(expected + 17, expected + 4000, 500001);
	memmove(expected, expected + 524288, 65536);
	OK(vgpu_memcpy_d2h(context, back, base, MIB));
	CHECK(!memcmp(expected, back, MIB));
	free(expected);
	free(back);
	vgpu_close(context);
}

struct worker {
	pthread_t thread;
	vgpu_context *context;
	vgpu_function add;
	uint32_t number;
};

static void *works(void *argument)
{
	struct worker *self = argument;
	uint32_t host[3000];
	vgpu_devptr x, y;
	vgpu_stream stream;

	OK(vgpu_stream_create(self->context, &stream));
	OK(vgpu_mem_alloc(self->context, sizeof(host), &x));
	OK(vgpu_mem_alloc(self->context, sizeof(host), &y));
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 3000; i++)
			host[i] = self->number * 100000 + i + round;
		OK(vgpu_memcpy_h2d_async(self->context, x, host, sizeof(host), stream));
		OK(vgpu_memset_d32_async(self->context, y, round, 3000, stream));
		for (int i = 0; i < 5; i++)
			launch_add(self->context, self->add, x, y, y, 3000, stream);
		OK(vgpu_memcpy_d2h_async(self->context, host, y, sizeof(host), stream));
		OK(vgpu_stream_synchronize(self->context, stream));
		for (uint32_t i = 0; i < 3000; i++)
			CHECK(host[i] == 5 * (self->number * 100000 + i + round) + round);
	}
	OK(vgpu_mem_free(self->context, x));
	OK(vgpu_mem_free(self->context, y));
	OK(vgpu_stream_destroy(self->context, stream));
	return NULL;
}

static void threads_with_streams_and_contexts(void)
{
	struct worker workers[6];
	vgpu_context *contexts[2];

	for (int i = 0; i < 2; i++)
		contexts[i] = open_default();
	OK(vgpu_set_wait_mode(contexts[0], VGPU_WAIT_INTERRUPT));
	for (uint32_t i = 0; i < 6; i++) {
		workers[i].context = contexts[i % 2];
		workers[i].add = load(contexts[i % 2], "add");
		workers[i].number = i;
		pthread_create(&workers[i].thread, NULL, works, &workers[i]);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < 2; i++) {
		struct vgpu_mem_info info;

		OK(vgpu_mem_info(contexts[i], &info));
		CHECK(info.allocation_count == 0);
		vgpu_close(contexts[i]);
	}
}

static void memory_runs_out_and_comes_back(void)
{
	vgpu_context *context = open_default();
	enum vgpu_result result = VGPU_SUCCESS;
	vgpu_devptr pointers[1000];
	struct vgpu_device_info device;
	struct vgpu_mem_info before, after;
	int count = 0;

	OK(vgpu_device_info(context, &device));
	OK(vgpu_mem_info(context, &before));
	FAILS(VGPU_ERROR_ALLOCATION_TOO_LARGE,
	      vgpu_mem_alloc(context, device.allocation_bytes_max + 1, &pointers[0]));
	while (result == VGPU_SUCCESS && count < 1000) {
		result = vgpu_mem_alloc(context, device.allocation_bytes_max, &pointers[count]);
		count += result == VGPU_SUCCESS;
	}
	CHECK(result == VGPU_ERROR_OUT_OF_MEMORY);
	CHECK((uint64_t)count == before.total_bytes / device.allocation_bytes_max);
	while (count)
		OK(vgpu_mem_free(context, pointers[--count]));
	OK(vgpu_mem_info(context, &after));
	CHECK(after.free_bytes == before.free_bytes && after.context_bytes == 0);
	OK(vgpu_mem_alloc(context, 4096, &pointers[0]));
	OK(vgpu_memset_d8(context, pointers[0], 1, 4096));
	vgpu_close(context);
}

static void trains_of_launches_with_events(void)
{
	vgpu_context *context = open_default();
	vgpu_function add = load(context, "add");
	vgpu_event start, end;
	struct vgpu_stats stats;
	vgpu_devptr x;
	uint32_t value;
	int64_t ns;

	OK(vgpu_mem_alloc(context, 8, &x));
	OK(vgpu_memset_d32(context, x, 1, 2));
	OK(vgpu_event_create(context, &start));
	OK(vgpu_event_create(context, &end));
	OK(vgpu_event_record(context, start, 0));
	for (int i = 0; i < 3000; i++)
		launch_add(context, add, x, x + 4, x, 1, 0);
	OK(vgpu_event_record(context, end, 0));
	OK(vgpu_event_elapsed(context, start, end, &ns));
	CHECK(ns > 0);
	OK(vgpu_memcpy_d2h(context, &value, x, 4));
	CHECK(value == 3001);
	OK(vgpu_statistics(context, &stats));
	CHECK(stats.launches == 3000 && stats.commands_rejected == 0);
	vgpu_close(context);
}

/* Ends itself in the middle of work, holding memory; "nothing-is-left" comes next. */
static void dies_in_the_middle(void)
{
	vgpu_context *context = open_default();
	vgpu_function slow = load(context, "slow");
	struct p p = { 0, 2000 };
	vgpu_devptr x;

	OK(vgpu_mem_alloc(context, 64 * MIB, &x));
	struct vgpu_arg args[] = { vgpu_arg_pointer(x), vgpu_arg_value(&p, sizeof(p)) };

	for (int i = 0; i < 100; i++)
		OK(vgpu_launch(context, slow, (struct vgpu_dim3){ 200, 1, 1 },
			       (struct vgpu_dim3){ 0, 0, 0 }, args, 2, 0));
	OK(vgpu_stream_flush(context, 0));
	raise(SIGKILL);
}

static void nothing_is_left(void)
{
	vgpu_context *context = open_default();
	struct vgpu_mem_info info;

	OK(vgpu_mem_info(context, &info));
	CHECK(info.free_bytes == info.total_bytes);
	vgpu_close(context);
}

/* "ready" on stdout, then waits for its device to be killed. */
static void outlives_the_device(void)
{
	vgpu_context *context = open_default();
	vgpu_function add = load(context, "add");
	enum vgpu_result result = VGPU_SUCCESS;
	vgpu_devptr x;
	double begin;
	struct p p = { 1, 0 };

	OK(vgpu_mem_alloc(context, 4096, &x));
	struct vgpu_arg args[] = { vgpu_arg_pointer(x), vgpu_arg_pointer(x), vgpu_arg_pointer(x),
				   vgpu_arg_value(&p, sizeof(p)) };

	printf("ready\n");
	fflush(stdout);
	begin = now_seconds();
	while (result == VGPU_SUCCESS && now_seconds() - begin < 20) {
		/* Either call may be the one that finds out. */
		result = vgpu_launch(context, add, (struct vgpu_dim3){ 1, 1, 1 },
				     (struct vgpu_dim3){ 0, 0, 0 }, args, 4, 0);
		if (result == VGPU_SUCCESS)
			result = vgpu_synchronize(context);
	}
	CHECK(result == VGPU_ERROR_DEVICE_LOST);
	TEXT_HAS("lost");
	FAILS(VGPU_ERROR_DEVICE_LOST, vgpu_mem_alloc(context, 1, &x));
	vgpu_close(context);
}

static const struct test tests[] = {
	{ "arguments-may-alias", arguments_may_alias },
	{ "compile-errors-reach-the-program", compile_errors_reach_the_program },
	{ "modules-in-ptx", modules_in_ptx },
	{ "faults-of-kernels", faults_of_kernels },
	{ "arrays-are-as-long-as-was-asked-for", arrays_are_as_long_as_was_asked_for },
	{ "copies-of-any-size-and-alignment", copies_of_any_size_and_alignment },
	{ "overlapping-device-copies", overlapping_device_copies },
	{ "threads-with-streams-and-contexts", threads_with_streams_and_contexts },
	{ "memory-runs-out-and-comes-back", memory_runs_out_and_comes_back },
	{ "trains-of-launches-with-events", trains_of_launches_with_events },
	{ "dies-in-the-middle", dies_in_the_middle },
	{ "nothing-is-left", nothing_is_left },
	{ "outlives-the-device", outlives_the_device },
	{ NULL, NULL },
};

int main(int count, char **arguments)
{
	alarm(60);
	for (const struct test *test = tests; test->name; test++) {
		if (count == 2 && !strcmp(arguments[1], "--list")) {
			puts(test->name);
		} else if (count == 2 && !strcmp(arguments[1], test->name)) {
			test->run();
			return 0;
		}
	}
	if (count == 2 && !strcmp(arguments[1], "--list"))
		return 0;
	fprintf(stderr, "usage: libvgpu-real --list | NAME\n");
	return 2;
}
