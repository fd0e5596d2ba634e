// SPDX-License-Identifier: Apache-2.0
/**
 * WGSL functions that access memory: `m0_…` one segment, `g_…` the segment that the address names,
 * `sh_…` shared, `lo_…` local, `x_…` whatever a generic address's tag says. Each takes a byte
 * address; only those that a kernel uses are written.
 */
import type { EmitOptions, MemoryPlan, UniformPlan } from "./emit-context.js";
import { LOCAL_TAG, PARAM_TAG, SHARED_TAG } from "./emit-memory.js";
import { PtxError } from "./error.js";
import { wideFunction, wideNeeds } from "./memory-wide.js";

interface Operation {
  /** WGSL's own atomic function, where there is one. */
  readonly native?: string;
  /** The new word from `old` and `v`. */
  readonly next: string;
  readonly needs?: string;
}

const half2 = (add: string): string =>
  `f2h(${add.replaceAll("L(", "h2f(").replaceAll("~", "& 0xffffu")}) | (f2h(${add
    .replaceAll("L(", "h2f(")
    .replaceAll("~", ">> 16u")}) << 16u)`;

const bfloat2 =
  "f2bf(bitcast<f32>(old << 16u) + bitcast<f32>(v << 16u)) | (f2bf(bitcast<f32>(old & 0xffff0000u) + bitcast<f32>(v & 0xffff0000u)) << 16u)";

const OPERATIONS: Readonly<Record<string, Operation>> = {
  add: { native: "atomicAdd", next: "old + v" },
  and: { native: "atomicAnd", next: "old & v" },
  or: { native: "atomicOr", next: "old | v" },
  xor: { native: "atomicXor", next: "old ^ v" },
  exch: { native: "atomicExchange", next: "v" },
  minu: { native: "atomicMin", next: "min(old, v)" },
  maxu: { native: "atomicMax", next: "max(old, v)" },
  mins: { next: "bitcast<u32>(min(bitcast<i32>(old), bitcast<i32>(v)))" },
  maxs: { next: "bitcast<u32>(max(bitcast<i32>(old), bitcast<i32>(v)))" },
  inc: { next: "select(old + 1u, 0u, old >= v)" },
  dec: { next: "select(old - 1u, v, old == 0u || old > v)" },
  addf: { next: "bitcast<u32>(bitcast<f32>(old) + bitcast<f32>(v))" },
  minf: { next: "bitcast<u32>(minf(bitcast<f32>(old), bitcast<f32>(v)))", needs: "minf" },
  maxf: { next: "bitcast<u32>(maxf(bitcast<f32>(old), bitcast<f32>(v)))", needs: "maxf" },
  addh2: { next: half2("L(old ~) + L(v ~)"), needs: "f2h h2f" },
  addbf2: { next: bfloat2, needs: "f2bf" },
};

/** Parts of words: the new value of the part from `p` (its old one) and `v`. */
const PARTS: Readonly<Record<string, { bits: 8 | 16; next: string; needs?: string }>> = {
  st8: { bits: 8, next: "v" },
  st16: { bits: 16, next: "v" },
  addh: { bits: 16, next: "f2h(h2f(p) + h2f(v))", needs: "f2h h2f" },
  addbf: {
    bits: 16,
    next: "f2bf(bitcast<f32>(p << 16u) + bitcast<f32>(v << 16u))",
    needs: "f2bf",
  },
};

export class MemoryHelpers {
  private readonly made = new Map<string, string>();

  constructor(
    private readonly options: EmitOptions,
    private readonly memory: MemoryPlan,
    private readonly uniform: UniformPlan,
    /** Bytes of the workgroup's and the thread's memories. */
    private readonly sharedBytes: number,
    private readonly localBytes: number,
    /** Adds a helper of the other libraries. */
    private readonly use: (name: string) => void,
    /** Words of the fault record's address. */
    private readonly faultAt: number,
    /** The same of the locks of 64-bit atomics. */
    private readonly locksAt: number,
  ) {}

