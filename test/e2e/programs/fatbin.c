/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest program with a kernel in a fat binary, for tests of confined
 * instances: their translator's thread has to start behind the confinement.
 *
 * usage: fatbin FILE	FILE: test/unit/kernel/fatbin/zstd.fatbin
 *
 * Prints "right" and exits with 0 if the kernel has computed what it should.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvgpu.h"

#define COUNT 256u

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

static size_t read_file(const char *path, uint8_t *bytes, size_t room)
{
	FILE *file = fopen(path, "rb");
	size_t size = file ? fread(bytes, 1, room, file) : 0;

	if (file)
		fclose(file);
	return size;
}

int main(int argc, char **argv)
{
	static const float table[4] = { 1, 2, 4, 0 };
	static uint8_t image[65536];
	struct {
		vgpu_devptr data;
		float factor;
		int count;
	} parameters = { .factor = 3, .count = COUNT };
	float data[COUNT];
	vgpu_function scale;
	vgpu_devptr runs;
	vgpu_module module;
	int32_t times = 0;
	size_t size = argc > 1 ? read_file(argv[1], image, sizeof(image)) : 0;

	MUST(vgpu_open(NULL, &context));
	MUST(vgpu_module_load(context, image, size, VGPU_FORMAT_FATBIN, &module, NULL, 0));
	MUST(vgpu_function_get(context, module, "scale", &scale));
	MUST(vgpu_module_symbol(context, module, "runs", &runs, NULL));
	MUST(vgpu_mem_alloc(context, sizeof(data), &parameters.data));
	for (uint32_t i = 0; i < COUNT; i++)
		data[i] = (float)i;
	MUST(vgpu_memcpy_h2d(context, parameters.data, data, sizeof(data)));
	MUST(vgpu_launch_raw(context, scale, (struct vgpu_dim3){ COUNT / 64, 1, 1 },
			     (struct vgpu_dim3){ 64, 1, 1 }, 0, &parameters, sizeof(parameters),
			     VGPU_STREAM_DEFAULT));
	MUST(vgpu_memcpy_d2h(context, data, parameters.data, sizeof(data)));
	MUST(vgpu_memcpy_d2h(context, &times, runs, sizeof(times)));
	for (uint32_t i = 0; i < COUNT; i++) {
		float expected = (float)i * 3 + (i % 64 < 3 ? table[i % 64] : 0) + 750;

		if (data[i] != expected) {
			fprintf(stderr, "data[%u] is %g, not %g\n", i, data[i], expected);
			return 3;
		}
	}
	/* It begins with 7, and the kernel counts its launches. */
	if (times != 8) {
		fprintf(stderr, "runs is %d, not 8\n", times);
		return 3;
	}
	puts("right");
	vgpu_close(context);
	return 0;
}
