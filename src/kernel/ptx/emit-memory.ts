// SPDX-License-Identifier: Apache-2.0
/**
 * Loads, stores and addresses. An address is an offset in one space; where the space or the segment
 * is known only at run time, it is a pair with a tag, and memory helpers (memory.ts) choose.
 */
import { arg, type Emit, type Handler, hex, num, par, typeOf } from "./emit-context.js";
import { hasMod, type Inst, type Value } from "./ir.js";
import { accessMask, GLOBAL, LOCAL, maskOf, PARAM, SHARED, spaceOf } from "./spaces.js";
import { type Type, widthOf } from "./types.js";

/** Tags in the upper half of generic addresses; segments have other numbers. */
export const SHARED_TAG = 1;
export const LOCAL_TAG = 2;
export const PARAM_TAG = 3;

/** Where an access goes: the prefix of the helpers to call, and the address they take. */
export interface Place {
  readonly space: "m0" | "g" | "sh" | "lo" | "pm" | "x";
  /** u32 for one space (`g` and `x`: vec2u); without the constant offset. */
  readonly base: string;
  /** Constant part, bytes. */
  readonly offset: number;
  /** No base at all: the whole address is the constant. */
  readonly isConstant: boolean;
}

function spaceFor(e: Emit, inst: Inst, mask: number): Place["space"] {
  switch (mask) {
    case GLOBAL:
      return e.options.segments === 1 && !e.options.checked ? "m0" : "g";
    case SHARED:
      return "sh";
    case LOCAL:
      return "lo";
    case PARAM:
      return "pm";
    default:
      if ((mask & PARAM) !== 0 && inst.op !== "ld") throw e.fail("writes to parameters");
      return "x";
  }
}

export function placeOf(e: Emit, inst: Inst, value: Value, bytes: number): Place {
  if (value.kind !== "mem") throw e.fail("has an operand that is no address");
  const mask = accessMask(inst, value, e.masks);
  const space = spaceFor(e, inst, mask);
  const { base, offset } = value;
  if (space === "g" || space === "x") {
    const whole = wideAddress(e, base, mask);
    const sum = offset === 0 ? whole : `${e.use("add64")}(${whole}, ${wideConstant(offset)})`;
    if (!e.options.checked) return { space, base: e.bind(sum), offset: 0, isConstant: false };
    const kind = inst.op === "ld" ? 0 : 1;
    const check = `${e.use(`${space}_chk`)}(${sum}, ${bytes}u, ${inst.line}u, ${kind}u)`;
    return { space, base: e.bind(check), offset: 0, isConstant: false };
  }
  const place = plainPlace(e, space, base, offset);
  if (space !== "sh" || !e.options.checked) return place;
  const whole = place.isConstant ? num(place.offset) : `${place.base} + ${num(place.offset)}`;
  const base2 = e.bind(`${e.use("sh_chk")}(${whole}, ${bytes}u, ${inst.line}u)`);
  return { space, base: base2, offset: 0, isConstant: false };
}

function plainPlace(e: Emit, space: Place["space"], base: Value, offset: number): Place {
  if (base.kind === "imm") {
    const at = Number(BigInt.asIntN(32, base.value)) + offset;
    return { space, base: "", offset: at, isConstant: true };
  }
  if (base.kind === "addr" && base.space !== "global") {
    const from = base.space === "shared" && base.symbol === 0 ? e.kernel.dynamicSharedAt : 0;
    return { space, base: "", offset: from + base.offset + offset, isConstant: true };
  }
  if (base.kind === "addr") {
    const start = e.addressLow("global", base.symbol, 0);
    return { space, base: start, offset: base.offset + offset, isConstant: false };
  }
  return { space, base: e.u(base), offset, isConstant: false };
}

const wideConstant = (offset: number): string =>
  `vec2u(${hex(offset)}, ${offset < 0 ? "0xffffffffu" : "0u"})`;

/** The address with its tag. */
function wideAddress(e: Emit, base: Value, mask: number): string {
  if (base.kind !== "addr" || base.space === "global") return e.w(base);
  const tag = base.space === "shared" ? SHARED_TAG : base.space === "local" ? LOCAL_TAG : PARAM_TAG;
  return mask === GLOBAL ? e.w(base) : `vec2u(${e.u(base)}, ${tag}u)`;
}

/** The address `extra` bytes on, as the helpers take it. */
export function addressAt(e: Emit, place: Place, extra: number): string {
  if (place.space === "g" || place.space === "x") {
    return extra === 0 ? place.base : `${e.use("add64")}(${place.base}, vec2u(${extra}u, 0u))`;
  }
  const offset = place.offset + extra;
  if (place.isConstant) return num(offset);
  if (offset === 0) return place.base;
  if (offset < 0) return `${place.base} - ${num(-offset)}`;
  return `${place.base} + ${num(offset)}`;
}

