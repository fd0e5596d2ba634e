/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest program whose kernel never ends: one workgroup waits for a word that nobody writes.
 *
 * usage: hang
 *
 * Prints "launched", and exits with 4 and the error's name on stderr when the device gives up on it.
 */
#include <stdio.h>

#include "libvgpu.h"

static vgpu_context *context;

static int failed(enum vgpu_result result, const char *what)
{
	if (result == VGPU_SUCCESS)
		return 0;
	fprintf(stderr, "%s: %s: %s\n", what, vgpu_error_name(result),
		vgpu_last_error_text(context));
	return 1;
}
#define TRY(call) do { if (failed((call), #call)) return 4; } while (0)

static const char source[] =
	"@group(0) @binding(0) var<storage, read_write> data: array<atomic<u32>>;\n"
	"@compute @workgroup_size(1) fn wait() {\n"
	"  loop { if (atomicLoad(&data[0]) == 1u) { break; } atomicAdd(&data[1], 1u); }\n"
	"}\n";

int main(void)
{
	vgpu_devptr memory;
	vgpu_module module;
	vgpu_function function;
	struct vgpu_arg argument;

	setvbuf(stdout, NULL, _IOLBF, 0);
	TRY(vgpu_open(NULL, &context));
	TRY(vgpu_mem_alloc(context, 256, &memory));
	TRY(vgpu_module_load(context, source, sizeof(source) - 1, VGPU_FORMAT_WGSL, &module,
			     NULL, 0));
	TRY(vgpu_function_get(context, module, "wait", &function));
	argument = vgpu_arg_pointer(memory);
	TRY(vgpu_launch(context, function, (struct vgpu_dim3){ 1, 1, 1 },
			(struct vgpu_dim3){ 0, 0, 0 }, &argument, 1, VGPU_STREAM_DEFAULT));
	TRY(vgpu_stream_flush(context, VGPU_STREAM_DEFAULT));
	puts("launched");
	TRY(vgpu_stream_synchronize(context, VGPU_STREAM_DEFAULT));
	puts("done");
	vgpu_close(context);
	return 0;
}
