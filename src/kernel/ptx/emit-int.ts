// SPDX-License-Identifier: Apache-2.0
/** Integer arithmetic, comparisons and bits of at most 32 bits; 64 bits are in emit-wide.ts. */
import { arg, type Emit, type Handler, num, par, typeOf } from "./emit-context.js";
import { hasMod, type Inst } from "./ir.js";
import type { Type } from "./types.js";

const isSigned = (type: Type): boolean => type.kind === "s";

function source(e: Emit, inst: Inst, index: number, type: Type): string {
  return e.unsigned(arg(e, inst, index), type);
}

function signedSource(e: Emit, inst: Inst, index: number, type: Type): string {
  return e.signed(arg(e, inst, index), type);
}

/** add and sub with carry in or out, 32 bits. */
function carried(e: Emit, inst: Inst, isSub: boolean, hasIn: boolean): void {
  const type = typeOf(e, inst);
  if (type.bits !== 32) throw e.fail();
  e.use("carry");
  const a = e.bind(source(e, inst, 0, type));
  const b = e.bind(source(e, inst, 1, type));
  const sign = isSub ? "-" : "+";
  const x = e.bind(`${a} ${sign} ${b}`);
  const y = hasIn ? e.bind(`${x} ${sign} cc`) : x;
  if (hasMod(inst, "cc")) {
    const first = isSub ? `${a} < ${b}` : `${x} < ${a}`;
    const second = isSub ? `${x} < cc` : `${y} < ${x}`;
    const all = hasIn ? `(${first}) || (${second})` : first;
    e.line(`cc = select(0u, 1u, ${all});`);
  }
  e.setU(inst.dst[0], y);
}

function addSub(sign: "+" | "-"): Handler {
  return (e, inst) => {
    const type = typeOf(e, inst);
    if (hasMod(inst, "cc")) {
      carried(e, inst, sign === "-", false);
      return;
    }
    if (hasMod(inst, "sat")) {
      const [a, b] = [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)];
      e.setI(inst.dst[0], `${e.use(sign === "+" ? "addsat" : "subsat")}(${a}, ${b})`);
      return;
    }
    if (type.lanes === 2) {
      const [a, b] = [source(e, inst, 0, type), source(e, inst, 1, type)];
      e.setU(inst.dst[0], `${e.use(sign === "+" ? "add2" : "sub2")}(${a}, ${b})`);
      return;
    }
    const [a, b] = [source(e, inst, 0, type), source(e, inst, 1, type)];
    e.setInt(inst.dst[0], type, `${par(a)} ${sign} ${par(b)}`);
  };
}

/** The product's wanted half, before an addition. */
function product(e: Emit, inst: Inst): string {
  const type = typeOf(e, inst);
  if (hasMod(inst, "hi")) {
    if (type.bits === 16) {
      const [a, b] = isSigned(type)
        ? [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)]
        : [source(e, inst, 0, type), source(e, inst, 1, type)];
      return isSigned(type) ? `(bitcast<u32>(${a} * ${b}) >> 16u)` : `((${a} * ${b}) >> 16u)`;
    }
    const helper = e.use(isSigned(type) ? "mulhi_s" : "mulhi_u");
    return `${helper}(${source(e, inst, 0, type)}, ${source(e, inst, 1, type)})`;
  }
  return `${par(source(e, inst, 0, type))} * ${par(source(e, inst, 1, type))}`;
}

/** mul24 and mad24: the low 24 bits of each factor. */
function factor24(e: Emit, inst: Inst, index: number): string {
  const type = typeOf(e, inst);
  const text = e.bind(source(e, inst, index, type));
  return isSigned(type)
    ? `bitcast<u32>(extractBits(bitcast<i32>(${text}), 0u, 24u))`
    : `(${text} & 0xffffffu)`;
}

function product24(e: Emit, inst: Inst): string {
  const [a, b] = [factor24(e, inst, 0), factor24(e, inst, 1)];
  if (!hasMod(inst, "hi")) return `${a} * ${b}`;
  return `${e.use(isSigned(typeOf(e, inst)) ? "mulhi24_s" : "mulhi24_u")}(${a}, ${b})`;
}

