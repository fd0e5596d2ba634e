// SPDX-License-Identifier: Apache-2.0
/** 64-bit integers: as u32 where only the low word is needed, else as vec2u with helpers. */
import { arg, type Emit, type Handler, num, par, typeOf } from "./emit-context.js";
import { hasMod, type Inst } from "./ir.js";

const low = (e: Emit, inst: Inst, index: number): string => par(e.u(arg(e, inst, index)));
const wide = (e: Emit, inst: Inst, index: number): string => e.w(arg(e, inst, index));

/** An operation that is the same on low words, and a helper on whole values. */
function simple(operator: string, helper: string | null): Handler {
  return (e, inst) => {
    if (e.isNarrow(inst.dst[0])) {
      e.setU(inst.dst[0], `${low(e, inst, 0)} ${operator} ${low(e, inst, 1)}`);
      return;
    }
    const [a, b] = [wide(e, inst, 0), wide(e, inst, 1)];
    e.setW(inst.dst[0], helper === null ? `${a} ${operator} ${b}` : `${e.use(helper)}(${a}, ${b})`);
  };
}

/** add.cc.s64 and its like. */
function carried(isSub: boolean, hasIn: boolean): Handler {
  return (e, inst) => {
    e.use("carry");
    const [a, b] = [wide(e, inst, 0), wide(e, inst, 1)];
    const t = e.bind(`${e.use(isSub ? "subc64" : "addc64")}(${a}, ${b}, ${hasIn ? "cc" : "0u"})`);
    if (hasMod(inst, "cc")) e.line(`cc = ${t}.z;`);
    e.setW(inst.dst[0], `${t}.xy`);
  };
}

const addSub =
  (isSub: boolean): Handler =>
  (e, inst) => {
    if (hasMod(inst, "cc")) carried(isSub, false)(e, inst);
    else simple(isSub ? "-" : "+", isSub ? "sub64" : "add64")(e, inst);
  };

const mul: Handler = (e, inst) => {
  const isSigned = inst.types[0]?.kind === "s";
  if (hasMod(inst, "hi")) {
    const helper = e.use(isSigned ? "mulhi_s64" : "mulhi_u64");
    e.setW(inst.dst[0], `${helper}(${wide(e, inst, 0)}, ${wide(e, inst, 1)})`);
    return;
  }
  if (e.isNarrow(inst.dst[0])) {
    e.setU(inst.dst[0], `${low(e, inst, 0)} * ${low(e, inst, 1)}`);
    return;
  }
  e.setW(inst.dst[0], `${e.use("mul64")}(${wide(e, inst, 0)}, ${wide(e, inst, 1)})`);
};

/** mul.wide and mad.wide from 32 bits. */
export const mulWide: Handler = (e, inst) => {
  const [a, b] = [low(e, inst, 0), low(e, inst, 1)];
  const isMad = inst.op === "mad";
  if (e.isNarrow(inst.dst[0])) {
    e.setU(inst.dst[0], isMad ? `${a} * ${b} + ${low(e, inst, 2)}` : `${a} * ${b}`);
    return;
  }
  const product = `${e.use(typeOf(e, inst).kind === "s" ? "mulw_s" : "mulw_u")}(${a}, ${b})`;
  e.setW(inst.dst[0], isMad ? `${e.use("add64")}(${product}, ${wide(e, inst, 2)})` : product);
};

const mad: Handler = (e, inst) => {
  const isSigned = inst.types[0]?.kind === "s";
  if (hasMod(inst, "cc") || inst.op === "madc") {
    const helper = hasMod(inst, "hi")
      ? e.use(isSigned ? "mulhi_s64" : "mulhi_u64")
      : e.use("mul64");
    e.use("carry");
    const product = `${helper}(${wide(e, inst, 0)}, ${wide(e, inst, 1)})`;
    const carry = inst.op === "madc" ? "cc" : "0u";
    const t = e.bind(`${e.use("addc64")}(${product}, ${wide(e, inst, 2)}, ${carry})`);
    if (hasMod(inst, "cc")) e.line(`cc = ${t}.z;`);
    e.setW(inst.dst[0], `${t}.xy`);
    return;
  }
  if (hasMod(inst, "hi")) {
    const helper = e.use(isSigned ? "mulhi_s64" : "mulhi_u64");
    const product = `${helper}(${wide(e, inst, 0)}, ${wide(e, inst, 1)})`;
    e.setW(inst.dst[0], `${e.use("add64")}(${product}, ${wide(e, inst, 2)})`);
    return;
  }
  if (e.isNarrow(inst.dst[0])) {
    e.setU(inst.dst[0], `${low(e, inst, 0)} * ${low(e, inst, 1)} + ${low(e, inst, 2)}`);
    return;
  }
  const product = `${e.use("mul64")}(${wide(e, inst, 0)}, ${wide(e, inst, 1)})`;
  e.setW(inst.dst[0], `${e.use("add64")}(${product}, ${wide(e, inst, 2)})`);
};

