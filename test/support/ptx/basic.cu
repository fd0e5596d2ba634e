// SPDX-License-Identifier: Apache-2.0
// Kernels of the compiler's first tests. Build: nvcc -ptx -arch=compute_75 -o basic.ptx basic.cu
extern "C" __global__ void vector_add(const float *a, const float *b, float *c, int n) {
  int i = blockDim.x * blockIdx.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

extern "C" __global__ void saxpy(float k, const float *x, float *y, int n) {
  for (int i = blockDim.x * blockIdx.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    y[i] = k * x[i] + y[i];
}

extern "C" __global__ void matmul(const float *a, const float *b, float *c, int n) {
  __shared__ float as[16][16], bs[16][16];
  int tx = threadIdx.x, ty = threadIdx.y;
  int row = blockIdx.y * 16 + ty, col = blockIdx.x * 16 + tx;
  float sum = 0;
  for (int t = 0; t < n / 16; t++) {
    as[ty][tx] = a[row * n + t * 16 + tx];
    bs[ty][tx] = b[(t * 16 + ty) * n + col];
    __syncthreads();
    for (int k = 0; k < 16; k++) sum += as[ty][k] * bs[k][tx];
    __syncthreads();
  }
  c[row * n + col] = sum;
}

extern "C" __global__ void reduce(const float *x, float *out, int n) {
  extern __shared__ float s[];
  int t = threadIdx.x;
  float v = 0;
  for (int i = blockIdx.x * blockDim.x + t; i < n; i += blockDim.x * gridDim.x) v += x[i];
  s[t] = v;
  __syncthreads();
  for (int k = blockDim.x / 2; k > 0; k >>= 1) {
    if (t < k) s[t] += s[t + k];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = s[0];
}

// Some threads leave before the barrier, so its control flow is not uniform.
extern "C" __global__ void early_return(const int *x, int *out, int n) {
  __shared__ int total;
  int t = threadIdx.x;
  if (t == 0) total = 0;
  __syncthreads();
  if (t >= n) return;
  atomicAdd(&total, x[t]);
  __syncthreads();
  out[t] = total;
}

// Shuffles under a condition that differs between warps, in a loop.
extern "C" __global__ void warp_sums(const float *x, float *out, int n) {
  __shared__ float sums[32];
  int t = threadIdx.x;
  float v = t < n ? x[t] : 0.0f;
  for (int d = 16; d > 0; d >>= 1) v += __shfl_down_sync(0xffffffffu, v, d);
  if ((t & 31) == 0) sums[t >> 5] = v;
  __syncthreads();
  if (t < 32) {
    v = t < blockDim.x / 32 ? sums[t] : 0.0f;
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(0xffffffffu, v, d);
    if (t == 0) *out = v;
  }
}

__device__ int counter = 5;
__constant__ float table[4] = {1.0f, 2.0f, 4.0f, 8.0f};

extern "C" __global__ void mixed(unsigned char *bytes, short *words, int *old, float *f, int n) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= n) return;
  bytes[t] = bytes[t] * 3 + t;
  words[t] = words[t] - t;
  old[t] = atomicAdd(&counter, 2);
  f[t] = expf(f[t]) * table[t & 3] + sinf((float)t);
}

__device__ __noinline__ long long mix(long long a, long long b) {
  return a * b + (a >> 7) - (b / 3);
}

extern "C" __global__ void wide(const long long *a, const long long *b, long long *c, int n) {
  int t = threadIdx.x;
  if (t < n) c[t] = mix(a[t], b[t]) ^ mix(b[t], a[t] % 1000003);
}

// Every operation of f64, on bits.
extern "C" __global__ void doubles(const double *a, const double *b, double *out, float *single,
                                   long long *whole, int n) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= n) return;
  double x = a[t], y = b[t];
  out[t] = x + y;
  out[n + t] = x - y;
  out[2 * n + t] = x * y;
  out[3 * n + t] = x / y;
  out[4 * n + t] = sqrt(x);
  out[5 * n + t] = fma(x, y, 1.0);
  out[6 * n + t] = fma(x, y, -(x * y));
  out[7 * n + t] = rint(x);
  out[8 * n + t] = x < y ? 1.0 : x == y ? 2.0 : x >= y ? 3.0 : 4.0;
  out[9 * n + t] = fmin(x, y);
  out[10 * n + t] = (double)(float)x;
  single[t] = (float)y;
  whole[t] = (long long)x;
  whole[n + t] = (int)y;
}

__device__ unsigned long long total = 0xfffffff0ull;

// 64-bit atomics in global and shared memory; every old value is unique.
extern "C" __global__ void wide_atomics(unsigned long long *old, double *sum, long long *low) {
  __shared__ unsigned long long in_block;
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x == 0) in_block = 0;
  __syncthreads();
  old[t] = atomicAdd(&total, 0x100000001ull);
  atomicAdd(&in_block, 0x80000000ull);
  atomicAdd(sum, 0.25);
  atomicMin(low, -(long long)t * 0x40000000ll);
  __syncthreads();
  if (threadIdx.x == 0) atomicMax(&old[gridDim.x * blockDim.x], in_block + blockIdx.x);
}

__device__ volatile int flag = 0;

// Waits for another workgroup: can't be sliced.
extern "C" __global__ void waits(int *out) {
  if (blockIdx.x == 0) {
    while (flag == 0) {}
    out[0] = 1;
  } else flag = 1;
}

// Retries of its own compare-and-swap wait for nobody.
extern "C" __global__ void retries(float *x) {
  int *p = (int *)x, old = *p, seen;
  do {
    seen = old;
    old = atomicCAS(p, seen, __float_as_int(__int_as_float(seen) * 2.0f));
  } while (seen != old);
}

#include <stdio.h>
extern "C" __global__ void prints(int n) {
  int t = threadIdx.x;
  if (t < n) printf("thread %d has %f, %s\n", t, t * 0.5, "text");
}

extern "C" __global__ void traps(int *x, int bad) {
  if (x[threadIdx.x] == bad) __trap();
  x[threadIdx.x] += 1;
}

// Addresses whose space is known at run time only.
__device__ __noinline__ int load(const int *p, int i) { return p[i]; }
extern "C" __global__ void generic(const int *x, int *out, int pick) {
  __shared__ int s[32];
  int l[4] = {pick, pick + 1, pick + 2, pick + 3};
  int t = threadIdx.x;
  s[t] = t * 10;
  __syncthreads();
  const int *p = (t & 3) == 0 ? s : (t & 3) == 1 ? l : x;
  out[t] = load(p, t & 3) + (__isShared(p) ? 1000 : 0) + (__isGlobal(p) ? 2000 : 0);
  int *q = (t & 1) ? s : out + 32;
  atomicAdd(&q[t & 3], 1);
  __syncthreads();
  if (t < 4) out[40 + t] = s[t];
}
