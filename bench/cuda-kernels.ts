// SPDX-License-Identifier: Apache-2.0
/**
 * What the `cuda` suite measures: kernels of test/cuda at sizes that take milliseconds, and the same
 * kernels as a person would write them in WGSL: buffers of their own, types of their own.
 */
import { type Arg, type Data, f32, floats, i32, ints, ptr } from "../test/support/cuda/lab.js";

export interface CudaBench {
  readonly module: string;
  readonly kernel: string;
  readonly buffers: Readonly<Record<string, Data>>;
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly args: readonly Arg[];
  /** The buffer that both versions must fill alike, and how far they may be apart. */
  readonly output: string;
  readonly tolerance: number;
  /** By hand; its bindings are `bound`, then a uniform vec4u of `scalars` if there are any. */
  readonly wgsl: string;
  readonly bound: readonly string[];
  readonly scalars: readonly number[];
}

const bits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
const MIB = 1 << 20;

const inputs = (names: readonly string[], type = "f32"): string =>
  names
    .map((name, i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<${type}>;`)
    .join("\n");
const uniform = (at: number): string => `@group(0) @binding(${at}) var<uniform> u: vec4u;`;
const HEAD =
  "(@builtin(global_invocation_id) g: vec3u, @builtin(local_invocation_id) l: vec3u, " +
  "@builtin(workgroup_id) w: vec3u)";

const saxpy: CudaBench = {
  module: "stream",
  kernel: "saxpy",
  buffers: { x: floats(2 * MIB, 1), y: floats(2 * MIB, 2) },
  grid: [8192, 1, 1],
  block: [256, 1, 1],
  args: [i32(2 * MIB), f32(0.5), ptr("x"), ptr("y")],
  output: "y",
  tolerance: 1e-4,
  bound: ["x", "y"],
  scalars: [2 * MIB, bits(0.5)],
  wgsl: `${inputs(["x", "y"])} ${uniform(2)}
@compute @workgroup_size(256) fn main${HEAD} {
  if (g.x < u.x) { y[g.x] = bitcast<f32>(u.y) * x[g.x] + y[g.x]; }
}`,
};

const reduction: CudaBench = {
  module: "reduce",
  kernel: "reduce_shared",
  buffers: { input: floats(MIB, 3), out: new Float32Array(2048) },
  grid: [2048, 1, 1],
  block: [256, 1, 1],
  args: [ptr("input"), ptr("out"), i32(MIB)],
  output: "out",
  tolerance: 1e-3,
  bound: ["input", "out"],
  scalars: [MIB],
  wgsl: `${inputs(["input", "out"])} ${uniform(2)}
var<workgroup> part: array<f32, 256>;
@compute @workgroup_size(256) fn main${HEAD} {
  let i = w.x * 512u + l.x;
  var sum = select(0f, input[i], i < u.x);
  if (i + 256u < u.x) { sum += input[i + 256u]; }
  part[l.x] = sum;
  workgroupBarrier();
  for (var s = 128u; s > 0u; s >>= 1u) {
    if (l.x < s) { part[l.x] += part[l.x + s]; }
    workgroupBarrier();
  }
  if (l.x == 0u) { out[w.x] = part[0]; }
}`,
};

const N = 256;
const matmul: CudaBench = {
  module: "matrix",
  kernel: "matmul_tiled",
  buffers: { a: floats(N * N, 4), b: floats(N * N, 5), c: new Float32Array(N * N) },
  grid: [N / 16, N / 16, 1],
  block: [16, 16, 1],
  args: [ptr("a"), ptr("b"), ptr("c"), i32(N)],
  output: "c",
  tolerance: 1e-3,
  bound: ["a", "b", "c"],
  scalars: [N],
  wgsl: `${inputs(["a", "b", "c"])} ${uniform(3)}
var<workgroup> ta: array<array<f32, 16>, 16>;
var<workgroup> tb: array<array<f32, 16>, 16>;
@compute @workgroup_size(16, 16) fn main${HEAD} {
  let n = u.x;
  var sum = 0f;
  for (var t = 0u; t < n; t += 16u) {
    ta[l.y][l.x] = a[g.y * n + t + l.x];
    tb[l.y][l.x] = b[(t + l.y) * n + g.x];
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) { sum += ta[l.y][k] * tb[k][l.x]; }
    workgroupBarrier();
  }
  c[g.y * n + g.x] = sum;
}`,
};

const transpose: CudaBench = {
  module: "matrix",
  kernel: "transpose",
  buffers: { input: floats(MIB, 6), out: new Float32Array(MIB) },
  grid: [64, 64, 1],
  block: [16, 16, 1],
  args: [ptr("input"), ptr("out"), i32(1024), i32(1024)],
  output: "out",
  tolerance: 0,
  bound: ["input", "out"],
  scalars: [1024, 1024],
  wgsl: `${inputs(["input", "out"])} ${uniform(2)}
var<workgroup> tile: array<array<f32, 17>, 16>;
@compute @workgroup_size(16, 16) fn main${HEAD} {
  if (g.x < u.x && g.y < u.y) { tile[l.y][l.x] = input[g.y * u.x + g.x]; }
  workgroupBarrier();
  let x = w.y * 16u + l.x; let y = w.x * 16u + l.y;
  if (x < u.y && y < u.x) { out[y * u.y + x] = tile[l.x][l.y]; }
}`,
};

const stencil: CudaBench = {
  module: "matrix",
  kernel: "jacobi",
  buffers: { input: floats(MIB, 7), out: new Float32Array(MIB) },
  grid: [64, 64, 1],
  block: [16, 16, 1],
  args: [ptr("input"), ptr("out"), i32(1024), i32(1024)],
  output: "out",
  tolerance: 1e-5,
  bound: ["input", "out"],
  scalars: [1024, 1024],
  wgsl: `${inputs(["input", "out"])} ${uniform(2)}
@compute @workgroup_size(16, 16) fn main${HEAD} {
  let i = g.y * u.x + g.x;
  if (g.x >= u.x || g.y >= u.y) { return; }
  if (g.x == 0u || g.y == 0u || g.x == u.x - 1u || g.y == u.y - 1u) { out[i] = input[i]; return; }
  out[i] = 0.25 * (input[i - 1u] + input[i + 1u] + input[i - u.x] + input[i + u.x]);
}`,
};

const softmax: CudaBench = {
  module: "nn",
  kernel: "softmax",
  buffers: { input: floats(512 * 512, 8, -5, 5), out: new Float32Array(512 * 512) },
  grid: [512, 1, 1],
  block: [128, 1, 1],
  args: [ptr("input"), ptr("out"), i32(512)],
  output: "out",
  tolerance: 1e-5,
  bound: ["input", "out"],
  scalars: [512],
  wgsl: `${inputs(["input", "out"])} ${uniform(2)}
var<workgroup> part: array<f32, 128>;
@compute @workgroup_size(128) fn main${HEAD} {
  let row = w.x * u.x;
  var most = -3e38f;
  for (var i = l.x; i < u.x; i += 128u) { most = max(most, input[row + i]); }
  part[l.x] = most;
  workgroupBarrier();
  for (var s = 64u; s > 0u; s >>= 1u) {
    if (l.x < s) { part[l.x] = max(part[l.x], part[l.x + s]); }
    workgroupBarrier();
  }
  most = part[0];
  workgroupBarrier();
  var sum = 0f;
  for (var i = l.x; i < u.x; i += 128u) { sum += exp(input[row + i] - most); }
  part[l.x] = sum;
  workgroupBarrier();
  for (var s = 64u; s > 0u; s >>= 1u) {
    if (l.x < s) { part[l.x] += part[l.x + s]; }
    workgroupBarrier();
  }
  sum = part[0];
  for (var i = l.x; i < u.x; i += 128u) { out[row + i] = exp(input[row + i] - most) / sum; }
}`,
};

const layerNorm: CudaBench = {
  module: "nn",
  kernel: "layer_norm",
  buffers: {
    input: floats(512 * 512, 9),
    gain: floats(512, 10),
    bias: floats(512, 11),
    out: new Float32Array(512 * 512),
  },
  grid: [512, 1, 1],
  block: [128, 1, 1],
  args: [ptr("input"), ptr("gain"), ptr("bias"), ptr("out"), i32(512)],
  output: "out",
  tolerance: 1e-4,
  bound: ["input", "gain", "bias", "out"],
  scalars: [512],
  wgsl: `${inputs(["input", "gain", "bias", "out"])} ${uniform(4)}
var<workgroup> part: array<f32, 128>;
fn total(v: f32, t: u32) -> f32 {
  part[t] = v;
  workgroupBarrier();
  for (var s = 64u; s > 0u; s >>= 1u) {
    if (t < s) { part[t] += part[t + s]; }
    workgroupBarrier();
  }
  let r = part[0];
  workgroupBarrier();
  return r;
}
@compute @workgroup_size(128) fn main${HEAD} {
  let row = w.x * u.x;
  var sum = 0f;
  for (var i = l.x; i < u.x; i += 128u) { sum += input[row + i]; }
  let mean = total(sum, l.x) / f32(u.x);
  var square = 0f;
  for (var i = l.x; i < u.x; i += 128u) { let d = input[row + i] - mean; square += d * d; }
  let scale = inverseSqrt(total(square, l.x) / f32(u.x) + 1e-5);
  for (var i = l.x; i < u.x; i += 128u) {
    out[row + i] = (input[row + i] - mean) * scale * gain[i] + bias[i];
  }
}`,
};

const histogram: CudaBench = {
  module: "atomics",
  kernel: "hist_shared",
  buffers: { input: Uint32Array.from(ints(MIB, 12, 0, 2 ** 31)), bins: new Uint32Array(256) },
  grid: [64, 1, 1],
  block: [256, 1, 1],
  args: [ptr("input"), ptr("bins"), i32(MIB)],
  output: "bins",
  tolerance: 0,
  bound: ["input", "bins"],
  scalars: [MIB],
  wgsl: `@group(0) @binding(0) var<storage, read_write> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>>;
${uniform(2)}
var<workgroup> own: array<atomic<u32>, 256>;
@compute @workgroup_size(256) fn main${HEAD} {
  for (var b = l.x; b < 256u; b += 256u) { atomicStore(&own[b], 0u); }
  workgroupBarrier();
  for (var i = g.x; i < u.x; i += 64u * 256u) {
    var v = input[i];
    for (var k = 0; k < 4; k++) { atomicAdd(&own[v & 255u], 1u); v >>= 8u; }
  }
  workgroupBarrier();
  for (var b = l.x; b < 256u; b += 256u) { atomicAdd(&bins[b], atomicLoad(&own[b])); }
}`,
};

const scan: CudaBench = {
  module: "scan",
  kernel: "scan_block",
  buffers: { input: ints(MIB / 2, 13, -99, 99), out: new Int32Array(MIB / 2) },
  grid: [2048, 1, 1],
  block: [256, 1, 1],
  args: [ptr("input"), ptr("out"), i32(MIB / 2)],
  output: "out",
  tolerance: 0,
  bound: ["input", "out"],
  scalars: [MIB / 2],
  wgsl: `${inputs(["input", "out"], "i32")} ${uniform(2)}
var<workgroup> a: array<array<i32, 256>, 2>;
@compute @workgroup_size(256) fn main${HEAD} {
  var now = 0u;
  a[0][l.x] = select(0, input[g.x], g.x < u.x);
  workgroupBarrier();
  for (var d = 1u; d < 256u; d *= 2u) {
    var v = a[now][l.x];
    if (l.x >= d) { v += a[now][l.x - d]; }
    now = 1u - now;
    a[now][l.x] = v;
    workgroupBarrier();
  }
  if (g.x < u.x) { out[g.x] = a[now][l.x]; }
}`,
};

const ROWS = 512;
const attention: CudaBench = {
  module: "nn",
  kernel: "attention",
  buffers: {
    q: floats(ROWS * 16, 14),
    k: floats(ROWS * 16, 15),
    v: floats(ROWS * 16, 16),
    out: new Float32Array(ROWS * 16),
  },
  grid: [ROWS / 64, 1, 1],
  block: [64, 1, 1],
  args: [ptr("q"), ptr("k"), ptr("v"), ptr("out"), i32(ROWS)],
  output: "out",
  tolerance: 1e-4,
  bound: ["q", "k", "v", "out"],
  scalars: [ROWS],
  wgsl: `${inputs(["q", "k", "v", "out"])} ${uniform(4)}
var<workgroup> ks: array<array<f32, 16>, 32>;
var<workgroup> vs: array<array<f32, 16>, 32>;
@compute @workgroup_size(64) fn main${HEAD} {
  let n = u.x;
  var query: array<f32, 16>;
  var sum: array<f32, 16>;
  for (var d = 0u; d < 16u; d++) { query[d] = select(0f, q[g.x * 16u + d], g.x < n); }
  var most = -1e30f;
  var total = 0f;
  for (var base = 0u; base < n; base += 32u) {
    for (var e = l.x; e < 512u; e += 64u) {
      let r = base + e / 16u;
      ks[e / 16u][e % 16u] = select(0f, k[r * 16u + e % 16u], r < n);
      vs[e / 16u][e % 16u] = select(0f, v[r * 16u + e % 16u], r < n);
    }
    workgroupBarrier();
    for (var j = 0u; j < 32u && base + j <= g.x; j++) {
      var score = 0f;
      for (var d = 0u; d < 16u; d++) { score += query[d] * ks[j][d]; }
      score *= 0.25;
      let larger = max(most, score);
      let keep = exp(most - larger);
      let add = exp(score - larger);
      total = total * keep + add;
      for (var d = 0u; d < 16u; d++) { sum[d] = sum[d] * keep + add * vs[j][d]; }
      most = larger;
    }
    workgroupBarrier();
  }
  if (g.x < n) { for (var d = 0u; d < 16u; d++) { out[g.x * 16u + d] = sum[d] / total; } }
}`,
};

const gelu: CudaBench = {
  module: "nn",
  kernel: "gelu",
  buffers: { x: floats(MIB, 17, -4, 4), y: new Float32Array(MIB) },
  grid: [4096, 1, 1],
  block: [256, 1, 1],
  args: [ptr("x"), ptr("y"), i32(MIB)],
  output: "y",
  tolerance: 1e-4,
  bound: ["x", "y"],
  scalars: [MIB],
  wgsl: `${inputs(["x", "y"])} ${uniform(2)}
@compute @workgroup_size(256) fn main${HEAD} {
  if (g.x >= u.x) { return; }
  let v = x[g.x];
  y[g.x] = 0.5 * v * (1.0 + tanh(0.7978845608 * (v + 0.044715 * v * v * v)));
}`,
};

const spectrum: CudaBench = {
  module: "control",
  kernel: "collatz",
  buffers: { out: new Int32Array(MIB / 4) },
  grid: [1024, 1, 1],
  block: [256, 1, 1],
  args: [ptr("out"), i32(MIB / 4)],
  output: "out",
  tolerance: 0,
  bound: ["out"],
  scalars: [MIB / 4],
  wgsl: `${inputs(["out"], "i32")} ${uniform(1)}
@compute @workgroup_size(256) fn main${HEAD} {
  if (g.x >= u.x) { return; }
  var v = g.x + 1u;
  var steps = 0i;
  while (v != 1u) {
    v = select(v / 2u, 3u * v + 1u, (v & 1u) == 1u);
    steps++;
  }
  out[g.x] = steps;
}`,
};

/** By the name that results have. */
export const CUDA_BENCHES: Readonly<Record<string, CudaBench>> = {
  saxpy,
  reduction,
  matmul_tiled: matmul,
  transpose,
  stencil,
  softmax,
  layer_norm: layerNorm,
  histogram,
  scan,
  attention,
  gelu,
  collatz: spectrum,
};
