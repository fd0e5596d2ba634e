// SPDX-License-Identifier: Apache-2.0
@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> sum: atomic<u32>;

fn add(cell: ptr<storage, atomic<u32>, read_write>, v: f32) {
  var old = atomicLoad(cell);
  loop {
    let r = atomicCompareExchangeWeak(cell, old, bitcast<u32>(bitcast<f32>(old) + v));
    if (r.exchanged) { break; }
    old = r.old_value;
  }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&values)) { add(&sum, values[id.x]); }
}
