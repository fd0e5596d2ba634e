// SPDX-License-Identifier: Apache-2.0
// The kernels of cuda-gpt: a thread for each element of cuda-gpt-ops.h, and a tiled matrix product.
// cuda-gpt.ptx is what `nvcc -ptx -arch=compute_75 cuda-gpt.cu` makes of this file; it is checked
// in, so that the example is built without a CUDA toolkit.
#include "cuda-gpt-ops.h"

#define ELEMENT \
  const int i = blockIdx.x * blockDim.x + threadIdx.x; \
  if (i >= n) return

extern "C" {

__global__ void embed(int n, float *x, const int *tokens, const float *words, const float *places,
                      int t, int c) {
  ELEMENT;
  embed_at(i, x, tokens, words, places, t, c);
}

__global__ void layer_norm(int n, float *y, float *mean, float *scale, const float *x,
                           const float *gain, const float *bias, int c) {
  ELEMENT;
  layer_norm_at(i, y, mean, scale, x, gain, bias, c);
}

__global__ void layer_norm_back(int n, float *dx, const float *dy, const float *x,
                                const float *mean, const float *scale, const float *gain, int c) {
  ELEMENT;
  layer_norm_back_at(i, dx, dy, x, mean, scale, gain, c);
}

__global__ void layer_norm_weights(int n, float *dgain, float *dbias, const float *dy,
                                   const float *x, const float *mean, const float *scale,
                                   int rows, int c) {
  ELEMENT;
  layer_norm_weights_at(i, dgain, dbias, dy, x, mean, scale, rows, c);
}

__global__ void attend(int n, float *y, float *weights, const float *qkv, int t, int c, int h) {
  ELEMENT;
  attend_at(i, y, weights, qkv, t, c, h);
}

__global__ void attend_back_query(int n, float *dscores, float *dqkv, const float *dy,
                                  const float *weights, const float *qkv, int t, int c, int h) {
  ELEMENT;
  attend_back_query_at(i, dscores, dqkv, dy, weights, qkv, t, c, h);
}

__global__ void attend_back_key(int n, float *dqkv, const float *dscores, const float *dy,
                                const float *weights, const float *qkv, int t, int c, int h) {
  ELEMENT;
  attend_back_key_at(i, dqkv, dscores, dy, weights, qkv, t, c, h);
}

__global__ void gelu(int n, float *y, const float *x) {
  ELEMENT;
  gelu_at(i, y, x);
}

__global__ void gelu_back(int n, float *dx, const float *dy, const float *x) {
  ELEMENT;
  gelu_back_at(i, dx, dy, x);
}

__global__ void add(int n, float *y, const float *a, const float *b) {
  ELEMENT;
  add_at(i, y, a, b);
}

__global__ void cross_entropy(int n, float *loss, float *logits, const int *targets, int v) {
  ELEMENT;
  cross_entropy_at(i, loss, logits, targets, n, v);
}

__global__ void column_sums(int n, float *sums, const float *x, int rows) {
  ELEMENT;
  column_sums_at(i, sums, x, rows, n);
}

__global__ void embed_back_words(int n, float *dwords, const float *dx, const int *tokens,
                                 int rows, int c) {
  ELEMENT;
  embed_back_words_at(i, dwords, dx, tokens, rows, c);
}

__global__ void embed_back_places(int n, float *dplaces, const float *dx, int b, int t, int c) {
  ELEMENT;
  embed_back_places_at(i, dplaces, dx, b, t, c);
}

__global__ void adamw(int n, float *p, const float *g, float *m, float *v, float rate,
                      float bias1, float bias2, float decay) {
  ELEMENT;
  adamw_at(i, p, g, m, v, rate, bias1, bias2, decay);
}

#define TILE 16

// out[m][n] = (out +) a·b (+ bias of each column); a is [m][k], or [k][m] if turn_a; b is [k][n], or
// [n][k] if turn_b. Blocks of TILE x TILE threads, one for each element of a tile of out.
__global__ void __launch_bounds__(TILE *TILE)
    multiply(float *out, const float *a, const float *b, const float *bias, int m, int n, int k,
             int turn_a, int turn_b, int adds) {
  __shared__ float ta[TILE][TILE + 1];
  __shared__ float tb[TILE][TILE + 1];
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * TILE + y, column = blockIdx.x * TILE + x;
  float sum = 0;

  for (int first = 0; first < k; first += TILE) {
    // Threads that are side by side read what is side by side, turned or not.
    int i = blockIdx.y * TILE + (turn_a ? x : y), j = first + (turn_a ? y : x);
    float va = i < m && j < k ? a[turn_a ? j * m + i : i * k + j] : 0;
    ta[turn_a ? x : y][turn_a ? y : x] = va;
    i = first + (turn_b ? x : y);
    j = blockIdx.x * TILE + (turn_b ? y : x);
    float vb = i < k && j < n ? b[turn_b ? j * k + i : i * n + j] : 0;
    tb[turn_b ? x : y][turn_b ? y : x] = vb;
    __syncthreads();
#pragma unroll
    for (int e = 0; e < TILE; e++) sum += ta[y][e] * tb[e][x];
    __syncthreads();
  }
  if (row < m && column < n) {
    if (bias) sum += bias[column];
    out[row * n + column] = adds ? out[row * n + column] + sum : sum;
  }
}

}
