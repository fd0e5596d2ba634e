// SPDX-License-Identifier: Apache-2.0
/**
 * Barriers and operations across a warp, for code that the whole workgroup executes together.
 * Warps have 32 lanes whatever the GPU's subgroups have, so lanes exchange words through workgroup
 * memory: each writes its own, and after a barrier reads others'. Two halves of the exchange area
 * take turns (`ph`), so that one barrier is enough for each exchange.
 */
import { arg, type Emit, type Handler, num, typeOf } from "./emit-context.js";
import { hasMod, type Inst } from "./ir.js";

export function threadsOf(e: Emit): number {
  const [x, y, z] = e.options.block;
  return x * y * z;
}

/** Starts an exchange: everybody's word is readable at `wx[ph + lane's index]` afterwards. */
export function exchange(e: Emit, text: string): void {
  e.use("exchange");
  e.line(`ph = ${threadsOf(e)}u - ph;`);
  e.line(`wx[ph + lix] = ${text};`);
  e.line("workgroupBarrier();");
}

/** Lanes of this thread's warp that exist, or that take part in a masked meeting. */
export function existing(e: Emit): string {
  if (e.lanes !== null) return e.lanes;
  const threads = threadsOf(e);
  if (threads % 32 === 0) return "0xffffffffu";
  const rest = `${num(2 ** (threads % 32) - 1)}`;
  if (threads < 32) return rest;
  return `select(0xffffffffu, ${rest}, lix >= ${threads - (threads % 32)}u)`;
}

/** The source lane's number and whether it is in range; names of `let`s. */
export function shuffleSource(e: Emit, inst: Inst): { lane: string; ok: string } {
  const [b, c] = [e.u(arg(e, inst, 1)), e.u(arg(e, inst, 2))];
  const mode = inst.mods.find((mod) => ["up", "down", "bfly", "idx"].includes(mod));
  if (mode === undefined) throw e.fail();
  const t = e.bind(`${e.use(`shfl_${mode}`)}(lix & 31u, ${b}, ${c})`);
  return { lane: `(${t} & 31u)`, ok: `(${t} < 32u)` };
}

/**
 * The word of the lane to read from. What a lane gives that takes no part is undefined in PTX; GPUs
 * give 0, and programs sum such words up. In a masked meeting those lanes have given 0 themselves.
 */
function shuffled(e: Emit, lane: string): string {
  const threads = threadsOf(e);
  const index = e.bind(`(lix & ~31u) + ${lane}`);
  if (e.meets !== null) return `select(0u, wx[ph + ${index}], ${e.meets(index)})`;
  // A word beyond the workgroup is any other word of the array.
  if (threads % 32 === 0) return `wx[ph + ${index}]`;
  return `select(0u, wx[ph + ${index}], ${index} < ${threads}u)`;
}

/** An operation in two steps: the word that each lane gives, and what it makes of all words. */
export interface WarpOperation {
  word(e: Emit, inst: Inst): string;
  finish(e: Emit, inst: Inst): void;
  /** The lanes that take part, as an expression. */
  members(e: Emit, inst: Inst): string;
}

const memberOperand =
  (index: number) =>
  (e: Emit, inst: Inst): string => {
    const mask = inst.src[index];
    return mask === undefined ? existing(e) : `(${e.u(mask)} & ${existing(e)})`;
  };

const shfl: WarpOperation = {
  members: memberOperand(3),
  word: (e, inst) => {
    if (inst.types[0]?.bits !== 32) throw e.fail();
    return e.u(arg(e, inst, 0));
  },
  finish: (e, inst) => {
    const { lane, ok } = shuffleSource(e, inst);
    const value = e.bind(shuffled(e, lane));
    const [dst, flag] = inst.dst;
    e.setU(dst, value);
    if (flag !== undefined) e.setP(flag, ok);
  },
};

/** Votes need one bit of each lane: the word of each is read by everybody. */
const vote: WarpOperation = {
  members: memberOperand(1),
  word: (e, inst) => `select(0u, 1u, ${e.p(arg(e, inst, 0))})`,
  finish: (e, inst) => {
    const members = e.bind(vote.members(e, inst));
    const bits = e.bind(`${e.use("ballot")}() & ${members}`);
    const dst = inst.dst[0];
    if (hasMod(inst, "ballot")) e.setU(dst, bits);
    else if (hasMod(inst, "all")) e.setP(dst, `${bits} == ${members}`);
    else if (hasMod(inst, "any")) e.setP(dst, `${bits} != 0u`);
    else if (hasMod(inst, "uni")) e.setP(dst, `${bits} == ${members} || ${bits} == 0u`);
    else throw e.fail();
  },
};

function setMatch(e: Emit, inst: Inst, same: string, mask: string): void {
  if (hasMod(inst, "any")) {
    e.setU(inst.dst[0], same);
    return;
  }
  e.setU(inst.dst[0], `select(0u, ${mask}, ${same} == ${mask})`);
  if (inst.dst[1] !== undefined) e.setP(inst.dst[1], `${same} == ${mask}`);
}

/** Of 32 bits: lower.ts makes two of one of 64. */
const match: WarpOperation = {
  members: memberOperand(1),
  word: (e, inst) => {
    if (inst.types[0]?.bits !== 32) throw e.fail();
    return e.u(arg(e, inst, 0));
  },
  finish: (e, inst) => {
    const mask = e.bind(match.members(e, inst));
    const same = e.bind(`${e.use("matching")}(${e.u(arg(e, inst, 0))}) & ${mask}`);
    setMatch(e, inst, same, mask);
  },
};

