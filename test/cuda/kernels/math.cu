// SPDX-License-Identifier: Apache-2.0
// The mathematical functions of CUDA's device library, in single and double precision.
#include <math.h>

extern "C" __global__ void functions1(const float *in, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float x = in[i];
  float *o = out + i * 10;
  o[0] = sinf(x);
  o[1] = cosf(x);
  o[2] = expf(x);
  o[3] = logf(fabsf(x) + 0.01f);
  o[4] = tanhf(x);
  o[5] = atanf(x);
  o[6] = powf(fabsf(x), 1.7f);
  o[7] = cbrtf(x);
  o[8] = erff(x);
  o[9] = exp2f(x);
}

extern "C" __global__ void fast_math(const float *in, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float x = in[i];
  float *o = out + i * 8;
  o[0] = __sinf(x);
  o[1] = __cosf(x);
  o[2] = __expf(x);
  o[3] = __logf(fabsf(x) + 0.01f);
  o[4] = __fdividef(1.0f, fabsf(x) + 1.0f);
  o[5] = rsqrtf(fabsf(x) + 0.5f);
  o[6] = __powf(fabsf(x) + 0.1f, 0.3f);
  o[7] = __saturatef(x);
}

// Every operation that IEEE 754 defines exactly: the results have to be equal to the last bit.
extern "C" __global__ void exact(const float *a, const float *b, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float x = a[i], y = b[i];
  float *o = out + i * 8;
  o[0] = __fadd_rn(x, y);
  o[1] = __fsub_rn(x, y);
  o[2] = __fmul_rn(x, y);
  o[3] = __fdiv_rn(x, y);
  o[4] = __fsqrt_rn(fabsf(x));
  o[5] = __fmaf_rn(x, y, x);
  o[6] = __frcp_rn(y);
  o[7] = fminf(x, y) - fmaxf(x, -y);
}

extern "C" __global__ void specials(const float *a, const float *b, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float x = a[i], y = b[i];
  int r = 0;
  r |= (x < y) << 0;
  r |= (x <= y) << 1;
  r |= (x == y) << 2;
  r |= (x != y) << 3;
  r |= !(x > y) << 4;
  r |= !(x >= y) << 5;
  r |= (isnan(x) != 0) << 6;
  r |= (isinf(x) != 0) << 7;
  r |= (signbit(x) != 0) << 8;
  r |= (isfinite(y) != 0) << 9;
  r |= (fminf(x, y) == fminf(y, x)) << 10;
  out[i] = r;
}

extern "C" __global__ void exact_f64(const double *a, const double *b, double *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double x = a[i], y = b[i];
  double *o = out + i * 8;
  o[0] = x + y;
  o[1] = x - y;
  o[2] = x * y;
  o[3] = x / y;
  o[4] = sqrt(fabs(x));
  o[5] = fma(x, y, x);
  o[6] = x < y ? floor(x) : ceil(y);
  o[7] = (double)(float)x + (double)(int)y;
}

extern "C" __global__ void functions_f64(const double *in, double *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double x = in[i];
  out[i * 3] = exp(x);
  out[i * 3 + 1] = log(fabs(x) + 0.5);
  out[i * 3 + 2] = sin(x);
}
