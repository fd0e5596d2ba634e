// SPDX-License-Identifier: Apache-2.0
/**
 * Single PTX instructions over operands that find mistakes: each in a slot of its own, so that a
 * difference names the instruction and its operands.
 */
import { Random } from "./lab.js";

/** In a form `D` stands for the result, and A, B, C for operands; see `KINDS`. */
export interface Form {
  readonly text: string;
  /** Registers of the result and the operands. */
  readonly kind: keyof typeof KINDS;
  /** Registers of the result, where it is another. */
  readonly result?: keyof typeof KINDS;
}

/** Type of a register, and how its operands are loaded and stored. */
export const KINDS = {
  r: { type: "b32", load: "u32", bytes: 4 },
  rd: { type: "b64", load: "u64", bytes: 8 },
  rs: { type: "b16", load: "u16", bytes: 2 },
  f: { type: "f32", load: "f32", bytes: 4 },
  fd: { type: "f64", load: "f64", bytes: 8 },
} as const;

const forms = (
  kind: keyof typeof KINDS,
  texts: readonly string[],
  result?: keyof typeof KINDS,
): Form[] => texts.map((text) => (result === undefined ? { kind, text } : { kind, text, result }));

const each = (ops: string, types: string, operands: string): string[] =>
  ops.split(" ").flatMap((op) => types.split(" ").map((type) => `${op}.${type} ${operands};`));

const S = "eq ne lt le gt ge";
const ORDERED = `${S} equ neu ltu leu gtu geu num nan`;

const compared = (tests: string, types: string): string[] =>
  types
    .split(" ")
    .flatMap((t) =>
      tests.split(" ").map((c) => `setp.${c}.${t} %p1, A, B; selp.u32 D, 1, 0, %p1;`),
    );

