// SPDX-License-Identifier: Apache-2.0
const TILE = 8u;
struct Shape { m: u32, n: u32, k: u32, pad: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;
var<workgroup> tile_a: array<array<f32, TILE>, TILE>;
var<workgroup> tile_b: array<array<f32, TILE>, TILE>;

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(local_invocation_id) l: vec3u) {
  var sum = 0.0;
  let tiles = (shape.k + TILE - 1u) / TILE;
  for (var t = 0u; t < tiles; t++) {
    let ka = t * TILE + l.x;
    let kb = t * TILE + l.y;
    tile_a[l.y][l.x] = select(0.0, a[g.y * shape.k + ka], g.y < shape.m && ka < shape.k);
    tile_b[l.y][l.x] = select(0.0, b[kb * shape.n + g.x], kb < shape.k && g.x < shape.n);
    workgroupBarrier();
    for (var k = 0u; k < TILE; k++) { sum += tile_a[l.y][k] * tile_b[k][l.x]; }
    workgroupBarrier();
  }
  if (g.y < shape.m && g.x < shape.n) { c[g.y * shape.n + g.x] = sum; }
}
