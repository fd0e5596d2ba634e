// SPDX-License-Identifier: Apache-2.0
/**
 * One kernel from the parsed module: calls are expanded in place (WGSL has no pointers into our
 * memory and no recursion), variables are placed in their spaces, operands are split into results
 * and sources. Parameters of calls become registers where every access agrees (slots.ts).
 */
import type {
  Guard,
  Instruction,
  Item,
  Operand,
  ParsedModule,
  PtxFunction,
  Register,
  Variable,
} from "./ast.js";
import { isLabel, nameOf } from "./ast.js";
import { PtxError, type PtxLimits } from "./error.js";
import type { FlatKernel, Inst, KernelParam, Value } from "./ir.js";
import { resolveSlots, type Slot } from "./slots.js";
import { B32, B64, PRED, type Type, typeNamed } from "./types.js";

/** Instructions whose first operand is no result. */
const TEXTURES = new Set(["tex", "tld4", "suld", "sust", "sured"]);

const NO_RESULT = new Set([
  "st",
  "red",
  "bar",
  "barrier",
  "bra",
  "brx",
  "ret",
  "exit",
  "trap",
  "brkpt",
  "membar",
  "fence",
  "prefetch",
  "prefetchu",
  "nanosleep",
  "cp",
  "pmevent",
  "discard",
  "applypriority",
  "griddepcontrol",
  "sust",
  "sured",
  "setmaxnreg",
  "stmatrix",
  "wmma_store",
]);

/** bar.red and barrier.cta.red give a result, as no other barrier does. */
const isReducingBarrier = (i: Instruction): boolean =>
  (i.op === "bar" || i.op === "barrier") && i.mods.includes("red");

export const alignUp = (value: number, align: number): number => Math.ceil(value / align) * align;

/** Where one expansion of a function finds its names. */
interface Frame {
  readonly fn: PtxFunction;
  readonly regBase: number;
  readonly labelBase: number;
  readonly endLabel: number;
  readonly locals: Map<Variable, number>;
  readonly slots: Map<Variable, number>;
  readonly depth: number;
}

const reg = (n: number): Value => ({ kind: "reg", reg: n, negated: false });

class Lowering {
  readonly registers: Register[] = [];
  readonly code: (Inst | number)[] = [];
  readonly branchTargets = new Map<number, readonly number[]>();
  readonly slots: Slot[] = [];
  readonly globals: string[] = [];
  readonly formats = new Map<number, Uint8Array>();
  readonly params: KernelParam[] = [];
  private readonly globalIndex = new Map<string, number>();
  private readonly shared = new Map<Variable, number>();
  private readonly kernelParams = new Map<Variable, number>();
  private readonly active = new Set<string>();
  labels = 0;
  sharedBytes = 0;
  localBytes = 0;
  paramBytes = 0;
  usesDynamicShared = false;
  dynamicAlign = 16;
  private count = 0;

  constructor(
    private readonly module: ParsedModule,
    private readonly entry: PtxFunction,
    private readonly limits: PtxLimits,
  ) {}

  run(): void {
    for (const param of this.entry.params) {
      if (typeof param === "number") {
        throw new PtxError("a kernel's parameter is a register", this.entry.line);
      }
      const offset = alignUp(this.paramBytes, param.align);
      this.kernelParams.set(param, offset);
      this.params.push({ offset, bytes: param.bytes, align: param.align });
      this.paramBytes = offset + param.bytes;
    }
    const end = this.newLabel();
    this.expand(this.entry, new Map(), end, 0);
    this.code.push(end);
    this.emit("exit", [], [], []);
  }

  newLabel(): number {
    this.labels += 1;
    return this.labels - 1;
  }

  newRegister(name: string, type: Type): number {
    if (this.registers.length >= this.limits.registersMax) {
      throw new PtxError(`${this.limits.registersMax} registers are exceeded`, this.entry.line);
    }
    return this.registers.push({ name, type }) - 1;
  }

  private emit(
    op: string,
    mods: readonly string[],
    dst: readonly Value[],
    src: readonly Value[],
    line = this.entry.line,
    guard: Guard | null = null,
    from = this.entry.name,
  ): void {
    this.count += 1;
    if (this.count > this.limits.kernelInstructionsMax) {
      const max = this.limits.kernelInstructionsMax;
      throw new PtxError(`${max} instructions are exceeded once calls are expanded`, line);
    }
    const types: Type[] = [];
    for (const mod of mods) {
      const type = typeNamed(mod);
      if (type !== null) types.push(type);
    }
    this.code.push({ line, op, mods, guard, dst, src, types, from });
  }

