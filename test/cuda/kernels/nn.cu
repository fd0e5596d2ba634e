// SPDX-License-Identifier: Apache-2.0
// Layers of neural networks.
#include <math.h>

__device__ float block_sum(float v, float *part) {
  int t = threadIdx.x;
  part[t] = v;
  __syncthreads();
  for (int s = blockDim.x / 2; s > 0; s >>= 1) {
    if (t < s) part[t] += part[t + s];
    __syncthreads();
  }
  v = part[0];
  __syncthreads();
  return v;
}

extern "C" __global__ void softmax(const float *in, float *out, int cols) {
  __shared__ float part[128];
  int t = threadIdx.x;
  const float *x = in + blockIdx.x * cols;
  float most = -INFINITY;
  for (int i = t; i < cols; i += blockDim.x) most = fmaxf(most, x[i]);
  part[t] = most;
  __syncthreads();
  for (int s = blockDim.x / 2; s > 0; s >>= 1) {
    if (t < s) part[t] = fmaxf(part[t], part[t + s]);
    __syncthreads();
  }
  most = part[0];
  __syncthreads();
  float sum = 0;
  for (int i = t; i < cols; i += blockDim.x) sum += expf(x[i] - most);
  sum = block_sum(sum, part);
  for (int i = t; i < cols; i += blockDim.x)
    out[blockIdx.x * cols + i] = expf(x[i] - most) / sum;
}

extern "C" __global__ void layer_norm(const float *in, const float *gain, const float *bias,
                                      float *out, int cols) {
  __shared__ float part[128];
  const float *x = in + blockIdx.x * cols;
  float sum = 0;
  for (int i = threadIdx.x; i < cols; i += blockDim.x) sum += x[i];
  float mean = block_sum(sum, part) / cols;
  float square = 0;
  for (int i = threadIdx.x; i < cols; i += blockDim.x) square += (x[i] - mean) * (x[i] - mean);
  float scale = rsqrtf(block_sum(square, part) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += blockDim.x)
    out[blockIdx.x * cols + i] = (x[i] - mean) * scale * gain[i] + bias[i];
}

// Causal attention of one head with a running softmax: one row of queries a thread.
#define HEAD 16
extern "C" __global__ void attention(const float *q, const float *k, const float *v, float *out,
                                     int n) {
  __shared__ float ks[32][HEAD];
  __shared__ float vs[32][HEAD];
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  float query[HEAD], sum[HEAD];
  for (int d = 0; d < HEAD; d++) {
    query[d] = row < n ? q[row * HEAD + d] : 0;
    sum[d] = 0;
  }
  float most = -1e30f, total = 0;
  for (int base = 0; base < n; base += 32) {
    for (int e = threadIdx.x; e < 32 * HEAD; e += blockDim.x) {
      int r = base + e / HEAD;
      ks[e / HEAD][e % HEAD] = r < n ? k[r * HEAD + e % HEAD] : 0;
      vs[e / HEAD][e % HEAD] = r < n ? v[r * HEAD + e % HEAD] : 0;
    }
    __syncthreads();
    for (int j = 0; j < 32 && base + j <= row; j++) {
      float score = 0;
      for (int d = 0; d < HEAD; d++) score += query[d] * ks[j][d];
      score *= 0.25f;
      float larger = fmaxf(most, score);
      float keep = __expf(most - larger), add = __expf(score - larger);
      total = total * keep + add;
      for (int d = 0; d < HEAD; d++) sum[d] = sum[d] * keep + add * vs[j][d];
      most = larger;
    }
    __syncthreads();
  }
  if (row < n)
    for (int d = 0; d < HEAD; d++) out[row * HEAD + d] = sum[d] / total;
}

extern "C" __global__ void gelu(const float *x, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float v = x[i];
  y[i] = 0.5f * v * (1.0f + tanhf(0.7978845608f * (v + 0.044715f * v * v * v)));
}

extern "C" __global__ void gelu_erf(const float *x, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}

extern "C" __global__ void adamw(float *p, const float *g, float *m, float *v, int n, float rate,
                                 float b1, float b2, float c1, float c2, float decay) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  m[i] = b1 * m[i] + (1 - b1) * g[i];
  v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
  p[i] -= rate * (m[i] / c1 / (sqrtf(v[i] / c2) + 1e-8f) + decay * p[i]);
}

extern "C" __global__ void cross_entropy(const float *logits, const int *target, float *loss,
                                         float *grad, int classes, int rows) {
  int r = blockIdx.x * blockDim.x + threadIdx.x;
  if (r >= rows) return;
  const float *x = logits + r * classes;
  float most = x[0];
  for (int c = 1; c < classes; c++) most = fmaxf(most, x[c]);
  float sum = 0;
  for (int c = 0; c < classes; c++) sum += expf(x[c] - most);
  loss[r] = logf(sum) + most - x[target[r]];
  for (int c = 0; c < classes; c++)
    grad[r * classes + c] = expf(x[c] - most) / sum - (c == target[r] ? 1.0f : 0.0f);
}

extern "C" __global__ void rotary(float *x, int heads, int width) {
  int i = threadIdx.x, position = blockIdx.x;
  if (i >= heads * width / 2) return;
  int pair = i % (width / 2);
  float angle = position * powf(10000.0f, -2.0f * pair / width);
  float s, c;
  sincosf(angle, &s, &c);
  float *at = x + position * heads * width + (i / (width / 2)) * width + 2 * pair;
  float a = at[0], b = at[1];
  at[0] = a * c - b * s;
  at[1] = a * s + b * c;
}

extern "C" __global__ void embedding(const int *tokens, const float *words, const float *places,
                                     float *out, int width) {
  int t = blockIdx.x;
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    out[t * width + i] = words[tokens[t] * width + i] + places[t * width + i];
}

extern "C" __global__ void dropout(const float *in, float *out, unsigned seed, float rate, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned h = seed ^ (i * 0x9e3779b9u);
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  float u = (h >> 8) * (1.0f / 16777216.0f);
  out[i] = u < rate ? 0.0f : in[i] / (1.0f - rate);
}
