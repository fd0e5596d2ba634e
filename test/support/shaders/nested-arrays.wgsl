// SPDX-License-Identifier: Apache-2.0
struct Cell { values: array<array<f32, 3>, 2>, tag: vec2<i32> }
struct Grid { cells: array<Cell, 4>, total: f32 }
@group(0) @binding(0) var<storage, read_write> grids: array<Grid>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&grids)) { return; }
  var total = 0.0;
  for (var c = 0; c < 4; c++) {
    for (var i = 0u; i < 2u; i++) {
      for (var j = 0; j < 3; j++) {
        grids[id.x].cells[c].values[i][j] *= factors[(id.x + u32(j)) % arrayLength(&factors)];
        total += grids[id.x].cells[c].values[i][j];
      }
    }
    grids[id.x].cells[c].tag.x += c;
    grids[id.x].cells[c].tag[1]--;
  }
  grids[id.x].total = total;
}
