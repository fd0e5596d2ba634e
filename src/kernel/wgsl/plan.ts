// SPDX-License-Identifier: Apache-2.0
/**
 * Launch arguments → bindings. Runs on every launch: a few loops over the arguments, no parsing.
 *
 * All memory of a context lies in a few large buffers, and WebGPU refuses a buffer that is bound
 * read-only and read-write in one dispatch, or one range twice read-write. So all storage is bound
 * read-write, and arguments that point into one allocation share one binding. Each binding has a
 * mode, which the rewritten kernel is made for:
 *
 *   plain   every argument starts at the binding's start and has the same type: the kernel's own
 *           variable, at no cost. The usual case.
 *   typed   an array of the arguments' common element type, each with a base index.
 *   words   an array of 32-bit words, with loads and stores made of them: arguments of different
 *           types, or at offsets that are no multiple of the element.
 *   copy    words again, but in a uniform buffer into which the argument is copied before the
 *           launch: for small read-only arguments whose values decide control flow around
 *           barriers, which the compiler accepts of uniform memory only (uniformity.ts).
 *
 * The key names who shares with whom and the modes; bases and lengths travel in a hidden uniform,
 * so that one pipeline serves every address.
 *
 *   hidden uniform, u32 words, two per storage argument that is not plain, in argument order:
 *     [base: elements (typed) or bytes (others)] [count: elements of the runtime-sized array]
 *   padded to 16 bytes.
 */
import { Status, VGPU } from "../../protocol/generated/wire.js";
import { WgslError } from "./error.js";
import type { EntryInfo, ResourceInfo } from "./reflect.js";

export interface PointerArgument {
  readonly kind: "pointer";
  /** Anything that identifies the segment. */
  readonly segment: number;
  /** The allocation that the pointer points into: its offset in the segment and bytes. */
  readonly allocationStart: number;
  readonly allocationBytes: number;
  /** Where it points, bytes from the segment's start. */
  readonly offset: number;
}

export interface ValueArgument {
  readonly kind: "value";
  readonly bytes: Uint8Array;
}

export type LaunchArgument = PointerArgument | ValueArgument;

export interface PlanLimits {
  /** Alignment of a storage binding's offset, bytes: a power of two, at most 256. */
  readonly storageOffsetAlign: number;
  /** Most storage bindings of a pipeline. */
  readonly storageBindingsMax: number;
  /** Most uniform bindings, the hidden one included. */
  readonly uniformBindingsMax: number;
  /** Most bytes of a uniform binding. */
  readonly uniformBytesMax: number;
}

export type BindingMode = "plain" | "typed" | "words" | "copy";

/** Which arguments share a binding, and how it is represented. */
export interface ShapeBinding {
  readonly mode: BindingMode;
  /** Indices into the entry's resources, ascending. */
  readonly arguments: readonly number[];
  /** Bytes of a copy, a multiple of COPY_UNIT; 0 for the others. */
  readonly bytes: number;
}

/** Copies start and end at multiples of this, as allocations do. */
export const COPY_UNIT = 256;

export interface PlannedRange {
  readonly segment: number;
  /** A multiple of storageOffsetAlign. */
  readonly offset: number;
  /** A multiple of 4. */
  readonly bytes: number;
}

export interface LaunchPlan {
  /** Same key, same pipeline, for one entry point. "" is the plain, distinct case. */
  readonly key: string;
  /** In the order of the shape's storage bindings. */
  readonly storage: readonly PlannedRange[];
  /**
   * Memory to copy into uniform buffers before the launch, in the order of the shape's copies.
   * They follow the uniform arguments in the rewritten kernel's bindings.
   */
  readonly copies: readonly PlannedRange[];
  /** Words of the hidden uniform, or null where the kernel needs none. */
  readonly params: Uint32Array | null;
}

const [PLAIN, TYPED, WORDS, COPY] = [0, 1, 2, 3];
const MODES: readonly BindingMode[] = ["plain", "typed", "words", "copy"];
/**
 * First character of a key's alphabet: a character per storage argument, group * 4 + mode, and
 * after that of a copy one for its units.
 */