export const INTEGER: readonly Form[] = [
  ...forms("r", each("add sub mul.lo mul.hi min max", "s32 u32", "D, A, B")),
  ...forms("r", each("add.sat sub.sat", "s32", "D, A, B")),
  ...forms("r", each("mad.lo mad.hi sad", "s32 u32", "D, A, B, C")),
  ...forms("r", each("mul24.lo mul24.hi", "s32 u32", "D, A, B")),
  ...forms("r", each("mad24.lo", "s32 u32", "D, A, B, C")),
  ...forms("r", each("and or xor", "b32", "D, A, B")),
  ...forms("r", each("not cnot popc clz brev", "b32", "D, A")),
  ...forms("r", each("neg abs", "s32", "D, A")),
  ...forms("r", each("bfind bfind.shiftamt", "s32 u32", "D, A")),
  ...forms("r", ["shl.b32 D, A, B;", "shr.u32 D, A, B;", "shr.s32 D, A, B;"]),
  ...forms("r", each("bfe", "s32 u32", "D, A, B, C")),
  ...forms("r", ["bfi.b32 D, A, B, C, 9;", "bfi.b32 D, A, B, 30, C;", "bfi.b32 D, A, B, 3, 7;"]),
  ...forms("r", ["bfe.s32 D, A, 5, 9;", "bfe.u32 D, A, 28, 9;", "bfe.s32 D, A, 40, 3;"]),
  ...forms("r", each("shf.l.wrap shf.r.wrap shf.l.clamp shf.r.clamp", "b32", "D, A, B, C")),
  ...forms("r", ["prmt.b32 D, A, B, C;", "prmt.b32 D, A, B, 0x98fa;"]),
  ...forms("r", each("prmt", "b32.f4e b32.b4e b32.rc8 b32.ecl b32.ecr b32.rc16", "D, A, B, C")),
  ...forms("r", ["lop3.b32 D, A, B, C, 0x96;", "lop3.b32 D, A, B, C, 0x1b;"]),
  ...forms("r", each("dp4a", "u32.u32 s32.s32 s32.u32 u32.s32", "D, A, B, C")),
  ...forms("r", ["vabsdiff4.u32.u32.u32.add D, A, B, C;"]),
  ...forms("r", each("dp2a.lo dp2a.hi", "u32.u32 s32.s32 s32.u32", "D, A, B, C")),
  ...forms("r", each("bmsk.clamp bmsk.wrap", "b32", "D, A, B")),
  ...forms("r", each("szext.clamp szext.wrap", "u32 s32", "D, A, B")),
  ...forms("r", compared(S, "s32 u32")),
  ...forms("r", compared("lo ls hi hs", "u32")),
  ...forms("r", each("set", "lt.u32.s32 ge.u32.u32 eq.s32.u32", "D, A, B")),
  ...forms("r", ["slct.s32.s32 D, A, B, C;"]),
  ...forms("r", [
    "setp.lt.and.s32 %p1|%p2, A, B, !%p0; selp.b32 D, A, B, %p1; @%p2 xor.b32 D, D, 5;",
    "setp.ge.or.u32 %p1, A, B, %p0; selp.u32 D, 1, 0, %p1;",
    "setp.eq.xor.s32 %p1|%p2, A, B, %p0; selp.u32 D, 1, 0, %p2;",
    "add.cc.u32 D, A, B; addc.u32 D, D, C;",
    "sub.cc.u32 D, A, B; subc.u32 D, C, D;",
    "mad.lo.cc.u32 D, A, B, C; madc.hi.u32 D, A, B, D;",
    "mul24.lo.s32 D, A, 0x80000000;",
    "bfi.b32 D, A, B, 14, 20;",
    "or.b32 D, B, 1; div.u32 D, A, D;",
    "or.b32 D, B, 1; rem.u32 D, A, D;",
    "and.b32 D, B, 0xffff; or.b32 D, D, 1; div.s32 D, A, D;",
    "and.b32 D, B, 0xffff; or.b32 D, D, 1; rem.s32 D, A, D;",
    "mov.b32 {%h0, %h1}, A; mov.b32 D, {%h1, %h0};",
  ]),
  ...forms("r", each("mul.wide", "s32 u32", "D, A, B"), "rd"),
  ...forms("r", ["cvt.s64.s32 D, A;", "cvt.u64.u32 D, A;", "mov.b64 D, {A, B};"], "rd"),
  ...forms("r", ["cvt.u64.s32 D, A;", "cvt.s64.u32 D, A;", "cvt.s64.s16 D, A;"], "rd"),
  ...forms("r", ["cvt.u32.u8 D, A;", "cvt.s32.s8 D, A;", "cvt.u32.u16 D, A;", "cvt.s32.s16 D, A;"]),
  ...forms(
    "r",
    each("cvt.sat", "u8.s32 s8.s32 u16.s32 s16.u32 u8.u32 s8.u32 u32.s32 s32.u32", "D, A"),
  ),
  ...forms("r", each("cvt", "s8.s32 u8.u32 s16.s32 u16.s32", "D, A")),
];

