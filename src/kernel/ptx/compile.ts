// SPDX-License-Identifier: Apache-2.0
/** All passes over one kernel, and the WGSL module around its body. */
import { buildGraph, type Graph } from "./cfg.js";
import { demandedHigh } from "./demand.js";
import { atomicWide } from "./emit-atomic.js";
import { Emit, type EmitOptions, type UniformPlan } from "./emit-context.js";
import { compareDoubles, convertDouble } from "./emit-double.js";
import { compareTexts } from "./emit-float.js";
import { halfValue } from "./emit-half.js";
import { specialRegister } from "./emit-misc.js";
import { surfaceTraps } from "./emit-texture.js";
import { threadsOf, warpHelper } from "./emit-warp.js";
import { PtxError, type PtxLimits } from "./error.js";
import { DOUBLE_HELPERS } from "./helpers-double.js";
import { FLOAT_HELPERS } from "./helpers-float.js";
import { INT_HELPERS } from "./helpers-int.js";
import { textureHelper } from "./helpers-texture.js";
import type { FlatKernel, Inst, Value } from "./ir.js";
import { emitMachine, machineHelper } from "./machine.js";
import { cutBlocks, MaskedEmitter, type MaskPlan, planMasks } from "./masked.js";
import { MemoryHelpers } from "./memory.js";
import { SHARED_LOCKS_TEXT } from "./memory-wide.js";
import { NodeEmitter } from "./nodes.js";
import { constants, protectedSums } from "./numerics.js";
import { letRegisters, planMemory, planUniform, storageBarriers } from "./plan.js";
import { printfHelpers } from "./printf.js";
import { type Representation, representations } from "./representation.js";
import { accessMask, GLOBAL, inferSpaces, type SpaceMasks } from "./spaces.js";
import { type Node, structure } from "./structure.js";
import { isSync } from "./sync.js";
import { UniformityCheck } from "./uniform.js";

export const FAULT_GLOBAL = "__vgpu_fault";
export const PRINTF_GLOBAL = "__vgpu_printf";
/** Locks of 64-bit atomics. */
export const LOCKS_GLOBAL = "__vgpu_locks";
export const ENTRY_POINT = "ptx_main";

export interface Compiled {
  readonly wgsl: string;
  readonly globals: readonly string[];
  readonly uniformBytes: number;
  readonly atomicHeap: boolean;
  readonly mode: "structured" | "state-machine";
}

export interface Analysis {
  readonly graph: Graph;
  readonly masks: SpaceMasks;
  readonly reps: readonly Representation[];
  /** The structured program, null if the kernel needs the state machine. */
  readonly nodes: readonly Node[] | null;
  /** How threads that are apart meet; null if they never are when they need not. */
  readonly meeting: MaskPlan | null;
  readonly hasSync: boolean;
}

export function hasFault(kernel: FlatKernel): boolean {
  return kernel.code.some(
    (item) =>
      typeof item !== "number" &&
      (item.op === "trap" || item.op === "$assert" || surfaceTraps(item)),
  );
}

export const hasPrintf = (kernel: FlatKernel): boolean =>
  kernel.code.some((item) => typeof item !== "number" && item.op === "$printf");

const hasWideAtomics = (kernel: FlatKernel): boolean =>
  kernel.code.some(
    (item) =>
      typeof item !== "number" &&
      (item.op === "atom" || item.op === "red") &&
      item.types[0]?.bits === 64,
  );

