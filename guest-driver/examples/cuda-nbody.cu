// SPDX-License-Identifier: Apache-2.0
// Bodies that attract each other: all pairs, a tile of bodies at a time in shared memory.
// cuda-nbody.ptx is what `nvcc -ptx -arch=compute_75 cuda-nbody.cu` makes of this file; it is
// checked in, so that the example is built without a CUDA toolkit.

#define TILE 128
#define SOFTENING 0.01f

// Velocities after one step. bodies: x, y, z and mass; count: a multiple of TILE.
extern "C" __global__ void __launch_bounds__(TILE)
accelerate(const float4 *bodies, float4 *velocities, int count, float step)
{
  __shared__ float4 tile[TILE];
  const int self = blockIdx.x * blockDim.x + threadIdx.x;
  const float4 body = bodies[self];
  float ax = 0, ay = 0, az = 0;

  for (int first = 0; first < count; first += TILE) {
    tile[threadIdx.x] = bodies[first + threadIdx.x];
    __syncthreads();
#pragma unroll 4
    for (int i = 0; i < TILE; i++) {
      const float4 other = tile[i];
      const float dx = other.x - body.x, dy = other.y - body.y, dz = other.z - body.z;
      const float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + SOFTENING);
      const float pull = other.w * inverse * inverse * inverse;
      ax += dx * pull;
      ay += dy * pull;
      az += dz * pull;
    }
    __syncthreads();
  }
  float4 velocity = velocities[self];
  velocity.x += ax * step;
  velocity.y += ay * step;
  velocity.z += az * step;
  velocities[self] = velocity;
}

// Places after one step.
extern "C" __global__ void move(float4 *bodies, const float4 *velocities, int count, float step)
{
  const int self = blockIdx.x * blockDim.x + threadIdx.x;

  if (self >= count)
    return;
  bodies[self].x += velocities[self].x * step;
  bodies[self].y += velocities[self].y * step;
  bodies[self].z += velocities[self].z * step;
}
