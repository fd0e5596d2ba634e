// SPDX-License-Identifier: Apache-2.0
struct Acc { best: f32, at: u32 }
var<workgroup> accs: array<Acc, 64>;
var<private> seed: u32;
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> best: array<Acc>;

fn merge(a: ptr<workgroup, Acc>, b: Acc) {
  if (b.best > a.best) { *a = b; }
}
fn bump(p: ptr<function, u32>) { *p += 1u; }
fn reseed(p: ptr<private, u32>) { *p = *p * 1664525u + 1013904223u; }

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) wid: vec3u) {
  let i = wid.x * 64u + lane;
  reseed(&seed);
  accs[lane] = Acc(select(-1e9, scores[i], i < arrayLength(&scores)), i);
  workgroupBarrier();
  for (var w = 32u; w > 0u; w >>= 1u) {
    if (lane < w) { merge(&accs[lane], accs[lane + w]); }
    workgroupBarrier();
  }
  var rounds = 0u;
  bump(&rounds);
  if (lane == 0u && wid.x < arrayLength(&best)) {
    best[wid.x] = accs[0];
    best[wid.x].at += rounds - 1u;
  }
}