export function analyseKernel(
  kernel: FlatKernel,
  options: Pick<EmitOptions, "segments" | "checked" | "block">,
  limits: PtxLimits,
): Analysis {
  const graph = buildGraph(kernel);
  const { blocks } = graph;
  const masks = inferSpaces(kernel, blocks);
  const isTagged = options.segments > 1 || options.checked;
  const needsHigh = (inst: Inst, value: Value): boolean => {
    if (inst.op === "cp") return isTagged;
    const mask = accessMask(inst, value, masks);
    return mask === GLOBAL ? isTagged : (mask & (mask - 1)) !== 0;
  };
  const high = demandedHigh(kernel, blocks, masks, { needsHigh });
  const reps = representations(kernel, blocks, (reg) => high[reg] === true);
  const hasSync = blocks.some((block) => block.insts.some(isSync));
  let meeting: MaskPlan | null = null;
  let nodes = structure(graph, !hasSync, limits.nestingMax);
  if (nodes !== null && hasSync) {
    const check = new UniformityCheck(kernel.registers.length);
    check.run(nodes);
    if (check.stray.size > 0) {
      const [x, y, z] = options.block;
      meeting = planMasks(nodes, blocks, check, x * y * z);
      if (meeting === null) nodes = null;
    }
  }
  return { graph, masks, reps, nodes, meeting, hasSync };
}

/** Follows moves of a register that is written once, to a global variable's initial bytes. */
function formatFinder(kernel: FlatKernel, graph: Graph): (value: Value) => Uint8Array | null {
  const single = new Map<number, Inst | null>();
  for (const block of graph.blocks) {
    for (const inst of block.insts) {
      const dst = inst.dst[0];
      if (dst?.kind === "reg") single.set(dst.reg, single.has(dst.reg) ? null : inst);
    }
  }
  return (start) => {
    let value: Value | undefined = start;
    for (let steps = 0; steps < 32; steps += 1) {
      if (value?.kind === "addr" && value.space === "global" && value.offset === 0) {
        return kernel.formats.get(value.symbol) ?? null;
      }
      if (value?.kind !== "reg") return null;
      const inst = single.get(value.reg);
      if (inst === undefined || inst === null) return null;
      if (inst.op !== "mov" && inst.op !== "cvta") return null;
      value = inst.src[0];
    }
    return null;
  };
}

/** Every helper that the body and other helpers use, as WGSL. */
function helperTexts(e: Emit, memory: MemoryHelpers, printfAt: number): string[] {
  const texts: string[] = [];
  const done = new Set<string>();
  const threads = threadsOf(e);
  const isPlain = e.options.segments === 1 && !e.options.checked;
  for (let grown = true; grown; ) {
    grown = false;
    for (const name of [...e.helpers]) {
      if (done.has(name)) continue;
      done.add(name);
      grown = true;
      if (memory.add(name)) continue;
      const library =
        INT_HELPERS[name] ??
        FLOAT_HELPERS[name] ??
        DOUBLE_HELPERS[name] ??
        textureHelper(name, isPlain);
      const made = warpHelper(name, threads) ?? machineHelper(name, threads);
      const text = library?.text ?? made ?? OTHER_HELPERS[name] ?? null;
      for (const need of (library?.needs ?? "").split(" ")) if (need !== "") e.helpers.add(need);
      if (text !== null) texts.push(text);
      else if (name.startsWith("printf_")) {
        texts.push(printfHelpers(name, e, printfAt));
      } else throw new PtxError(`the helper ${name} is missing`, e.kernel.line);
    }
  }
  return texts;
}

const OTHER_HELPERS: Readonly<Record<string, string>> = {
  clock: "var<private> clk: u32;\nfn clock() -> u32 { clk += 1u; return clk; }",
  exchange: "",
  uniform: "",
  any_thread: "var<workgroup> wa: array<atomic<u32>, 3>;",
  shared_locks: SHARED_LOCKS_TEXT,
};

/** Helpers that read the thread's number or the exchange area. */
const NEEDS_LIX = /^(ballot|matching|redux_|block_sum|warp_ready|machine_sum)/;