  private expand(fn: PtxFunction, slots: Map<Variable, number>, end: number, depth: number): void {
    if (fn.body === null) throw new PtxError(`function '${fn.name}' has no body`, fn.line);
    if (depth > this.limits.callDepthMax) {
      throw new PtxError(`calls nest deeper than ${this.limits.callDepthMax}`, fn.line);
    }
    const regBase = this.registers.length;
    if (regBase + fn.registers.length > this.limits.registersMax) {
      throw new PtxError(`${this.limits.registersMax} registers are exceeded`, fn.line);
    }
    for (const register of fn.registers) this.registers.push(register);
    const labelBase = this.labels;
    this.labels += fn.labels;
    const frame: Frame = {
      fn,
      regBase,
      labelBase,
      endLabel: end,
      locals: new Map(),
      slots,
      depth,
    };
    for (const [list, targets] of fn.branchTargets) {
      this.branchTargets.set(
        labelBase + list,
        targets.map((t) => labelBase + t),
      );
    }
    this.active.add(fn.name);
    for (const item of fn.body) this.item(item, frame);
    this.active.delete(fn.name);
  }

  private item(item: Item, frame: Frame): void {
    if (isLabel(item)) {
      this.code.push(frame.labelBase + item.label);
      return;
    }
    const guard =
      item.guard === null
        ? null
        : { reg: frame.regBase + item.guard.reg, negated: item.guard.negated };
    if (item.op === "call") {
      this.guardedCall(item, frame, guard);
      return;
    }
    const isReturn = item.op === "ret" && frame.depth > 0;
    if (isReturn || item.op === "bra") {
      const target = item.operands[0];
      const to = isReturn
        ? frame.endLabel
        : target?.kind === "label"
          ? frame.labelBase + target.label
          : -1;
      if (to < 0) throw new PtxError("bra needs a label", item.line);
      this.emit("bra", [], [], [this.number(to)], item.line, guard, frame.fn.name);
      return;
    }
    const results = NO_RESULT.has(item.op) && !isReducingBarrier(item) ? 0 : 1;
    const dst: Value[] = [];
    const src: Value[] = [];
    item.operands.forEach((operand, i) => {
      const into = i < results ? dst : src;
      if (operand.kind === "list" && TEXTURES.has(item.op)) {
        // A handle and its coordinates.
        for (const each of operand.items) into.push(this.value(each, frame, item));
      } else if (operand.kind === "pair") {
        into.push(this.value(operand.first, frame, item), this.value(operand.second, frame, item));
      } else into.push(this.value(operand, frame, item));
    });
    if (item.op === "match" && item.mods.includes("b64")) {
      this.matchHalves(item, dst, src, guard, frame);
      return;
    }
    this.emit(item.op, item.mods, dst, src, item.line, guard, frame.fn.name);
  }

  /** Numbers of 64 bits are the same where both halves are: two matches of 32 bits. */
  private matchHalves(
    item: Instruction,
    [lanes = { kind: "none" }, flag]: readonly Value[],
    [number = { kind: "none" }, mask = { kind: "none" }]: readonly Value[],
    guard: Guard | null,
    frame: Frame,
  ): void {
    const line = [item.line, null, frame.fn.name] as const;
    const mods = item.mods.map((mod) => (mod === "b64" ? "b32" : mod));
    const halves = ["%low", "%high"].map((name) => reg(this.newRegister(name, B32)));
    this.emit("mov", ["b64"], [{ kind: "vec", items: halves }], [number], ...line);
    const found = halves.map((half) => {
      const same = reg(this.newRegister("%same", B32));
      const isSame = flag === undefined ? [] : [reg(this.newRegister("%all", PRED))];
      this.emit("match", mods, [same, ...isSame], [half, mask], item.line, guard, frame.fn.name);
      return [same, ...isSame];
    });
    const both = (i: number): Value[] => found.flatMap((values) => values[i] ?? []);
    this.emit("and", ["b32"], [lanes], both(0), item.line, guard, frame.fn.name);
    if (flag !== undefined) {
      this.emit("and", ["pred"], [flag], both(1), item.line, guard, frame.fn.name);
    }
  }

  number(value: number): Value {
    return { kind: "imm", value: BigInt(value), float: 0 };
  }