/** A helper of two whole values, whose name depends on the sign. */
function signedHelper(name: string): Handler {
  return (e, inst) => {
    const helper = e.use(`${name}_${inst.types[0]?.kind === "s" ? "s" : "u"}64`);
    e.setW(inst.dst[0], `${helper}(${wide(e, inst, 0)}, ${wide(e, inst, 1)})`);
  };
}

function shift(name: "shl" | "shr"): Handler {
  return (e, inst) => {
    const amount = arg(e, inst, 1);
    const isSigned = inst.types[0]?.kind === "s";
    const constant = amount.kind === "imm" ? Number(BigInt.asUintN(32, amount.value)) : -1;
    if (name === "shl" && e.isNarrow(inst.dst[0])) {
      if (constant >= 32) e.setU(inst.dst[0], "0u");
      else if (constant >= 0) e.setU(inst.dst[0], `${low(e, inst, 0)} << ${constant}u`);
      else {
        const by = e.bind(e.u(amount));
        e.setU(inst.dst[0], `select(${low(e, inst, 0)} << (${by} & 31u), 0u, ${by} > 31u)`);
      }
      return;
    }
    if (name === "shr" && !isSigned && constant >= 32 && constant < 64) {
      const high = `${par(wide(e, inst, 0))}.y`;
      const text = constant === 32 ? high : `${high} >> ${constant - 32}u`;
      if (e.isNarrow(inst.dst[0])) e.setU(inst.dst[0], text);
      else e.setW(inst.dst[0], `vec2u(${text}, 0u)`);
      return;
    }
    const helper = e.use(name === "shl" ? "shl64" : isSigned ? "shr_s64" : "shr_u64");
    const by = constant >= 0 ? num(constant) : e.u(amount);
    e.setW(inst.dst[0], `${helper}(${wide(e, inst, 0)}, ${by})`);
  };
}

function counted(make: (a: string, e: Emit, inst: Inst) => string): Handler {
  return (e, inst) => e.setU(inst.dst[0], make(wide(e, inst, 0), e, inst));
}

export const WIDE_HANDLERS: Readonly<Record<string, Handler>> = {
  add: addSub(false),
  sub: addSub(true),
  addc: carried(false, true),
  subc: carried(true, true),
  mul,
  mad,
  madc: mad,
  div: signedHelper("div"),
  rem: signedHelper("rem"),
  min: signedHelper("min"),
  max: signedHelper("max"),
  and: simple("&", null),
  or: simple("|", null),
  xor: simple("^", null),
  not: (e, inst) => {
    if (e.isNarrow(inst.dst[0])) e.setU(inst.dst[0], `~${low(e, inst, 0)}`);
    else e.setW(inst.dst[0], `~${par(wide(e, inst, 0))}`);
  },
  neg: (e, inst) => {
    if (e.isNarrow(inst.dst[0])) e.setU(inst.dst[0], `0u - ${low(e, inst, 0)}`);
    else e.setW(inst.dst[0], `${e.use("sub64")}(vec2u(), ${wide(e, inst, 0)})`);
  },
  abs: (e, inst) => e.setW(inst.dst[0], `${e.use("abs64")}(${wide(e, inst, 0)})`),
  cnot: (e, inst) => {
    e.setW(inst.dst[0], `vec2u(select(0u, 1u, all(${wide(e, inst, 0)} == vec2u())), 0u)`);
  },
  shl: shift("shl"),
  shr: shift("shr"),
  brev: (e, inst) => e.setW(inst.dst[0], `reverseBits(${wide(e, inst, 0)}).yx`),
  popc: counted((a, e) => `${e.use("popc64")}(${a})`),
  clz: counted((a, e) => `${e.use("clz64")}(${a})`),
  bfind: counted((a, e, inst) => {
    const text = `${e.use(inst.types[0]?.kind === "s" ? "bfind_s64" : "bfind_u64")}(${a})`;
    if (!hasMod(inst, "shiftamt")) return text;
    const t = e.bind(text);
    return `select(63u - ${t}, ${t}, ${t} == 0xffffffffu)`;
  }),
  bfe: (e, inst) => {
    const helper = e.use(inst.types[0]?.kind === "s" ? "bfe_s64" : "bfe_u64");
    const [pos, len] = [e.u(arg(e, inst, 1)), e.u(arg(e, inst, 2))];
    e.setW(inst.dst[0], `${helper}(${wide(e, inst, 0)}, ${pos}, ${len})`);
  },
  bfi: (e, inst) => {
    const [pos, len] = [e.u(arg(e, inst, 2)), e.u(arg(e, inst, 3))];
    e.setW(
      inst.dst[0],
      `${e.use("bfi64")}(${wide(e, inst, 0)}, ${wide(e, inst, 1)}, ${pos}, ${len})`,
    );
  },
};
