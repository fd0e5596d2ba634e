// SPDX-License-Identifier: Apache-2.0
/* What the tests of libvgpu share: see libvgpu-test.h. */
#include "libvgpu-test.h"

#include <time.h>

vgpu_context *open_default(void)
{
	vgpu_context *context;

	OK(vgpu_open(NULL, &context));
	return context;
}

vgpu_module load_module(vgpu_context *context)
{
	vgpu_module module;

	OK(vgpu_module_load(context, "good", 4, VGPU_FORMAT_WGSL, &module, NULL, 0));
	return module;
}

vgpu_function get_function(vgpu_context *context, const char *name)
{
	vgpu_function function;

	OK(vgpu_function_get(context, load_module(context), name, &function));
	return function;
}

double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
