/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest program that takes all device memory that it can get, gives it back and takes it again,
 * and writes to what it has.
 *
 * usage: exhaust TIMES
 *
 * Prints "round N: M MiB" for each time, "done" at the end. Exits with 3 if a refusal is not the one
 * that it should be, or if two rounds get different amounts, with 4 on any other error.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libvgpu.h"

#define CHUNK (1u << 20)
#define CHUNKS_MAX 65536

static vgpu_context *context;
static vgpu_devptr chunks[CHUNKS_MAX];

static int failed(enum vgpu_result result, const char *what)
{
	if (result == VGPU_SUCCESS)
		return 0;
	fprintf(stderr, "%s: %s: %s\n", what, vgpu_error_name(result),
		vgpu_last_error_text(context));
	return 1;
}
#define TRY(call) do { if (failed((call), #call)) return 4; } while (0)

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 3;
	size_t before = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	TRY(vgpu_open(NULL, &context));
	for (long round = 1; round <= times; round++) {
		enum vgpu_result result = VGPU_SUCCESS;
		size_t count = 0;

		while (count < CHUNKS_MAX) {
			result = vgpu_mem_alloc(context, CHUNK, &chunks[count]);
			if (result != VGPU_SUCCESS)
				break;
			TRY(vgpu_memset_d8(context, chunks[count], (uint8_t)round, CHUNK));
			count++;
		}
		if (result != VGPU_ERROR_OUT_OF_MEMORY || (before != 0 && count != before)) {
			fprintf(stderr, "round %ld: %zu chunks after %zu, then %s\n", round, count,
				before, vgpu_error_name(result));
			return 3;
		}
		before = count;
		printf("round %ld: %zu MiB\n", round, count);
		while (count > 0)
			TRY(vgpu_mem_free(context, chunks[--count]));
	}
	puts("done");
	vgpu_close(context);
	return 0;
}
