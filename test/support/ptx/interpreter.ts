// SPDX-License-Identifier: Apache-2.0
/**
 * The reference interpreter of PTX: runs a whole grid, block after block, exactly and in one fixed
 * order. Threads run in turn, each until it ends, meets others (barriers, shuffles, votes) or has
 * had its share; so a thread that waits for another of its block is served, too.
 *
 * What it does not know it refuses by name, so that a test can't pass by skipping something.
 */
import { convertRun, floatRun } from "./floats.js";
import { type Carry, integerRun, type Run } from "./integers.js";
import { Machine, type Memory, PtxFault, Thread, type Triple } from "./machine.js";
import { memoryRun } from "./memory-ops.js";
import { literal, Operands, slotOf } from "./operands.js";
import {
  type Instruction,
  type Program,
  type PtxFunction,
  parseProgram,
  splitOperands,
  type Variable,
  widthOf,
} from "./parse.js";
import { formatPrintf } from "./printf.js";
import { type Meeting, meetingOf } from "./sync-ops.js";
import { textureRun } from "./texture-ops.js";

/** Slots of a thread's stack: registers, parameters and local variables of all its frames. */
const STACK_SLOTS_MIN = 512;
/** Instructions that a thread runs before the next has its turn. */
const TURN = 20_000;

type Step =
  | { readonly kind: "run"; readonly run: Run }
  | { readonly kind: "meet"; readonly meeting: Meeting }
  | { readonly kind: "branch"; readonly to: number }
  | { readonly kind: "table"; readonly index: (b: number) => number; readonly to: number[] }
  | { readonly kind: "call"; readonly run: (t: Thread) => void }
  | { readonly kind: "return" }
  | { readonly kind: "exit" };

interface Code {
  readonly step: Step;
  /** Slot of the guard, or −1. */
  readonly guard: number;
  readonly negated: boolean;
  readonly line: number;
}

interface Waiting {
  readonly meeting: Meeting;
  readonly key: number;
  readonly count: number;
}

export interface GridResult {
  readonly printed: readonly string[];
  /** Instructions run, of all threads. */
  readonly instructions: number;
}

export interface LaunchOptions {
  readonly kernel: string;
  readonly grid: Triple;
  readonly block: Triple;
  readonly params: Uint8Array;
  readonly dynamicShared?: number;
  /** Instructions of all threads together. */
  readonly fuel?: number;
}

const alignUp = (at: number, align: number): number => Math.ceil(at / align) * align;

/** Offset of each parameter in the packed buffer, and its size. */
export function layoutParams(params: readonly Variable[]): { offsets: number[]; bytes: number } {
  let at = 0;
  const offsets = params.map((p) => {
    at = alignUp(at, p.align);
    const offset = at;
    at += p.bytes;
    return offset;
  });
  return { offsets, bytes: at };
}

/** A module loaded into a memory: its globals have addresses. */
export class LoadedModule {
  readonly program: Program;
  readonly symbols = new Map<string, bigint>();

  /** Places the globals in segment `segment` from `base` on. */
  constructor(
    text: string,
    readonly memory: Memory,
    segment: number,
    base: number,
  ) {
    this.program = parseProgram(text);
    let at = base;
    const placed: [Variable, number][] = [];
    for (const v of this.program.variables) {
      if (v.space !== "global" && v.space !== "const") continue;
      at = alignUp(at, v.align);
      this.symbols.set(v.name, (BigInt(segment) << 32n) | BigInt(at));
      placed.push([v, at]);
      at += v.bytes;
    }
    const view = memory.get(segment);
    if (view === undefined || at > view.byteLength) {
      throw new Error(`segment ${segment} has no room for ${at} bytes of globals`);
    }
    for (const [v, offset] of placed) this.#initialise(v, view, offset);
  }

  #initialise(v: Variable, view: DataView, offset: number): void {
    const width = widthOf(v.type);
    const flat = v.initial.flatMap((text) => splitOperands(text.replace(/[{}]/g, " ")));
    flat.forEach((text, i) => {
      const value = this.#initialValue(text.trim(), v);
      const at = offset + i * width;
      if (width === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
      else if (width === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
      else if (width === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), true);
      else view.setUint8(at, Number(BigInt.asUintN(8, value)));
    });
  }

