// SPDX-License-Identifier: Apache-2.0
/**
 * Cases of kernels/mipmap.cu. Texels of a level are linear in their indices, with other slopes for each
 * level, so that what linear filtering gives is known without a filter.
 */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { type AddressOf, type Arg, i32, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "mipmap";
const LINEAR = 256;
const NORMALISED = 512;
const VALUES = 1024;
const SRGB = 2048;
const CLAMP = 0x15;
const FLOAT = 2 << 12;
const COUNT = 64;

interface Shape {
  /** Of the base; axes that there are. */
  readonly size: readonly number[];
  /** Layers or faces, which are not halved. */
  readonly layers?: number;
  readonly levels: number;
  readonly channels?: number;
  readonly isLinear?: boolean;
  readonly bias?: number;
  readonly range?: readonly [number, number];
}

const sizeAt = (shape: Shape, level: number): number[] =>
  shape.size.map((n) => Math.max(1, n >> level));

/** What linear filtering gives within a level, at a place in texels. */
const ramp = (level: number, place: readonly number[], layer: number, channel: number): number =>
  1000 * (level + 1) +
  200 * layer +
  50 * channel +
  place.reduce(
    (sum, p, k) => sum + (p - 0.5) * ([3 + level, 7 - level, 5][(k + level) % 3] ?? 0),
    0,
  );

const wordsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;

function texels(shape: Shape): Float32Array {
  const { layers = 1, channels = 1 } = shape;
  const all: number[] = [];
  for (let level = 0; level < shape.levels; level++) {
    const [w = 1, h = 1, d = 1] = sizeAt(shape, level);
    for (let layer = 0; layer < layers; layer++)
      for (let z = 0; z < d; z++)
        for (let y = 0; y < h; y++)
          for (let x = 0; x < w; x++)
            for (let c = 0; c < channels; c++) {
              const place = [x + 0.5, y + 0.5, z + 0.5].slice(0, shape.size.length);
              all.push(ramp(level, place, layer, c));
            }
  }
  return Float32Array.from(all);
}

/** The descriptions of all levels, whose texels lie one after the other. */
function descriptions(
  of: string,
  shape: Shape,
  format: number,
  modes: number,
): (at: AddressOf) => Uint32Array {
  const { layers, levels, bias = 0, range = [0, 100], isLinear = true } = shape;
  const element = ((format & 255) * ((format >> 8) & 15)) / 8;
  return (at) => {
    const words: number[] = [];
    let base = at(of);
    for (let level = 0; level < levels; level++) {
      const [w = 1, h = 0, d = 0] = sizeAt(shape, level);
      const slice = w * Math.max(1, h) * element;
      words.push(Number(base & 0xffff_ffffn), Number(base >> 32n), w, h, layers ?? d);
      words.push(w * element, slice, format, modes, 0, 0, 0, 0);
      words.push(
        (levels - 1) | (isLinear ? 256 : 0),
        wordsOf(bias),
        ...range.map(wordsOf),
        0,
        0,
        0,
      );
      base += BigInt(slice * (layers ?? Math.max(1, d)));
    }
    return Uint32Array.from(words);
  };
}

/** Normalised coordinates that lie within the smallest level, and on its 256ths. */
const coordinate = (i: number, salt: number): number => 0.3125 + ((i * salt) % 97) / 256;

function expected(shape: Shape, at: readonly number[], lod: number, layer: number, c: number) {
  const [least, most] = shape.range ?? [0, 100];
  const given = Math.min(Math.max(lod + (shape.bias ?? 0), least), most);
  const level = Math.min(Math.max(given, 0), shape.levels - 1);
  const of = (l: number): number => {
    const size = sizeAt(shape, l);
    return ramp(
      l,
      at.map((u, k) => u * (size[k] ?? 1)),
      layer,
      c,
    );
  };
  if (shape.isLinear === false) return of(Math.floor(level + 0.5));
  const part = Math.floor((level % 1) * 256 + 0.5) / 256;
  const low = of(Math.floor(level));
  return part === 0 ? low : low * (1 - part) + of(Math.floor(level) + 1) * part;
}

const lods = (): Float32Array =>
  Float32Array.from({ length: COUNT }, (_, i) => ((i * 29) % 53) / 8 - 1);

interface Looked {
  readonly kernel: string;
  readonly shape: Shape;
  /** Floats of a place in the kernel's buffer. */
  readonly stride: number;
  readonly layerOf?: (i: number) => number;
}

/** A kernel (texture, places, lods, out, count). */
function byLevel({ kernel, shape, stride, layerOf = () => 0 }: Looked): KernelCase {
  const axes = shape.size.map((_, k) => [37, 11, 23][k] ?? 5);
  const { channels = 1 } = shape;
  const place = (i: number): number[] => axes.map((salt) => coordinate(i, salt));
  const at = Float32Array.from(
    { length: COUNT * stride },
    (_, i) => place(Math.floor(i / stride))[i % stride] ?? 0,
  );
  const lod = lods();
  const out = Float32Array.from({ length: COUNT * channels }, (_, i) => {
    const thread = Math.floor(i / channels);
    return expected(shape, place(thread), lod[thread] ?? 0, layerOf(thread), i % channels);
  });
  const args: Arg[] = [ptr("tex"), ptr("at"), ptr("lod"), ptr("out"), i32(COUNT)];
  const format = 32 | (channels << 8) | FLOAT;
  const modes = CLAMP | LINEAR | NORMALISED;
  return caseOf(module, launch(kernel, 1, 64, args), {
    buffers: {
      tex: descriptions("texels", shape, format, modes),
      texels: texels(shape),
      at,
      lod,
      out: new Float32Array(COUNT * channels),
    },
    expect: { out: { data: out, tolerance: { abs: 0.01 } } },
  });
}

const PLANE: Shape = { size: [32, 16], levels: 4, channels: 4, bias: 0.25, range: [0.5, 2.75] };

const LEVELS: readonly KernelCase[] = [
  byLevel({ kernel: "mip_plane", shape: PLANE, stride: 2 }),
  byLevel({ kernel: "mip_line", shape: { size: [64], levels: 5, bias: -0.5 }, stride: 1 }),
  byLevel({
    kernel: "mip_space",
    shape: { size: [16, 8, 8], levels: 3, isLinear: false },
    stride: 4,
  }),
  byLevel({
    kernel: "mip_layers",
    shape: { size: [16, 16], layers: 3, levels: 4 },
    stride: 2,
    layerOf: (i) => i % 3,
  }),
  byLevel({
    kernel: "mip_line_layers",
    shape: { size: [32], layers: 2, levels: 4 },
    stride: 1,
    layerOf: (i) => i % 2,
  }),
];

/** The direction of a place on a face: as CUDA's guide has them. */
function direction(face: number, s: number, t: number): number[] {
  const [u, v] = [2 * s - 1, 2 * t - 1];
  const all = [
    [1, -v, -u],
    [-1, -v, u],
    [u, 1, v],
    [u, -1, -v],
    [u, -v, 1],
    [-u, -v, -1],
  ];
  return all[face] ?? [];
}

function cube(): KernelCase {
  const shape: Shape = { size: [16, 16], layers: 6, levels: 4 };
  const place = (i: number): number[] => [coordinate(i, 37), coordinate(i, 11)];
  const at = Float32Array.from({ length: COUNT * 4 }, (_, i) => {
    const [s = 0, t = 0] = place(i >> 2);
    return direction((i >> 2) % 6, s, t)[i & 3] ?? 0;
  });
  const lod = lods();
  const out = Float32Array.from({ length: COUNT }, (_, i) =>
    expected(shape, place(i), lod[i] ?? 0, i % 6, 0),
  );
  const modes = CLAMP | LINEAR | NORMALISED;
  const args = [ptr("tex"), ptr("at"), ptr("lod"), ptr("out"), i32(COUNT)];
  return caseOf(module, launch("mip_cube", 1, 64, args), {
    buffers: {
      tex: descriptions("texels", shape, 32 | (1 << 8) | FLOAT, modes),
      texels: texels(shape),
      at,
      lod,
      out: new Float32Array(COUNT),
    },
    expect: { out: { data: out, tolerance: { abs: 0.01 } } },
  });
}

/** Steps of a power of two texels along an axis, so that the level is a whole number or nearly. */
function slopes(kernel: string, shape: Shape, stride: number, slopeStride: number): KernelCase {
  const dims = shape.size.length;
  const place = (i: number): number[] => shape.size.map((_, k) => coordinate(i, 37 - 6 * k));
  const level = (i: number): number => ((i * 7) % 9) / 2 - 0.5;
  const at = Float32Array.from(
    { length: COUNT * stride },
    (_, i) => place(Math.floor(i / stride))[i % stride] ?? 0,
  );
  // The second of the two is half as long, along all axes; the first is along one.
  const by = Float32Array.from({ length: COUNT * slopeStride * 2 }, (_, n) => {
    const [i, second, k] = [
      Math.floor(n / slopeStride / 2),
      Math.floor(n / slopeStride) % 2,
      n % slopeStride,
    ];
    if (k >= dims) return 99;
    const texel = 2 ** level(i) / (shape.size[k] ?? 1);
    if (second === 1) return -texel / 2 / Math.sqrt(dims);
    return k === i % dims ? texel : 0;
  });
  const out = Float32Array.from({ length: COUNT }, (_, i) =>
    expected(shape, place(i), level(i), 0, 0),
  );
  const args = [ptr("tex"), ptr("at"), ptr("by"), ptr("out"), i32(COUNT)];
  const modes = CLAMP | LINEAR | NORMALISED;
  return caseOf(module, launch(kernel, 1, 64, args), {
    buffers: {
      tex: descriptions("texels", shape, 32 | (1 << 8) | FLOAT, modes),
      texels: texels(shape),
      at,
      by,
      out: new Float32Array(COUNT),
    },
    // A level that is off by one 256th moves the result by four.
    expect: { out: { data: out, tolerance: { abs: 4.5 } } },
  });
}

/** The base level alone, and bytes that are sRGB: all of them. */
function srgb(): KernelCase {
  const shape: Shape = { size: [16, 16], levels: 2 };
  const bytes = Uint8Array.from({ length: (256 + 64) * 4 }, (_, i) =>
    i < 1024 ? ((i & 3) === 3 ? 255 - (i >> 2) : i >> 2) : 7,
  );
  const at = Float32Array.from({ length: 512 }, (_, i) =>
    i % 2 === 0 ? (((i >> 1) % 16) + 0.5) / 16 : ((i >> 5) + 0.5) / 16,
  );
  const out = Float32Array.from({ length: 1024 }, (_, i) => {
    const x = i >> 2 > 255 ? 0 : (i >> 2) / 255;
    if ((i & 3) === 3) return 1 - x;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  const args = [ptr("tex"), ptr("at"), ptr("out"), i32(256)];
  return caseOf(module, launch("mip_base", 4, 64, args), {
    buffers: {
      tex: descriptions("bytes", shape, 8 | (4 << 8), CLAMP | NORMALISED | VALUES | SRGB),
      bytes,
      at,
      out: new Float32Array(1024),
    },
    expect: { out: { data: out, tolerance: { abs: 1e-5 } } },
  });
}

/** Whole numbers are not filtered between levels. */
function bytes(): KernelCase {
  const shape: Shape = { size: [8, 8], levels: 3 };
  const texel = (level: number, x: number, y: number, c: number): number =>
    (level * 80 + y * 9 + x + c * 3) & 255;
  const data: number[] = [];
  for (let level = 0; level < 3; level++)
    for (let y = 0; y < 8 >> level; y++)
      for (let x = 0; x < 8 >> level; x++)
        for (let c = 0; c < 4; c++) data.push(texel(level, x, y, c));
  const at = Float32Array.from({ length: COUNT * 2 }, (_, i) => (((i * 37) % 32) + 0.25) / 32);
  const lod = lods();
  const out = Uint8Array.from({ length: COUNT * 4 }, (_, i) => {
    const level = Math.floor(Math.min(2, Math.max(0, lod[i >> 2] ?? 0)) + 0.5);
    const [x = 0, y = 0] = [at[(i >> 2) * 2] ?? 0, at[(i >> 2) * 2 + 1] ?? 0].map((u) =>
      Math.floor(u * (8 >> level)),
    );
    return texel(level, x, y, i & 3);
  });
  const args = [ptr("tex"), ptr("at"), ptr("lod"), ptr("out"), i32(COUNT)];
  return caseOf(module, launch("mip_bytes", 1, 64, args), {
    buffers: {
      tex: descriptions("data", shape, 8 | (4 << 8), CLAMP | NORMALISED),
      data: Uint8Array.from(data),
      at,
      lod,
      out: new Uint8Array(COUNT * 4),
    },
    expect: { out },
  });
}

function query(): KernelCase {
  return caseOf(module, launch("mip_query", 1, 1, [ptr("tex"), ptr("out")]), {
    buffers: {
      tex: descriptions("texels", PLANE, 32 | (4 << 8) | FLOAT, CLAMP | NORMALISED),
      texels: texels(PLANE),
      out: new Int32Array(3),
    },
    expect: { out: Int32Array.of(4, 16, 4) },
  });
}

function formatted(): KernelCase {
  const n = 40;
  const flat = { levels: 1 };
  // The last eight threads are outside of the bytes, and at the last pair of halves.
  const bytes8 = Int8Array.from({ length: 32 * 4 }, (_, i) => {
    const thread = i >> 2;
    return [Math.min(127, thread * 5 - 20), thread, 127, -1][i & 3] ?? 0;
  });
  const halves = new Uint16Array(2 * 32 * 2);
  for (let i = 0; i < 31; i++) {
    halves[64 + 2 * i] = half(i * 0.25);
    halves[64 + 2 * i + 1] = half(i === 0 ? 0 : -i);
  }
  const args = [ptr("bytes"), ptr("pairs"), i32(n)];
  return caseOf(module, launch("surf_formatted", 1, 64, args), {
    buffers: {
      bytes: descriptions("bytes8", { size: [32], ...flat }, 8 | (4 << 8) | (1 << 12), 0),
      pairs: descriptions("halves", { size: [32, 2], ...flat }, 16 | (2 << 8) | FLOAT, 0),
      bytes8: new Int8Array(32 * 4),
      halves: new Uint16Array(2 * 32 * 2),
    },
    expect: { bytes8 },
    check: (result) => {
      const got = result("halves");
      // Several threads write the last pair: which comes last is not defined.
      const at = Array.from(halves).findIndex((v, i) => i % 64 < 62 && Number(got[i]) !== v);
      return at < 0 ? null : `halves[${at}] is ${got[at]}, not ${halves[at]}`;
    },
  });
}

/** A number that is exact in f16, as its bits. */
function half(value: number): number {
  if (value === 0) return Object.is(value, -0) ? 0x8000 : 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const mantissa = (Math.abs(value) / 2 ** exponent - 1) * 1024;
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | mantissa;
}

function sums(): KernelCase {
  const n = 200;
  const before = Int32Array.of(5, 1000, 7, 0, 99);
  const format = 32 | (1 << 8) | (1 << 12);
  const out = Int32Array.of(5 + (n * (n - 1)) / 2, 10 - n + 1, n - 1, -1, 0);
  const threads = Array.from({ length: n }, (_, i) => i);
  out[4] = threads.reduce((all, i) => all & ~i, 99);
  return caseOf(module, launch("surf_sums", 4, 64, [ptr("sums"), i32(n)]), {
    buffers: {
      sums: descriptions("out", { size: [5], levels: 1 }, format, 0),
      out: before,
    },
    expect: { out },
  });
}

export const MIPMAP: readonly KernelCase[] = [
  ...LEVELS,
  cube(),
  slopes("mip_slope", { size: [64], levels: 5 }, 1, 1),
  slopes("mip_slopes", { size: [32, 16], levels: 4 }, 2, 2),
  slopes("mip_space_slopes", { size: [16, 8, 8], levels: 3 }, 4, 4),
  srgb(),
  bytes(),
  query(),
  formatted(),
  sums(),
];
