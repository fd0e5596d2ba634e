// SPDX-License-Identifier: Apache-2.0
/*
 * Adds two vectors on the GPU. The shortest complete program: allocate, copy,
 * launch, copy back, check.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>

#include "vecadd.wgsl.h"

#define BLOCK 64u
#define GRID_ROW 4096u

static const char usage[] =
	"usage: vecadd [COUNT]\n"
	"Adds two vectors of COUNT floats (1 to 16777216, default 1048576) on the virtual GPU that\n"
	"VGPU_DEVICE names (/dev/vgpuN or unix:PATH) and checks the result.\n";

static long compare(const float *a, const float *b, const float *sum, long count)
{
	for (long i = 0; i < count; i++)
		if (sum[i] != a[i] + b[i])
			return i;
	return -1;
}

int main(int argc, char **argv)
{
	long count = 1048576, wrong;
	const struct example_number numbers[] = { { "COUNT", 1, 16777216, &count } };
	struct { uint32_t count, row; } parameters;
	struct example example;
	struct vgpu_dim3 grid;
	vgpu_function function;
	vgpu_devptr da, db, dsum;
	float *a, *b, *sum;
	uint64_t seed = 1;
	size_t bytes;

	example_arguments(usage, argc, argv, numbers, 1);
	bytes = (size_t)count * sizeof(float);
	example_open(&example, "vecadd");
	a = example_memory(&example, bytes);
	b = example_memory(&example, bytes);
	sum = example_memory(&example, bytes);
	for (long i = 0; i < count; i++) {
		a[i] = random_unit(&seed) * 100.0f;
		b[i] = random_unit(&seed) * 100.0f - 50.0f;
	}
	da = example_alloc(&example, bytes);
	db = example_alloc(&example, bytes);
	dsum = example_alloc(&example, bytes);
	function = example_function(&example, example_module(&example, vecadd_wgsl), "vecadd");
	TRY(&example, vgpu_memcpy_h2d(example.context, da, a, bytes));
	TRY(&example, vgpu_memcpy_h2d(example.context, db, b, bytes));
	printf("vecadd: %ld elements are on the device\n", count);

	grid.x = (uint32_t)(count + BLOCK - 1) / BLOCK;
	grid.y = (grid.x + GRID_ROW - 1) / GRID_ROW;
	grid.x = grid.y > 1 ? GRID_ROW : grid.x;
	grid.z = 1;
	parameters.count = (uint32_t)count;
	parameters.row = grid.x * BLOCK;
	const struct vgpu_arg args[] = {
		vgpu_arg_pointer(da), vgpu_arg_pointer(db), vgpu_arg_pointer(dsum),
		vgpu_arg_value(&parameters, sizeof(parameters)),
	};

	TRY(&example, vgpu_launch(example.context, function, grid, (struct vgpu_dim3){ 0, 0, 0 },
				  args, 4, VGPU_STREAM_DEFAULT));
	TRY(&example, vgpu_memcpy_d2h(example.context, sum, dsum, bytes));
	wrong = compare(a, b, sum, count);
	if (wrong < 0)
		printf("vecadd: all %ld sums are right\n", count);
	else
		printf("vecadd: sum %ld is %g instead of %g\n", wrong, sum[wrong],
		       a[wrong] + b[wrong]);
	free(a);
	free(b);
	free(sum);
	return example_close(&example, wrong < 0);
}
