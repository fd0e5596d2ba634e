// SPDX-License-Identifier: Apache-2.0
/**
 * Textures and surfaces of the PTX interpreter: by handle, in double, from the descriptions whose
 * layout src/kernel/ptx/helpers-texture.ts gives.
 */
import { bitsReader } from "./floats.js";
import type { Run } from "./integers.js";
import { PtxFault } from "./machine.js";
import { bitsOfF16, bitsOfF32, f16OfBits, f32OfBits } from "./numerics.js";
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
  readonly isSrgb: boolean;
  readonly border: readonly number[];
  /** Levels beside the base, and how one is chosen. */
  readonly levels: number;
  readonly isLinearBetween: boolean;
  readonly bias: number;
  readonly range: readonly [number, number];
}

/** Bytes from one level's description to the next's. */
const LEVEL_BYTES = 80n;

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
    const [view, at] = this.view(handle, Number(LEVEL_BYTES));
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
      isSrgb: (modes & 2048) !== 0,
      border: [9, 10, 11, 12].map(word),
      levels: word(13) & 255,
      isLinearBetween: (word(13) & 256) !== 0,
      bias: f32OfBits(word(14)),
      range: [f32OfBits(word(15)), f32OfBits(word(16))],
    };
  }

  private channel(t: Texture, view: DataView, at: number, c: number): number {
    if (t.bits === 32) return view.getUint32(at, true);
    const raw = t.bits === 8 ? view.getUint8(at) : view.getUint16(at, true);
    const signed = (raw << (32 - t.bits)) >> (32 - t.bits);
    if (t.kind === 2) return bitsOfF32(f16OfBits(raw));
    if (!t.asValues) return t.kind === 1 ? signed >>> 0 : raw;
    const most = 2 ** (t.kind === 1 ? t.bits - 1 : t.bits) - 1;
    let value = t.kind === 1 ? Math.max(-1, signed / most) : raw / most;
    if (t.isSrgb && t.bits === 8 && t.kind === 0 && c < 3) {
      value = value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    }
    return bitsOfF32(Math.fround(value));
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
      c < t.channels ? this.channel(t, view, from + (c * t.bits) / 8, c) : 0,
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

  /** The description of a level, the nearest there is. */
  at(handle: bigint, level: number): bigint {
    const { levels } = this.open(handle);
    return handle + BigInt(Math.min(levels, Math.max(0, level))) * LEVEL_BYTES;
  }

  /** By a level of detail; `sample` takes a level's texture. */
  detailed(handle: bigint, lod: number, sample: (t: Texture) => Texel): Texel {
    const t = this.open(handle);
    const given = Math.min(Math.max(lod + t.bias, t.range[0]), t.range[1]);
    const level = Math.min(Math.max(given, 0), t.levels);
    const of = (n: number): Texel => sample(this.open(this.at(handle, n)));
    if (!t.isLinearBetween || (t.kind !== 2 && !t.asValues)) return of(Math.floor(level + 0.5));
    const first = Math.floor(level);
    const part = Math.round((level - first) * 256) / 256;
    const [low, high] = [of(first), of(first + 1)];
    return low.map((bits, c) =>
      bitsOfF32(Math.fround(f32OfBits(bits) * (1 - part) + f32OfBits(high[c] ?? 0) * part)),
    );
  }

  /** The level at which the longer step to a next place is one texel. */
  levelOf(handle: bigint, slopes: readonly (readonly number[])[]): number {
    const t = this.open(handle);
    const lengths = slopes.map((slope) =>
      Math.hypot(...slope.map((d, k) => d * (t.isNormalised ? (t.size[k] ?? 1) : 1))),
    );
    return Math.log2(Math.max(1e-30, ...lengths));
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

  /** A place in elements as one in bytes. */
  inBytes(t: Texture, at: readonly number[]): number[] {
    const [x = 0, ...rest] = at;
    const element = (t.bits * t.channels) / 8;
    return [Math.min(t.size[0], Math.max(-1, x)) * element, ...rest];
  }

  /** What a formatted store writes of a value: beyond a channel's range its nearest. */
  format(t: Texture, value: bigint): number {
    const bits = Number(BigInt.asUintN(32, value));
    if (t.bits === 32) return bits;
    if (t.kind === 2) return bitsOfF16(f32OfBits(bits));
    const most = 2 ** (t.kind === 1 ? t.bits - 1 : t.bits) - 1;
    if (t.kind === 0) return Math.min(bits, most);
    return Math.min(most, Math.max(-1 - most, bits | 0));
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

/** The sample at a place, at the level that the instruction asks for. */
function sampling(o: Operands, sampler: Sampler, place: Place): (b: number) => Texel {
  const { mods } = o.at;
  const [kind = ""] = mods;
  const isFloat = mods[mods.length - 1] === "f32";
  const given = (i: number): Get<number>[] =>
    o
      .elements(o.text(i))
      .slice(0, place.axes.length)
      .map((part) => o.f32(part));
  const slopes = kind === "grad" ? [given(2), given(3)] : [];
  const lod = kind === "level" ? (isFloat ? o.f32(o.text(2)) : o.s32(o.text(2))) : null;
  return (b) => {
    const handle = place.handle(b);
    const at = place.axes.map((axis) => axis(b));
    const layer = place.layer?.(b) ?? null;
    if (!isFloat) return sampler.texel(sampler.open(sampler.at(handle, lod?.(b) ?? 0)), at, layer);
    const sample = (t: Texture): Texel =>
      place.isCube ? sampler.cube(t, at, layer ?? 0) : sampler.sample(t, at, layer);
    if (lod !== null) return sampler.detailed(handle, lod(b), sample);
    if (slopes.length === 0) return sample(sampler.open(handle));
    const changes = slopes.map((slope) => slope.map((d) => d(b)));
    return sampler.detailed(handle, sampler.levelOf(handle, changes), sample);
  };
}

function gathering(o: Operands, sampler: Sampler, place: Place): (b: number) => Texel {
  const channel = "rgba".indexOf(o.at.mods[0] ?? "");
  return (b) => {
    const t = sampler.open(place.handle(b));
    const layer = place.layer?.(b) ?? null;
    const at = place.axes.map((axis) => axis(b));
    const [x = 0, y = 0] = sampler.place(t, at).map((v) => Math.floor(v - 0.5));
    const around = [
      [x, y + 1],
      [x + 1, y + 1],
      [x + 1, y],
      [x, y],
    ];
    return around.map((index) => sampler.texel(t, index, layer)[channel] ?? 0);
  };
}

function texture(o: Operands): Run {
  const { op, mods } = o.at;
  const sampler = new Sampler(o);
  const place = placeOf(o, o.text(1), mods[mods.length - 1] === "f32");
  const sets = o.elements(o.text(0)).map((into) => o.setU64(into));
  const look = op === "tld4" ? gathering(o, sampler, place) : sampling(o, sampler, place);
  return (b) => {
    const texel = look(b);
    sets.forEach((set, i) => {
      set(b, BigInt(texel[i] ?? 0));
    });
  };
}

function query(o: Operands): Run {
  const sampler = new Sampler(o);
  const handle = o.u64(o.text(1).slice(1, -1).trim());
  const set = o.setU64(o.text(0));
  const [first = "", second = ""] = o.at.mods;
  if (first === "num_mipmap_levels") {
    return (b) => set(b, BigInt(sampler.open(handle(b)).levels + 1));
  }
  const level = first === "level" ? o.s32(o.text(2)) : null;
  const axis = ["width", "height", "depth"].indexOf(level === null ? first : second);
  if (axis < 0) o.fail("the query is not known");
  return (b) =>
    set(b, BigInt(sampler.open(sampler.at(handle(b), level?.(b) ?? 0)).size[axis] ?? 0));
}

/** A surface's place from an instruction's coordinates; null for nowhere. */
function surfacePlace(
  o: Operands,
  sampler: Sampler,
  place: Place,
): (b: number, bytes: number | null) => { t: Texture; address: bigint | null } {
  const { mods } = o.at;
  return (b, bytes) => {
    const t = sampler.open(place.handle(b));
    const axes = place.axes.map((axis) => axis(b));
    const layer = place.layer?.(b);
    const given = layer === undefined ? axes : [axes[0] ?? 0, axes[1] ?? 0, layer];
    const at = mods[0] === "p" ? sampler.inBytes(t, given) : given;
    const count = bytes ?? (t.bits * t.channels) / 8;
    return { t, address: sampler.surface(t, at, count, mods) };
  };
}

function formattedStore(o: Operands): Run {
  const sampler = new Sampler(o);
  const find = surfacePlace(o, sampler, placeOf(o, o.text(0), false));
  const values = o.elements(o.text(1)).map((item) => bitsReader(o, "b32", item));
  return (b) => {
    const { t, address } = find(b, null);
    if (address === null) return;
    const [view, from] = sampler.bytes(address, (t.bits * t.channels) / 8);
    for (let c = 0; c < t.channels; c++) {
      const value = sampler.format(t, values[c]?.(b) ?? 0n);
      const at = from + (c * t.bits) / 8;
      if (t.bits === 8) view.setUint8(at, value);
      else if (t.bits === 16) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
    }
  };
}

const REDUCTIONS: Readonly<Record<string, (old: number, value: number) => number>> = {
  add: (old, value) => old + value,
  min: Math.min,
  max: Math.max,
  and: (old, value) => old & value,
  or: (old, value) => old | value,
};

function reduction(o: Operands): Run {
  const sampler = new Sampler(o);
  const { mods } = o.at;
  const find = surfacePlace(o, sampler, placeOf(o, o.text(0), false));
  const value = bitsReader(o, "b32", o.text(1));
  const op = REDUCTIONS[mods.find((mod) => Object.hasOwn(REDUCTIONS, mod)) ?? ""];
  if (op === undefined) return o.fail("the reduction is not known");
  const isSigned = mods.includes("s32");
  return (b) => {
    const { address } = find(b, 4);
    if (address === null) return;
    const [view, at] = sampler.bytes(address, 4);
    const given = Number(BigInt.asUintN(32, value(b)));
    const [old, by] = isSigned
      ? [view.getInt32(at, true), given | 0]
      : [view.getUint32(at, true), given];
    view.setUint32(at, op(old, by), true);
  };
}

function surface(o: Operands): Run {
  const { op, mods } = o.at;
  if (op === "sust" && mods[0] === "p") return formattedStore(o);
  const sampler = new Sampler(o);
  const type = mods.find((mod) => /^b(8|16|32|64)$/.test(mod)) ?? "b32";
  const width = widthOf(type);
  const isLoad = op === "suld";
  const place = placeOf(o, o.text(isLoad ? 1 : 0), false);
  const items = o.elements(o.text(isLoad ? 0 : 1));
  const sets = isLoad ? items.map((item) => o.setU64(item)) : [];
  const values = isLoad ? [] : items.map((item) => bitsReader(o, type, item));
  const bytes = width * items.length;
  const find = surfacePlace(o, sampler, place);
  return (b) => {
    const { address } = find(b, bytes);
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
    case "sured":
      return reduction(o);
    default:
      return null;
  }
}