function indexAt(place: Place, e: Emit, extra: number): string {
  const offset = place.offset + extra;
  if (place.isConstant) return `${Math.max(0, offset >> 2)}u`;
  if (place.space !== "m0" && offset % 4 === 0) {
    // Small memories: signed words are exact even where the base is below zero, and accesses
    // from one base share the shift.
    const word = `bitcast<i32>(${place.base}) >> 2u`;
    return offset === 0 ? word : `(${word}) + ${offset / 4}i`.replace("+ -", "- ");
  }
  return `${par(addressAt(e, place, extra))} >> 2u`;
}

/** One aligned word. */
export function loadWord(e: Emit, place: Place, extra: number): string {
  switch (place.space) {
    case "m0":
    case "sh": {
      const isAtomic = place.space === "m0" ? e.memory.atomicHeap : e.memory.atomicShared;
      const word = `${place.space}[${indexAt(place, e, extra)}]`;
      return isAtomic ? `atomicLoad(&${word})` : word;
    }
    case "lo":
      return `lo[${indexAt(place, e, extra)}]`;
    case "pm":
      if (place.isConstant) return e.word((place.offset + extra) >> 2);
      return `${e.use("pm_ld")}(${addressAt(e, place, extra)})`;
    default:
      return `${e.use(`${place.space}_ld`)}(${addressAt(e, place, extra)})`;
  }
}

export function storeWord(e: Emit, place: Place, extra: number, text: string): void {
  switch (place.space) {
    case "m0":
    case "sh": {
      const isAtomic = place.space === "m0" ? e.memory.atomicHeap : e.memory.atomicShared;
      const word = `${place.space}[${indexAt(place, e, extra)}]`;
      e.line(isAtomic ? `atomicStore(&${word}, ${text});` : `${word} = ${text};`);
      return;
    }
    case "lo":
      e.line(`lo[${indexAt(place, e, extra)}] = ${text};`);
      return;
    case "pm":
      throw e.fail("writes to parameters");
    default:
      e.line(`${e.use(`${place.space}_st`)}(${addressAt(e, place, extra)}, ${text});`);
  }
}

/** A load of 8 or 16 bits into a register, extended by the type's sign. */
function loadPart(e: Emit, place: Place, extra: number, type: Type, dst: Value): void {
  const bits = widthOf(type);
  const address = place.space === "g" || place.space === "x" ? `${place.base}.x` : "";
  let shift: string;
  if (place.isConstant) shift = `${((place.offset + extra) & 3) * 8}u`;
  else {
    const low = address === "" ? addressAt(e, place, extra) : `${address} + ${extra}u`;
    shift = `((${low}) & 3u) * 8u`;
  }
  const word = loadWord(e, place, extra);
  const width = dst.kind === "reg" ? e.width(dst.reg) : bits;
  if (type.kind !== "s" || width <= bits) {
    e.setU(dst, `extractBits(${word}, ${shift}, ${bits}u)`);
    return;
  }
  e.setSigned(dst, `extractBits(bitcast<i32>(${word}), ${shift}, ${bits}u)`);
}

/** A part of a vector, which may begin in the middle of a word. */
function partAt(e: Emit, place: Place, at: number, each: number): string {
  const low = place.isConstant ? `${(place.offset + at) & 3}u` : addressAt(e, place, at);
  const tagged = place.space === "g" || place.space === "x" ? `${place.base}.x + ${at}u` : low;
  return e.bind(`extractBits(${loadWord(e, place, at)}, ((${tagged}) & 3u) * 8u, ${each * 8}u)`);
}

const load: Handler = (e, inst) => {
  const type = typeOf(e, inst, inst.types.length - 1);
  const dst = inst.dst[0];
  const items = dst?.kind === "vec" ? dst.items : dst === undefined ? [] : [dst];
  const each = widthOf(type) / 8;
  if (each > 8) throw e.fail();
  const place = placeOf(e, inst, arg(e, inst, 0), each * items.length);
  // All words are read before any register is written: the address may be one of them.
  const isSingle = items.length === 1;
  const words: [Value, string, string][] = [];
  items.forEach((item, i) => {
    if (item.kind === "none") return;
    const at = i * each;
    if (each < 4) {
      if (isSingle) loadPart(e, place, at, type, item);
      else words.push([item, partAt(e, place, at, each), ""]);
      return;
    }
    const low = loadWord(e, place, at);
    if (each === 4) words.push([item, isSingle ? low : e.bind(low), ""]);
    else if (e.isNarrow(item)) words.push([item, isSingle ? low : e.bind(low), ""]);
    else {
      const high = loadWord(e, place, at + 4);
      words.push([item, isSingle ? low : e.bind(low), isSingle ? high : e.bind(high)]);
    }
  });
  for (const [item, low, high] of words) {
    if (high !== "") e.setW(item, `vec2u(${low}, ${high})`);
    else if (each < 4) setPart(e, item, type, low);
    else if (each === 4 && type.kind === "s" && item.kind === "reg" && e.width(item.reg) > 32) {
      e.setSigned(item, `bitcast<i32>(${low})`);
    } else e.setU(item, low);
  }
};