function declarations(e: Emit, sharedBytes: number): string[] {
  const { options, memory, uniform, kernel } = e;
  const heap = memory.atomicHeap ? "atomic<u32>" : "u32";
  const lines = [
    "requires immediate_address_space;",
    "struct Slice { offset: vec3<u32>, grid: vec3<u32> }",
    "var<immediate> sl: Slice;",
  ];
  for (let i = 0; i < options.segments; i += 1) {
    lines.push(`@group(0) @binding(${i}) var<storage, read_write> m${i}: array<${heap}>;`);
  }
  const vectors = Math.max(1, uniform.words / 4);
  lines.push(
    `@group(0) @binding(${options.segments}) var<uniform> cb: array<vec4<u32>, ${vectors}>;`,
  );
  const shared = Math.ceil(sharedBytes / 4);
  const word = memory.atomicShared ? "atomic<u32>" : "u32";
  lines.push(`var<workgroup> sh: array<${word}, ${Math.max(1, shared)}>;`);
  lines.push(`var<private> lo: array<u32, ${Math.max(1, Math.ceil(kernel.localBytes / 4))}>;`);
  if (e.helpers.has("exchange")) {
    lines.push(`var<workgroup> wx: array<u32, ${2 * threadsOf(e)}>;`);
  }
  if (e.helpers.has("uniform")) lines.push("var<workgroup> wu: u32;");
  if (mayFault(e)) lines.push("var<private> who: vec2u;");
  return lines;
}

/** Checks of addresses bring their fault helper along by themselves. */
const mayFault = (e: Emit): boolean => e.options.checked || e.helpers.has("fault");

function mainHead(e: Emit, isLet: Uint8Array, used: Uint8Array, usesFlag: boolean): string[] {
  const [x, y, z] = e.options.block;
  const isShared = [...e.helpers].some((name) => NEEDS_LIX.test(name));
  const lines = [
    `@compute @workgroup_size(${x}, ${y}, ${z})`,
    `fn ${ENTRY_POINT}(@builtin(local_invocation_id) tid: vec3u, @builtin(local_invocation_index) li: u32, @builtin(workgroup_id) wid: vec3u) {`,
    "  let cta = wid + sl.offset;",
    isShared ? "  lix = li;" : "  let lix = li;",
  ];
  if (e.helpers.has("zero")) lines.push("  let rz = sl.grid.x >> 31u;");
  if (e.helpers.has("carry")) lines.push("  var cc = 0u;");
  if (e.helpers.has("exchange") && !isShared) lines.push("  var ph = 0u;");
  if (e.helpers.has("any_thread")) lines.push("  var wt = 0u;");
  if (usesFlag) lines.push("  var jt = 0u;");
  if (mayFault(e)) {
    lines.push("  who = vec2u((cta.z * sl.grid.y + cta.y) * sl.grid.x + cta.x, li);");
  }
  const types = { bool: "bool", u32: "u32", f32: "f32", wide: "vec2u" } as const;
  e.kernel.registers.forEach((_, reg) => {
    if (used[reg] === 1 && isLet[reg] !== 1) {
      lines.push(`  var ${e.name(reg)}: ${types[e.rep(reg)]};`);
    }
  });
  return lines;
}

function usedRegisters(kernel: FlatKernel, text: readonly string[]): Uint8Array {
  const used = new Uint8Array(kernel.registers.length);
  for (const line of text) {
    for (const match of line.matchAll(/\br(\d+)\b/g)) used[Number(match[1])] = 1;
  }
  return used;
}

function checkLimits(kernel: FlatKernel, options: EmitOptions, sharedBytes: number): void {
  const [x, y, z] = options.block;
  const threads = x * y * z;
  if (!(threads >= 1 && threads <= options.blockThreadsMax)) {
    throw new PtxError(
      `a block of ${threads} threads exceeds ${options.blockThreadsMax}`,
      kernel.line,
      kernel.name,
    );
  }
  if (sharedBytes > options.sharedBytesMax) {
    throw new PtxError(
      `${sharedBytes} bytes of shared memory exceed ${options.sharedBytesMax}`,
      kernel.line,
      kernel.name,
    );
  }
}

