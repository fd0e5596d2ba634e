// SPDX-License-Identifier: Apache-2.0
/**
 * Cases of kernels/texture.cu. A handle is the address of a description, which is a buffer here; texels are
 * linear in their indices, so that a filtered value is known without a filter. All modes and
 * formats are in test/e2e/cuda-textures.test.ts.
 */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { type AddressOf, i32, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "texture";
const LINEAR = 256;
const NORMALISED = 512;
const CLAMP = 0x15;
const FLOAT = 2 << 12;

interface Shape {
  readonly width: number;
  readonly height?: number;
  readonly depth?: number;
  /** Bits of a channel | channels << 8 | kind << 12. */
  readonly format: number;
  readonly modes: number;
}

function description(texels: string, shape: Shape): (at: AddressOf) => Uint32Array {
  const { width, height = 0, depth = 0, format, modes } = shape;
  const row = (width * (format & 255) * ((format >> 8) & 15)) / 8;
  return (at) => {
    const base = at(texels);
    const words = [width, height, depth, row, row * Math.max(1, height), format, modes];
    return Uint32Array.of(
      Number(base & 0xffff_ffffn),
      Number(base >> 32n),
      ...words,
      0,
      0,
      0,
      0,
      0,
    );
  };
}

const count = 64;
/** Places within 1 … n - 1, in steps that are exact in eight bits. */
const within = (n: number, salt: number): number[] =>
  Array.from({ length: count }, (_, i) => 1 + ((i * salt) % ((n - 2) * 16)) / 16);

function plane(): KernelCase {
  const [width, height] = [16, 8];
  const texels = Float32Array.from({ length: width * height * 4 }, (_, i) => {
    const [x, y, c] = [(i >> 2) % width, Math.floor((i >> 2) / width), i & 3];
    return x * 4 + y * 64 + c * 1000;
  });
  const [xs, ys] = [within(width, 37), within(height, 11)];
  const at = Float32Array.from({ length: count * 2 }, (_, i) =>
    i % 2 === 0 ? (xs[i >> 1] ?? 0) / width : (ys[i >> 1] ?? 0) / height,
  );
  const out = Float32Array.from({ length: count * 4 }, (_, i) => {
    const [x, y] = [xs[i >> 2] ?? 0, ys[i >> 2] ?? 0];
    return (x - 0.5) * 4 + (y - 0.5) * 64 + (i & 3) * 1000;
  });
  const shape = {
    width,
    height,
    format: 32 | (4 << 8) | FLOAT,
    modes: CLAMP | LINEAR | NORMALISED,
  };
  return caseOf(
    module,
    launch("tex_plane", 1, 64, [ptr("tex"), ptr("at"), ptr("out"), i32(count)]),
    {
      buffers: { tex: description("texels", shape), texels, at, out: new Float32Array(count * 4) },
      expect: { out: { data: out, tolerance: { abs: 1e-3 } } },
    },
  );
}

function space(): KernelCase {
  const n = 8;
  const texels = Float32Array.from(
    { length: n * n * n },
    (_, i) => (i % n) + 16 * (Math.floor(i / n) % n) + 256 * Math.floor(i / n / n),
  );
  const axes = [within(n, 5), within(n, 23), within(n, 41)];
  const at = Float32Array.from({ length: count * 4 }, (_, i) => axes[i & 3]?.[i >> 2] ?? 0);
  const out = Float32Array.from({ length: count }, (_, i) =>
    axes.reduce((sum, axis, k) => sum + ((axis[i] ?? 0) - 0.5) * 16 ** k, 0),
  );
  const shape = {
    width: n,
    height: n,
    depth: n,
    format: 32 | (1 << 8) | FLOAT,
    modes: CLAMP | LINEAR,
  };
  return caseOf(
    module,
    launch("tex_space", 1, 64, [ptr("tex"), ptr("at"), ptr("out"), i32(count)]),
    {
      buffers: { tex: description("texels", shape), texels, at, out: new Float32Array(count) },
      expect: { out: { data: out, tolerance: { abs: 1e-3 } } },
    },
  );
}

/** Past the end of linear memory there are zeros. */
function fetch(): KernelCase {
  const texels = Int32Array.from({ length: 80 }, (_, i) => i * 7 - 100);
  const out = Int32Array.from({ length: count * 4 }, (_, i) => texels[i - 8] ?? 0);
  const shape = { width: 20, format: 32 | (4 << 8) | (1 << 12), modes: 0x3f };
  return caseOf(module, launch("tex_fetch", 1, 64, [ptr("tex"), ptr("out"), i32(count)]), {
    buffers: { tex: description("texels", shape), texels, out: new Int32Array(count * 4) },
    expect: { out },
  });
}

/** Bytes and pairs of shorts by wrapped and clamped places. */
function bytes(): KernelCase {
  const [width, height] = [8, 4];
  const texels = Uint8Array.from({ length: width * height * 4 }, (_, i) => (i * 29) & 255);
  const at = Float32Array.from({ length: count * 2 }, (_, i) =>
    i % 2 === 0 ? ((i >> 1) % 19) / 8 - 0.4375 : ((i >> 1) % 5) / 4 + 0.125,
  );
  const out = new Uint8Array(count * 4).map((_, i) => {
    const x = (((((i >> 2) % 19) - 4) % width) + width) % width;
    const y = Math.min(height - 1, (i >> 2) % 5);
    return texels[(y * width + x) * 4 + (i & 3)] ?? 0;
  });
  const shape = { width, height, format: 8 | (4 << 8), modes: 0x14 | NORMALISED };
  return caseOf(
    module,
    launch("tex_bytes", 1, 64, [ptr("tex"), ptr("at"), ptr("out"), i32(count)]),
    {
      buffers: { tex: description("texels", shape), texels, at, out: new Uint8Array(count * 4) },
      expect: { out },
    },
  );
}

function turn(): KernelCase {
  const [width, height] = [12, 8];
  const from = Float32Array.from({ length: width * height }, (_, i) => i * 3);
  const into = Float32Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [Math.floor(i / height), i % height];
    return (y * width + x) * 3 + 0.5;
  });
  const format = 32 | (1 << 8) | FLOAT;
  const args = [ptr("in"), ptr("out"), i32(width), i32(height)];
  return caseOf(module, launch("surf_turn", [2, 2], [8, 8], args), {
    buffers: {
      in: description("from", { width, height, format, modes: 0 }),
      out: description("into", { width: height, height: width, format, modes: 0 }),
      from,
      into: new Float32Array(width * height),
    },
    expect: { into },
  });
}

export const TEXTURE: readonly KernelCase[] = [plane(), space(), fetch(), bytes(), turn()];