function setPart(e: Emit, item: Value, type: Type, text: string): void {
  const bits = widthOf(type);
  const width = item.kind === "reg" ? e.width(item.reg) : bits;
  if (type.kind !== "s" || width <= bits) {
    e.setU(item, text);
    return;
  }
  e.setSigned(item, `bitcast<i32>(${text} << ${32 - bits}u) >> ${32 - bits}u`);
}

const store: Handler = (e, inst) => {
  const type = typeOf(e, inst, inst.types.length - 1);
  const value = arg(e, inst, 1);
  const items = value.kind === "vec" ? value.items : [value];
  const each = widthOf(type) / 8;
  if (each > 8) throw e.fail();
  const place = placeOf(e, inst, arg(e, inst, 0), each * items.length);
  // Small items side by side make whole words, which need no compare-and-swap.
  const perWord = 4 / each;
  if (each < 4 && items.length % perWord === 0) {
    for (let i = 0; i < items.length; i += perWord) {
      const parts = items.slice(i, i + perWord).map((item, n) => {
        const text = e.unsigned(item, type);
        const cut = each === 1 ? `(${text} & 0xffu)` : `(${text} & 0xffffu)`;
        return n === 0 ? cut : `(${cut} << ${n * each * 8}u)`;
      });
      storeWord(e, place, i * each, parts.join(" | "));
    }
    return;
  }
  items.forEach((item, i) => {
    const at = i * each;
    if (each < 4) {
      const helper = e.use(`${place.space}_st${each * 8}`);
      e.line(`${helper}(${addressAt(e, place, at)}, ${e.u(item)});`);
    } else if (each === 4) storeWord(e, place, at, e.u(item));
    else {
      const whole = item.kind === "reg" ? e.w(item) : e.bind(e.w(item));
      storeWord(e, place, at, `${whole}.x`);
      storeWord(e, place, at + 4, `${whole}.y`);
    }
  });
};

const TAGS: Readonly<Record<string, number>> = {
  shared: SHARED_TAG,
  local: LOCAL_TAG,
  param: PARAM_TAG,
};

const cvta: Handler = (e, inst) => {
  const tag = TAGS[spaceOf(inst) ?? "global"];
  const source = arg(e, inst, 0);
  if (e.isNarrow(inst.dst[0])) e.setU(inst.dst[0], e.u(source));
  else if (tag === undefined) e.setW(inst.dst[0], e.w(source));
  else if (hasMod(inst, "to")) e.setW(inst.dst[0], `vec2u(${e.u(source)}, 0u)`);
  else e.setW(inst.dst[0], `vec2u(${e.u(source)}, ${tag}u)`);
};

const isspacep: Handler = (e, inst) => {
  const space = spaceOf(inst);
  const tag = TAGS[space ?? ""];
  const high = `${par(e.w(arg(e, inst, 0)))}.y`;
  if (tag !== undefined) e.setP(inst.dst[0], `${high} == ${tag}u`);
  else e.setP(inst.dst[0], `${high} > ${PARAM_TAG}u || ${high} == 0u`);
};

/** cp.async: a copy at once; the waits for it are then nothing. */
const copy: Handler = (e, inst) => {
  if (!hasMod(inst, "async")) throw e.fail();
  const isWait = inst.mods.some((mod) => mod.startsWith("wait_") || mod === "commit_group");
  if (isWait) return;
  if (inst.mods.some((mod) => mod === "bulk" || mod === "mbarrier" || mod === "reduce"))
    throw e.fail();
  const size = arg(e, inst, 2);
  if (size.kind !== "imm") throw e.fail();
  const bytes = Number(size.value);
  const [to, from] = [arg(e, inst, 0), arg(e, inst, 1)];
  const shared: Inst = { ...inst, op: "st", mods: ["shared"] };
  const global: Inst = { ...inst, op: "ld", mods: ["global"] };
  const [into, out] = [placeOf(e, shared, to, bytes), placeOf(e, global, from, bytes)];
  const given = inst.src[3];
  const limit = given === undefined ? null : e.bind(e.u(given));
  for (let at = 0; at < bytes; at += 4) {
    const word = loadWord(e, out, at);
    storeWord(e, into, at, limit === null ? word : `select(0u, ${word}, ${at}u < ${limit})`);
  }
};

const nothing: Handler = () => {};

export const MEMORY_HANDLERS: Readonly<Record<string, Handler>> = {
  ld: load,
  ldu: load,
  st: store,
  cvta,
  isspacep,
  cp: copy,
  prefetch: nothing,
  prefetchu: nothing,
  applypriority: nothing,
  discard: nothing,
};

export { maskOf };