const redux: WarpOperation = {
  members: memberOperand(1),
  word: (e, inst) => e.u(arg(e, inst, 0)),
  finish: (e, inst) => {
    const type = typeOf(e, inst);
    const op = inst.mods.find((mod) => ["add", "min", "max", "and", "or", "xor"].includes(mod));
    if (op === undefined || type.kind === "f") throw e.fail();
    const sign = op === "min" || op === "max" ? (type.kind === "s" ? "_s" : "_u") : "";
    const helper = e.use(`redux_${op}${sign}`);
    e.setU(inst.dst[0], `${helper}(${redux.members(e, inst)})`);
  },
};

export const WARP_OPERATIONS: Readonly<Record<string, WarpOperation>> = {
  shfl,
  vote,
  match,
  redux,
};

function together(operation: WarpOperation): Handler {
  return (e, inst) => {
    exchange(e, operation.word(e, inst));
    operation.finish(e, inst);
  };
}

const barrier: Handler = (e, inst) => {
  if (hasMod(inst, "red")) {
    barrierReduce(e, inst);
    return;
  }
  if (hasMod(inst, "arrive")) throw e.fail();
  e.line("workgroupBarrier();");
  if (e.needsStorageBarrier(inst)) e.line("storageBarrier();");
};

/** Writes the result of a reducing barrier from the number of threads whose predicate held. */
export function setReduced(e: Emit, inst: Inst, count: string, threads: string): void {
  if (hasMod(inst, "popc")) e.setU(inst.dst[0], count);
  else if (hasMod(inst, "and")) e.setP(inst.dst[0], `${count} == ${threads}`);
  else e.setP(inst.dst[0], `${count} != 0u`);
}

/** bar.red: the predicate of all threads, by an exchange that everybody sums up. */
function barrierReduce(e: Emit, inst: Inst): void {
  exchange(e, barrierWord(e, inst));
  if (e.needsStorageBarrier(inst)) e.line("storageBarrier();");
  // Through a uniform load, so that loops with barriers may depend on it.
  e.use("uniform");
  e.line(`wu = ${e.use("block_sum")}();`);
  setReduced(e, inst, e.bind("workgroupUniformLoad(&wu)"), `${threadsOf(e)}u`);
}

export function barrierWord(e: Emit, inst: Inst): string {
  const p = inst.src.at(-1);
  if (p === undefined) throw e.fail();
  return `select(0u, 1u, ${e.p(p)})`;
}

export const WARP_HANDLERS: Readonly<Record<string, Handler>> = {
  shfl: together(shfl),
  vote: together(vote),
  match: together(match),
  redux: together(redux),
  bar: barrier,
  barrier,
  activemask: (e, inst) => {
    e.setU(inst.dst[0], e.isUniform ? existing(e) : "1u << (lix & 31u)");
  },
};

/** Helpers on the exchange area, for this block size. */
export function warpHelper(name: string, threads: number): string | null {
  const shuffles: Readonly<Record<string, string>> = {
    shfl_up: "let j = i32(l) - i32(b); return select(l | 32u, u32(j), j >= i32(top));",
    shfl_down: "let j = l + b; return select(l | 32u, j, j <= top);",
    shfl_bfly: "let j = l ^ b; return select(l | 32u, j, j <= top);",
    shfl_idx: "let j = (l & seg) | (b & ~seg); return select(l | 32u, j, j <= top);",
  };
  const shuffle = shuffles[name];
  if (shuffle !== undefined) {
    const top = "(l & seg) | (c & 31u & ~seg)";
    return `fn ${name}(l: u32, lane: u32, c: u32) -> u32 {
  let b = lane & 31u; let seg = (c >> 8u) & 31u; let top = ${top};
  ${shuffle}
}`;
  }
  const each = (body: string, end: string, first: string, params = ""): string =>
    `fn ${name}(${params}) -> u32 {
  let base = lix & ~31u; let n = min(32u, ${threads}u - base);
  var r = ${first};
  for (var i = 0u; i < n; i++) { let v = wx[ph + base + i]; ${body} }
  return ${end};
}`;
  if (name === "ballot") return each("r |= v << i;", "r", "0u");
  if (name === "matching") return each("r |= select(0u, 1u << i, v == x);", "r", "0u", "x: u32");
  const reductions: Readonly<Record<string, [string, string]>> = {
    redux_add: ["r += v;", "0u"],
    redux_and: ["r &= v;", "0xffffffffu"],
    redux_or: ["r |= v;", "0u"],
    redux_xor: ["r ^= v;", "0u"],
    redux_min_u: ["r = min(r, v);", "0xffffffffu"],
    redux_max_u: ["r = max(r, v);", "0u"],
    redux_min_s: ["r = bitcast<u32>(min(bitcast<i32>(r), bitcast<i32>(v)));", "0x7fffffffu"],
    redux_max_s: ["r = bitcast<u32>(max(bitcast<i32>(r), bitcast<i32>(v)));", "0x80000000u"],
  };
  const reduction = reductions[name];
  if (reduction !== undefined) {
    return each(`if (((m >> i) & 1u) == 1u) { ${reduction[0]} }`, "r", reduction[1], "m: u32");
  }
  if (name === "block_sum") {
    return `fn block_sum() -> u32 { var r = 0u; for (var i = 0u; i < ${threads}u; i++) { r += wx[ph + i]; } return r; }`;
  }
  return null;
}
