// SPDX-License-Identifier: Apache-2.0
// Sorting networks and others.

extern "C" __global__ void bitonic_block(int *data) {
  __shared__ int a[256];
  int t = threadIdx.x;
  a[t] = data[blockIdx.x * 256 + t];
  for (int k = 2; k <= 256; k *= 2)
    for (int j = k / 2; j > 0; j /= 2) {
      __syncthreads();
      int other = t ^ j;
      if (other > t) {
        bool up = (t & k) == 0;
        if ((a[t] > a[other]) == up) {
          int v = a[t];
          a[t] = a[other];
          a[other] = v;
        }
      }
    }
  __syncthreads();
  data[blockIdx.x * 256 + t] = a[t];
}

extern "C" __global__ void bitonic_step(unsigned *data, int j, int k) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned other = i ^ j;
  if (other <= i) return;
  unsigned p = data[i], q = data[other];
  if (((i & k) == 0) ? p > q : p < q) {
    data[i] = q;
    data[other] = p;
  }
}

// Each thread sorts 16 numbers of its own: an array that is indexed at run time.
extern "C" __global__ void insertion_sort(float *data, int rows) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  float a[16];
  for (int i = 0; i < 16; i++) a[i] = data[row * 16 + i];
  for (int i = 1; i < 16; i++) {
    float v = a[i];
    int j = i - 1;
    while (j >= 0 && a[j] > v) {
      a[j + 1] = a[j];
      j--;
    }
    a[j + 1] = v;
  }
  for (int i = 0; i < 16; i++) data[row * 16 + i] = a[i];
}

// One pass of a radix sort in one block: a stable split by each of 8 bits.
extern "C" __global__ void radix_block(unsigned *data) {
  __shared__ unsigned a[128];
  __shared__ unsigned ones[128];
  int t = threadIdx.x;
  unsigned v = data[blockIdx.x * 128 + t];
  for (int bit = 0; bit < 8; bit++) {
    unsigned b = (v >> bit) & 1;
    ones[t] = b;
    __syncthreads();
    for (int d = 1; d < 128; d *= 2) {
      unsigned add = t >= d ? ones[t - d] : 0;
      __syncthreads();
      ones[t] += add;
      __syncthreads();
    }
    unsigned total = ones[127];
    unsigned to = b ? 128 - total + ones[t] - 1 : t - ones[t];
    a[to] = v;
    __syncthreads();
    v = a[t];
    __syncthreads();
  }
  data[blockIdx.x * 128 + t] = v;
}

extern "C" __global__ void rank_sort(const short *in, short *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int rank = 0;
  for (int j = 0; j < n; j++) rank += in[j] < in[i] || (in[j] == in[i] && j < i);
  out[rank] = in[i];
}
