// SPDX-License-Identifier: Apache-2.0
// Warps: shuffles, votes, matches, and algorithms on them.

extern "C" __global__ void shuffles(const int *in, int *out) {
  int t = threadIdx.x, lane = t & 31;
  int v = in[blockIdx.x * blockDim.x + t];
  int *o = out + (blockIdx.x * blockDim.x + t) * 6;
  o[0] = __shfl_sync(0xffffffff, v, (lane * 7) & 31);
  o[1] = __shfl_up_sync(0xffffffff, v, 3);
  o[2] = __shfl_down_sync(0xffffffff, v, 5);
  o[3] = __shfl_xor_sync(0xffffffff, v, 9);
  o[4] = __shfl_sync(0xffffffff, v, 2, 8);
  o[5] = __shfl_down_sync(0xffffffff, v, 1, 16);
}

extern "C" __global__ void votes(const int *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = in[i];
  out[i * 4] = __ballot_sync(0xffffffff, v > 50);
  out[i * 4 + 1] = __any_sync(0xffffffff, v == 99);
  out[i * 4 + 2] = __all_sync(0xffffffff, v < 99);
  out[i * 4 + 3] = (threadIdx.x & 31) < 16 ? __ballot_sync(0xffff, v & 1) : 7;
}

extern "C" __global__ void matches(const int *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int same;
  out[i * 3] = __match_any_sync(0xffffffff, in[i] % 5);
  out[i * 3 + 1] = __match_all_sync(0xffffffff, in[i] / 1000, &same);
  out[i * 3 + 2] = same;
}

extern "C" __global__ void warp_sort(int *data) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int lane = threadIdx.x & 31;
  int v = data[i];
  for (int k = 2; k <= 32; k *= 2)
    for (int j = k / 2; j > 0; j /= 2) {
      int u = __shfl_xor_sync(0xffffffff, v, j);
      bool up = (lane & k) == 0, low = (lane & j) == 0;
      v = (low == up) ? min(u, v) : max(u, v);
    }
  data[i] = v;
}

// Half of each warp works apart from the other half.
extern "C" __global__ void half_warps(const int *in, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int lane = threadIdx.x & 31;
  int v = in[i];
  if (lane < 16) {
    for (int o = 8; o > 0; o /= 2) v += __shfl_xor_sync(0x0000ffff, v, o);
  } else {
    for (int o = 8; o > 0; o /= 2) v = max(v, __shfl_xor_sync(0xffff0000, v, o));
  }
  __syncwarp();
  out[i] = v;
}

// A block that is no multiple of 32 wide, and whose warps cross its rows.
extern "C" __global__ void odd_block(const int *in, int *out) {
  int t = threadIdx.y * blockDim.x + threadIdx.x;
  int v = in[t];
  int total = blockDim.x * blockDim.y;
  unsigned mask = __ballot_sync(__activemask(), t < total);
  int lane = t & 31;
  int next = __shfl_sync(mask, v, (lane + 1) % __popc(mask));
  out[t] = next * 10 + (lane == 0);
}

extern "C" __global__ void reduce_op(const unsigned *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned v = in[i];
#if __CUDA_ARCH__ >= 800
  unsigned sum = __reduce_add_sync(0xffffffff, v);
  unsigned most = __reduce_max_sync(0xffffffff, v);
  unsigned bits = __reduce_xor_sync(0xffffffff, v);
#else
  unsigned sum = v, most = v, bits = v;
  for (int o = 16; o > 0; o /= 2) {
    sum += __shfl_xor_sync(0xffffffff, sum, o);
    most = max(most, __shfl_xor_sync(0xffffffff, most, o));
    bits ^= __shfl_xor_sync(0xffffffff, bits, o);
  }
#endif
  out[i * 3] = sum;
  out[i * 3 + 1] = most;
  out[i * 3 + 2] = bits;
}

__device__ int lanes_sum(unsigned mask, int v) {
  for (int o = warpSize / 2; o > 0; o /= 2) v += __shfl_down_sync(mask, v, o);
  return v;
}

// Warps are summed, then their sums by a part of the first warp: the lanes beyond it give nothing.
extern "C" __global__ void sum_of_sums(const int *in, int *out) {
  __shared__ int sums[32];
  int t = threadIdx.x, warps = blockDim.x / 32;
  int v = lanes_sum(0xffffffff, in[blockIdx.x * blockDim.x + t]);
  if (t % 32 == 0) sums[t / 32] = v;
  __syncthreads();
  unsigned some = __ballot_sync(0xffffffff, t < warps);
  if (t < warps) v = lanes_sum(some, sums[t]);
  if (t == 0) out[blockIdx.x] = v;
}

// Of each warp some lanes have ended when the others shuffle; the two branches meet at barriers.
extern "C" __global__ void ended_lanes(const int *in, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int lane = threadIdx.x & 31;
  int v = in[i];
  if (lane >= 20) return;
  if (threadIdx.x < 32) {
    __syncthreads();
    v = v * 3 + __shfl_xor_sync(0xfffff, v, 16);
  } else {
    v = v + __shfl_xor_sync(0xfffff, v, 8) * 5;
    __syncthreads();
  }
  out[i] = v;
}

// Numbers of 64 bits that differ in one half only, compared by lanes that meet in a branch too.
extern "C" __global__ void wide_matches(const long long *in, unsigned *out) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  int same;
  out[i * 4] = __match_any_sync(0xffffffff, in[i]);
  out[i * 4 + 1] = __match_all_sync(0xffffffff, in[i & ~31u], &same) ^ same;
  out[i * 4 + 2] = __match_all_sync(0xffffffff, in[i] >> 32, &same) ^ same;
  unsigned odd = __ballot_sync(0xffffffff, in[i] & 1), apart;
  if (in[i] & 1) apart = __match_any_sync(odd, in[i]);
  else apart = ~__match_any_sync(~odd, in[i] >> 34);
  out[i * 4 + 3] = apart;
}