const KEY_BASE = 0x30;
const NO_RANGES: readonly PlannedRange[] = [];

/** Arguments that share a binding. A class: made on each launch, and literals spread are slow. */
class Group {
  shared = false;
  readonly end: number;

  constructor(
    readonly index: number,
    readonly first: PointerArgument,
    readonly resource: ResourceInfo,
    public start: number,
    public mode: number,
    public bytes: number,
  ) {
    this.end = first.allocationStart + first.allocationBytes;
  }
}

/** A plan in the making. */
interface Draft {
  readonly entry: EntryInfo;
  readonly limits: PlanLimits;
  /** By argument; null for uniforms. */
  readonly pointers: (PointerArgument | null)[];
  readonly groupOf: (Group | null)[];
  readonly groups: Group[];
  readonly copies: Group[];
}

function fail(status: Status, index: number, resource: ResourceInfo, text: string): never {
  throw new WgslError(status, `argument ${index} ('${resource.name}') ${text}`).forArgument(index);
}

function checkUniform(argument: LaunchArgument, index: number, resource: ResourceInfo): void {
  const bytes = resource.minBytes;
  if (argument.kind === "value") {
    if (argument.bytes.length === bytes) return;
    const text = `has ${argument.bytes.length} bytes; '${resource.typeText}' has ${bytes}`;
    fail(Status.ARGUMENT_KIND, index, resource, text);
  }
  if (argument.offset % 4 !== 0) {
    fail(Status.MISALIGNED, index, resource, `points to ${argument.offset}, no multiple of 4`);
  }
  const left = argument.allocationStart + argument.allocationBytes - argument.offset;
  if (left < bytes) {
    fail(Status.OUT_OF_RANGE, index, resource, `has ${left} bytes behind it and needs ${bytes}`);
  }
}

function checkPointer(
  argument: LaunchArgument,
  index: number,
  resource: ResourceInfo,
): PointerArgument {
  if (argument.kind !== "pointer") {
    fail(Status.ARGUMENT_KIND, index, resource, "is a value where a device pointer is needed");
  }
  if (argument.offset % resource.alignBytes !== 0) {
    const text = `points to ${argument.offset}, no multiple of its type's ${resource.alignBytes}`;
    fail(Status.MISALIGNED, index, resource, text);
  }
  const left = argument.allocationStart + argument.allocationBytes - argument.offset;
  if (left < resource.minBytes || argument.offset < argument.allocationStart) {
    const text = `has ${left} bytes behind it and needs ${resource.minBytes}`;
    fail(Status.OUT_OF_RANGE, index, resource, text);
  }
  return argument;
}

/** Elements of the resource's runtime-sized array when it has `bytes`; 1 without one. */
function elementCount(resource: ResourceInfo, bytes: number): number {
  if (!resource.hasRuntimeArray) return 1;
  return Math.floor((bytes - resource.elementsOffsetBytes) / resource.elementStrideBytes);
}

/** Bytes to bind so that the compiler's own arrayLength is right, or 0 if no size gives that. */
function plainBytes(resource: ResourceInfo, bytes: number): number {
  const up = Math.ceil(bytes / 4) * 4;
  if (up === bytes || !resource.hasRuntimeArray) return up;
  const count = elementCount(resource, bytes);
  const down = up - 4;
  if (down >= resource.minBytes && elementCount(resource, down) === count) return down;
  return elementCount(resource, up) === count ? up : 0;
}

function canBeTyped(draft: Draft, group: Group, start: number): boolean {
  const { element, elementBytes: stride } = group.resource;
  if (element === null) return false;
  const { pointers, groupOf, entry } = draft;
  for (let i = 0; i < pointers.length; i += 1) {
    const member = pointers[i];
    if (!member || groupOf[i] !== group) continue;
    if (entry.resources[i]?.element?.text !== element.text) return false;
    if ((member.offset - start) % stride !== 0 || member.offset + stride > group.end) return false;
  }
  return true;
}

