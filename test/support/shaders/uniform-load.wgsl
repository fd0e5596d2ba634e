// SPDX-License-Identifier: Apache-2.0
var<workgroup> limit: u32;
@group(0) @binding(0) var<storage, read> limits: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) w: vec3u) {
  if (lane == 0u) { limit = limits[w.x % arrayLength(&limits)]; }
  let n = workgroupUniformLoad(&limit);
  for (var i = 0u; i < n; i++) {
    workgroupBarrier();
    let at = (w.x * 32u + lane) % arrayLength(&out);
    if (at == w.x * 32u + lane) { out[at] += i; }
  }
}
