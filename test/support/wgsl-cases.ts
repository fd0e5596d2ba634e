// SPDX-License-Identifier: Apache-2.0
/**
 * The shaders of test/support/shaders, data for their arguments, and launch plans in which those
 * arguments are bound in a chosen way, whatever planLaunch would choose.
 */
import { readdirSync, readFileSync } from "node:fs";
import type {
  EntryInfo,
  LaunchArgument,
  LaunchPlan,
  ModuleInfo,
  PlannedRange,
  ResourceInfo,
} from "../../src/kernel/wgsl/index.js";
import { COPY_UNIT, reflectModule } from "../../src/kernel/wgsl/index.js";
import type { LaidType } from "../../src/kernel/wgsl/types.js";
import { isLaid } from "../../src/kernel/wgsl/types.js";

export interface Shader {
  readonly name: string;
  readonly source: string;
  readonly module: ModuleInfo;
}

export function loadShaders(): Shader[] {
  const folder = new URL("./shaders/", import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith(".wgsl"))
    .map((file) => {
      const source = readFileSync(new URL(file, folder), "utf8");
      return { name: file.replace(".wgsl", ""), source, module: reflectModule(source) };
    });
}

/** Small numbers that repeat: exact in every type, also as an index or a count. */
class Filler {
  private n = 0;

  constructor(private readonly view: DataView) {}

  fill(type: LaidType, at: number, bytes: number): void {
    switch (type.kind) {
      case "scalar":
      case "atomic":
        this.scalar(type.kind === "atomic" ? type.element.name : type.name, at);
        return;
      case "vector":
        this.repeat(type.element, at, type.count, type.element.size);
        return;
      case "matrix":
        this.repeat(type.column, at, type.columns, type.stride);
        return;
      case "array":
        if (isLaid(type.element)) {
          const count = type.count ?? Math.floor(bytes / type.stride);
          this.repeat(type.element, at, count, type.stride);
        }
        return;
      case "struct":
        for (const member of type.members) {
          if (isLaid(member.type))
            this.fill(member.type, at + member.offset, bytes - member.offset);
        }
    }
  }

  private repeat(type: LaidType, at: number, count: number, stride: number): void {
    for (let i = 0; i < count; i += 1) this.fill(type, at + i * stride, stride);
  }

  private scalar(name: string, at: number): void {
    this.n = (this.n * 5 + 3) % 16;
    if (name === "f16") this.view.setUint16(at, 0x3c00 + this.n * 64, true);
    else if (name === "f32") this.view.setFloat32(at, this.n * 0.25 + 0.5, true);
    else this.view.setUint32(at, this.n, true);
  }
}

export function sampleBytes(resource: ResourceInfo, elements: number): Uint8Array {
  const extra = resource.hasRuntimeArray ? (elements - 1) * resource.elementStrideBytes : 0;
  const bytes = new Uint8Array(resource.minBytes + extra);
  new Filler(new DataView(bytes.buffer)).fill(resource.type, 0, bytes.length);
  return bytes;
}

/** How a test wants the storage arguments bound. */
export type Binding = "plain" | "typed" | "words" | "typed-shared" | "words-shared";

export interface Arranged {
  readonly memory: Uint8Array;
  readonly arguments: readonly LaunchArgument[];
  readonly plan: LaunchPlan;
  /** Where each storage argument's bytes are, by argument index. */
  readonly regions: ReadonlyMap<number, { offset: number; bytes: number }>;
}

function modeFor(resource: ResourceInfo, how: Binding): number {
  if (how === "plain") return 0;
  return how.startsWith("typed") && resource.element !== null ? 1 : 2;
}

/** A multiple of the element and of 4, and of nothing larger where that can be. */
function leadBytes(resource: ResourceInfo, how: Binding): number {
  if (how === "plain") return 0;
  if (modeFor(resource, how) === 2) return resource.alignBytes * 3;
  return resource.elementBytes * 2;
}

/**
 * Lays the sample data of all arguments out in one segment and binds it as asked: each argument
 * alone, or those of one element type ("typed-shared") or all ("words-shared") in one binding.
 */