/** All members are at the binding's start, and of one type. */
function isUniformGroup(draft: Draft, group: Group): boolean {
  const { pointers, groupOf, entry } = draft;
  for (let i = 0; i < pointers.length; i += 1) {
    if (groupOf[i] !== group) continue;
    if (pointers[i]?.offset !== group.start) return false;
    if (entry.resources[i]?.typeText !== group.resource.typeText) return false;
  }
  return true;
}

function chooseMode(draft: Draft, group: Group): void {
  const align = draft.limits.storageOffsetAlign;
  const aligned = group.start - (group.start % align);
  const needsWords = group.shared && draft.entry.hasStoragePointers;
  if (aligned === group.start && !needsWords && (!group.shared || isUniformGroup(draft, group))) {
    group.bytes = plainBytes(group.resource, group.end - group.start);
    if (group.bytes > 0) return;
  }
  const whole = group.first.allocationStart;
  group.mode = TYPED;
  group.start = aligned;
  if (needsWords || !canBeTyped(draft, group, aligned)) {
    const isWhole = !needsWords && whole % align === 0 && canBeTyped(draft, group, whole);
    if (isWhole) group.start = whole;
    else group.mode = WORDS;
  }
  group.bytes = Math.ceil((group.end - group.start) / 4) * 4;
}

function checkCounts(entry: EntryInfo, argumentCount: number, limits: PlanLimits): void {
  if (argumentCount !== entry.resources.length) {
    const text = `'${entry.name}' takes ${entry.resources.length} arguments, not ${argumentCount}`;
    throw new WgslError(Status.ARGUMENT_COUNT, text);
  }
  if (argumentCount > VGPU.LAUNCH_ARGUMENTS_MAX) {
    const text = `'${entry.name}' takes ${argumentCount} arguments; the limit is ${VGPU.LAUNCH_ARGUMENTS_MAX}`;
    throw new WgslError(Status.NOT_SUPPORTED, text);
  }
  let uniforms = 0;
  for (const resource of entry.resources) uniforms += resource.kind === "uniform" ? 1 : 0;
  // One uniform binding stays free for the hidden parameters.
  if (uniforms >= limits.uniformBindingsMax) {
    const text = `'${entry.name}' uses ${uniforms} uniform buffers; the limit is ${limits.uniformBindingsMax - 1}`;
    throw new WgslError(Status.NOT_SUPPORTED, text);
  }
}

function fillParams(draft: Draft, slots: number): Uint32Array {
  const { pointers, groupOf, entry } = draft;
  const params = new Uint32Array(Math.ceil(slots / 2) * 4);
  let at = 0;
  for (let i = 0; i < pointers.length; i += 1) {
    const pointer = pointers[i];
    const resource = entry.resources[i];
    const group = groupOf[i];
    if (!pointer || resource === undefined || !group || group.mode === PLAIN) continue;
    const base = pointer.offset - group.start;
    params[at] = group.mode === TYPED ? base / resource.elementBytes : base;
    params[at + 1] = elementCount(resource, group.end - pointer.offset);
    at += 2;
  }
  return params;
}

/**
 * Plans one launch. Arguments are in the order of `entry.resources`. Throws WgslError:
 * ARGUMENT_COUNT, ARGUMENT_KIND, MISALIGNED, OUT_OF_RANGE, NOT_SUPPORTED (too many bindings).
 */
export function planLaunch(
  entry: EntryInfo,
  launchArguments: readonly LaunchArgument[],
  limits: PlanLimits,
): LaunchPlan {
  checkCounts(entry, launchArguments.length, limits);
  const draft: Draft = { entry, limits, pointers: [], groupOf: [], groups: [], copies: [] };
  let uniforms = 1;
  for (let i = 0; i < launchArguments.length; i += 1) {
    const argument = launchArguments[i];
    const resource = entry.resources[i];
    if (argument === undefined || resource === undefined) continue;
    if (resource.kind === "uniform") {
      checkUniform(argument, i, resource);
      uniforms += 1;
      draft.pointers.push(null);
      draft.groupOf.push(null);
      continue;
    }
    const pointer = checkPointer(argument, i, resource);
    draft.pointers.push(pointer);
    const copy = entry.uniformReads.has(i) ? copyOf(draft, pointer, resource, uniforms) : null;
    draft.groupOf.push(copy ?? joinGroup(draft.groups, pointer, resource));
  }
  const { length: bindings } = draft.groups;
  if (bindings > limits.storageBindingsMax) {
    const text = `'${entry.name}' needs ${bindings} storage buffers; the limit is ${limits.storageBindingsMax}`;
    throw new WgslError(Status.NOT_SUPPORTED, text);
  }
  return finishPlan(draft);
}

