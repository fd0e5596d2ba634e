// SPDX-License-Identifier: Apache-2.0
/**
 * The state machine: for programs whose threads meet at barriers or in warps by different ways.
 * Every block of code is a state; each thread runs until it waits or has ended, then all threads
 * meet in one uniform place, and those whose barrier or warp is complete go on.
 *
 *   loop {
 *     loop { switch pc { … } }      each thread alone, until it waits
 *     publish                       its state, and its word for the others
 *     workgroupUniformLoad          the only barrier; ends when no thread can go on
 *     switch pc { … }               those that are complete take their results
 *   }
 *
 * Counters and the exchange area take turns, so that one meeting a round is enough: a counter is
 * cleared two rounds before its next use.
 */
import { type Graph, splitBlocks } from "./cfg.js";
import { emitInsts } from "./emit-block.js";
import type { Emit } from "./emit-context.js";
import {
  barrierWord,
  setReduced,
  threadsOf,
  WARP_OPERATIONS,
  type WarpOperation,
} from "./emit-warp.js";
import type { Block, Condition, Inst, Value } from "./ir.js";
import { hasMod } from "./ir.js";
import { letRegisters } from "./plan.js";
import { isBarrier, isSync } from "./sync.js";

/** Barriers of a block by number, as in PTX. */
const BARRIERS = 16;
/** Counters of a round: threads that cannot go on, threads that ended, arrivals by barrier. */
const COUNTERS = 2 + BARRIERS;

/** The state of a thread that has ended. */
const ENDED = 0xffff_ffff;

/** bar.warp.sync exchanges nothing. */
const WARP_BARRIER: WarpOperation = {
  word: () => "0u",
  finish: () => {},
  members: (e, inst) => (inst.src[0] === undefined ? "0xffffffffu" : e.u(inst.src[0])),
};

class Machine {
  private readonly states: number[];
  private readonly firstWaiting: number;

  constructor(
    private readonly e: Emit,
    private readonly graph: Graph,
  ) {
    const { blocks } = graph;
    this.states = blocks.map(() => -1);
    let next = 0;
    for (const block of blocks) {
      if (!this.isWaiting(block) && !this.isEnd(block)) this.states[block.id] = next++;
    }
    this.firstWaiting = next;
    for (const block of blocks) if (this.isWaiting(block)) this.states[block.id] = next++;
    for (const block of blocks) if (this.isEnd(block)) this.states[block.id] = ENDED;
  }

  private isWaiting(block: Block): boolean {
    const first = block.insts[0];
    return first !== undefined && isSync(first);
  }

  private isEnd(block: Block): boolean {
    return block.term.kind === "exit" && block.insts.length === 0;
  }

  private state(block: number): string {
    return `${this.states[block] ?? ENDED}u`;
  }

  private conditionText(condition: Condition): string {
    const { e } = this;
    if (condition.kind === "equals") return `${e.u(condition.value)} == ${condition.index}u`;
    return e.p({ kind: "reg", reg: condition.reg, negated: condition.negated });
  }

  private leave(block: Block): void {
    const { term } = block;
    if (term.kind === "exit") this.e.line(`pc = ${ENDED}u;`);
    else if (term.kind === "jump") this.e.line(`pc = ${this.state(term.to)};`);
    else {
      const test = this.conditionText(term.condition);
      this.e.line(`pc = select(${this.state(term.no)}, ${this.state(term.yes)}, ${test});`);
    }
  }

  private inner(work: () => void): void {
    const outer = this.e.indent;
    this.e.indent = `${outer}  `;
    work();
    this.e.indent = outer;
  }

  private cases(blocks: readonly Block[], work: (block: Block) => void): void {
    const { e } = this;
    e.line("switch pc {");
    this.inner(() => {
      for (const block of blocks) {
        e.line(`case ${this.state(block.id)}: {`);
        this.inner(() => work(block));
        e.line("}");
      }
      e.line("default: {}");
    });
    e.line("}");
  }

  private barrierId(inst: Inst): string {
    const id: Value | undefined =
      hasMod(inst, "red") && inst.src.length < 2 ? undefined : inst.src[0];
    if (id === undefined) return "0u";
    return id.kind === "imm" ? `${Number(id.value) & (BARRIERS - 1)}u` : `(${this.e.u(id)} & 15u)`;
  }

  private operation(inst: Inst): WarpOperation {
    const operation = inst.op === "bar" ? WARP_BARRIER : WARP_OPERATIONS[inst.op];
    if (operation === undefined) throw this.e.fail();
    return operation;
  }

  private publish(block: Block): void {
    const { e } = this;
    const inst = block.insts[0];
    if (inst === undefined) return;
    e.inst = inst;
    if (!isBarrier(inst)) {
      if (inst.op !== "bar" && !hasMod(inst, "sync")) throw e.fail("in divergent control flow");
      const word = this.operation(inst).word(e, inst);
      if (word !== "0u") e.line(`wx[ph + lix] = ${word};`);
      return;
    }
    if (hasMod(inst, "arrive")) throw e.fail();
    if (hasMod(inst, "red")) e.line(`wx[ph + lix] = ${barrierWord(e, inst)};`);
    e.line(`atomicAdd(&mc[rc + 2u + ${this.barrierId(inst)}], 1u);`);
  }

