// SPDX-License-Identifier: Apache-2.0
const N: u32 = 64;
var<workgroup> ping: array<u32, N>;
var<workgroup> pong: array<u32, N>;
@group(0) @binding(0) var<storage, read_write> data: array<u32>;

@compute @workgroup_size(N)
fn main(@builtin(local_invocation_index) i: u32, @builtin(workgroup_id) w: vec3u) {
  let at = w.x * N + i;
  ping[i] = select(0u, data[at], at < arrayLength(&data));
  workgroupBarrier();
  var flip = false;
  for (var step = 1u; step < N; step <<= 1u) {
    if (flip) {
      ping[i] = pong[i] + select(0u, pong[max(i, step) - step], i >= step);
    } else {
      pong[i] = ping[i] + select(0u, ping[max(i, step) - step], i >= step);
    }
    flip = !flip;
    workgroupBarrier();
  }
  if (at < arrayLength(&data)) { data[at] = select(ping[i], pong[i], flip); }
}