/** A copy of the argument in a uniform buffer, if it fits one; `uniforms` are taken so far. */
function copyOf(
  draft: Draft,
  pointer: PointerArgument,
  resource: ResourceInfo,
  uniforms: number,
): Group | null {
  const end = pointer.allocationStart + pointer.allocationBytes;
  const start = Math.floor(pointer.offset / COPY_UNIT) * COPY_UNIT;
  const bytes = Math.ceil(end / COPY_UNIT) * COPY_UNIT - start;
  const { uniformBytesMax, uniformBindingsMax } = draft.limits;
  const taken = uniforms + draft.copies.length;
  if (bytes > uniformBytesMax || taken >= uniformBindingsMax) return null;
  const group = new Group(draft.copies.length, pointer, resource, start, COPY, bytes);
  draft.copies.push(group);
  return group;
}

function joinGroup(groups: Group[], pointer: PointerArgument, resource: ResourceInfo): Group {
  for (let g = 0; g < groups.length; g += 1) {
    const group = groups[g];
    if (group === undefined || group.first.segment !== pointer.segment) continue;
    if (group.first.allocationStart !== pointer.allocationStart) continue;
    group.shared = true;
    if (pointer.offset < group.start) group.start = pointer.offset;
    return group;
  }
  const group = new Group(groups.length, pointer, resource, pointer.offset, PLAIN, 0);
  groups.push(group);
  return group;
}

function rangeOf(group: Group): PlannedRange {
  return { segment: group.first.segment, offset: group.start, bytes: group.bytes };
}

function finishPlan(draft: Draft): LaunchPlan {
  const { groups, copies, groupOf } = draft;
  const storage: PlannedRange[] = [];
  let isSimple = copies.length === 0;
  for (let g = 0; g < groups.length; g += 1) {
    const group = groups[g];
    if (group === undefined) continue;
    chooseMode(draft, group);
    if (group.shared || group.mode !== PLAIN) isSimple = false;
    storage.push(rangeOf(group));
  }
  if (isSimple) return { key: "", storage, copies: NO_RANGES, params: null };
  let key = "";
  let slots = 0;
  for (let i = 0; i < groupOf.length; i += 1) {
    const group = groupOf[i];
    if (!group) continue;
    if (group.mode !== PLAIN) slots += 1;
    key += String.fromCharCode(KEY_BASE + group.index * 4 + group.mode);
    if (group.mode === COPY) key += String.fromCharCode(KEY_BASE + group.bytes / COPY_UNIT);
  }
  const params = slots > 0 ? fillParams(draft, slots) : null;
  return { key, storage, copies: copies.map(rangeOf), params };
}

/**
 * The bindings that a key stands for: storage bindings in order, then copies. `key` comes from
 * planLaunch of the same entry.
 */
export function shapeOfKey(entry: EntryInfo, key: string): readonly ShapeBinding[] {
  const bindings: { mode: BindingMode; arguments: number[]; bytes: number }[] = [];
  const copies: ShapeBinding[] = [];
  let at = 0;
  let ordinal = 0;
  entry.resources.forEach((resource, index) => {
    if (resource.kind !== "storage") return;
    const code = key === "" ? ordinal * 4 : key.charCodeAt(at) - KEY_BASE;
    ordinal += 1;
    at += 1;
    const mode = MODES[code & 3] ?? "words";
    if (mode === "copy") {
      const bytes = (key.charCodeAt(at) - KEY_BASE) * COPY_UNIT;
      at += 1;
      copies.push({ mode, arguments: [index], bytes });
      return;
    }
    const binding = bindings[code >> 2];
    if (binding !== undefined) binding.arguments.push(index);
    else bindings.push({ mode, arguments: [index], bytes: 0 });
  });
  return [...bindings, ...copies];
}