export function arrange(entry: EntryInfo, how: Binding, elements: number): Arranged {
  const placed = place(entry, how, elements);
  const memory = new Uint8Array(Math.max(...placed.map((p) => p.offset + p.bytes.length)) + 512);
  const regions = new Map<number, { offset: number; bytes: number }>();
  const pointers = new Map<number, LaunchArgument>();
  const ranges: PlannedRange[] = [];
  const copies: PlannedRange[] = [];
  const slots: [number, number][] = [];
  let key = "";
  for (const { index, binding, start, offset, bytes } of placed) {
    memory.set(bytes, offset);
    regions.set(index, { offset, bytes: bytes.length });
    const end = offset + bytes.length;
    const common = { segment: 0, allocationStart: start, offset };
    pointers.set(index, { kind: "pointer", ...common, allocationBytes: end - start });
    if (binding < 0) continue;
    const first = ranges[binding]?.offset ?? start;
    ranges[binding] = { segment: 0, offset: first, bytes: Math.ceil((end - first) / 4) * 4 };
  }
  for (const { resource, binding, mode, start, offset, bytes } of byIndex(placed)) {
    key += String.fromCharCode(0x30 + Math.max(0, binding) * 4 + mode);
    if (mode === 0) continue;
    const base = offset - (binding < 0 ? start : (ranges[binding]?.offset ?? 0));
    const tail = bytes.length - resource.elementsOffsetBytes;
    const count = resource.hasRuntimeArray ? Math.floor(tail / resource.elementStrideBytes) : 1;
    slots.push([mode === 1 ? base / resource.elementBytes : base, count]);
    if (mode !== 3) continue;
    const units = Math.ceil((offset + bytes.length - start) / COPY_UNIT);
    copies.push({ segment: 0, offset: start, bytes: units * COPY_UNIT });
    key += String.fromCharCode(0x30 + units);
  }
  const params = new Uint32Array(Math.ceil(slots.length / 2) * 4);
  params.set(slots.flat());
  const plan = { key, storage: ranges, copies, params: slots.length > 0 ? params : null };
  const launchArguments = entry.resources.map((resource, index): LaunchArgument => {
    return pointers.get(index) ?? { kind: "value", bytes: sampleBytes(resource, elements) };
  });
  return { memory, arguments: launchArguments, plan, regions };
}

interface Placed {
  readonly index: number;
  readonly resource: ResourceInfo;
  readonly binding: number;
  readonly mode: number;
  readonly start: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

function byIndex(placed: readonly Placed[]): Placed[] {
  return [...placed].sort((a, b) => a.index - b.index);
}

/** In the order of addresses: those that share a binding lie side by side. */
function place(entry: EntryInfo, how: Binding, elements: number): Placed[] {
  const bindings = new Map<string, number>();
  const wanted = entry.resources.flatMap((resource, index) => {
    if (resource.kind === "uniform") return [];
    // Arguments that must be uniform are copied, however the others are bound; they have no range.
    if (entry.uniformReads.has(index)) return [{ index, resource, binding: -1, mode: 3 }];
    const shared = how === "words-shared" ? "all" : (resource.element?.text ?? String(index));
    const group = how.endsWith("shared") ? shared : String(index);
    const binding = bindings.get(group) ?? bindings.size;
    bindings.set(group, binding);
    return [{ index, resource, binding, mode: modeFor(resource, how) }];
  });
  wanted.sort((a, b) => a.binding - b.binding);
  let at = 0;
  return wanted.map((item) => {
    const bytes = sampleBytes(item.resource, elements);
    // Typed arguments lie at multiples of their element from the segment's start.
    const unit = item.mode === 1 ? 256 * item.resource.elementBytes : 256;
    const start = Math.ceil(at / unit) * unit;
    const lead = item.mode === 3 ? 3 * item.resource.alignBytes : leadBytes(item.resource, how);
    const offset = start + lead;
    at = offset + bytes.length;
    return { ...item, start, offset, bytes };
  });
}