  #initialValue(text: string, v: Variable): bigint {
    const number = literal(text);
    if (number !== null) return number.bits;
    const symbol = /^(?:generic\()?([\w$%]+)\)?(?:\s*\+\s*(\d+))?$/.exec(text);
    const address = this.symbols.get(symbol?.[1] ?? "");
    if (address === undefined) throw new Error(`${v.name}: "${text}" is not known`);
    return address + BigInt(symbol?.[2] ?? 0);
  }

  paramsOf(kernel: string): { offsets: number[]; bytes: number } {
    const entry = this.program.functions.get(kernel);
    if (entry === undefined) throw new Error(`there is no kernel "${kernel}"`);
    return layoutParams(entry.params);
  }

  run(options: LaunchOptions): GridResult {
    return new Grid(this, options).run();
  }
}

class Grid {
  readonly #m: Machine;
  readonly #codes: Code[][] = [];
  readonly #functions: PtxFunction[];
  readonly #threads: Thread[] = [];
  readonly #waiting = new Map<Thread, Waiting>();
  readonly #carries = new Map<Thread, Carry>();
  #instructions = 0;
  readonly #fuel: number;

  constructor(
    readonly module: LoadedModule,
    readonly options: LaunchOptions,
  ) {
    const { program } = module;
    const entry = program.functions.get(options.kernel);
    if (entry === undefined) throw new Error(`there is no kernel "${options.kernel}"`);
    this.#fuel = options.fuel ?? 400_000_000;
    this.#functions = [
      entry,
      ...[...program.functions.values()].filter((f) => !f.entry && !f.declared),
    ];
    const symbols = new Map(module.symbols);
    const sharedBytes = this.#layoutShared(symbols);
    const count = options.block[0] * options.block[1] * options.block[2];
    const slots = this.#functions.reduce((n, f) => n + f.registers, STACK_SLOTS_MIN);
    const [bx, by] = options.block;
    for (let i = 0; i < count; i++) {
      const id = [i % bx, Math.floor(i / bx) % by, Math.floor(i / (bx * by))] as const;
      const thread = new Thread(i, i % 32, i >> 5, id, i * slots, (i + 1) * slots);
      this.#threads.push(thread);
    }
    const first = this.#threads[0];
    if (first === undefined) throw new Error("a block needs a thread");
    this.#m = new Machine(
      module.memory,
      { grid: options.grid, block: options.block },
      symbols,
      options.dynamicShared ?? 0,
      sharedBytes,
      count * slots,
      first,
    );
    for (const f of this.#functions) this.#codes.push(this.#compile(f));
  }

  /** Static variables first; all that have no size begin together after them. */
  #layoutShared(symbols: Map<string, bigint>): number {
    const all = [
      ...this.module.program.variables,
      ...this.#functions.flatMap((f) => f.locals),
    ].filter((v) => v.space === "shared");
    let at = 0;
    for (const v of all.filter((each) => each.count !== null)) {
      at = alignUp(at, v.align);
      symbols.set(v.name, BigInt(at));
      at += v.bytes;
    }
    at = alignUp(at, 16);
    for (const v of all.filter((each) => each.count === null)) symbols.set(v.name, BigInt(at));
    return at + (this.options.dynamicShared ?? 0);
  }

  #compile(f: PtxFunction): Code[] {
    return f.body.map((at) => {
      const { guard } = at;
      const slot = guard === null ? -1 : (slotOf(at.scope, guard.register) ?? -1);
      return {
        step: this.#step(at, f),
        guard: slot,
        negated: guard?.negated === true,
        line: at.line,
      };
    });
  }

  #step(at: Instruction, f: PtxFunction): Step {
    const o = new Operands(this.#m, at);
    switch (at.op) {
      case "bra":
        return { kind: "branch", to: this.#label(f, at, o.text(0)) };
      case "brx": {
        const table = f.tables.get(o.text(1)) ?? [];
        const to = table.map((name) => this.#label(f, at, name));
        return { kind: "table", index: o.u32(o.text(0)), to };
      }
      case "ret":
        return { kind: "return" };
      case "exit":
        return { kind: "exit" };
      case "call":
        return { kind: "call", run: this.#call(o) };
      default:
        break;
    }
    const meeting = meetingOf(o);
    if (meeting !== null) return { kind: "meet", meeting };
    const carry = (): Carry => this.#carry();
    const run =
      memoryRun(o) ?? textureRun(o) ?? convertRun(o) ?? integerRun(o, carry) ?? floatRun(o);
    if (run === null) return o.fail("the interpreter does not know the instruction");
    return { kind: "run", run };
  }

  #carry(): Carry {
    const { thread } = this.#m;
    let carry = this.#carries.get(thread);
    if (carry === undefined) {
      carry = { flag: 0n };
      this.#carries.set(thread, carry);
    }
    return carry;
  }

  #label(f: PtxFunction, at: Instruction, name: string): number {
    const to = f.labels.get(name);
    if (to === undefined) throw new Error(`line ${at.line}: there is no label "${name}"`);
    return to;
  }

  /** `call (returned), name, (arguments);` Arguments are variables of the caller's frame. */
  #call(o: Operands): (t: Thread) => void {
    const operands = [...o.at.operands];
    const list = (text: string): string[] => splitOperands(text.slice(1, -1));
    const returned = operands[0]?.startsWith("(") ? list(operands.shift() ?? "") : [];
    const name = operands.shift() ?? "";
    const given = operands[0]?.startsWith("(") ? list(operands.shift() ?? "") : [];
    const slots = (names: readonly string[]): number[] =>
      names.map((n) => o.slot(`&${n}`) ?? o.slot(n) ?? o.fail(`"${n}" is not known`));
    const from = slots(given);
    const into = slots(returned);
    if (name === "vprintf") return (t) => this.#print(t, from, into);
    if (name === "__assertfail") return (t) => this.#assertFail(t, from);
    const index = this.#functions.findIndex((f) => f.name === name);
    const callee = this.#functions[index];
    if (callee === undefined) return o.fail(`the function "${name}" has no body`);
    const { u32, u64 } = this.#m;
    return (t) => {
      const frame = t.frameEnd;
      if (frame + callee.registers > t.stackEnd) throw new Error(`${name}: the stack is full`);
      u32.fill(0, frame * 2, (frame + callee.registers) * 2);
      callee.params.forEach((p, i) => {
        const slot = slotOf(callee.scope, p.space === "param" ? `&${p.name}` : p.name) ?? 0;
        const words = Math.max(1, Math.ceil(p.bytes / 8));
        const start = t.frame + (from[i] ?? 0);
        u64.copyWithin(frame + slot, start, start + words);
      });
      t.calls.push({ function: t.function, pc: t.pc, frame: t.frame });
      t.function = index;
      t.pc = -1;
      t.frame = frame;
      t.frameEnd = frame + callee.registers;
      this.#returns.set(t, [...(this.#returns.get(t) ?? []), into]);
    };
  }

  readonly #returns = new Map<Thread, number[][]>();

  #return(t: Thread): boolean {
    const caller = t.calls.pop();
    if (caller === undefined) return false;
    const callee = this.#functions[t.function];
    const into = this.#returns.get(t)?.pop() ?? [];
    const { u64 } = this.#m;
    callee?.returns.forEach((r, i) => {
      const slot = slotOf(callee.scope, `&${r.name}`) ?? 0;
      const words = Math.max(1, Math.ceil(r.bytes / 8));
      const start = t.frame + slot;
      u64.copyWithin(caller.frame + (into[i] ?? 0), start, start + words);
    });
    t.frameEnd = t.frame;
    t.frame = caller.frame;
    t.function = caller.function;
    t.pc = caller.pc;
    return true;
  }

  #print(t: Thread, from: readonly number[], into: readonly number[]): void {
    const m = this.#m;
    const format = m.textAt(m.u64[t.frame + (from[0] ?? 0)] ?? 0n);
    const block = m.u64[t.frame + (from[1] ?? 0)] ?? 0n;
    const view = new DataView(new ArrayBuffer(1024));
    if (block !== 0n) {
      const low = Number(block & 0xffff_ffffn);
      m.resolve("generic", Number(block >> 32n), low, 1, 1);
      const bytes = Math.min(1024, m.view.byteLength - m.at);
      for (let i = 0; i < bytes; i++) view.setUint8(i, m.view.getUint8(m.at + i));
    }
    m.printed.push(formatPrintf(format, view, (address) => m.textAt(address)));
    const result = into[0];
    if (result !== undefined) m.u32[(t.frame + result) * 2] = 1;
  }

  #assertFail(t: Thread, from: readonly number[]): never {
    const m = this.#m;
    const message = m.textAt(m.u64[t.frame + (from[0] ?? 0)] ?? 0n);
    throw new PtxFault("assert", message);
  }

  run(): GridResult {
    const [gx, gy, gz] = this.options.grid;
    for (let z = 0; z < gz; z++) {
      for (let y = 0; y < gy; y++) {
        for (let x = 0; x < gx; x++) this.#block([x, y, z]);
      }
    }
    return { printed: this.#m.printed, instructions: this.#instructions };
  }

  #start(): void {
    const m = this.#m;
    const entry = this.#functions[0];
    if (entry === undefined) return;
    m.u32.fill(0);
    new Uint8Array(m.shared.buffer).fill(0xcd);
    this.#waiting.clear();
    const { offsets } = layoutParams(entry.params);
    for (const t of this.#threads) {
      t.pc = 0;
      t.function = 0;
      t.calls.length = 0;
      t.status = "ready";
      t.frame = t.stackStart;
      t.frameEnd = t.frame + entry.registers;
      entry.params.forEach((p, i) => {
        const slot = slotOf(entry.scope, `&${p.name}`) ?? 0;
        const offset = offsets[i] ?? 0;
        const bytes = this.options.params.subarray(offset, offset + p.bytes);
        new Uint8Array(m.file.buffer, (t.frame + slot) * 8, p.bytes).set(bytes);
      });
    }
  }

  #block(id: Triple): void {
    this.#m.blockId = id;
    this.#start();
    for (;;) {
      let ran = false;
      let left = false;
      for (const t of this.#threads) {
        if (t.status === "ready") {
          this.#turn(t);
          ran = true;
        }
        left ||= t.status !== "done";
      }
      if (!left) return;
      const met = this.#meet();
      if (!ran && !met) this.#stuck(id);
    }
  }

  #stuck(id: Triple): never {
    const lines = new Set<string>();
    for (const [t, w] of this.#waiting) {
      lines.add(`${w.meeting.name} key ${w.key} (thread ${t.index})`);
    }
    throw new Error(`block ${id.join(",")} is stuck: ${[...lines].slice(0, 8).join("; ")}`);
  }

  #turn(t: Thread): void {
    const m = this.#m;
    m.thread = t;
    for (let left = TURN; left > 0; left--) {
      const code = this.#codes[t.function]?.[t.pc];
      this.#instructions += 1;
      if (code === undefined) {
        // The end of a body without ret.
        if (!this.#return(t)) {
          t.status = "done";
          return;
        }
        t.pc += 1;
        continue;
      }
      if (code.guard >= 0 && (m.u32[(t.frame + code.guard) * 2] !== 0) === code.negated) {
        t.pc += 1;
        continue;
      }
      if (!this.#one(t, code)) return;
    }
    if (this.#instructions > this.#fuel) {
      throw new PtxFault("timeout", `${this.#instructions} instructions are over the limit`);
    }
  }

  /** One instruction; false if the thread stops here for now. */
  #one(t: Thread, code: Code): boolean {
    const { step } = code;
    switch (step.kind) {
      case "run":
        this.#guarded(code, () => step.run(t.frame));
        t.pc += 1;
        return true;
      case "branch":
        t.pc = step.to;
        return true;
      case "table":
        t.pc = step.to[step.index(t.frame)] ?? t.pc + 1;
        return true;
      case "call":
        this.#guarded(code, () => step.run(t));
        t.pc += 1;
        return true;
      case "return":
        if (this.#return(t)) {
          t.pc += 1;
          return true;
        }
        t.status = "done";
        return false;
      case "exit":
        t.status = "done";
        return false;
      case "meet": {
        const { meeting } = step;
        const key = meeting.key(t.frame) >>> 0;
        this.#waiting.set(t, { meeting, key, count: meeting.count(t.frame) });
        t.status = "waiting";
        return false;
      }
    }
  }

  #guarded(code: Code, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof PtxFault && !error.message.startsWith("line ")) {
        const at = `block ${this.#m.blockId.join(",")}, thread ${this.#m.thread.index}`;
        throw new PtxFault(error.code, `line ${code.line}: ${error.message} (${at})`);
      }
      throw error;
    }
  }

  /** Lets those go on that have all met; whether any has. */
  #meet(): boolean {
    const warps = new Map<number, Thread[]>();
    for (const t of this.#threads) {
      if (t.status === "done") continue;
      const list = warps.get(t.warp);
      if (list === undefined) warps.set(t.warp, [t]);
      else list.push(t);
    }
    let met = false;
    for (const threads of warps.values()) {
      if (this.#meetByMask(threads)) met = true;
    }
    if (this.#meetAtBarriers()) met = true;
    if (met || this.#threads.some((t) => t.status === "ready")) return met;
    for (const threads of warps.values()) {
      if (this.#meetPresent(threads)) met = true;
    }
    return met;
  }

  #meetByMask(threads: readonly Thread[]): boolean {
    let met = false;
    const seen = new Set<Thread>();
    for (const t of threads) {
      const w = this.#waiting.get(t);
      if (w === undefined || w.meeting.among !== "mask" || seen.has(t)) continue;
      const named = threads.filter((other) => ((w.key >>> other.lane) & 1) === 1);
      const here = named.filter((other) => {
        const theirs = this.#waiting.get(other);
        return theirs?.meeting.name === w.meeting.name && theirs.key === w.key;
      });
      if (here.length < named.length || !named.includes(t)) continue;
      this.#release(here);
      for (const other of here) seen.add(other);
      met = true;
    }
    return met;
  }

  /** activemask: the lanes that wait at the same place. */
  #meetPresent(threads: readonly Thread[]): boolean {
    const waiting = threads.filter((t) => this.#waiting.get(t)?.meeting.among === "present");
    const first = waiting[0];
    if (first === undefined) return false;
    this.#release(waiting.filter((t) => t.pc === first.pc && t.function === first.function));
    return true;
  }

  #meetAtBarriers(): boolean {
    const byNumber = new Map<number, Thread[]>();
    for (const t of this.#threads) {
      const w = this.#waiting.get(t);
      if (w?.meeting.among !== "block") continue;
      const list = byNumber.get(w.key);
      if (list === undefined) byNumber.set(w.key, [t]);
      else list.push(t);
    }
    const alive = this.#threads.filter((t) => t.status !== "done").length;
    let met = false;
    for (const [, threads] of byNumber) {
      const first = threads[0];
      const wanted = (first === undefined ? 0 : this.#waiting.get(first)?.count) || alive;
      if (threads.length < Math.min(wanted, alive)) continue;
      this.#release(threads);
      met = true;
    }
    return met;
  }

  /** Does what they have met for, and lets them go on after it. */
  #release(threads: readonly Thread[]): void {
    const groups = new Map<Meeting, Thread[]>();
    const first = threads[0];
    const meeting = first === undefined ? undefined : this.#waiting.get(first)?.meeting;
    for (const t of threads) {
      const own = this.#waiting.get(t)?.meeting;
      if (own === undefined) continue;
      const list = groups.get(own);
      if (list === undefined) groups.set(own, [t]);
      else list.push(t);
    }
    if (groups.size === 1 && meeting !== undefined) {
      meeting.run(threads);
    } else {
      for (const [own, list] of groups) own.run(list);
    }
    for (const t of threads) {
      this.#waiting.delete(t);
      t.status = "ready";
      t.pc += 1;
    }
  }
}