  private value(operand: Operand, frame: Frame, at: Instruction): Value {
    switch (operand.kind) {
      case "reg":
        return { kind: "reg", reg: frame.regBase + operand.reg, negated: operand.negated };
      case "imm":
      case "special":
      case "none":
        return operand;
      case "var":
        return this.place(operand.variable, operand.offset, frame);
      case "mem": {
        const base = this.value(operand.base, frame, at);
        return { kind: "mem", base, offset: operand.offset };
      }
      case "vec":
        return { kind: "vec", items: operand.items.map((o) => this.value(o, frame, at)) };
      case "label":
        return this.number(frame.labelBase + operand.label);
      default:
        throw new PtxError(
          `${nameOf(at)} has an operand that is not supported`,
          at.line,
          null,
          nameOf(at),
        );
    }
  }

  private place(variable: Variable, offset: number, frame: Frame): Value {
    if (variable.space === "param") {
      const at = this.kernelParams.get(variable);
      if (at !== undefined) {
        return { kind: "addr", space: "param", symbol: -1, offset: at + offset };
      }
      return { kind: "slot", slot: this.slotOf(variable, frame), offset };
    }
    if (variable.space === "local") {
      let at = frame.locals.get(variable);
      if (at === undefined) {
        at = alignUp(this.localBytes, variable.align);
        this.localBytes = at + variable.bytes;
        frame.locals.set(variable, at);
      }
      return { kind: "addr", space: "local", symbol: -1, offset: at + offset };
    }
    if (variable.space === "shared") return this.placeShared(variable, offset);
    return { kind: "addr", space: "global", symbol: this.global(variable), offset };
  }

  private placeShared(variable: Variable, offset: number): Value {
    if (variable.unsized) {
      this.usesDynamicShared = true;
      this.dynamicAlign = Math.max(this.dynamicAlign, variable.align);
      // Behind the static variables, whose size is known when lowering ends.
      return { kind: "addr", space: "shared", symbol: 0, offset };
    }
    let at = this.shared.get(variable);
    if (at === undefined) {
      at = alignUp(this.sharedBytes, variable.align);
      this.sharedBytes = at + variable.bytes;
      this.shared.set(variable, at);
    }
    return { kind: "addr", space: "shared", symbol: -1, offset: at + offset };
  }

  private global(variable: Variable): number {
    let index = this.globalIndex.get(variable.name);
    if (index === undefined) {
      index = this.globals.push(variable.name) - 1;
      this.globalIndex.set(variable.name, index);
      if (variable.init !== null) this.formats.set(index, variable.init);
    }
    return index;
  }

  private slotOf(variable: Variable, frame: Frame): number {
    let slot = frame.slots.get(variable);
    if (slot === undefined) {
      slot = this.slots.push({ bytes: variable.bytes, align: variable.align }) - 1;
      frame.slots.set(variable, slot);
    }
    return slot;
  }

  private guardedCall(item: Instruction, frame: Frame, guard: Guard | null): void {
    const skip = guard === null ? -1 : this.newLabel();
    if (guard !== null) {
      const not = { reg: guard.reg, negated: !guard.negated };
      this.emit("bra", [], [], [this.number(skip)], item.line, not, frame.fn.name);
    }
    this.call(item, frame);
    if (skip >= 0) this.code.push(skip);
  }

  private call(item: Instruction, frame: Frame): void {
    const at = item.operands.findIndex((o) => o.kind === "func");
    const callee = item.operands[at];
    if (callee?.kind !== "func") {
      throw new PtxError("a call through a pointer is not supported", item.line, null, "call");
    }
    const listed = (operand: Operand | undefined): readonly Operand[] =>
      operand?.kind === "list" ? operand.items : [];
    const results = at > 0 ? listed(item.operands[0]) : [];
    const args = listed(item.operands[at + 1]);
    if (this.builtin(callee.name, results, args, item, frame)) return;
    const fn = this.module.functions.get(callee.name);
    if (fn === undefined || fn.body === null) {
      throw new PtxError(`function '${callee.name}' has no body here`, item.line, null, "call");
    }
    if (this.active.has(fn.name)) {
      throw new PtxError(`function '${fn.name}' calls itself`, item.line, null, "call");
    }
    if (args.length !== fn.params.length || results.length !== fn.results.length) {
      throw new PtxError(`the call of '${fn.name}' does not fit its parameters`, item.line);
    }
    const slots = new Map<Variable, number>();
    const regBase = this.registers.length;
    const copies: [Value, Value, Register][] = [];
    fn.params.forEach((formal, i) => {
      this.bind(formal, args[i], fn, slots, regBase, copies, item, frame);
    });
    const moves: [Value, Value, Register][] = [];
    fn.results.forEach((formal, i) => {
      this.bind(formal, results[i], fn, slots, regBase, moves, item, frame);
    });
    // Into the registers that the expansion is about to declare.
    for (const [to, from, { type }] of copies) this.move(to, from, type, item, frame);
    const end = this.newLabel();
    this.expand(fn, slots, end, frame.depth + 1);
    this.code.push(end);
    for (const [to, from, { type }] of moves) this.move(from, to, type, item, frame);
  }

