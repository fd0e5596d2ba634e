// SPDX-License-Identifier: Apache-2.0
struct Particle { position: vec3f, mass: f32, velocity: vec3f, flags: u32 }
struct World { gravity: vec3f, dt: f32 }
@group(0) @binding(0) var<storage, read_write> particles: array<Particle>;
@group(0) @binding(1) var<uniform> world: World;

fn advance(p: Particle) -> Particle {
  var q = p;
  q.velocity += world.gravity * world.dt;
  q.position += q.velocity * world.dt;
  return q;
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&particles)) { return; }
  particles[id.x] = advance(particles[id.x]);
  particles[id.x].flags |= 1u;
  particles[id.x].velocity.y *= 0.5;
}