  text(): string {
    return [...this.made.values()].filter((text) => text !== "").join("\n");
  }

  /** Writes the function of this name and what it calls; false if it is not one of these. */
  add(name: string): boolean {
    const at = name.indexOf("_");
    const prefix = name.slice(0, at);
    const op = name.slice(at + 1);
    if (name === "fault") this.fault();
    else if (/^(m\d+|g|sh|lo|pm|x)$/.test(prefix) && at > 0) this.write(name, prefix, op);
    else return false;
    return true;
  }

  private word(index: number): string {
    return `cb[${index >> 2}].${"xyzw"[index & 3]}`;
  }

  private segment(i: number): string {
    return this.word(this.uniform.segmentsAt + 2 * i);
  }

  private write(name: string, prefix: string, op: string): void {
    if (this.made.has(name)) return;
    // First, so that what calls itself ends; functions may stand in any order.
    this.made.set(name, "");
    let text: string;
    if (op === "chk") text = this.check(prefix);
    else if (prefix === "g" || prefix === "x") text = this.dispatch(name, prefix, op);
    else if (prefix === "pm")
      text = "fn pm_ld(a: u32) -> u32 { return cb[a >> 4u][(a >> 2u) & 3u]; }";
    else text = this.plain(name, prefix, op);
    this.made.set(name, text);
  }

  private isAtomic(prefix: string): boolean {
    if (prefix === "sh") return this.memory.atomicShared;
    return prefix.startsWith("m") && this.memory.atomicHeap;
  }

  /** Functions on 64 bits; memory-wide.ts. */
  private wide(name: string, prefix: string, op: string): string {
    for (const helper of wideNeeds(op)) this.use(helper);
    const isAtomic = this.isAtomic(prefix);
    const [low, high] = [this.word(this.locksAt), this.word(this.locksAt + 1)];
    const isPlain = this.options.segments === 1 && !this.options.checked;
    const locks = isPlain ? "m0" : "g";
    if (isAtomic && prefix !== "sh") {
      this.write(`${locks}_cas`, locks, "cas");
      this.write(`${locks}_st`, locks, "st");
    }
    if (isAtomic && prefix === "sh") this.use("shared_locks");
    const at = isPlain
      ? (hash: string): string => `${low} + ${hash}`
      : (hash: string): string => `vec2u(${low} + ${hash}, ${high})`;
    return wideFunction(name, prefix, op, isAtomic, { prefix: locks, at });
  }