  private move(to: Value, from: Value, type: Type, item: Instruction, frame: Frame): void {
    const name = type.kind === "pred" ? "pred" : `b${Math.max(16, type.bits)}`;
    this.emit("mov", [name], [to], [from], item.line, null, frame.fn.name);
  }

  private bind(
    formal: Variable | number,
    actual: Operand | undefined,
    fn: PtxFunction,
    slots: Map<Variable, number>,
    regBase: number,
    copies: [Value, Value, Register][],
    item: Instruction,
    frame: Frame,
  ): void {
    if (actual === undefined) throw new PtxError("a call lacks an argument", item.line);
    if (typeof formal !== "number") {
      if (actual.kind === "var" && actual.variable.space === "param") {
        slots.set(formal, this.slotOf(actual.variable, frame));
        return;
      }
      // A register or constant for a formal in the parameter space.
      const slot = this.slots.push({ bytes: formal.bytes, align: formal.align }) - 1;
      slots.set(formal, slot);
      const type = `b${Math.min(64, formal.bytes * 8)}`;
      const to: Value = { kind: "mem", base: { kind: "slot", slot, offset: 0 }, offset: 0 };
      const from = this.value(actual, frame, item);
      this.emit("st", ["param", type], [], [to, from], item.line, null, frame.fn.name);
      return;
    }
    const register = fn.registers[formal];
    if (register === undefined) throw new PtxError("a formal register is missing", item.line);
    copies.push([reg(regBase + formal), this.value(actual, frame, item), register]);
  }

  /** The runtime functions that have no body: printf, assert. True if it was one. */
  private builtin(
    name: string,
    results: readonly Operand[],
    args: readonly Operand[],
    item: Instruction,
    frame: Frame,
  ): boolean {
    if (name === "__assertfail" || name === "__assert_fail") {
      this.emit("$assert", [], [], [], item.line, null, frame.fn.name);
      return true;
    }
    if (name !== "vprintf") return false;
    const values = args.map((arg) => this.argument(arg, item, frame));
    const result = this.newRegister("%printf", B32);
    this.emit("$printf", ["b32"], [reg(result)], values, item.line, null, frame.fn.name);
    const to = results[0];
    if (to?.kind === "var") {
      const base = this.place(to.variable, 0, frame);
      const mem: Value = { kind: "mem", base, offset: 0 };
      this.emit("st", ["param", "b32"], [], [mem, reg(result)], item.line, null, frame.fn.name);
    }
    return true;
  }

  /** A 64-bit argument of a built-in function, in a register. */
  private argument(arg: Operand, item: Instruction, frame: Frame): Value {
    const value = this.value(arg, frame, item);
    if (value.kind !== "slot") return value;
    const into = this.newRegister("%arg", B64);
    const mem: Value = { kind: "mem", base: value, offset: 0 };
    this.emit("ld", ["param", "b64"], [reg(into)], [mem], item.line, null, frame.fn.name);
    return reg(into);
  }
}

export function lowerKernel(
  module: ParsedModule,
  entry: PtxFunction,
  limits: PtxLimits,
): FlatKernel {
  const lowering = new Lowering(module, entry, limits);
  lowering.run();
  const resolved = resolveSlots(lowering.code, lowering.slots, lowering.localBytes, (name, type) =>
    lowering.newRegister(name, type),
  );
  return {
    name: entry.name,
    line: entry.line,
    registers: lowering.registers,
    code: resolved.code,
    labels: lowering.labels,
    branchTargets: lowering.branchTargets,
    params: lowering.params,
    paramBytes: lowering.paramBytes,
    globals: lowering.globals,
    sharedBytes: lowering.sharedBytes,
    dynamicSharedAt: alignUp(lowering.sharedBytes, lowering.dynamicAlign),
    usesDynamicShared: lowering.usesDynamicShared,
    localBytes: resolved.localBytes,
    formats: lowering.formats,
  };
}
