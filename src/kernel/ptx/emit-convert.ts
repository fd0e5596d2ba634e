// SPDX-License-Identifier: Apache-2.0
/** cvt, mov and packing. */
import { arg, type Emit, type Handler, par, typeOf } from "./emit-context.js";
import { hasMod, type Inst, type Value } from "./ir.js";
import type { Type } from "./types.js";

const ROUND: Readonly<Record<string, string>> = {
  rni: "round",
  rzi: "trunc",
  rmi: "floor",
  rpi: "ceil",
};

function rounding(inst: Inst): string | null {
  for (const mod of inst.mods) if (Object.hasOwn(ROUND, mod)) return ROUND[mod] ?? null;
  return null;
}

const isHalf = (type: Type): boolean =>
  type.kind === "bf" || (type.kind === "f" && type.bits === 16);

/** The source as an f32 expression: half formats are exact in it. */
export function asFloat(e: Emit, value: Value, type: Type): string {
  if (type.kind === "bf") return `bitcast<f32>(${par(e.unsigned(value, type))} << 16u)`;
  if (type.bits === 16) return `${e.use("h2f")}(${e.unsigned(value, type)})`;
  return e.f(value);
}

/** Writes an f32 expression as f32 or a half format. */
export function setFloat(
  e: Emit,
  inst: Inst,
  value: Value | undefined,
  type: Type,
  text: string,
): void {
  const saturated = hasMod(inst, "sat") ? `${e.use("satf")}(${text})` : text;
  const clipped = hasMod(inst, "relu") ? `${e.use("maxf")}(${saturated}, 0.0f)` : saturated;
  if (type.bits === 32) e.setF(value, clipped);
  else e.setU(value, `${toHalf(e, inst, type)}(${clipped})`);
}

/** The helper that rounds an f32 to a half format. */
export function toHalf(e: Emit, inst: Inst, type: Type): string {
  const isCut = hasMod(inst, "rz");
  return e.use(type.kind === "bf" ? (isCut ? "f2bf_rz" : "f2bf") : isCut ? "f2h_rz" : "f2h");
}

function floatToInt(e: Emit, inst: Inst, to: Type, from: Type): void {
  const round = rounding(inst);
  const value = asFloat(e, arg(e, inst, 0), from);
  const text = round === null || round === "trunc" ? value : `${round}(${value})`;
  const isSigned = to.kind === "s";
  if (to.bits === 64) {
    e.setW(inst.dst[0], `${e.use(isSigned ? "f2s64" : "f2u64")}(${text})`);
    return;
  }
  const whole = `${e.use(isSigned ? "f2s" : "f2u")}(${text})`;
  if (to.bits === 32) {
    e.setU(inst.dst[0], isSigned ? `bitcast<u32>(${whole})` : whole);
    return;
  }
  clamped(e, inst, to, whole, isSigned);
}

/** An i32 or u32 expression, clamped to a narrower type's range. */
function clamped(e: Emit, inst: Inst, to: Type, text: string, isSigned: boolean): void {
  const mask = to.bits === 8 ? "0xffu" : "0xffffu";
  if (to.kind === "s") {
    const max = 2 ** (to.bits - 1) - 1;
    const low = isSigned ? `clamp(${text}, -${max + 1}i, ${max}i)` : `i32(min(${text}, ${max}u))`;
    extend(e, inst.dst[0], to, `bitcast<u32>(${low})`, mask);
    return;
  }
  const max = 2 ** to.bits - 1;
  const low = isSigned ? `u32(clamp(${text}, 0i, ${max}i))` : `min(${text}, ${max}u)`;
  e.setU(inst.dst[0], low);
}

/** A result narrower than its register keeps its sign there, cut to the register's width. */
function extend(e: Emit, dst: Value | undefined, to: Type, text: string, mask: string): void {
  const width = dst?.kind === "reg" ? e.width(dst.reg) : to.bits;
  if (width >= 32) e.setSigned(dst, `bitcast<i32>(${text})`);
  else if (width > to.bits) e.setU(dst, `${par(text)} & 0xffffu`);
  else e.setU(dst, `${par(text)} & ${mask}`);
}

