// SPDX-License-Identifier: Apache-2.0
/**
 * Textures and surfaces of the PTX interpreter: by handle, in double, from the descriptions whose
 * layout src/kernel/ptx/helpers-texture.ts gives.
 */
import { bitsReader } from "./floats.js";
import type { Run } from "./integers.js";
import { PtxFault } from "./machine.js";
import { bitsOfF32, f16OfBits, f32OfBits } from "./numerics.js";
import type { Get, Operands } from "./operands.js";
import { widthOf } from "./parse.js";

interface Texture {
  readonly base: bigint;
  readonly size: readonly [number, number, number];
  readonly pitch: number;
  readonly slice: number;
  readonly bits: number;
  readonly channels: number;
  readonly kind: number;
  readonly modes: readonly [number, number, number];
  readonly isLinear: boolean;
  readonly isNormalised: boolean;
  readonly asValues: boolean;
  readonly border: readonly number[];
}

/** A texel as the bits of its four channels. */
type Texel = readonly number[];

class Sampler {
  constructor(private readonly o: Operands) {}

  private view(address: bigint, bytes: number): [DataView, number] {
    const { m } = this.o;
    m.resolve("global", Number(address >> 32n), Number(address & 0xffff_ffffn), bytes, 1);
    return [m.view, m.at];
  }

  open(handle: bigint): Texture {
    const [view, at] = this.view(handle, 56);
    const word = (n: number): number => view.getUint32(at + n * 4, true);
    const size = (n: number): number => Math.max(1, word(n));
    const modes = word(8);
    return {
      base: BigInt(word(0)) | (BigInt(word(1)) << 32n),
      size: [size(2), size(3), size(4)],
      pitch: word(5),
      slice: word(6),
      bits: word(7) & 255,
      channels: (word(7) >> 8) & 15,
      kind: word(7) >> 12,
      modes: [modes & 3, (modes >> 2) & 3, (modes >> 4) & 3],
      isLinear: (modes & 256) !== 0,
      isNormalised: (modes & 512) !== 0,
      asValues: (modes & 1024) !== 0,
      border: [9, 10, 11, 12].map(word),
    };
  }

  private channel(t: Texture, view: DataView, at: number): number {
    if (t.bits === 32) return view.getUint32(at, true);
    const raw = t.bits === 8 ? view.getUint8(at) : view.getUint16(at, true);
    const signed = (raw << (32 - t.bits)) >> (32 - t.bits);
    if (t.kind === 2) return bitsOfF32(f16OfBits(raw));
    if (!t.asValues) return t.kind === 1 ? signed >>> 0 : raw;
    const most = 2 ** (t.kind === 1 ? t.bits - 1 : t.bits) - 1;
    return bitsOfF32(Math.fround(t.kind === 1 ? Math.max(-1, signed / most) : raw / most));
  }

  /** The texel there; a layer stands for the last axis. */
  texel(t: Texture, index: readonly number[], layer: number | null): Texel {
    const at = [0, 1, 2].map((k) => {
      const [i, n] = [index[k] ?? 0, t.size[k] ?? 1];
      if (k === 2 && layer !== null) return Math.min(n - 1, Math.max(0, layer));
      if (i >= 0 && i < n) return i;
      if (t.modes[k] === 3) return -1;
      if (t.modes[k] === 0) return ((i % n) + n) % n;
      return Math.min(n - 1, Math.max(0, i));
    });
    const [x = 0, y = 0, z = 0] = at;
    if (Math.min(x, y, z) < 0) return t.border;
    const bytes = (t.bits * t.channels) / 8;
    const address = t.base + BigInt(z * t.slice + y * t.pitch + x * bytes);
    const [view, from] = this.view(address, bytes);
    return [0, 1, 2, 3].map((c) =>
      c < t.channels ? this.channel(t, view, from + (c * t.bits) / 8) : 0,
    );
  }