export const WIDE: readonly Form[] = [
  ...forms("rd", each("add sub mul.lo mul.hi min max", "s64 u64", "D, A, B")),
  ...forms("rd", each("mad.lo", "s64", "D, A, B, C")),
  ...forms("rd", each("and or xor", "b64", "D, A, B")),
  ...forms("rd", each("not cnot brev", "b64", "D, A")),
  ...forms("rd", each("neg abs", "s64", "D, A")),
  ...forms("rd", each("popc clz", "b64", "D, A"), "r"),
  ...forms("rd", each("bfind", "u64 s64", "D, A"), "r"),
  ...forms("rd", [
    "cvt.u32.u64 %t0, B; shl.b64 D, A, %t0;",
    "cvt.u32.u64 %t0, B; and.b32 %t0, %t0, 63; shl.b64 D, A, %t0;",
    "cvt.u32.u64 %t0, B; and.b32 %t0, %t0, 63; shr.u64 D, A, %t0;",
    "cvt.u32.u64 %t0, B; and.b32 %t0, %t0, 127; shr.s64 D, A, %t0;",
    "shl.b64 D, A, 32;",
    "shr.s64 D, A, 37;",
    "shr.u64 D, A, 5;",
    "cvt.u32.u64 %t0, B; bfe.u64 D, A, %t0, 11;",
    "bfe.s64 D, A, 27, 13;",
    "bfi.b64 D, A, B, 25, 17;",
    "or.b64 D, B, 1; div.u64 D, A, D;",
    "or.b64 D, B, 1; rem.u64 D, A, D;",
    "shr.u64 D, B, 3; or.b64 D, D, 1; div.s64 D, A, D;",
    "shr.u64 D, B, 3; or.b64 D, D, 1; rem.s64 D, A, D;",
    "mov.b64 {%t0, %t1}, A; mov.b64 D, {%t1, %t0};",
    "setp.lt.s64 %p1, A, B; selp.b64 D, A, B, %p1;",
    "cvt.u32.u64 %t0, A; cvt.u64.u32 D, %t0;",
    "cvt.s64.s8 D, A;",
  ]),
  ...forms("rd", compared(S, "s64 u64"), "r"),
  ...forms("rd", ["add.s64 %rd3, A, B; cvt.sat.s32.s64 D, %rd3;"], "r"),
  ...forms("rd", ["cvt.u32.u64 D, A;", "cvt.sat.s32.s64 D, A;", "cvt.sat.u32.s64 D, A;"], "r"),
  ...forms("rd", each("cvt", "rn.f32.s64 rn.f32.u64 rz.f32.s64 rp.f32.u64", "D, A"), "f"),
];

export const HALF: readonly Form[] = [
  ...forms("rs", each("add sub mul.lo mul.hi min max", "s16 u16", "D, A, B")),
  ...forms("rs", each("mad.lo", "s16 u16", "D, A, B, C")),
  ...forms("rs", each("and or xor", "b16", "D, A, B")),
  ...forms("rs", each("not cnot", "b16", "D, A")),
  ...forms("rs", each("neg abs", "s16", "D, A")),
  ...forms("rs", [
    "cvt.u32.u16 %t0, B; shl.b16 D, A, %t0;",
    "cvt.u32.u16 %t0, B; shr.s16 D, A, %t0;",
    "cvt.u32.u16 %t0, B; and.b32 %t0, %t0, 15; shr.u16 D, A, %t0;",
    "setp.lt.s16 %p1, A, B; selp.b16 D, A, B, %p1;",
    "setp.lt.u16 %p1, A, B; selp.b16 D, A, B, %p1;",
    "or.b16 D, B, 1; div.u16 D, A, D;",
    "or.b16 D, B, 1; rem.u16 D, A, D;",
  ]),
  ...forms("rs", each("mul.wide", "s16 u16", "D, A, B"), "r"),
  ...forms("rs", ["cvt.u32.u16 D, A;", "cvt.s32.s16 D, A;", "cvt.s32.s8 D, A;"], "r"),
  ...forms("rs", ["mov.b32 D, {A, B};"], "r"),
];

export const FLOAT: readonly Form[] = [
  ...forms("f", each("add.rn sub.rn mul.rn div.rn min max", "f32", "D, A, B")),
  ...forms("f", each("add mul", "sat.f32 ftz.f32", "D, A, B")),
  ...forms("f", each("neg abs sqrt.rn rcp.rn", "f32", "D, A")),
  ...forms("f", each("copysign", "f32", "D, A, B")),
  ...forms("f", each("cvt", "rni.f32.f32 rzi.f32.f32 rmi.f32.f32 rpi.f32.f32 sat.f32.f32", "D, A")),
  ...forms("f", compared(ORDERED, "f32"), "r"),
  ...forms("f", each("set", "lt.u32.f32 neu.u32.f32", "D, A, B"), "r"),
  ...forms("f", each("set", "lt.f32.f32", "D, A, B")),
  ...forms(
    "f",
    each("testp", "finite infinite number notanumber", "@").map((t) => {
      return `${t.replace(" @;", "")}.f32 %p1, A; selp.u32 D, 1, 0, %p1;`;
    }),
    "r",
  ),
  ...forms("f", each("cvt.rni cvt.rzi cvt.rmi cvt.rpi", "s32.f32 u32.f32", "D, A"), "r"),
  ...forms("f", each("cvt.rzi", "s64.f32 u64.f32", "D, A"), "rd"),
  ...forms("f", each("cvt.rzi", "s16.f32 u16.f32 u8.f32 s8.f32", "D, A"), "r"),
  ...forms("f", ["cvt.rn.f16.f32 D, A;", "cvt.rz.f16.f32 D, A;"], "rs"),
  ...forms("f", ["cvt.rn.f16x2.f32 D, A, B;"], "r"),
  ...forms("rs", ["cvt.f32.f16 D, A;"], "f"),
  ...forms("r", each("cvt", "rn.f32.s32 rn.f32.u32 rz.f32.s32 rp.f32.u32", "D, A"), "f"),
  ...forms("r", ["slct.f32.s32 D, 0f3F800000, 0f40000000, A;"], "f"),
  ...forms("f", ["slct.s32.f32 D, 1, 2, A;"], "r"),
];

