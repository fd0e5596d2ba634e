// SPDX-License-Identifier: Apache-2.0
// Reductions: trees in shared memory, in warps, with atomics.

extern "C" __global__ void reduce_shared(const float *in, float *out, int n) {
  __shared__ float part[256];
  int t = threadIdx.x;
  int i = blockIdx.x * blockDim.x * 2 + t;
  float sum = i < n ? in[i] : 0.0f;
  if (i + blockDim.x < n) sum += in[i + blockDim.x];
  part[t] = sum;
  __syncthreads();
  for (int s = blockDim.x / 2; s > 0; s >>= 1) {
    if (t < s) part[t] += part[t + s];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = part[0];
}

__inline__ __device__ float warp_sum(float v) {
  for (int o = 16; o > 0; o >>= 1) v += __shfl_down_sync(0xffffffff, v, o);
  return v;
}

extern "C" __global__ void reduce_warp(const float *in, float *out, int n) {
  __shared__ float part[32];
  float sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    sum += in[i];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  sum = warp_sum(sum);
  if (lane == 0) part[warp] = sum;
  __syncthreads();
  sum = threadIdx.x < blockDim.x / 32 ? part[lane] : 0;
  if (warp == 0) sum = warp_sum(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

extern "C" __global__ void reduce_atomic(const int *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    atomicAdd(&out[0], in[i]);
    atomicMin(&out[1], in[i]);
    atomicMax(&out[2], in[i]);
  }
}

extern "C" __global__ void argmax(const float *in, int *out, int n) {
  __shared__ float best[128];
  __shared__ int where[128];
  int t = threadIdx.x;
  float b = -1e30f;
  int w = -1;
  for (int i = t; i < n; i += blockDim.x)
    if (in[i] > b) {
      b = in[i];
      w = i;
    }
  best[t] = b;
  where[t] = w;
  __syncthreads();
  for (int s = blockDim.x / 2; s > 0; s /= 2) {
    if (t < s && (best[t + s] > best[t] || (best[t + s] == best[t] && where[t + s] < where[t]))) {
      best[t] = best[t + s];
      where[t] = where[t + s];
    }
    __syncthreads();
  }
  if (t == 0) out[0] = where[0];
}

extern "C" __global__ void count_positive(const int *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int c = __syncthreads_count(i < n && in[i] > 0);
  int any = __syncthreads_or(i < n && in[i] == 77);
  int all = __syncthreads_and(i >= n || in[i] > -1000);
  if (threadIdx.x == 0) {
    out[blockIdx.x * 3] = c;
    out[blockIdx.x * 3 + 1] = any != 0;
    out[blockIdx.x * 3 + 2] = all != 0;
  }
}

// The last block to finish adds up what all have left: order among blocks by atomics alone.
__device__ unsigned int finished = 0;

extern "C" __global__ void reduce_last_block(const int *in, volatile int *parts, int *out, int n) {
  __shared__ int part[128];
  __shared__ bool last;
  int t = threadIdx.x;
  int i = blockIdx.x * blockDim.x + t;
  part[t] = i < n ? in[i] : 0;
  __syncthreads();
  for (int s = 64; s > 0; s >>= 1) {
    if (t < s) part[t] += part[t + s];
    __syncthreads();
  }
  if (t == 0) {
    parts[blockIdx.x] = part[0];
    __threadfence();
    last = atomicInc(&finished, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && t == 0) {
    int sum = 0;
    for (int b = 0; b < gridDim.x; b++) sum += parts[b];
    *out = sum;
  }
}

extern "C" __global__ void dot_f64(const double *a, const double *b, double *out, int n) {
  __shared__ double part[64];
  double sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += a[i] * b[i];
  part[threadIdx.x] = sum;
  __syncthreads();
  for (int s = 32; s > 0; s >>= 1) {
    if (threadIdx.x < s) part[threadIdx.x] += part[threadIdx.x + s];
    __syncthreads();
  }
  if (threadIdx.x == 0) *out = part[0] / n;
}