  /** Coordinates in texels. */
  place(t: Texture, coordinates: readonly number[]): number[] {
    return coordinates.map((given, k) => {
      if (!t.isNormalised) return given;
      let u = given;
      if (t.modes[k] === 0) u -= Math.floor(u);
      if (t.modes[k] === 2) {
        const rest = u - 2 * Math.floor(u / 2);
        u = rest > 1 ? 2 - rest : rest;
      }
      return u * (t.size[k] ?? 1);
    });
  }

  sample(t: Texture, coordinates: readonly number[], layer: number | null): Texel {
    const p = this.place(t, coordinates);
    if (!t.isLinear || (t.kind !== 2 && !t.asValues))
      return this.texel(t, p.map(Math.floor), layer);
    const first = p.map((v) => Math.floor(v - 0.5));
    const part = p.map((v, k) => Math.round((v - 0.5 - (first[k] ?? 0)) * 256) / 256);
    const sum = [0, 0, 0, 0];
    for (let corner = 0; corner < 2 ** p.length; corner++) {
      const step = p.map((_, k) => (corner >> k) & 1);
      const weight = part.reduce((w, a, k) => w * (step[k] === 1 ? a : 1 - a), 1);
      const index = first.map((i, k) => i + (step[k] ?? 0));
      this.texel(t, index, layer).forEach((bits, c) => {
        sum[c] = (sum[c] ?? 0) + weight * f32OfBits(bits);
      });
    }
    return sum.map((v) => bitsOfF32(Math.fround(v)));
  }

  cube(t: Texture, d: readonly number[], layer: number): Texel {
    const [x = 0, y = 0, z = 0] = d;
    const [mx, my, mz] = [Math.abs(x), Math.abs(y), Math.abs(z)];
    const axis = mx >= my && mx >= mz ? 0 : my >= mz ? 1 : 2;
    const isBelow = (d[axis] ?? 0) < 0;
    const s = axis === 0 ? (isBelow ? z : -z) : axis === 2 && isBelow ? -x : x;
    const t2 = axis === 1 ? (isBelow ? -z : z) : -y;
    const m = [mx, my, mz][axis] ?? 1;
    const at = [(s / m + 1) / 2, (t2 / m + 1) / 2];
    return this.sample(t, at, layer * 6 + 2 * axis + (isBelow ? 1 : 0));
  }

  /** Where bytes of a surface lie, null for nowhere; x counts bytes. */
  surface(
    t: Texture,
    at: readonly number[],
    bytes: number,
    mods: readonly string[],
  ): bigint | null {
    const last = [(t.size[0] * t.bits * t.channels) / 8 - bytes, t.size[1] - 1, t.size[2] - 1];
    let place = [at[0] ?? 0, at[1] ?? 0, at[2] ?? 0];
    if (place.some((v, k) => v < 0 || v > (last[k] ?? 0))) {
      if (mods.includes("zero")) return null;
      if (!mods.includes("clamp")) {
        throw new PtxFault("illegal address", `line ${this.o.at.line}: outside of the surface`);
      }
      place = place.map((v, k) => Math.min(last[k] ?? 0, Math.max(0, v)));
    }
    const [x = 0, y = 0, z = 0] = place;
    return t.base + BigInt(z * t.slice + y * t.pitch + x);
  }

  bytes(address: bigint, count: number): [DataView, number] {
    return this.view(address, count);
  }
}

const DIMENSIONS: Readonly<Record<string, number>> = { "1d": 1, a1d: 1, "2d": 2, a2d: 2 };

interface Place {
  readonly handle: Get<bigint>;
  readonly axes: readonly Get<number>[];
  readonly layer: Get<number> | null;
  readonly isCube: boolean;
}

