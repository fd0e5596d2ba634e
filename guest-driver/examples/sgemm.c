// SPDX-License-Identifier: Apache-2.0
/*
 * Multiplies two square matrices on the GPU, tiled through workgroup memory,
 * and checks every element against the CPU's product.
 */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgemm.wgsl.h"

#define TILE 64u
#define REPEATS 3

static const char usage[] =
	"usage: sgemm [N]\n"
	"Multiplies two matrices of N x N floats (1 to 2048, default 512) on the virtual GPU that\n"
	"VGPU_DEVICE names (/dev/vgpuN or unix:PATH) and checks the result.\n";

static void multiply(const float *a, const float *b, float *c, size_t n)
{
	memset(c, 0, n * n * sizeof(*c));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			for (size_t j = 0; j < n; j++)
				c[i * n + j] += a[i * n + k] * b[k * n + j];
}

/* Rounding differs with the order of sums: the error grows with the root of n. */
static bool compare(const float *ours, const float *expected, size_t n)
{
	float limit = 1e-6f * (float)n + 1e-5f, worst = 0;

	for (size_t i = 0; i < n * n; i++) {
		float error = fabsf(ours[i] - expected[i]);

		if (!(error <= limit)) {
			printf("sgemm: element %zu is %g instead of %g, the error limit is %g\n", i,
			       ours[i], expected[i], limit);
			return false;
		}
		worst = fmaxf(worst, error);
	}
	printf("sgemm: all elements are right, largest error %.2g\n", worst);
	return true;
}

int main(int argc, char **argv)
{
	long size = 512;
	const struct example_number numbers[] = { { "N", 1, 2048, &size } };
	struct { uint32_t n; } parameters;
	struct example example;
	vgpu_function function;
	vgpu_devptr da, db, dc;
	float *a, *b, *c, *expected;
	uint64_t seed = 2;
	struct vgpu_dim3 grid;
	size_t n, bytes;
	bool ok;

	example_arguments(usage, argc, argv, numbers, 1);
	n = (size_t)size;
	bytes = n * n * sizeof(float);
	example_open(&example, "sgemm");
	a = example_memory(&example, bytes);
	b = example_memory(&example, bytes);
	c = example_memory(&example, bytes);
	expected = example_memory(&example, bytes);
	for (size_t i = 0; i < n * n; i++) {
		a[i] = random_unit(&seed) - 0.5f;
		b[i] = random_unit(&seed) - 0.5f;
	}
	da = example_alloc(&example, bytes);
	db = example_alloc(&example, bytes);
	dc = example_alloc(&example, bytes);
	function = example_function(&example, example_module(&example, sgemm_wgsl), "sgemm");
	TRY(&example, vgpu_memcpy_h2d(example.context, da, a, bytes));
	TRY(&example, vgpu_memcpy_h2d(example.context, db, b, bytes));
	parameters.n = (uint32_t)n;
	grid = (struct vgpu_dim3){ (uint32_t)(n + TILE - 1) / TILE,
				   (uint32_t)(n + TILE - 1) / TILE, 1 };
	const struct vgpu_arg args[] = {
		vgpu_arg_pointer(da), vgpu_arg_pointer(db), vgpu_arg_pointer(dc),
		vgpu_arg_value(&parameters, sizeof(parameters)),
	};

	for (int i = 0; i < REPEATS; i++) {
		double begin_ms = now_ms(), took_ms;

		TRY(&example, vgpu_launch(example.context, function, grid,
					  (struct vgpu_dim3){ 16, 16, 1 }, args, 4,
					  VGPU_STREAM_DEFAULT));
		TRY(&example, vgpu_synchronize(example.context));
		took_ms = now_ms() - begin_ms;
		printf("sgemm: %zu x %zu in %.2f ms, %.2f GFLOP/s\n", n, n, took_ms,
		       2e-6 * (double)n * (double)n * (double)n / took_ms);
	}
	TRY(&example, vgpu_memcpy_d2h(example.context, c, dc, bytes));
	multiply(a, b, expected, n);
	ok = compare(c, expected, n);
	free(a);
	free(b);
	free(c);
	free(expected);
	return example_close(&example, ok);
}
