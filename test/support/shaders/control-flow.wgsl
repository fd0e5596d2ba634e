// SPDX-License-Identifier: Apache-2.0
diagnostic(off, derivative_uniformity);
@group(0) @binding(0) var<storage, read> input: array<i32>;
@group(0) @binding(1) var<storage, read_write> output: array<i32>;

@must_use
fn classify(v: i32) -> i32 {
  switch (v % 4) {
    case 0 { return 10; }
    case 1, 2: { return 20 + v; }
    case default, 3 { return -1; }
  }
}

@compute @workgroup_size(64) @diagnostic(off, derivative_uniformity)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= min(arrayLength(&input), arrayLength(&output))) { return; }
  var v = input[id.x]; /* a block /* within */ a block */
  if (v < 4) { v += 1; } else if (v < 8) { v -= 1; } else { v = classify(v); }
  while (v > 5) { v -= 3; if (v == 7) { continue; } }
  output[id.x] = v; // the end
}
