// SPDX-License-Identifier: Apache-2.0
// Histograms and strings of atomics.
#include <stdint.h>

extern "C" __global__ void hist_global(const uint8_t *in, unsigned *bins, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&bins[in[i]], 1u);
}

extern "C" __global__ void hist_shared(const unsigned *in, unsigned *bins, int words) {
  __shared__ unsigned own[256];
  for (int b = threadIdx.x; b < 256; b += blockDim.x) own[b] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += gridDim.x * blockDim.x) {
    unsigned v = in[i];
    for (int k = 0; k < 4; k++) {
      atomicAdd(&own[v & 255], 1u);
      v >>= 8;
    }
  }
  __syncthreads();
  for (int b = threadIdx.x; b < 256; b += blockDim.x) atomicAdd(&bins[b], own[b]);
}

extern "C" __global__ void atomic_kinds(unsigned *u, int *s, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&u[0], (unsigned)i);
  atomicSub(&u[1], (unsigned)i);
  atomicMin(&u[2], 1000u - i);
  atomicMax(&u[3], (unsigned)i * 3);
  atomicAnd(&u[4], ~(1u << (i & 31)));
  atomicOr(&u[5], 1u << (i & 15));
  atomicXor(&u[6], (unsigned)i * 0x9e3779b9u);
  atomicInc(&u[7], 99u);
  atomicDec(&u[8], 99u);
  atomicMin(&s[0], 50 - i);
  atomicMax(&s[1], i - 50);
  atomicExch(&u[9], 5u);
}

extern "C" __global__ void atomic_float(const float *in, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&out[0], in[i]);
  // A maximum by compare-and-swap.
  int *at = (int *)&out[1];
  int old = *at, seen;
  do {
    seen = old;
    if (__int_as_float(seen) >= in[i]) break;
    old = atomicCAS(at, seen, __float_as_int(in[i]));
  } while (old != seen);
}

extern "C" __global__ void atomic_wide(unsigned long long *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&out[0], 0x100000001ull * i);
  atomicMax(&out[1], (unsigned long long)i << 33);
}

// Each takes a ticket and writes itself to that place: a permutation comes out.
extern "C" __global__ void tickets(unsigned *next, unsigned *order, unsigned *place, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned t = atomicAdd(next, 1u);
  order[t] = i;
  place[i] = t;
}

// One atomic a warp, by those lanes that are there.
extern "C" __global__ void aggregated(const int *in, int *count, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n || in[i] % 3 != 0) return;
  unsigned active = __activemask();
  int leader = __ffs(active) - 1;
  int lane = threadIdx.x & 31;
  int base = 0;
  if (lane == leader) base = atomicAdd(count, __popc(active));
  base = __shfl_sync(active, base, leader);
  out[base + __popc(active & ((1u << lane) - 1))] = in[i];
}

// A lock for each cell, taken by one thread a block.
extern "C" __global__ void locked(int *lock, int *cell, int rounds) {
  if (threadIdx.x != 0) return;
  for (int r = 0; r < rounds; r++) {
    bool done = false;
    while (!done) {
      if (atomicCAS(lock, 0, 1) == 0) {
        __threadfence();
        int v = *(volatile int *)cell;
        *(volatile int *)cell = v + 1;
        __threadfence();
        atomicExch(lock, 0);
        done = true;
      }
    }
  }
}
