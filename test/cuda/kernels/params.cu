// SPDX-License-Identifier: Apache-2.0
// What kernels are given: structures, tables of pointers, shared memory of a size known at launch,
// functions, variables of the module.
#include <stdint.h>

struct Shape {
  int8_t tag;
  int width;
  double scale;
  const float *in;
  float *out;
  short steps[5];
};

extern "C" __global__ void struct_param(Shape s, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) s.out[i] = s.in[i] * s.width + s.tag + s.steps[i % 5];
}

struct Tables {
  float *row[4];
};

extern "C" __global__ void pointers_in_struct(Tables t, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) t.row[3][i] = t.row[0][i] + t.row[1][i] * t.row[2][i];
}

extern "C" __global__ void pointer_table(float **rows, int count, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int r = blockIdx.y;
  if (i < n && r < count) rows[r][i] *= r + 1;
}

extern "C" __global__ void many_params(int8_t a, int16_t b, int c, long long d, float e, float3 f,
                                       uint8_t g, float2 h, float *out) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = (float)(d >> 32);
  out[4] = e;
  out[5] = f.x + 10 * f.y + 100 * f.z;
  out[6] = g;
  out[7] = h.x - h.y;
}

extern "C" __global__ void reverse_dynamic(int *data) {
  extern __shared__ int words[];
  int t = threadIdx.x;
  words[t] = data[blockIdx.x * blockDim.x + t];
  __syncthreads();
  data[blockIdx.x * blockDim.x + t] = words[blockDim.x - 1 - t];
}

// Three arrays of different types in one piece of dynamic memory, beside a static one.
extern "C" __global__ void carved(const float *in, float *out, int n) {
  extern __shared__ unsigned char raw[];
  __shared__ int order[64];
  float *values = (float *)raw;
  short *keys = (short *)(values + n);
  uint8_t *flags = (uint8_t *)(keys + n);
  int t = threadIdx.x;
  values[t] = in[blockIdx.x * n + t];
  keys[t] = (short)(t * 3 % n);
  flags[t] = t % 2;
  order[t] = n - 1 - t;
  __syncthreads();
  int k = keys[order[t]];
  out[blockIdx.x * n + t] = flags[k] ? values[k] : -values[k];
}

__device__ __noinline__ float polynomial(float x, const float *c, int degree) {
  float r = 0;
  for (int i = degree; i >= 0; i--) r = r * x + c[i];
  return r;
}

struct Pair {
  int low, high;
};

__device__ __noinline__ Pair split(int v, int at) {
  Pair p;
  p.low = v % at;
  p.high = v / at;
  return p;
}

__device__ __noinline__ int twice(int v) {
  Pair p = split(v, 10);
  return p.low * 100 + split(p.high, 3).low;
}

extern "C" __global__ void functions(const float *x, const float *c, float *y, int *z, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] = polynomial(x[i], c, 3);
  z[i] = twice(i);
}

__device__ int counter = 40;
__device__ float table[8] = {1, 2, 4, 8, 16, 32, 64, 128};
__device__ float *at_table = &table[2];
__constant__ int primes[6] = {2, 3, 5, 7, 11, 13};

extern "C" __global__ void variables(float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = table[i % 8] + at_table[i % 6] * primes[i % 6];
  if (i == 0) out[n] = (float)atomicAdd(&counter, 2);
}

extern "C" __global__ void read_counter(int *out) { *out = counter; }

struct Wide {
  int first;
  float table[8000];
  int last;
};

// More than the 4 KiB that parameters could have before CUDA 12.1.
extern "C" __global__ void wide_param(const __grid_constant__ Wide wide, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = (int)wide.table[i * 37 % 8000] + wide.first - wide.last;
}