  private readiness(inst: Inst): string {
    const { e } = this;
    if (!isBarrier(inst)) {
      return `${e.use("warp_ready")}(${this.operation(inst).members(e, inst)}, pc)`;
    }
    const arrived = `atomicLoad(&mc[rc + 2u + ${this.barrierId(inst)}])`;
    const count = hasMod(inst, "red") ? inst.src.at(-2) : inst.src[1];
    const hasCount = hasMod(inst, "red") ? inst.src.length > 2 : inst.src.length > 1;
    if (hasCount && count !== undefined) {
      const isAll = count.kind === "imm" && Number(count.value) >= threadsOf(e);
      if (!isAll) return `${arrived} == ${e.u(count)}`;
    }
    return `${arrived} + atomicLoad(&mc[rc + 1u]) == ${threadsOf(e)}u`;
  }

  private resume(block: Block): void {
    const { e } = this;
    const inst = block.insts[0];
    if (inst === undefined) return;
    e.inst = inst;
    e.line(`if (${this.readiness(inst)}) {`);
    this.inner(() => {
      if (!isBarrier(inst)) this.operation(inst).finish(e, inst);
      else if (hasMod(inst, "red")) {
        const t = e.bind(`${e.use("machine_sum")}(pc)`);
        setReduced(e, inst, `${t}.x`, `${t}.y`);
      }
      this.leave(block);
      e.line("stuck = 0u;");
    });
    e.line("}");
  }

  emit(hasStorageBarrier: boolean): void {
    const { e } = this;
    const threads = threadsOf(e);
    const { blocks } = this.graph;
    const running = blocks.filter((b) => !this.isWaiting(b) && !this.isEnd(b));
    const waiting = blocks.filter((b) => this.isWaiting(b));
    e.use("exchange");
    e.use("machine");
    e.isUniform = false;
    const exists = threads % 32 === 0 ? () => "" : (index: string) => `${index} < ${threads}u && `;
    e.meets = (index) => `${exists(index)}ms[ph + ${index}] == pc`;
    e.line(`var pc = ${this.state(0)};`);
    e.line("var rc = 0u;");
    e.line("var stuck = 0u;");
    e.line("loop {");
    this.inner(() => {
      e.line("loop {");
      this.inner(() => {
        e.line(`if (pc >= ${this.firstWaiting}u) { break; }`);
        this.cases(running, (block) => {
          emitInsts(e, block.insts);
          this.leave(block);
        });
      });
      e.line("}");
      e.line("ms[ph + lix] = pc;");
      e.line(`if (pc == ${ENDED}u) { atomicAdd(&mc[rc + 1u], 1u); stuck = 1u; }`);
      e.line("if (stuck == 1u) { atomicAdd(&mc[rc], 1u); }");
      this.cases(waiting, (block) => this.publish(block));
      if (hasStorageBarrier) e.line("storageBarrier();");
      e.line("let gone = workgroupUniformLoad(&mc[rc]);");
      e.line(`if (gone == ${threads}u) { break; }`);
      e.line(`let rn = (rc + ${2 * COUNTERS}u) % ${3 * COUNTERS}u;`);
      e.line(
        `if (lix == 0u) { for (var i = 0u; i < ${COUNTERS}u; i++) { atomicStore(&mc[rn + i], 0u); } }`,
      );
      e.line("stuck = 1u;");
      this.cases(waiting, (block) => this.resume(block));
      e.line(`rc = (rc + ${COUNTERS}u) % ${3 * COUNTERS}u;`);
      e.line(`ph = ${threads}u - ph;`);
    });
    e.line("}");
  }
}

/** Emits the body; gives the registers that are `let`. */
export function emitMachine(e: Emit, graph: Graph): Uint8Array {
  const split = splitBlocks(graph, e.kernel, isSync);
  const isLet = letRegisters(e.kernel, split.blocks);
  e.isLet = (reg) => isLet[reg] === 1;
  const barriers = split.blocks.flatMap((block) => block.insts.filter(isBarrier));
  new Machine(e, split).emit(barriers.some((inst) => e.needsStorageBarrier(inst)));
  return isLet;
}

/** Module-scope declarations and functions of the machine. */
export function machineHelper(name: string, threads: number): string | null {
  if (name === "machine") {
    return `var<workgroup> ms: array<u32, ${2 * threads}>;
var<workgroup> mc: array<atomic<u32>, ${3 * COUNTERS}>;`;
  }
  if (name === "warp_ready") {
    return `fn warp_ready(m: u32, pc: u32) -> bool {
  let base = lix & ~31u; let n = min(32u, ${threads}u - base);
  for (var i = 0u; i < n; i++) {
    let s = ms[ph + base + i];
    if (((m >> i) & 1u) == 1u && s != pc && s != 0xffffffffu) { return false; }
  }
  return true;
}`;
  }
  if (name === "machine_sum") {
    return `fn machine_sum(pc: u32) -> vec2u {
  var r = vec2u();
  for (var i = 0u; i < ${threads}u; i++) {
    if (ms[ph + i] == pc) { r += vec2u(wx[ph + i], 1u); }
  }
  return r;
}`;
  }
  return null;
}