function intToFloat(e: Emit, inst: Inst, to: Type, from: Type): void {
  const value = arg(e, inst, 0);
  const isSigned = from.kind === "s";
  const mode = ["rz", "rm", "rp"].find((mod) => hasMod(inst, mod));
  if (mode !== undefined && from.bits >= 32 && to.bits === 32) {
    let wide = e.w(value);
    if (from.bits === 32)
      wide = isSigned ? `${e.use("sx")}(${e.i(value)})` : `vec2u(${e.u(value)}, 0u)`;
    const helper = e.use(isSigned ? "s64tof_mode" : "u64tof_mode");
    setFloat(e, inst, inst.dst[0], to, `${helper}(${wide}, ${["rz", "rm", "rp"].indexOf(mode)}u)`);
    return;
  }
  if (from.bits === 64) {
    setFloat(e, inst, inst.dst[0], to, `${e.use(isSigned ? "s64tof" : "u64tof")}(${e.w(value)})`);
    return;
  }
  const text = isSigned ? e.signed(value, from) : e.unsigned(value, from);
  setFloat(e, inst, inst.dst[0], to, `f32(${text})`);
}

function intToInt(e: Emit, inst: Inst, to: Type, from: Type): void {
  const value = arg(e, inst, 0);
  const dst = inst.dst[0];
  if (from.bits === 64 && to.bits < 64) {
    if (hasMod(inst, "sat")) {
      const helper = e.use(from.kind === "s" ? "sat_s64" : "sat_u64");
      const max = to.kind === "s" ? 2 ** (to.bits - 1) - 1 : 2 ** to.bits - 1;
      const min = to.kind === "s" ? -(2 ** (to.bits - 1)) : 0;
      const bounds = `vec2u(${max >>> 0}u, 0u), vec2u(${min >>> 0}u, ${min < 0 ? "0xffffffffu" : "0u"})`;
      e.setInt(dst, to, `${helper}(${e.w(value)}, ${bounds})`);
      return;
    }
    narrowTo(e, dst, to, e.u(value));
    return;
  }
  if (to.bits === 64) {
    if (from.bits === 64) e.setW(dst, e.w(value));
    else if (e.isNarrow(dst)) {
      const low =
        from.kind === "s" ? `bitcast<u32>(${e.signed(value, from)})` : e.unsigned(value, from);
      e.setU(dst, low);
    } else if (from.kind === "s") e.setW(dst, `${e.use("sx")}(${e.signed(value, from)})`);
    else e.setW(dst, `vec2u(${e.unsigned(value, from)}, 0u)`);
    return;
  }
  const isSigned = from.kind === "s";
  const text = isSigned ? e.signed(value, from) : e.unsigned(value, from);
  if (hasMod(inst, "sat") && to.bits < 32) clamped(e, inst, to, text, isSigned);
  else if (hasMod(inst, "sat") && to.kind !== from.kind) {
    e.setU(dst, isSigned ? `u32(max(${text}, 0i))` : `min(${text}, 0x7fffffffu)`);
  } else narrowTo(e, dst, to, isSigned ? `bitcast<u32>(${text})` : text);
}

/** Cuts to the type's width, then extends to the register's, by the type's sign. */
function narrowTo(e: Emit, dst: Value | undefined, to: Type, text: string): void {
  const width = dst?.kind === "reg" ? e.width(dst.reg) : to.bits;
  if (to.kind === "s" && width > to.bits) {
    const shift = 32 - to.bits;
    const moved = shift === 0 ? text : `${par(text)} << ${shift}u`;
    e.setSigned(
      dst,
      shift === 0 ? `bitcast<i32>(${moved})` : `bitcast<i32>(${moved}) >> ${shift}u`,
    );
    return;
  }
  if (to.bits >= 32) e.setU(dst, text);
  else e.setU(dst, `${par(text)} & ${to.bits === 8 ? "0xffu" : "0xffffu"}`);
}