const mul: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  if (hasMod(inst, "wide")) {
    // 16 bits to 32; 32 to 64 is in emit-wide.ts.
    const [a, b] = isSigned(type)
      ? [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)]
      : [source(e, inst, 0, type), source(e, inst, 1, type)];
    if (isSigned(type)) e.setI(inst.dst[0], `${a} * ${b}`);
    else e.setU(inst.dst[0], `${par(a)} * ${par(b)}`);
    return;
  }
  e.setInt(inst.dst[0], type, product(e, inst));
};

const mad: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  if (hasMod(inst, "sat")) throw e.fail();
  if (hasMod(inst, "wide")) {
    const [a, b] = isSigned(type)
      ? [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)]
      : [source(e, inst, 0, type), source(e, inst, 1, type)];
    const wide = isSigned(type) ? `bitcast<u32>(${a} * ${b})` : `${par(a)} * ${par(b)}`;
    e.setU(inst.dst[0], `${wide} + ${par(e.u(arg(e, inst, 2)))}`);
    return;
  }
  const c = source(e, inst, 2, type);
  if (!hasMod(inst, "cc") && inst.op === "mad") {
    e.setInt(inst.dst[0], type, `${product(e, inst)} + ${par(c)}`);
    return;
  }
  e.use("carry");
  const x = e.bind(product(e, inst));
  const y = e.bind(`${x} + ${par(c)}`);
  const z = inst.op === "madc" ? e.bind(`${y} + cc`) : y;
  if (hasMod(inst, "cc")) {
    const second = inst.op === "madc" ? ` || (${z} < ${y})` : "";
    e.line(`cc = select(0u, 1u, (${y} < ${x})${second});`);
  }
  e.setU(inst.dst[0], z);
};

function constantOf(e: Emit, inst: Inst, index: number): number | null {
  const value = arg(e, inst, index);
  return value.kind === "imm" && value.float === 0 ? Number(BigInt.asUintN(32, value.value)) : null;
}

/** Division by zero gives all ones, as NVIDIA's hardware does; WGSL alone gives the dividend. */
function divide(isRemainder: boolean): Handler {
  return (e, inst) => {
    const type = typeOf(e, inst);
    const operator = isRemainder ? "%" : "/";
    if (isSigned(type)) {
      const [a, b] = [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)];
      const text = `bitcast<u32>(${a} ${operator} ${b})`;
      if (type.bits >= 32) e.setU(inst.dst[0], text);
      else e.setInt(inst.dst[0], type, text);
      return;
    }
    const [a, b] = [source(e, inst, 0, type), source(e, inst, 1, type)];
    e.setInt(inst.dst[0], type, `${par(a)} ${operator} ${par(e.bind(b))}`);
  };
}

function extreme(name: "min" | "max"): Handler {
  return (e, inst) => {
    const type = typeOf(e, inst);
    if (type.lanes === 2) {
      const helper = e.use(`${name}2_${isSigned(type) ? "s" : "u"}`);
      e.setU(inst.dst[0], `${helper}(${source(e, inst, 0, type)}, ${source(e, inst, 1, type)})`);
    } else if (isSigned(type)) {
      const [a, b] = [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)];
      const text = `bitcast<u32>(${name}(${a}, ${b}))`;
      e.setInt(inst.dst[0], type, text);
    } else {
      const [a, b] = [source(e, inst, 0, type), source(e, inst, 1, type)];
      e.setU(inst.dst[0], `${name}(${a}, ${b})`);
    }
  };
}

function bitwise(operator: string): Handler {
  return (e, inst) => {
    const type = typeOf(e, inst);
    if (type.kind === "pred") {
      const [a, b] = [e.p(arg(e, inst, 0)), e.p(arg(e, inst, 1))];
      const logical = operator === "&" ? "&&" : operator === "|" ? "||" : "!=";
      e.setP(inst.dst[0], `${a} ${logical} ${b}`);
      return;
    }
    const [a, b] = [source(e, inst, 0, type), source(e, inst, 1, type)];
    e.setU(inst.dst[0], `${par(a)} ${operator} ${par(b)}`);
  };
}