export const DOUBLE: readonly Form[] = [
  ...forms("fd", each("add.rn sub.rn mul.rn div.rn min max", "f64", "D, A, B")),
  ...forms("fd", ["fma.rn.f64 D, A, B, C;", "neg.f64 D, A;", "abs.f64 D, A;"]),
  ...forms("fd", each("sqrt.rn rcp.rn", "f64", "D, A")),
  ...forms("fd", each("cvt", "rni.f64.f64 rzi.f64.f64 rmi.f64.f64 rpi.f64.f64", "D, A")),
  ...forms("fd", compared(ORDERED, "f64"), "r"),
  ...forms("fd", each("cvt.rzi cvt.rni", "s32.f64 u32.f64", "D, A"), "r"),
  ...forms("fd", each("cvt.rzi cvt.rmi", "s64.f64 u64.f64", "D, A"), "rd"),
  // Of a value that nothing else reads.
  ...forms("fd", ["add.rn.f64 %fd3, A, B; cvt.rzi.s32.f64 D, %fd3;"], "r"),
  ...forms("fd", ["cvt.rn.f32.f64 D, A;"], "f"),
  ...forms("f", ["cvt.f64.f32 D, A;"], "fd"),
  ...forms("rd", each("cvt.rn", "f64.s64 f64.u64", "D, A"), "fd"),
  ...forms("r", each("cvt.rn", "f64.s32 f64.u32", "D, A"), "fd"),
];

const NASTY32 = [
  0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff,
  0x10000, 0x7fffff, 0x800000, 0xffffff, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xffffff00,
  0xffff8000, 0xfffffffe, 0xffffffff, 0x12345678, 0xdeadbeef, 0x01010101, 0x80808080,
];
const NASTY_FLOATS = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3.999,
  127.5,
  255.5,
  32767.5,
  65504,
  65520,
  8388607.5,
  16777217,
  2147483648,
  -2147483648,
  4294967296,
  1e10,
  -1e10,
  9.3e18,
  1e20,
  3e38,
  -3e38,
  1e-20,
  6e-8,
  Infinity,
  -Infinity,
  Number.NaN,
  0.1,
  1 / 3,
];

const NASTY_DOUBLES = [
  ...NASTY_FLOATS,
  ...[1 / 3, Math.PI, 2 ** 53 + 2, 1e300, -1e308, 1e-300, 5e-324, -5e-324, 2 ** -1022, 2 ** -1060],
  ...[2 ** 52 + 1, 9007199254740991, -(2 ** 63), 2 ** 64, 2147483647.5, 1 + 2 ** -52],
];

