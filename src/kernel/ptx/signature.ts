// SPDX-License-Identifier: Apache-2.0
/**
 * The type of each operand of an instruction, from its name alone. The passes on representations,
 * demanded bits and address spaces all ask here.
 */
import type { Inst, Value } from "./ir.js";
import { hasMod } from "./ir.js";
import { B32, B64, PRED, type Type, typeNamed, U32 } from "./types.js";

export interface Signature {
  readonly dst: readonly Type[];
  readonly src: readonly Type[];
}

const wider = (type: Type): Type =>
  typeNamed(`${type.kind === "s" ? "s" : "u"}${type.bits * 2}`) ?? B64;

const halved = (type: Type, parts: number): Type => typeNamed(`b${type.bits / parts}`) ?? B32;

const repeat = (type: Type, count: number): Type[] => new Array<Type>(count).fill(type);

const ADDRESS = B64;

function compared(inst: Inst): Signature {
  const [first = U32, second = first] = inst.types;
  if (inst.op === "setp") return { dst: [PRED, PRED], src: [first, first, PRED] };
  return { dst: [first], src: [second, second, PRED] };
}

function vector(inst: Inst, value: Value | undefined): Type {
  const type = inst.types[0] ?? B32;
  return value?.kind === "vec" ? halved(type, value.items.length) : type;
}

/** A texture: handle, the layer if it has layers, coordinates, a level or two gradients. */
function sampled(inst: Inst, type: Type): Signature {
  const layer = inst.mods.some((mod) => mod === "a1d" || mod === "a2d" || mod === "acube");
  const axes = repeat(inst.types[1] ?? type, 12);
  return { dst: repeat(type, 4), src: [ADDRESS, ...(layer ? [U32] : []), ...axes] };
}

const BY_OP: Readonly<Record<string, (inst: Inst, type: Type) => Signature>> = {
  setp: compared,
  set: compared,
  selp: (_, t) => ({ dst: [t], src: [t, t, PRED] }),
  slct: (i, t) => ({ dst: [t], src: [t, t, i.types[1] ?? t] }),
  cvt: (i, t) => ({ dst: [t], src: repeat(i.types[1] ?? t, 2) }),
  shl: (_, t) => ({ dst: [t], src: [t, U32] }),
  shr: (_, t) => ({ dst: [t], src: [t, U32] }),
  shf: (_, t) => ({ dst: [t], src: [t, t, U32] }),
  bfe: (_, t) => ({ dst: [t], src: [t, U32, U32] }),
  bfi: (_, t) => ({ dst: [t], src: [t, t, U32, U32] }),
  popc: (_, t) => ({ dst: [U32], src: [t] }),
  clz: (_, t) => ({ dst: [U32], src: [t] }),
  bfind: (_, t) => ({ dst: [U32], src: [t] }),
  fns: () => ({ dst: [U32], src: [U32, U32, U32] }),
  vabsdiff4: () => ({ dst: [U32], src: [U32, U32, U32] }),
  dp4a: () => ({ dst: [U32], src: [U32, U32, U32] }),
  dp2a: () => ({ dst: [U32], src: [U32, U32, U32] }),
  sad: (_, t) => ({ dst: [t], src: [t, t, t] }),
  mov: (i, t) => {
    if (i.dst[0]?.kind === "vec") {
      return { dst: repeat(vector(i, i.dst[0]), i.dst[0].items.length), src: [t] };
    }
    const source = i.src[0];
    if (source?.kind !== "vec") return { dst: [t], src: [t] };
    return { dst: [t], src: repeat(vector(i, source), source.items.length) };
  },
  $extend: (i, t) => ({ dst: [t], src: repeat(t, i.src.length) }),
  ld: (_, t) => ({ dst: repeat(t, 8), src: [ADDRESS, ADDRESS] }),
  ldu: (_, t) => ({ dst: repeat(t, 8), src: [ADDRESS] }),
  st: (_, t) => ({ dst: [], src: [ADDRESS, ...repeat(t, 8)] }),
  atom: (_, t) => ({ dst: [t], src: [ADDRESS, t, t] }),
  red: (_, t) => ({ dst: [], src: [ADDRESS, t, t] }),
  cp: () => ({ dst: [], src: [ADDRESS, ADDRESS, U32, U32] }),
  prefetch: () => ({ dst: [], src: [ADDRESS] }),
  prefetchu: () => ({ dst: [], src: [ADDRESS] }),
  shfl: (_, t) => ({ dst: [t, PRED], src: [t, U32, U32, U32] }),
  vote: (_, t) => ({ dst: [t], src: [PRED, U32] }),
  match: (_, t) => ({ dst: [U32, PRED], src: [t, U32] }),
  redux: (_, t) => ({ dst: [t], src: [t, U32] }),
  activemask: () => ({ dst: [U32], src: [] }),
  elect: () => ({ dst: [U32, PRED], src: [U32] }),
  isspacep: () => ({ dst: [PRED], src: [ADDRESS] }),
  testp: (_, t) => ({ dst: [PRED], src: [t] }),
  tex: sampled,
  tld4: sampled,
  txq: () => ({ dst: [U32], src: [ADDRESS, U32] }),
  suq: () => ({ dst: [U32], src: [ADDRESS] }),
  suld: (_, t) => ({ dst: repeat(t, 4), src: [ADDRESS, ...repeat(U32, 4)] }),
  sust: (i, t) => {
    const count = i.src[1]?.kind === "vec" ? i.src[1].items.length : 1;
    return { dst: [], src: [ADDRESS, ...repeat(U32, count), ...repeat(t, 4)] };
  },
  sured: (i, t) => {
    const count = i.src[1]?.kind === "vec" ? i.src[1].items.length : 1;
    return { dst: [], src: [ADDRESS, ...repeat(U32, count), t] };
  },
  $printf: () => ({ dst: [U32], src: [ADDRESS, ADDRESS] }),
  nanosleep: () => ({ dst: [], src: [U32] }),
};

function barrier(inst: Inst): Signature {
  if (!hasMod(inst, "red")) return { dst: [], src: repeat(U32, 3) };
  const counts = inst.src.slice(0, -1).map(() => U32);
  return { dst: [inst.types[0] ?? PRED], src: [...counts, PRED] };
}

/** Types by position; vectors are flattened, memory operands have the type of an address. */
export function signatureOf(inst: Inst): Signature {
  const type = inst.types[0] ?? U32;
  const special = Object.hasOwn(BY_OP, inst.op) ? BY_OP[inst.op] : undefined;
  if (special !== undefined) return special(inst, type);
  if (inst.op === "bar" || inst.op === "barrier") return barrier(inst);
  if ((inst.op === "mul" || inst.op === "mad") && hasMod(inst, "wide")) {
    const wide = wider(type);
    return { dst: [wide], src: [type, type, wide] };
  }
  return { dst: [type], src: repeat(type, inst.src.length) };
}

/** Operands with vectors flattened, so that they fit the signature. */
export function flatten(values: readonly Value[]): Value[] {
  return values.flatMap((value) => (value.kind === "vec" ? value.items : [value]));
}