function createEmit(
  kernel: FlatKernel,
  options: EmitOptions,
  limits: PtxLimits,
  analysis: Analysis,
  uniform: UniformPlan,
): Emit {
  const { masks, graph, reps } = analysis;
  const memory = planMemory(graph.blocks, masks, options);
  const e = new Emit(kernel, options, masks, reps, memory, uniform, limits);
  e.special = (name) => specialRegister(e, name);
  e.constantOf = constants(kernel, graph.blocks);
  const sums = protectedSums(graph.blocks, e.constantOf);
  e.isProtected = (inst) => sums.has(inst);
  const barriers = storageBarriers(graph.blocks, masks);
  e.needsStorageBarrier = (inst) => barriers.has(inst);
  e.formatOf = formatFinder(kernel, graph);
  e.compareOther = (op, type, a, b) => {
    if (type.bits === 64) return compareDoubles(e, op, a, b);
    return compareTexts(e, op, halfValue(e, a, type), halfValue(e, b, type));
  };
  e.atomic64 = (inst, op, place, address) => atomicWide(e, inst, op, place, address);
  e.convertOther = (inst, to, from) => convertDouble(e, inst, to, from);
  return e;
}

export function compileKernel(
  kernel: FlatKernel,
  options: EmitOptions,
  limits: PtxLimits,
): Compiled {
  const sharedBytes = kernel.usesDynamicShared
    ? kernel.dynamicSharedAt + options.dynamicSharedBytes
    : kernel.sharedBytes;
  checkLimits(kernel, options, sharedBytes);
  const globals = [...kernel.globals];
  const faultIndex = options.checked || hasFault(kernel) ? globals.push(FAULT_GLOBAL) - 1 : -1;
  const printfIndex = hasPrintf(kernel) ? globals.push(PRINTF_GLOBAL) - 1 : -1;
  const locksIndex = hasWideAtomics(kernel) ? globals.push(LOCKS_GLOBAL) - 1 : -1;
  const uniform = planUniform(kernel.paramBytes, globals.length, options.segments, options.checked);
  const analysis = analyseKernel(kernel, options, limits);
  const e = createEmit(kernel, options, limits, analysis, uniform);
  const { graph, nodes } = analysis;
  let isLet: Uint8Array;
  let usesFlag = false;
  if (nodes !== null) {
    const { meeting } = analysis;
    const blocks = meeting === null ? graph.blocks : cutBlocks(graph.blocks, meeting);
    isLet = letRegisters(kernel, blocks);
    e.isLet = (reg) => isLet[reg] === 1;
    const emitter = new NodeEmitter(e);
    e.isUniform = meeting === null;
    if (meeting === null) emitter.list(nodes);
    else new MaskedEmitter(e, emitter, meeting).run(nodes);
    usesFlag = emitter.usesFlag;
  } else isLet = emitMachine(e, graph);
  const body = e.lines;
  const memory = new MemoryHelpers(
    options,
    e.memory,
    uniform,
    sharedBytes,
    kernel.localBytes,
    (name) => e.use(name),
    uniform.globalsAt + faultIndex * 2,
    uniform.globalsAt + locksIndex * 2,
  );
  const helpers = helperTexts(e, memory, uniform.globalsAt + printfIndex * 2);
  const isShared = [...e.helpers].some((name) => NEEDS_LIX.test(name));
  const head = mainHead(e, isLet, usedRegisters(kernel, body), usesFlag);
  const parts = [
    ...declarations(e, sharedBytes),
    ...(isShared ? ["var<private> lix: u32;", "var<private> ph: u32;"] : []),
    memory.text(),
    ...helpers,
    ...head,
    ...body,
    "}",
  ];
  return {
    wgsl: `${parts.filter((part) => part !== "").join("\n")}\n`,
    globals,
    uniformBytes: Math.max(16, uniform.words * 4),
    atomicHeap: e.memory.atomicHeap,
    mode: nodes === null ? "state-machine" : "structured",
  };
}
