// SPDX-License-Identifier: Apache-2.0
struct Step { block: u32, stride: u32 }
@group(0) @binding(0) var<storage, read_write> keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> order: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

fn swap(p: ptr<storage, array<u32>, read_write>, i: u32, j: u32) {
  let t = (*p)[i];
  (*p)[i] = (*p)[j];
  (*p)[j] = t;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let j = i ^ step.stride;
  if (j <= i || j >= arrayLength(&keys)) { return; }
  if ((keys[i] > keys[j]) == ((i & step.block) == 0u)) {
    swap(&keys, i, j);
    swap(&order, i, j);
  }
}
