// SPDX-License-Identifier: Apache-2.0
struct Counters { signed: atomic<i32>, lowest: atomic<i32>, highest: atomic<i32>, bits: atomic<u32>, slots: array<atomic<u32>, 4> }
@group(0) @binding(0) var<storage, read_write> counters: Counters;
@group(0) @binding(1) var<storage, read> values: array<i32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&values)) { return; }
  let v = values[id.x] - 8;
  atomicAdd(&counters.signed, v);
  atomicSub(&counters.signed, 1);
  atomicMin(&counters.lowest, v);
  atomicMax(&counters.highest, v);
  atomicOr(&counters.bits, 1u << (id.x & 31u));
  atomicXor(&counters.slots[0], id.x);
  atomicAnd(&counters.slots[1], ~id.x);
  atomicMax(&counters.slots[2], id.x);
  loop {
    let old = atomicLoad(&counters.slots[3]);
    let swap = atomicCompareExchangeWeak(&counters.slots[3], old, old + 3u);
    if (swap.exchanged) { break; }
  }
}
