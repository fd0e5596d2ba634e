// SPDX-License-Identifier: Apache-2.0
@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> target_: array<f32>;

fn at(p: ptr<storage, array<f32>>, i: u32) -> f32 { return (*p)[i]; }
fn put(p: ptr<storage, array<f32>, read_write>, i: u32, v: f32) {
  if (i < arrayLength(p)) { p[i] = v; }
}
fn bump(cell: ptr<storage, f32, read_write>, by: f32) { *cell += by; }
fn twice(p: ptr<storage, array<f32>, read_write>, i: u32) {
  put(p, i, p[i] * 2.0);
  bump(&p[i], 0.5);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&target_)) { return; }
  let out = &target_;
  put(out, id.x, at(&source, id.x % arrayLength(&source)));
  twice(&target_, id.x);
  let one = &target_[id.x];
  bump(one, 1.0);
  *one -= 0.25;
}
