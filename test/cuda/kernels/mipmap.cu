// SPDX-License-Identifier: Apache-2.0
// Levels of detail, and what the compiler has no template for: formatted stores, sums on surfaces.

extern "C" __global__ void mip_line(cudaTextureObject_t t, const float *x, const float *lod, float *out,
                                    int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex1DLod<float>(t, x[i], lod[i]);
}

extern "C" __global__ void mip_plane(cudaTextureObject_t t, const float2 *at, const float *lod, float4 *out,
                                     int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2DLod<float4>(t, at[i].x, at[i].y, lod[i]);
}

extern "C" __global__ void mip_bytes(cudaTextureObject_t t, const float2 *at, const float *lod, uchar4 *out,
                                     int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2DLod<uchar4>(t, at[i].x, at[i].y, lod[i]);
}

extern "C" __global__ void mip_space(cudaTextureObject_t t, const float4 *at, const float *lod, float *out,
                                     int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex3DLod<float>(t, at[i].x, at[i].y, at[i].z, lod[i]);
}

extern "C" __global__ void mip_layers(cudaTextureObject_t t, const float2 *at, const float *lod, float *out,
                                      int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2DLayeredLod<float>(t, at[i].x, at[i].y, i % 3, lod[i]);
}

extern "C" __global__ void mip_line_layers(cudaTextureObject_t t, const float *x, const float *lod,
                                           float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex1DLayeredLod<float>(t, x[i], i % 2, lod[i]);
}

extern "C" __global__ void mip_cube(cudaTextureObject_t t, const float4 *at, const float *lod, float *out,
                                    int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = texCubemapLod<float>(t, at[i].x, at[i].y, at[i].z, lod[i]);
}

// The base level, whatever there is beside it.
extern "C" __global__ void mip_base(cudaTextureObject_t t, const float2 *at, float4 *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex2D<float4>(t, at[i].x, at[i].y);
}

extern "C" __global__ void mip_slope(cudaTextureObject_t t, const float *x, const float2 *by, float *out,
                                     int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex1DGrad<float>(t, x[i], by[i].x, by[i].y);
}

extern "C" __global__ void mip_slopes(cudaTextureObject_t t, const float2 *at, const float4 *by, float *out,
                                      int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float4 d = by[i];
  out[i] = tex2DGrad<float>(t, at[i].x, at[i].y, make_float2(d.x, d.y), make_float2(d.z, d.w));
}

extern "C" __global__ void mip_space_slopes(cudaTextureObject_t t, const float4 *at, const float4 *by,
                                            float *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = tex3DGrad<float>(t, at[i].x, at[i].y, at[i].z, by[2 * i], by[2 * i + 1]);
}

extern "C" __global__ void mip_query(unsigned long long t, int *out) {
  int levels, width, height;
  asm("txq.num_mipmap_levels.b32 %0, [%1];" : "=r"(levels) : "l"(t));
  asm("txq.level.width.b32 %0, [%1], %2;" : "=r"(width) : "l"(t), "r"(1));
  asm("txq.level.height.b32 %0, [%1], %2;" : "=r"(height) : "l"(t), "r"(2));
  out[0] = levels;
  out[1] = width;
  out[2] = height;
}

// Values become the surface's format; what it has not is left out.
extern "C" __global__ void surf_formatted(cudaSurfaceObject_t bytes, cudaSurfaceObject_t halves, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  asm volatile("sust.p.1d.v4.b32.zero [%0, {%1}], {%2, %3, %4, %5};"
               :: "l"(bytes), "r"(i), "r"(i * 5 - 20), "r"(i), "r"(300), "r"(-1));
  asm volatile("sust.p.2d.v2.b32.clamp [%0, {%1, %2}], {%3, %4};"
               :: "l"(halves), "r"(i), "r"(1), "r"(__float_as_int(i * 0.25f)), "r"(__float_as_int(-i)));
}

extern "C" __global__ void surf_sums(cudaSurfaceObject_t sums, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  asm volatile("sured.b.add.1d.u32.trap [%0, {%1}], %2;" :: "l"(sums), "r"(0), "r"(i));
  asm volatile("sured.b.min.1d.s32.trap [%0, {%1}], %2;" :: "l"(sums), "r"(4), "r"(10 - i));
  asm volatile("sured.b.max.1d.u32.zero [%0, {%1}], %2;" :: "l"(sums), "r"(8), "r"(i));
  asm volatile("sured.b.or.1d.b32.clamp [%0, {%1}], %2;" :: "l"(sums), "r"(12), "r"(1 << (i & 31)));
  asm volatile("sured.p.and.1d.b32.clamp [%0, {%1}], %2;" :: "l"(sums), "r"(4), "r"(~i));
  asm volatile("sured.b.add.1d.u32.zero [%0, {%1}], %2;" :: "l"(sums), "r"(400), "r"(i));
}