  private plain(name: string, prefix: string, op: string): string {
    if (op.startsWith("w")) return this.wide(name, prefix, op.slice(1));
    const word = `${prefix}[a >> 2u]`;
    const isAtomic = this.isAtomic(prefix);
    const read = isAtomic ? `atomicLoad(&${word})` : word;
    const write = (v: string): string =>
      isAtomic ? `atomicStore(&${word}, ${v});` : `${word} = ${v};`;
    if (op === "ld") return `fn ${name}(a: u32) -> u32 { return ${read}; }`;
    if (op === "st") return `fn ${name}(a: u32, v: u32) { ${write("v")} }`;
    const loop = (next: string, result: string): string =>
      `var old = atomicLoad(&${word});\n  loop {\n    ${next}\n    let r = atomicCompareExchangeWeak(&${word}, old, n);\n    if (r.exchanged) { ${result} }\n    old = r.old_value;\n  }`;
    const part = PARTS[op];
    if (part !== undefined) {
      for (const helper of (part.needs ?? "").split(" ")) if (helper !== "") this.use(helper);
      const mask = part.bits === 8 ? "0xffu" : "0xffffu";
      const head = `let s = (a & 3u) * 8u; let k = ${mask} << s;`;
      const next = `let p = (old >> s) & ${mask}; let n = (old & ~k) | (((${part.next}) & ${mask}) << s);`;
      const isStore = op.startsWith("st");
      const end = isStore ? "" : " -> u32";
      const result = isStore ? "return;" : "return p;";
      if (!isAtomic) {
        return `fn ${name}(a: u32, v: u32)${end} { ${head} let old = ${read}; ${next} ${write("n")} ${result} }`;
      }
      return `fn ${name}(a: u32, v: u32)${end} {\n  ${head}\n  ${loop(next, result)}\n}`;
    }
    if (op === "cas") {
      if (!isAtomic) {
        return `fn ${name}(a: u32, c: u32, v: u32) -> u32 { let old = ${read}; if (old == c) { ${write("v")} } return old; }`;
      }
      return `fn ${name}(a: u32, c: u32, v: u32) -> u32 {
  loop {
    let r = atomicCompareExchangeWeak(&${word}, c, v);
    if (r.exchanged || r.old_value != c) { return r.old_value; }
  }
}`;
    }
    const operation = OPERATIONS[op];
    if (operation === undefined) throw new PtxError(`memory operation ${op} is not supported`);
    for (const helper of (operation.needs ?? "").split(" ")) if (helper !== "") this.use(helper);
    if (!isAtomic) {
      return `fn ${name}(a: u32, v: u32) -> u32 { let old = ${read}; ${write(operation.next)} return old; }`;
    }
    if (operation.native !== undefined) {
      return `fn ${name}(a: u32, v: u32) -> u32 { return ${operation.native}(&${word}, v); }`;
    }
    return `fn ${name}(a: u32, v: u32) -> u32 {\n  ${loop(`let n = ${operation.next};`, "return old;")}\n}`;
  }

  private signature(op: string): { params: string; args: string; isVoid: boolean } {
    if (op === "ld") return { params: "", args: "", isVoid: false };
    if (op === "wcas") return { params: ", c: vec2u, v: vec2u", args: ", c, v", isVoid: false };
    if (op.startsWith("w")) return { params: ", v: vec2u", args: ", v", isVoid: false };
    if (op === "cas") return { params: ", c: u32, v: u32", args: ", c, v", isVoid: false };
    return { params: ", v: u32", args: ", v", isVoid: op.startsWith("st") };
  }

  /** The function of the segment, or of the space, that the address's upper half names. */
  private dispatch(name: string, prefix: string, op: string): string {
    const { params, args, isVoid } = this.signature(op);
    const call = (target: string, address: string): string => {
      this.write(`${target}_${op}`, target, op);
      return isVoid
        ? `${target}_${op}(${address}${args}); return;`
        : `return ${target}_${op}(${address}${args});`;
    };
    const lines: string[] = [];
    if (prefix === "g") {
      for (let i = 0; i < this.options.segments; i += 1) {
        lines.push(`if (a.y == ${this.segment(i)}) { ${call(`m${i}`, "a.x")} }`);
      }
      if (!isVoid) lines.push(op.startsWith("w") ? "return vec2u();" : "return 0u;");
    } else {
      lines.push(`if (a.y == ${SHARED_TAG}u) { ${call("sh", "a.x")} }`);
      lines.push(`if (a.y == ${LOCAL_TAG}u) { ${call("lo", "a.x")} }`);
      if (op === "ld") lines.push(`if (a.y == ${PARAM_TAG}u) { ${call("pm", "a.x")} }`);
      const isPlain = this.options.segments === 1 && !this.options.checked;
      lines.push(isPlain ? call("m0", "a.x") : call("g", "a"));
    }
    return `fn ${name}(a: vec2u${params})${isVoid ? "" : op.startsWith("w") ? " -> vec2u" : " -> u32"} {\n  ${lines.join("\n  ")}\n}`;
  }