const not: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  if (type.kind === "pred") e.setP(inst.dst[0], `!(${e.p(arg(e, inst, 0))})`);
  else e.setInt(inst.dst[0], type, `~${par(source(e, inst, 0, type))}`);
};

/** Shifts by the width and more give zeros or signs in PTX; WGSL takes the amount modulo 32. */
const shl: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const a = source(e, inst, 0, type);
  const amount = constantOf(e, inst, 1);
  if (amount !== null) {
    if (amount >= type.bits) e.setU(inst.dst[0], "0u");
    else e.setInt(inst.dst[0], type, `${par(a)} << ${amount}u`);
    return;
  }
  const b = e.bind(e.u(arg(e, inst, 1)));
  e.setInt(inst.dst[0], type, `select(${par(a)} << (${b} & 31u), 0u, ${b} > 31u)`);
};

const shr: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const amount = constantOf(e, inst, 1);
  if (isSigned(type)) {
    const a = signedSource(e, inst, 0, type);
    const by = amount === null ? `min(${e.u(arg(e, inst, 1))}, 31u)` : num(Math.min(amount, 31));
    const text = `bitcast<u32>(${a} >> ${by})`;
    e.setInt(inst.dst[0], type, text);
    return;
  }
  const a = source(e, inst, 0, type);
  if (amount !== null) {
    e.setU(inst.dst[0], amount > 31 ? "0u" : `${par(a)} >> ${amount}u`);
    return;
  }
  const b = e.bind(e.u(arg(e, inst, 1)));
  e.setU(inst.dst[0], `select(${par(a)} >> (${b} & 31u), 0u, ${b} > 31u)`);
};

const shf: Handler = (e, inst) => {
  const a = e.bind(e.u(arg(e, inst, 0)));
  const b = e.bind(e.u(arg(e, inst, 1)));
  const amount = e.u(arg(e, inst, 2));
  const isClamped = hasMod(inst, "clamp");
  const helper = e.use(hasMod(inst, "l") ? "shf_l" : "shf_r");
  const by = isClamped ? `min(${amount}, 32u)` : `(${amount} & 31u)`;
  e.setU(inst.dst[0], `${helper}(${a}, ${b}, ${by})`);
};

const bfe: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const [pos, len] = [e.u(arg(e, inst, 1)), e.u(arg(e, inst, 2))];
  if (type.bits === 64) throw e.fail();
  if (isSigned(type)) {
    const helper = e.use("bfe_s");
    e.setU(inst.dst[0], `${helper}(${source(e, inst, 0, type)}, ${pos}, ${len})`);
    return;
  }
  const [p, l] = [constantOf(e, inst, 1), constantOf(e, inst, 2)];
  if (p !== null && l !== null && p + l <= 32) {
    e.setU(inst.dst[0], `extractBits(${source(e, inst, 0, type)}, ${p}u, ${l}u)`);
    return;
  }
  e.setU(inst.dst[0], `${e.use("bfe_u")}(${source(e, inst, 0, type)}, ${pos}, ${len})`);
};

const bfi: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const [a, b] = [source(e, inst, 0, type), source(e, inst, 1, type)];
  const [pos, len] = [constantOf(e, inst, 2), constantOf(e, inst, 3)];
  if (pos !== null && len !== null) {
    // Constants beyond the word are errors in WGSL; at run time they are cut.
    const from = Math.min(pos & 255, 32);
    const count = Math.min(len & 255, 32 - from);
    e.setU(inst.dst[0], `insertBits(${b}, ${a}, ${from}u, ${count}u)`);
    return;
  }
  const [p, l] = [e.bind(e.u(arg(e, inst, 2))), e.bind(e.u(arg(e, inst, 3)))];
  e.setU(inst.dst[0], `${e.use("bfi")}(${a}, ${b}, ${p}, ${l})`);
};

