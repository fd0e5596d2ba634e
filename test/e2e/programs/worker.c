/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest program that computes until it is told to stop, for tests that break something beside
 * it (or break it). Each round adds 1 to every word of its memory and checks all of them.
 *
 * usage: worker ROUNDS MEGABYTES INNER    INNER: inner loop of the kernel, its cost
 *
 * Prints "ready", then "round N" after each checked round, and at the end "done". Exits with 3 on a
 * wrong word, with 4 on an error of the library (its name on stderr).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvgpu.h"

static vgpu_context *context;

static void must(enum vgpu_result result, const char *what)
{
	if (result == VGPU_SUCCESS)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, vgpu_error_name(result),
		vgpu_last_error_text(context));
	exit(4);
}
#define MUST(call) must((call), #call)

static const char source[] =
	"@group(0) @binding(0) var<storage, read_write> data: array<u32>;\n"
	"@group(0) @binding(1) var<uniform> inner: u32;\n"
	"@compute @workgroup_size(64) fn step(@builtin(global_invocation_id) id: vec3u,\n"
	"    @builtin(num_workgroups) groups: vec3u) {\n"
	"  for (var i = id.x; i < arrayLength(&data); i += groups.x * 64u) {\n"
	"    var x = data[i];\n"
	"    for (var k = 0u; k < inner; k++) { x = x * 3u + k; x = (x - k) * 2863311531u; }\n"
	"    data[i] = x + 1u;\n"
	"  }\n"
	"}\n";

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 10;
	size_t bytes = (size_t)(argc > 2 ? atol(argv[2]) : 1) << 20;
	uint32_t inner = (uint32_t)(argc > 3 ? atol(argv[3]) : 1);
	uint32_t *words = malloc(bytes);
	vgpu_devptr memory;
	vgpu_module module;
	vgpu_function function;
	struct vgpu_arg arguments[2];

	setvbuf(stdout, NULL, _IOLBF, 0);
	MUST(vgpu_open(NULL, &context));
	MUST(vgpu_mem_alloc(context, bytes, &memory));
	MUST(vgpu_module_load(context, source, sizeof(source) - 1, VGPU_FORMAT_WGSL, &module,
			      NULL, 0));
	MUST(vgpu_function_get(context, module, "step", &function));
	arguments[0] = vgpu_arg_pointer(memory);
	arguments[1] = vgpu_arg_value(&inner, sizeof(inner));
	puts("ready");
	for (long round = 1; round <= rounds; round++) {
		MUST(vgpu_launch(context, function, (struct vgpu_dim3){ 256, 1, 1 },
				 (struct vgpu_dim3){ 0, 0, 0 }, arguments, 2,
				 VGPU_STREAM_DEFAULT));
		MUST(vgpu_stream_flush(context, VGPU_STREAM_DEFAULT));
		MUST(vgpu_memcpy_d2h(context, words, memory, bytes));
		for (size_t i = 0; i < bytes / 4; i++) {
			if (words[i] != (uint32_t)round) {
				fprintf(stderr, "round %ld: word %zu is %u\n", round, i, words[i]);
				return 3;
			}
		}
		printf("round %ld\n", round);
	}
	puts("done");
	vgpu_close(context);
	return 0;
}