function placeOf(o: Operands, text: string, isFloat: boolean): Place {
  const match = /^\[\s*([\w$%]+)\s*,\s*(\{.*\})\s*\]$/.exec(text);
  if (match === null) return o.fail(`"${text}" is no place in a texture`);
  const { mods } = o.at;
  const isCube = mods.includes("cube") || mods.includes("acube");
  const isLayered = mods.some((mod) => mod === "a1d" || mod === "a2d" || mod === "acube");
  const count = mods.map((mod) => DIMENSIONS[mod]).find((n) => n !== undefined) ?? 3;
  const parts = o.elements(match[2] ?? "");
  const first = isLayered ? 1 : 0;
  return {
    handle: o.u64(match[1] ?? ""),
    axes: parts.slice(first, first + count).map((part) => (isFloat ? o.f32(part) : o.s32(part))),
    layer: isLayered ? o.s32(parts[0] ?? "") : null,
    isCube,
  };
}

function texture(o: Operands): Run {
  const { op, mods } = o.at;
  const isFloat = mods[mods.length - 1] === "f32";
  const sampler = new Sampler(o);
  const place = placeOf(o, o.text(1), isFloat);
  const sets = o.elements(o.text(0)).map((into) => o.setU64(into));
  const channel = "rgba".indexOf(mods[0] ?? "");
  return (b) => {
    const t = sampler.open(place.handle(b));
    const at = place.axes.map((axis) => axis(b));
    const layer = place.layer?.(b) ?? null;
    let texel: Texel;
    if (op === "tld4") {
      const [x = 0, y = 0] = sampler.place(t, at).map((v) => Math.floor(v - 0.5));
      const around = [
        [x, y + 1],
        [x + 1, y + 1],
        [x + 1, y],
        [x, y],
      ];
      texel = around.map((index) => sampler.texel(t, index, layer)[channel] ?? 0);
    } else if (place.isCube) texel = sampler.cube(t, at, layer ?? 0);
    else texel = isFloat ? sampler.sample(t, at, layer) : sampler.texel(t, at, layer);
    sets.forEach((set, i) => {
      set(b, BigInt(texel[i] ?? 0));
    });
  };
}

function query(o: Operands): Run {
  const sampler = new Sampler(o);
  const handle = o.u64(o.text(1).slice(1, -1).trim());
  const set = o.setU64(o.text(0));
  const axis = ["width", "height", "depth"].indexOf(o.at.mods[0] ?? "");
  if (axis < 0) o.fail("the query is not known");
  return (b) => set(b, BigInt(sampler.open(handle(b)).size[axis] ?? 0));
}

function surface(o: Operands): Run {
  const { op, mods } = o.at;
  const sampler = new Sampler(o);
  const type = mods.find((mod) => /^b(8|16|32|64)$/.test(mod)) ?? "b32";
  const width = widthOf(type);
  const isLoad = op === "suld";
  const place = placeOf(o, o.text(isLoad ? 1 : 0), false);
  const items = o.elements(o.text(isLoad ? 0 : 1));
  const sets = isLoad ? items.map((item) => o.setU64(item)) : [];
  const values = isLoad ? [] : items.map((item) => bitsReader(o, type, item));
  const bytes = width * items.length;
  return (b) => {
    const t = sampler.open(place.handle(b));
    const axes = place.axes.map((axis) => axis(b));
    const layer = place.layer?.(b);
    const at = layer === undefined ? axes : [axes[0] ?? 0, axes[1] ?? 0, layer];
    const address = sampler.surface(t, at, bytes, mods);
    if (address === null) {
      for (const set of sets) set(b, 0n);
      return;
    }
    const [view, from] = sampler.bytes(address, bytes);
    for (let i = 0; i < items.length; i++) {
      let bits = 0n;
      for (let k = 0; k < width; k++) {
        const place8 = from + i * width + k;
        if (isLoad) bits |= BigInt(view.getUint8(place8)) << BigInt(8 * k);
        else view.setUint8(place8, Number(((values[i]?.(b) ?? 0n) >> BigInt(8 * k)) & 255n));
      }
      sets[i]?.(b, bits);
    }
  };
}

export function textureRun(o: Operands): Run | null {
  switch (o.at.op) {
    case "tex":
    case "tld4":
      return texture(o);
    case "txq":
      return query(o);
    case "suld":
    case "sust":
      return surface(o);
    default:
      return null;
  }
}