const cvt: Handler = (e, inst) => {
  const [to, from] = [typeOf(e, inst, 0), typeOf(e, inst, 1)];
  if (to.lanes === 2) {
    if (from.bits !== 32 || from.kind !== "f" || inst.src.length !== 2) throw e.fail();
    const helper = toHalf(e, inst, to);
    const [high, low] = [e.f(arg(e, inst, 0)), e.f(arg(e, inst, 1))];
    const clip = (x: string): string => (hasMod(inst, "relu") ? `${e.use("maxf")}(${x}, 0.0f)` : x);
    e.setU(inst.dst[0], `(${helper}(${clip(high)}) << 16u) | ${helper}(${clip(low)})`);
    return;
  }
  if (e.convertOther(inst, to, from)) return;
  const fromFloat = from.kind === "f" || from.kind === "bf";
  const toFloat = to.kind === "f" || to.kind === "bf";
  if (fromFloat && !toFloat) floatToInt(e, inst, to, from);
  else if (!fromFloat && toFloat) intToFloat(e, inst, to, from);
  else if (!fromFloat) intToInt(e, inst, to, from);
  else {
    const round = rounding(inst);
    const text = asFloat(e, arg(e, inst, 0), from);
    setFloat(e, inst, inst.dst[0], to, round === null ? text : `${round}(${text})`);
  }
};

/** Several narrow values to one wide one, and back. */
function pack(e: Emit, inst: Inst, type: Type, items: readonly Value[]): void {
  const text = items.map((item) => (item.kind === "none" ? "0u" : e.u(item)));
  if (type.bits === 64 && items.length === 2) {
    e.setW(inst.dst[0], `vec2u(${text.join(", ")})`);
    return;
  }
  const bits = type.bits / items.length;
  const mask = bits === 8 ? "0xffu" : "0xffffu";
  const word = (from: number, count: number): string =>
    text
      .slice(from, from + count)
      .map((t, i) => (i === 0 ? `(${t} & ${mask})` : `((${t} & ${mask}) << ${i * bits}u)`))
      .join(" | ");
  if (type.bits === 64) e.setW(inst.dst[0], `vec2u(${word(0, 2)}, ${word(2, 2)})`);
  else e.setU(inst.dst[0], word(0, items.length));
}

function unpack(e: Emit, inst: Inst, type: Type, items: readonly Value[]): void {
  const value = arg(e, inst, 0);
  if (type.bits === 64 && items.length === 2) {
    const whole = e.bind(e.w(value));
    e.setU(items[0], `${whole}.x`);
    e.setU(items[1], `${whole}.y`);
    return;
  }
  const bits = type.bits / items.length;
  const mask = bits === 8 ? "0xffu" : "0xffffu";
  const words = type.bits === 64 ? e.bind(e.w(value)) : e.bind(e.u(value));
  items.forEach((item, i) => {
    const at = i * bits;
    const word = type.bits === 64 ? (at < 32 ? `${words}.x` : `${words}.y`) : words;
    e.setU(item, `(${word} >> ${at % 32}u) & ${mask}`);
  });
}

const mov: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const [dst, src] = [inst.dst[0], arg(e, inst, 0)];
  if (type.bits > 64) throw e.fail();
  if (dst?.kind === "vec") unpack(e, inst, type, dst.items);
  else if (src.kind === "vec") pack(e, inst, type, src.items);
  else if (type.kind === "pred") e.setP(dst, e.p(src));
  else if (type.bits === 64) {
    if (e.isNarrow(dst)) e.setU(dst, e.u(src));
    else e.setW(dst, e.w(src));
  } else if (dst?.kind === "reg" && e.rep(dst.reg) === "f32") e.setF(dst, e.f(src));
  else e.setU(dst, e.unsigned(src, type));
};

export const CONVERT_HANDLERS: Readonly<Record<string, Handler>> = {
  cvt,
  mov,
  $extend: (e, inst) => narrowTo(e, inst.dst[0], typeOf(e, inst), e.u(arg(e, inst, 0))),
};

export { isHalf };
