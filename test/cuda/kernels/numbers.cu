// SPDX-License-Identifier: Apache-2.0
// Integers, bits, random numbers, and conversions.
#include <stdint.h>

extern "C" __global__ void xorshift(unsigned *state, unsigned *out, int rounds) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned x = state[i];
  for (int r = 0; r < rounds; r++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
  }
  state[i] = x;
  out[i] = x % 1000;
}

extern "C" __global__ void philox(uint4 *out, uint2 key) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  uint4 c = make_uint4(i, 0, 0, 0);
  for (int r = 0; r < 10; r++) {
    unsigned h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x;
    unsigned h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
    c = make_uint4(h1 ^ c.y ^ key.x, l1, h0 ^ c.w ^ key.y, l0);
    key.x += 0x9E3779B9u;
    key.y += 0xBB67AE85u;
  }
  out[i] = c;
}

extern "C" __global__ void splitmix(unsigned long long *out, unsigned long long seed) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned long long z = seed + (i + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  out[i] = z ^ (z >> 31);
}

extern "C" __global__ void monte_carlo(unsigned *hits, unsigned seed, int tries) {
  unsigned s = seed + (blockIdx.x * blockDim.x + threadIdx.x) * 747796405u;
  unsigned inside = 0;
  for (int t = 0; t < tries; t++) {
    s = s * 1664525u + 1013904223u;
    unsigned x = s >> 20;
    s = s * 1664525u + 1013904223u;
    unsigned y = s >> 20;
    inside += x * x + y * y < 4096 * 4096;
  }
  atomicAdd(hits, inside);
}

extern "C" __global__ void bits(const unsigned *in, unsigned *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = in[i];
  unsigned *o = out + i * 8;
  o[0] = __popc(v);
  o[1] = __clz(v);
  o[2] = __brev(v);
  o[3] = __ffs(v);
  o[4] = __byte_perm(v, ~v, 0x5170);
  o[5] = __funnelshift_l(v, v * 3, i & 31);
  o[6] = (v >> (i % 20)) & 0xfff;
  o[7] = __funnelshift_rc(v, 0x12345678u, i & 63);
}

extern "C" __global__ void wide(const long long *a, const long long *b, long long *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  long long x = a[i], y = b[i];
  long long *o = out + i * 10;
  o[0] = x + y;
  o[1] = x - y;
  o[2] = x * y;
  o[3] = y ? x / y : 0;
  o[4] = y ? x % y : 0;
  o[5] = x << (i & 63);
  o[6] = x >> (i & 63);
  o[7] = (long long)((unsigned long long)x >> (i & 63));
  o[8] = x < y ? x & y : x ^ y;
  o[9] = __mul64hi(x, y) + __popcll(x) + __clzll(y);
}

extern "C" __global__ void unsigned_wide(const unsigned long long *a, const unsigned long long *b,
                                         unsigned long long *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long x = a[i], y = b[i] | 1;
  out[i * 4] = x / y;
  out[i * 4 + 1] = x % y;
  out[i * 4 + 2] = __umul64hi(x, y);
  out[i * 4 + 3] = x > y ? x - y : __brevll(x);
}

extern "C" __global__ void divisions(const int *a, const int *b, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int x = a[i], y = b[i] == 0 ? 1 : b[i];
  out[i * 6] = x / y;
  out[i * 6 + 1] = x % y;
  out[i * 6 + 2] = x / 7;
  out[i * 6 + 3] = (int)((unsigned)x % 10u);
  out[i * 6 + 4] = __mulhi(x, y);
  out[i * 6 + 5] = abs(x) - min(x, y) + max(x, -y);
}

extern "C" __global__ void dots(const int *a, const int *b, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  out[i * 2] = __dp4a(a[i], b[i], i);
  out[i * 2 + 1] = __vadd4(a[i], b[i]);
}

extern "C" __global__ void crc32(const uint8_t *data, unsigned *out, int length) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned crc = 0xffffffff;
  for (int k = 0; k < length; k++) {
    crc ^= data[i * length + k];
    for (int b = 0; b < 8; b++) crc = crc & 1 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
  }
  out[i] = ~crc;
}

extern "C" __global__ void conversions(const float *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float x = in[i];
  int *o = out + i * 10;
  o[0] = (int)x;
  o[1] = __float2int_rn(x);
  o[2] = __float2int_ru(x);
  o[3] = __float2int_rd(x);
  o[4] = (int)(unsigned)x;
  o[5] = (int)(signed char)(int)x;
  o[6] = (int)(unsigned short)(int)x;
  o[7] = __float_as_int(rintf(x));
  o[8] = __float_as_int(truncf(x) + floorf(x) + ceilf(x));
  o[9] = __float_as_int((float)(i * 1234567891));
}

extern "C" __global__ void from_long(const long long *in, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  out[i * 2] = (float)in[i];
  out[i * 2 + 1] = (float)(unsigned long long)in[i];
}
