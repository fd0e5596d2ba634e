// SPDX-License-Identifier: Apache-2.0
// Prefix sums and what is built on them.

extern "C" __global__ void scan_block(const int *in, int *out, int n) {
  __shared__ int a[2][256];
  int t = threadIdx.x;
  int i = blockIdx.x * blockDim.x + t;
  int now = 0;
  a[now][t] = i < n ? in[i] : 0;
  __syncthreads();
  for (int d = 1; d < blockDim.x; d *= 2) {
    a[1 - now][t] = a[now][t] + (t >= d ? a[now][t - d] : 0);
    now = 1 - now;
    __syncthreads();
  }
  if (i < n) out[i] = a[now][t];
}

// Blelloch's: up and down a tree, exclusive, 512 elements by 256 threads.
extern "C" __global__ void scan_blelloch(const float *in, float *out) {
  __shared__ float a[512];
  int t = threadIdx.x;
  int base = blockIdx.x * 512;
  a[2 * t] = in[base + 2 * t];
  a[2 * t + 1] = in[base + 2 * t + 1];
  int offset = 1;
  for (int d = 256; d > 0; d >>= 1) {
    __syncthreads();
    if (t < d) {
      int p = offset * (2 * t + 1) - 1, q = offset * (2 * t + 2) - 1;
      a[q] += a[p];
    }
    offset *= 2;
  }
  if (t == 0) a[511] = 0;
  for (int d = 1; d < 512; d *= 2) {
    offset >>= 1;
    __syncthreads();
    if (t < d) {
      int p = offset * (2 * t + 1) - 1, q = offset * (2 * t + 2) - 1;
      float v = a[p];
      a[p] = a[q];
      a[q] += v;
    }
  }
  __syncthreads();
  out[base + 2 * t] = a[2 * t];
  out[base + 2 * t + 1] = a[2 * t + 1];
}

extern "C" __global__ void scan_warp(const int *in, int *out, int *sums, int n) {
  __shared__ int totals[32];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int v = i < n ? in[i] : 0;
  for (int d = 1; d < 32; d *= 2) {
    int u = __shfl_up_sync(0xffffffff, v, d);
    if (lane >= d) v += u;
  }
  if (lane == 31) totals[warp] = v;
  __syncthreads();
  if (warp == 0) {
    int w = lane < blockDim.x / 32 ? totals[lane] : 0;
    for (int d = 1; d < 32; d *= 2) {
      int u = __shfl_up_sync(0xffffffff, w, d);
      if (lane >= d) w += u;
    }
    totals[lane] = w;
  }
  __syncthreads();
  if (warp > 0) v += totals[warp - 1];
  if (i < n) out[i] = v;
  if (threadIdx.x == blockDim.x - 1) sums[blockIdx.x] = v;
}

extern "C" __global__ void add_offsets(int *out, const int *sums, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int before = 0;
  for (int b = 0; b < blockIdx.x; b++) before += sums[b];
  if (i < n) out[i] += before;
}

// Keeps what is over a threshold, in order, within each block.
extern "C" __global__ void compact(const int *in, int *out, int *counts, int least, int n) {
  __shared__ int bases[9];
  int t = threadIdx.x, lane = t % 32, warp = t / 32;
  int i = blockIdx.x * blockDim.x + t;
  bool keep = i < n && in[i] >= least;
  unsigned votes = __ballot_sync(0xffffffff, keep);
  if (lane == 0) bases[warp + 1] = __popc(votes);
  if (t == 0) bases[0] = 0;
  __syncthreads();
  if (t == 0)
    for (int w = 1; w <= blockDim.x / 32; w++) bases[w] += bases[w - 1];
  __syncthreads();
  int at = bases[warp] + __popc(votes & ((1u << lane) - 1));
  if (keep) out[blockIdx.x * blockDim.x + at] = in[i];
  if (t == 0) counts[blockIdx.x] = bases[blockDim.x / 32];
}

// Each block waits for the total of the one before it: a scan in one launch.
extern "C" __global__ void scan_chained(const int *in, int *out, volatile int *totals) {
  __shared__ int before;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x == 0) {
    int sum = 0, from = 0;
    for (int k = 0; k < blockDim.x; k++) sum += in[i + k];
    if (blockIdx.x > 0)
      while ((from = totals[blockIdx.x - 1]) < 0) {}
    totals[blockIdx.x] = from + sum;
    before = from;
  }
  __syncthreads();
  int sum = before;
  for (int k = 0; k <= threadIdx.x; k++) sum += in[blockIdx.x * blockDim.x + k];
  out[i] = sum;
}
