// SPDX-License-Identifier: Apache-2.0
alias Real = f32;
alias Row = array<Real, WIDTH>;
alias Table = array<Row>;
const HALF = 2;
const WIDTH = HALF * 2 + select(0, 4, HALF > 3) + 0x1;
const_assert WIDTH == 5;
@group(0) @binding(HALF - 2) var<storage, read> table: Table;
@group(0) @binding(HALF) var<storage, read_write> sums: array<Real>;

@compute @workgroup_size(1 << 5, 1)
fn main(@builtin(global_invocation_id) id: vec3u) {
  const_assert HALF == 2;
  if (id.x >= min(arrayLength(&table), arrayLength(&sums))) { return; }
  var row: Row = table[id.x];
  var sum: Real;
  for (var i = 0; i < WIDTH; i += 1) { sum += row[i]; }
  sums[id.x] = sum;
}
