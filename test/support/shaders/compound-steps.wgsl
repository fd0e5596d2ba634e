// SPDX-License-Identifier: Apache-2.0
@group(0) @binding(0) var<storage, read_write> counts: array<u32>;
@group(0) @binding(1) var<storage, read_write> values: array<i32>;
@group(0) @binding(2) var<storage, read_write> cursor: array<u32>;

fn next(i: u32) -> u32 { return i + 1u; }

@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x > 0u) { return; }
  for (cursor[0] = 0u; cursor[0] < 6u; cursor[0]++) {
    counts[cursor[0]] += 2u;
    counts[next(cursor[0])] <<= 1u;
    values[cursor[0]]--;
    values[next(cursor[0])] ^= 5;
    values[counts[cursor[0]] % 4u] %= 7;
  }
  for (; cursor[0] > 2u; cursor[0] -= 1u) { values[cursor[0]] |= 8; }
  while (cursor[0] > 0u) { cursor[0]--; }
  loop {
    if (counts[0] > 40u) { break; }
    continuing { counts[0] += 3u; break if counts[0] > 30u; }
  }
  switch counts[1] { case 0u: { values[0] = 1; } case 1, 2: { values[0]++; } default { values[0] = -values[0]; } }
}
