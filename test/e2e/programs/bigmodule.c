/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest program that loads a module of so many kilobytes, correct and of no use: parsing it keeps
 * its instance busy.
 *
 * usage: bigmodule KIB
 *
 * Prints "done". Exits with 4 on an error.
 */
#include <stdio.h>
#include <stdlib.h>

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

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) * 1024 + 256;
	char *source = malloc(bytes + 128);
	vgpu_module module;
	vgpu_function function;
	size_t at;

	if (source == NULL)
		return 4;
	at = (size_t)sprintf(source, "@group(0) @binding(0) var<storage, read_write> a: array<f32>;\n"
			     "@compute @workgroup_size(1) fn big() { var x = a[0];\n");
	for (unsigned int line = 0; at + 64 < bytes; line++)
		at += (size_t)sprintf(source + at, "x = x * %u.5 + a[%uu];\n", line % 97, line % 1000);
	at += (size_t)sprintf(source + at, "a[0] = x; }\n");
	TRY(vgpu_open(NULL, &context));
	TRY(vgpu_module_load(context, source, at, VGPU_FORMAT_WGSL, &module, NULL, 0));
	TRY(vgpu_function_get(context, module, "big", &function));
	TRY(vgpu_synchronize(context));
	free(source);
	puts("done");
	return 0;
}
