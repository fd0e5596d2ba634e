/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest program that outlives its device: it computes as worker does, and when its context is
 * lost it opens another one before it closes that, and so over the same connection.
 *
 * usage: survivor CONTEXTS ROUNDS INNER [hang]
 *
 * It ends after ROUNDS rounds of its CONTEXTS-th context. With hang, each context before that one
 * launches a kernel without an end after its first round.
 *
 * Prints "context N works at NS" after a context's first checked round, "round N" after each one,
 * and "lost N at NS: NAME, again: NAME" when a context is found lost (NS: CLOCK_MONOTONIC; the second
 * name is what the context says when asked once more). Exits with 3 on a wrong word, with 4 on an
 * error that is none of a lost device.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libvgpu.h"

#define BYTES (1u << 20)

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
	"}\n"
	"@group(0) @binding(0) var<storage, read_write> cells: array<atomic<u32>>;\n"
	"@compute @workgroup_size(64) fn hang() {\n"
	"  while (atomicLoad(&cells[0]) != 4000000000u) { atomicAdd(&cells[1], 1u); }\n"
	"}\n";

static uint32_t words[BYTES / 4];

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (unsigned long long)time.tv_sec * 1000000000u + (unsigned long long)time.tv_nsec;
}

static enum vgpu_result prepare(vgpu_context *context, vgpu_devptr *memory,
				vgpu_function *function, vgpu_function *endless)
{
	enum vgpu_result result = vgpu_mem_alloc(context, BYTES, memory);
	vgpu_module module;

	if (result == VGPU_SUCCESS)
		result = vgpu_module_load(context, source, sizeof(source) - 1, VGPU_FORMAT_WGSL,
					  &module, NULL, 0);
	if (result == VGPU_SUCCESS)
		result = vgpu_function_get(context, module, "step", function);
	if (result == VGPU_SUCCESS)
		result = vgpu_function_get(context, module, "hang", endless);
	return result;
}

static enum vgpu_result round_of(vgpu_context *context, vgpu_devptr memory,
				 vgpu_function function, uint32_t inner)
{
	struct vgpu_arg arguments[2] = { vgpu_arg_pointer(memory),
					 vgpu_arg_value(&inner, sizeof(inner)) };
	enum vgpu_result result;

	result = vgpu_launch(context, function, (struct vgpu_dim3){ 256, 1, 1 },
			     (struct vgpu_dim3){ 0, 0, 0 }, arguments, 2, VGPU_STREAM_DEFAULT);
	if (result == VGPU_SUCCESS)
		result = vgpu_memcpy_d2h(context, words, memory, BYTES);
	return result;
}

/* Returns what ended it; VGPU_SUCCESS after all rounds. */
static enum vgpu_result run(vgpu_context *context, long number, long rounds, uint32_t inner,
			    int hang)
{
	vgpu_function function, endless;
	vgpu_devptr memory;
	enum vgpu_result result = prepare(context, &memory, &function, &endless);
	struct vgpu_arg argument;

	for (long round = 1; result == VGPU_SUCCESS && round <= rounds; round++) {
		result = round_of(context, memory, function, inner);
		if (result != VGPU_SUCCESS)
			break;
		for (size_t i = 0; i < BYTES / 4; i++) {
			if (words[i] == (uint32_t)round)
				continue;
			fprintf(stderr, "round %ld: word %zu is %u\n", round, i, words[i]);
			exit(3);
		}
		if (round == 1)
			printf("context %ld works at %llu\n", number, now());
		printf("round %ld\n", round);
		if (!hang)
			continue;
		argument = vgpu_arg_pointer(memory);
		result = vgpu_launch(context, endless, (struct vgpu_dim3){ 1, 1, 1 },
				     (struct vgpu_dim3){ 0, 0, 0 }, &argument, 1,
				     VGPU_STREAM_DEFAULT);
		if (result == VGPU_SUCCESS)
			result = vgpu_synchronize(context);
	}
	return result;
}

int main(int argc, char **argv)
{
	long contexts = argc > 1 ? atol(argv[1]) : 2;
	long rounds = argc > 2 ? atol(argv[2]) : 5;
	uint32_t inner = (uint32_t)(argc > 3 ? atol(argv[3]) : 1);

	int hang = argc > 4 && !strcmp(argv[4], "hang");
	enum vgpu_result expected = hang ? VGPU_ERROR_TIMEOUT : VGPU_ERROR_DEVICE_LOST;
	vgpu_context *lost = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long number = 1; number <= contexts; number++) {
		vgpu_context *context = NULL;
		enum vgpu_result result = vgpu_open(NULL, &context), again;

		vgpu_close(lost);
		if (result == VGPU_SUCCESS)
			result = run(context, number, number == contexts ? rounds : 1000000, inner,
				     hang && number < contexts);
		if (result == VGPU_SUCCESS) {
			vgpu_close(context);
			puts("done");
			return 0;
		}
		again = context ? vgpu_synchronize(context) : result;
		printf("lost %ld at %llu: %s, again: %s\n", number, now(), vgpu_error_name(result),
		       vgpu_error_name(again));
		if (result != expected || again != expected) {
			fprintf(stderr, "context %ld: %s\n", number, vgpu_last_error_text(context));
			return 4;
		}
		lost = context;
	}
	return 5;
}
