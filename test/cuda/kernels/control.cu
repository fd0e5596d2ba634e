// SPDX-License-Identifier: Apache-2.0
// Control flow that structuring has to get right.

extern "C" __global__ void collatz(int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = i + 1;
  int steps = 0;
  while (v != 1) {
    v = v & 1 ? 3 * v + 1 : v / 2;
    steps++;
  }
  out[i] = steps;
}

extern "C" __global__ void switches(const int *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int v = in[i], r = 0;
  switch (v) {
    case 0: r = 11; break;
    case 1: r = v + out[i];
    case 2: r += 5; break;
    case 3: r = v * v * v; break;
    case 4: r = -1; break;
    case 5: r = i ^ 0x55; break;
    case 6: r = out[i] / 3; break;
    case 7: r = i % 7; break;
    case 8: out[i] = 1; return;
    case 9: r = ~i; break;
    default: r = v < 0 ? -v : 1000;
  }
  out[i] = r;
}

// Some threads leave before a barrier that the others wait at.
extern "C" __global__ void early_return(const int *in, int *out, int n) {
  __shared__ int a[128];
  int t = threadIdx.x;
  int i = blockIdx.x * blockDim.x + t;
  a[t] = i < n ? in[i] : 0;
  __syncthreads();
  if (i >= n) return;
  int left = t > 0 ? a[t - 1] : 0;
  __syncthreads();
  a[t] = left * 2 + 1;
  __syncthreads();
  out[i] = a[t ^ 1] + a[t];
}

extern "C" __global__ void nested_breaks(const int *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int sum = 0;
  for (int a = 0; a < 10; a++) {
    if (a == in[i] % 7) continue;
    for (int b = 0; b < 10; b++) {
      if (b > a) break;
      if ((a * b + in[i]) % 13 == 0) goto out_of_both;
      if ((a + b) % 3 == 0) continue;
      sum += a * b + 1;
    }
    if (sum > 200) break;
    sum += 2;
  }
  sum += 1000;
out_of_both:
  out[i] = sum;
}

// Jumps into the middle of a loop: no structure of loops and ifs says this directly.
extern "C" __global__ void jumps(const int *in, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int v = in[i], sum = 0, left = 40;
  if (v & 1) goto odd;
even:
  sum += v;
  if (--left == 0) goto done;
  v = v / 2 + 3;
  if (v % 3 == 0) goto even;
odd:
  sum -= 2 * v;
  if (--left == 0) goto done;
  v = v * 3 + 1;
  if (v > 100000) v %= 1000;
  if (v & 1) goto odd;
  goto even;
done:
  out[i] = sum;
}

// A loop whose count is the block's, with barriers in it.
extern "C" __global__ void barrier_loop(int *data, const int *rounds) {
  __shared__ int a[64];
  int t = threadIdx.x;
  a[t] = data[blockIdx.x * 64 + t];
  int n = rounds[blockIdx.x];
  for (int r = 0; r < n; r++) {
    __syncthreads();
    int v = a[(t + 1) % 64] + (t % 2 ? a[(t + 63) % 64] : 0);
    __syncthreads();
    if (v % 5 != 0) a[t] = v % 1000;
  }
  __syncthreads();
  data[blockIdx.x * 64 + t] = a[t];
}

extern "C" __global__ void short_circuit(const int *a, const int *b, int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n && a[i] > 0 && (b[i] < 10 || a[b[i] % n] == 3) && !(a[i] == 4 && b[i] == 4))
    out[i] = a[i] > b[i] ? a[i] : b[i] < 0 ? -b[i] : 7;
}

extern "C" __global__ void find_text(const char *text, int n, const char *word, int length,
                                     int *hits, int *count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i + length > n) return;
  for (int k = 0; k < length; k++) {
    char c = text[i + k];
    if (c >= 'A' && c <= 'Z') c += 32;
    if (c != word[k]) return;
  }
  hits[atomicAdd(count, 1)] = i;
}

extern "C" __global__ void mandelbrot(int *out, int w, int h, int most) {
  int x = blockIdx.x * blockDim.x + threadIdx.x;
  int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= w || y >= h) return;
  // Halves and quarters: every step is exact enough that all agree on the count.
  float cr = x * (3.0f / 64.0f) - 2.0f, ci = y * (1.0f / 16.0f) - 1.0f;
  float zr = 0, zi = 0;
  int k = 0;
  while (k < most && zr * zr + zi * zi <= 4.0f) {
    float t = zr * zr - zi * zi + cr;
    zi = 2 * zr * zi + ci;
    zr = t;
    k++;
  }
  out[y * w + x] = k;
}
