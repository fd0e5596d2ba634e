// SPDX-License-Identifier: Apache-2.0
// Textures and surfaces by handle: what the compiler emits for the templates of CUDA's headers.

extern "C" __global__ void tex_line(cudaTextureObject_t t, const float *x, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex1D<float>(t, x[i]);
}

extern "C" __global__ void tex_fetch(cudaTextureObject_t t, int4 *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex1Dfetch<int4>(t, i - 2);
}

extern "C" __global__ void tex_plane(cudaTextureObject_t t, const float2 *at, float4 *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2D<float4>(t, at[i].x, at[i].y);
}

extern "C" __global__ void tex_bytes(cudaTextureObject_t t, const float2 *at, uchar4 *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2D<uchar4>(t, at[i].x, at[i].y);
}

extern "C" __global__ void tex_shorts(cudaTextureObject_t t, const float2 *at, short2 *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2D<short2>(t, at[i].x, at[i].y);
}

extern "C" __global__ void tex_space(cudaTextureObject_t t, const float4 *at, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex3D<float>(t, at[i].x, at[i].y, at[i].z);
}

extern "C" __global__ void tex_layers(cudaTextureObject_t t, const float2 *at, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2DLayered<float>(t, at[i].x, at[i].y, i % 4);
}

extern "C" __global__ void tex_line_layers(cudaTextureObject_t t, const float *x, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex1DLayered<float>(t, x[i], i % 3);
}

extern "C" __global__ void tex_cube(cudaTextureObject_t t, const float4 *at, float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = texCubemap<float>(t, at[i].x, at[i].y, at[i].z);
}

extern "C" __global__ void tex_gather(cudaTextureObject_t t, const float2 *at, float4 *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2Dgather<float4>(t, at[i].x, at[i].y, 1);
}

// Turns a plane by a quarter, and counts what lies outside.
extern "C" __global__ void surf_turn(cudaSurfaceObject_t in, cudaSurfaceObject_t out, int w, int h) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x > w || y > h) return;
  float v = surf2Dread<float>(in, x * 4, y, cudaBoundaryModeZero);
  surf2Dwrite(v + 0.5f, out, y * 4, x, cudaBoundaryModeZero);
}

extern "C" __global__ void surf_types(cudaSurfaceObject_t bytes, cudaSurfaceObject_t pairs,
                                      cudaSurfaceObject_t quads, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned char b = surf1Dread<unsigned char>(bytes, i);
  short2 p = surf2Dread<short2>(pairs, i * 4, 1);
  surf1Dwrite((unsigned char)(b + 3), bytes, i);
  surf2Dwrite(make_short2(p.y, p.x - b), pairs, i * 4, 1);
  surf3Dwrite(make_float4(b, p.x, p.y, i), quads, i * 16, 1, 1);
  surf2DLayeredwrite(make_float4(i, b, 0, 1), quads, i * 16, 0, 1, cudaBoundaryModeClamp);
}

extern "C" __global__ void surf_trap(cudaSurfaceObject_t s, int x) { surf1Dwrite(1.0f, s, x * 4); }

extern "C" __global__ void tex_query(unsigned long long t, int *out) {
  int w, h;
  asm("txq.width.b32 %0, [%1];" : "=r"(w) : "l"(t));
  asm("txq.height.b32 %0, [%1];" : "=r"(h) : "l"(t));
  out[0] = w;
  out[1] = h;
}