/** lop3's table as a formula: the sum of its minterms, or a plain form for the usual ones. */
export function lop3Formula(table: number, a: string, b: string, c: string): string {
  const terms: string[] = [];
  const usual = new Map<number, string>([
    [0x00, "0u"],
    [0xff, "0xffffffffu"],
    [0x80, `${a} & ${b} & ${c}`],
    [0xfe, `${a} | ${b} | ${c}`],
    [0x96, `${a} ^ ${b} ^ ${c}`],
    [0xe8, `(${a} & ${b}) | (${c} & (${a} | ${b}))`],
    [0xca, `(${a} & ${b}) | (~${a} & ${c})`],
    [0xf8, `${a} | (${b} & ${c})`],
    [0xea, `(${a} & ${b}) | ${c}`],
    [0x78, `${a} ^ (${b} & ${c})`],
    [0x6a, `(${a} & ${b}) ^ ${c}`],
  ]);
  const known = usual.get(table & 255);
  if (known !== undefined) return known;
  for (let row = 0; row < 8; row += 1) {
    if (((table >> row) & 1) === 0) continue;
    const x = (row & 4) === 0 ? `~${a}` : a;
    const y = (row & 2) === 0 ? `~${b}` : b;
    const z = (row & 1) === 0 ? `~${c}` : c;
    terms.push(`(${x} & ${y} & ${z})`);
  }
  return terms.join(" | ");
}

const lop3: Handler = (e, inst) => {
  const table = constantOf(e, inst, 3);
  if (table === null || inst.dst.length > 1) throw e.fail();
  const [a, b, c] = [0, 1, 2].map((n) => e.bind(e.u(arg(e, inst, n))));
  e.setU(inst.dst[0], lop3Formula(table, a ?? "", b ?? "", c ?? ""));
};

const prmt: Handler = (e, inst) => {
  const [a, b] = [e.u(arg(e, inst, 0)), e.u(arg(e, inst, 1))];
  if (inst.mods[0] !== "b32") throw e.fail();
  const mode = ["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"].indexOf(inst.mods[1] ?? "");
  if (mode >= 0) {
    const selected = `${e.use("prmt_selector")}(${e.u(arg(e, inst, 2))}, ${mode}u)`;
    e.setU(inst.dst[0], `${e.use("prmt")}(${a}, ${b}, ${selected})`);
    return;
  }
  const selector = constantOf(e, inst, 2);
  if (selector === null) {
    e.setU(inst.dst[0], `${e.use("prmt")}(${a}, ${b}, ${e.u(arg(e, inst, 2))})`);
    return;
  }
  const [x, y] = [e.bind(a), e.bind(b)];
  const parts: string[] = [];
  for (let i = 0; i < 4; i += 1) {
    const nibble = (selector >> (4 * i)) & 15;
    const from = (nibble & 7) < 4 ? x : y;
    const at = (nibble & 3) * 8;
    if ((nibble & 8) !== 0) {
      parts.push(`((0u - ((${from} >> ${at + 7}u) & 1u)) & ${num((0xff << (8 * i)) >>> 0)})`);
    } else parts.push(`(((${from} >> ${at}u) & 0xffu) << ${8 * i}u)`);
  }
  e.setU(inst.dst[0], parts.join(" | "));
};

const abs: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  e.setInt(inst.dst[0], type, `bitcast<u32>(abs(${signedSource(e, inst, 0, type)}))`);
};

const neg: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  e.setInt(inst.dst[0], type, `0u - ${par(source(e, inst, 0, type))}`);
};

const sad: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const [a, b] = isSigned(type)
    ? [signedSource(e, inst, 0, type), signedSource(e, inst, 1, type)]
    : [source(e, inst, 0, type), source(e, inst, 1, type)];
  const [high, low] = [`max(${a}, ${b})`, `min(${a}, ${b})`];
  const c = source(e, inst, 2, type);
  const difference = isSigned(type)
    ? `(bitcast<u32>(${high}) - bitcast<u32>(${low}))`
    : `(${high} - ${low})`;
  e.setInt(inst.dst[0], type, `${par(c)} + ${difference}`);
};

