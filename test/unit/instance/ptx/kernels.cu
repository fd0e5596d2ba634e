// SPDX-License-Identifier: Apache-2.0
/*
 * The source of kernels.ptx, made by nvcc 13.0:
 *
 *   nvcc -ptx -arch=compute_75 kernels.cu -o kernels.ptx
 *   sed -i '/^\/\/ \(Compiler\|Cuda\|Based\)/d' kernels.ptx
 */
#include <cassert>

__device__ int counter = 5;
__constant__ float weights[4] = { 1.0f, 2.0f, 3.0f, 4.0f };
__device__ int *shortcut = &counter;

extern "C" __global__ void axpy(float *y, const float *x, float a, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < count)
		y[i] = a * x[i] + y[i] + weights[i & 3];
	if (i == 0)
		atomicAdd(shortcut, 1);
}

/* Follows pointers that lie in memory, as in a linked list. */
struct node {
	struct node *next;
	unsigned int value;
};

extern "C" __global__ void chase(const struct node *first, unsigned int *sum)
{
	unsigned int total = 0;

	for (const struct node *at = first; at; at = at->next)
		total += at->value;
	*sum = total;
}

extern "C" __global__ void visit(unsigned int *seen, unsigned int width, unsigned int height)
{
	unsigned int block = blockIdx.x + width * (blockIdx.y + height * blockIdx.z);

	atomicAdd(&seen[block * blockDim.x + threadIdx.x],
		  gridDim.x * 10000 + gridDim.y * 100 + gridDim.z);
}

extern "C" __global__ void sum(const unsigned int *data, unsigned int *sums)
{
	extern __shared__ unsigned int part[];

	part[threadIdx.x] = data[blockIdx.x * blockDim.x + threadIdx.x];
	for (unsigned int half = blockDim.x / 2; half > 0; half /= 2) {
		__syncthreads();
		if (threadIdx.x < half)
			part[threadIdx.x] += part[threadIdx.x + half];
	}
	if (threadIdx.x == 0)
		sums[blockIdx.x] = part[0];
}

extern "C" __global__ void __launch_bounds__(64) stop(const int *when)
{
	if (*when == (int)(blockIdx.x * blockDim.x + threadIdx.x))
		__trap();
}

extern "C" __global__ void insist(const int *values)
{
	assert(values[threadIdx.x] == 0);
}

extern "C" __global__ void store(unsigned int *where, unsigned int value)
{
	where[threadIdx.x] = value;
}