/** `count` sets of three operands of a kind, as bytes: first all kinds of bad ones, then any. */
export function operandsFor(kind: keyof typeof KINDS, count: number, seed: number): Uint8Array {
  const random = new Random(seed);
  const { bytes } = KINDS[kind];
  const data = new DataView(new ArrayBuffer(count * 3 * bytes));
  const word = (): number =>
    random.below(3) === 0 ? random.u32() : (NASTY32[random.below(NASTY32.length)] ?? 0);
  for (let i = 0; i < count * 3; i++) {
    const at = i * bytes;
    if (i < 12 && (kind === "f" || kind === "fd")) {
      // All pairs of zeros.
      const sign = Math.floor(i / 3) & ([2, 1, 0][i % 3] ?? 0);
      const zero = sign === 0 ? 0 : -0;
      if (kind === "f") data.setFloat32(at, zero, true);
      else data.setFloat64(at, zero, true);
    } else if (kind === "f") {
      const nasty = NASTY_FLOATS[random.below(NASTY_FLOATS.length)] ?? 0;
      data.setFloat32(at, random.below(3) === 0 ? random.between(-100, 100) : nasty, true);
    } else if (kind === "fd") {
      // Numbers near each other in size, so that sums cancel and products round.
      const nasty = NASTY_DOUBLES[random.below(NASTY_DOUBLES.length)] ?? 0;
      const near = random.between(-1, 1) * 2 ** random.below(60);
      data.setFloat64(
        at,
        random.below(3) === 0 ? nasty : near + near * 2 ** -30 * random.u32(),
        true,
      );
    } else if (kind === "rs") {
      data.setUint16(at, word(), true);
    } else {
      data.setUint32(at, word(), true);
      if (bytes === 8) {
        const high = random.below(3);
        data.setUint32(at + 4, high === 0 ? 0 : high === 1 ? 0xffffffff : word(), true);
      }
    }
  }
  return new Uint8Array(data.buffer);
}

/** A kernel `forms(in, out)`: thread i applies every form to operand set i; 8 bytes a result. */
export function formsProgram(list: readonly Form[], count: number): string {
  const kinds = [...new Set(list.flatMap((f) => [f.kind, f.result ?? f.kind]))];
  const loads = [...new Set(list.map((f) => f.kind))].flatMap((kind, k) => {
    const { bytes, load } = KINDS[kind];
    return [
      `mad.lo.u32 %t0, %i, ${3 * bytes}, ${k * count * 24};`,
      "cvt.u64.u32 %a1, %t0; add.s64 %a1, %in, %a1;",
      ...[0, 1, 2].map((o) => `ld.global.${load} %${kind}${o}, [%a1+${o * bytes}];`),
    ];
  });
  const bodies = list.map((form, i) => {
    const to = form.result ?? form.kind;
    const destination = `%${to}3`;
    const text = form.text
      .replace(/\bD\b/g, destination)
      .replace(/\b([ABC])\b/g, (_, o: string) => `%${form.kind}${"ABC".indexOf(o)}`);
    return `${text}\n\tst.global.${KINDS[to].load} [%out+${i * 8}], ${destination};`;
  });
  const registers = kinds.map((k) => `.reg .${KINDS[k].type} %${k}<4>;`).join(" ");
  return `.version 8.0
.target sm_75
.address_size 64
.visible .entry forms(.param .u64 forms_0, .param .u64 forms_1)
{
\t.reg .b32 %t<2>; .reg .b32 %i; .reg .b64 %a<4>; .reg .b64 %in, %out;
\t.reg .b16 %h<2>; .reg .pred %p<3>; ${registers}
\tld.param.u64 %in, [forms_0];
\tld.param.u64 %out, [forms_1];
\tcvta.to.global.u64 %in, %in;
\tcvta.to.global.u64 %out, %out;
\tmov.u32 %t0, %ctaid.x; mov.u32 %t1, %tid.x; mad.lo.u32 %i, %t0, 64, %t1;
\tmul.wide.u32 %a0, %i, ${list.length * 8};
\tadd.s64 %out, %out, %a0;
\tand.b32 %t0, %i, 1; setp.ne.u32 %p0, %t0, 0;
\t${loads.join("\n\t")}
\t${bodies.join("\n\t")}
\tret;
}
`;
}

/** The operands of all kinds that a list needs, as `formsProgram` reads them. */
export function formsInput(list: readonly Form[], count: number, seed: number): Uint8Array {
  const kinds = [...new Set(list.map((f) => f.kind))];
  const data = new Uint8Array(kinds.length * count * 24);
  kinds.forEach((kind, k) => {
    data.set(operandsFor(kind, count, seed + k), k * count * 24);
  });
  return data;
}