/** dp4a and dp2a: dot products of bytes. */
const dot: Handler = (e, inst) => {
  const [first, second] = [typeOf(e, inst, 0), typeOf(e, inst, 1)];
  const half = inst.op === "dp2a" ? (hasMod(inst, "hi") ? "hi" : "lo") : "";
  const helper = e.use(`${inst.op}${half === "" ? "" : `_${half}`}_${first.kind}${second.kind}`);
  const [a, b, c] = [0, 1, 2].map((n) => e.u(arg(e, inst, n)));
  e.setU(inst.dst[0], `${helper}(${a}, ${b}, ${c})`);
};

/** The sum of the bytes' differences and the third operand; other video instructions are not there. */
const absoluteDifferences: Handler = (e, inst) => {
  const isPlain = inst.types.every(({ kind, bits }) => kind === "u" && bits === 32);
  if (!isPlain || !hasMod(inst, "add") || hasMod(inst, "sat")) throw e.fail();
  const [a, b, c] = [0, 1, 2].map((n) => e.u(arg(e, inst, n)));
  e.setU(inst.dst[0], `${e.use("vabsdiff4_add")}(${a}, ${b}, ${c})`);
};

function unary(make: (a: string, e: Emit) => string): Handler {
  return (e, inst) => e.setU(inst.dst[0], make(source(e, inst, 0, typeOf(e, inst)), e));
}

const bfind: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const a = source(e, inst, 0, type);
  const found = isSigned(type) ? `firstLeadingBit(bitcast<i32>(${a}))` : `firstLeadingBit(${a})`;
  const text = isSigned(type) ? `bitcast<u32>(${found})` : found;
  if (!hasMod(inst, "shiftamt")) e.setU(inst.dst[0], text);
  else {
    const t = e.bind(text);
    e.setU(inst.dst[0], `select(31u - ${t}, ${t}, ${t} == 0xffffffffu)`);
  }
};

export const INT_HANDLERS: Readonly<Record<string, Handler>> = {
  add: addSub("+"),
  sub: addSub("-"),
  addc: (e, inst) => carried(e, inst, false, true),
  subc: (e, inst) => carried(e, inst, true, true),
  mul,
  mad,
  madc: mad,
  mul24: (e, inst) => e.setU(inst.dst[0], product24(e, inst)),
  mad24: (e, inst) => {
    if (hasMod(inst, "sat")) throw e.fail();
    e.setU(inst.dst[0], `${product24(e, inst)} + ${par(e.u(arg(e, inst, 2)))}`);
  },
  div: divide(false),
  rem: divide(true),
  min: extreme("min"),
  max: extreme("max"),
  and: bitwise("&"),
  or: bitwise("|"),
  xor: bitwise("^"),
  not,
  cnot: unary((a) => `select(0u, 1u, ${a} == 0u)`),
  shl,
  shr,
  shf,
  bfe,
  bfi,
  lop3,
  prmt,
  abs,
  neg,
  sad,
  dp4a: dot,
  dp2a: dot,
  vabsdiff4: absoluteDifferences,
  brev: unary((a) => `reverseBits(${a})`),
  popc: unary((a) => `countOneBits(${a})`),
  clz: unary((a) => `countLeadingZeros(${a})`),
  bfind,
  fns: (e, inst) => {
    const [a, b, c] = [0, 1, 2].map((n) => e.u(arg(e, inst, n)));
    e.setU(inst.dst[0], `${e.use("fns")}(${a}, ${b}, ${c})`);
  },
  bmsk: (e, inst) => {
    const [a, b] = [e.u(arg(e, inst, 0)), e.u(arg(e, inst, 1))];
    const helper = e.use(hasMod(inst, "clamp") ? "bmsk_c" : "bmsk_w");
    e.setU(inst.dst[0], `${helper}(${a}, ${b})`);
  },
  szext: (e, inst) => {
    const type = typeOf(e, inst);
    const by = hasMod(inst, "clamp")
      ? `min(${e.u(arg(e, inst, 1))}, 32u)`
      : `(${e.u(arg(e, inst, 1))} & 31u)`;
    const helper = e.use(isSigned(type) ? "bfe_s" : "bfe_u");
    e.setU(inst.dst[0], `${helper}(${e.u(arg(e, inst, 0))}, 0u, ${by})`);
  },
};