  /** The address if the access is good; else records the fault and gives a harmless one. */
  private check(prefix: string): string {
    this.fault();
    const align = "let k = min(n, 16u) - 1u;";
    if (prefix === "sh") {
      return `fn sh_chk(a: u32, n: u32, line: u32) -> u32 {
  ${align}
  if (a > ${Math.max(0, this.sharedBytes)}u || ${this.sharedBytes}u - a < n) { fault(3u, line); return 0u; }
  if ((a & k) != 0u) { fault(4u, line); return 0u; }
  return a;
}`;
    }
    if (prefix === "x") {
      this.write("g_chk", "g", "chk");
      const window = (tag: number, bytes: number): string =>
        `if (a.y == ${tag}u) { if (a.x <= ${bytes}u && ${bytes}u - a.x >= n) { return a; } fault(3u, line); return vec2u(0u, ${LOCAL_TAG}u); }`;
      return `fn x_chk(a: vec2u, n: u32, line: u32, w: u32) -> vec2u {
  ${window(SHARED_TAG, this.sharedBytes)}
  ${window(LOCAL_TAG, this.localBytes)}
  if (a.y == ${PARAM_TAG}u && w == 0u) { return a; }
  return g_chk(a, n, line, w);
}`;
    }
    const bad = `vec2u(0u, ${this.segment(0)})`;
    return `${this.inUse()}
fn g_chk(a: vec2u, n: u32, line: u32, w: u32) -> vec2u {
  ${align}
  let isSame = a.y == seen.z && a.x >= seen.x && a.x <= seen.y && seen.y - a.x >= n;
  if (!isSame && !in_use(a, n)) { fault(3u, line); return ${bad}; }
  if ((a.x & k) != 0u) { fault(4u, line); return ${bad}; }
  return a;
}`;
  }

  /** Whether an access lies in one range of memory in use, by bisection; keeps the range. */
  private inUse(): string {
    const { partsAt, rangesAt } = this.uniform;
    const parts: string[] = [];
    for (let i = 0; i < this.options.segments; i += 1) {
      const [first, count] = [this.word(partsAt + 2 * i), this.word(partsAt + 2 * i + 1)];
      parts.push(`if (a.y == ${this.segment(i)}) { low = ${first}; high = low + ${count}; }`);
    }
    return `var<private> seen: vec3u;
fn range_in_use(i: u32) -> vec2u {
  let v = cb[${rangesAt / 4}u + (i >> 1u)];
  return select(v.xy, v.zw, (i & 1u) == 1u);
}
fn in_use(a: vec2u, n: u32) -> bool {
  var low = 0u; var high = 0u;
  ${parts.join("\n  ")}
  let first = low;
  while (low < high) {
    let at = (low + high) >> 1u;
    if (range_in_use(at).x <= a.x) { low = at + 1u; } else { high = at; }
  }
  if (low == first) { return false; }
  let r = range_in_use(low - 1u);
  if (a.x > r.y || r.y - a.x < n) { return false; }
  seen = vec3u(r, a.y);
  return true;
}`;
  }

  /** Records the first fault: code, line, block and thread. */
  private fault(): void {
    this.use("fault");
    if (this.made.has("fault")) return;
    this.made.set("fault", "");
    const isPlain = this.options.segments === 1 && !this.options.checked;
    const prefix = isPlain ? "m0" : "g";
    for (const op of ["ld", "st", ...(this.memory.atomicHeap ? ["cas"] : [])]) {
      this.write(`${prefix}_${op}`, prefix, op);
    }
    const [low, high] = [this.word(this.faultAt), this.word(this.faultAt + 1)];
    const at = (offset: number): string =>
      isPlain ? `${low} + ${offset}u` : `vec2u(${low} + ${offset}u, ${high})`;
    const claim = this.memory.atomicHeap
      ? `if (${prefix}_cas(${at(0)}, 0u, code) != 0u) { return; }`
      : `if (${prefix}_ld(${at(0)}) != 0u) { return; }\n  ${prefix}_st(${at(0)}, code);`;
    this.made.set(
      "fault",
      `fn fault(code: u32, line: u32) {
  ${claim}
  ${prefix}_st(${at(4)}, line);
  ${prefix}_st(${at(8)}, who.x);
  ${prefix}_st(${at(12)}, who.y);
}`,
    );
  }
}
