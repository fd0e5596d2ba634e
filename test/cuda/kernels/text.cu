// SPDX-License-Identifier: Apache-2.0
// printf, assertions and traps.
#include <assert.h>
#include <stdio.h>

extern "C" __global__ void print_lines(const float *in, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  if (i % 2)
    printf("%d: %.3f %s\n", i, in[i], in[i] < 0 ? "below" : "above");
  else
    printf("even %5d|%-4u|%#x|%c|%lld%%\n", i, i, i + 200, 'a' + i, -5000000000LL * i);
}

extern "C" __global__ void print_plain() { printf("block %d\n", blockIdx.x); }

extern "C" __global__ void asserts(const int *in, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) assert(in[i] < 100);
}

extern "C" __global__ void traps(const int *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  if (in[i] == 13) __trap();
  out[i] = in[i] + 1;
}

extern "C" __global__ void caesar(const char *in, char *out, int shift, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  char c = in[i];
  if (c >= 'a' && c <= 'z') c = 'a' + (c - 'a' + shift) % 26;
  else if (c >= 'A' && c <= 'Z') c = 'A' + (c - 'A' + shift) % 26;
  out[i] = c;
}
