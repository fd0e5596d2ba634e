// SPDX-License-Identifier: Apache-2.0
// Read-only storage bounds a loop with a barrier in it: it must stay uniform.
struct Plan { rounds: u32, width: array<u32, 3> }
@group(0) @binding(0) var<storage, read> plan: Plan;
@group(0) @binding(1) var<storage, read> steps: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> data: array<u32>;
var<workgroup> tile: array<u32, 32>;

fn bound(p: ptr<storage, Plan, read>, i: u32) -> u32 { return (*p).width[i]; }

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) wid: vec3u) {
  let at = wid.x * 32u + lane;
  tile[lane] = select(0u, data[at], at < arrayLength(&data));
  let limit = steps[wid.x % 2u].x + bound(&plan, 1);
  for (var i = 0u; i < plan.rounds; i++) {
    workgroupBarrier();
    let other = tile[(lane + 1u) % 32u];
    workgroupBarrier();
    if (i < limit) { tile[lane] += other; }
  }
  if (at < arrayLength(&data)) { data[at] = tile[lane]; }
}
