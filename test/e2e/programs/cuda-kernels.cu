// SPDX-License-Identifier: Apache-2.0
// Kernels of test/e2e/cuda.test.ts; cuda-kernels.ptx is what `nvcc -ptx -arch=compute_75` makes of it.
#include <cassert>
#include <cstdio>

__device__ int table[4] = {1, 2, 3, 4};

extern "C" __global__ void sum(const float *values, float *total, int count)
{
  extern __shared__ float partial[];
  float mine = 0;

  for (int i = threadIdx.x; i < count; i += blockDim.x) mine += values[i];
  partial[threadIdx.x] = mine;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *total = partial[0];
}

extern "C" __global__ void scale(float *values, float factor, int count)
{
  const int i = blockIdx.x * blockDim.x + threadIdx.x;

  if (i < count) values[i] *= factor;
}

extern "C" __global__ void look_up(int *out)
{
  out[threadIdx.x] = table[threadIdx.x];
}

struct Node {
  int value;
  Node *next;
};

// Follows pointers that are stored in memory, and changes what they point to.
extern "C" __global__ void walk(Node *node, int *total)
{
  int all = 0;

  for (; node; node = node->next) {
    all += node->value;
    node->value = -node->value;
  }
  *total = all;
}

extern "C" __global__ void speak(int number)
{
  printf("number %d, thread %d of %d, %.3f %s\n", number, threadIdx.x, blockDim.x, 1.5, "end");
}

extern "C" __global__ void wild(int *memory, long long index)
{
  memory[index] = 1;
}

extern "C" __global__ void stop()
{
  asm volatile("trap;");
}

extern "C" __global__ void claim(int value)
{
  assert(value == 1);
}

__device__ int beside = 7;
__managed__ int tally = 40;
__managed__ float wide[100000];

extern "C" __global__ void count_up(int n, int *also)
{
  const int i = blockIdx.x * blockDim.x + threadIdx.x;

  if (i >= n) return;
  atomicAdd(&tally, 1);
  wide[i] = i + wide[99999];
  if (i == 0) *also += beside++;
}
