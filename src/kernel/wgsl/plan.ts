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
 *
 * The key names who shares with whom and the modes; bases and lengths travel in a hidden uniform,
 * so that one pipeline serves every address.
 *
 *   hidden uniform, u32 words, two per storage argument that is not plain, in argument order:
 *     [base: elements (typed) or bytes (words)] [count: elements of the runtime-sized array]
 *   padded to 16 bytes.
 */
import { Status } from "../../protocol/generated/wire.js";
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
}

export type BindingMode = "plain" | "typed" | "words";

/** Which arguments share a binding, and how it is represented. */
export interface ShapeBinding {
  readonly mode: BindingMode;
  /** Indices into the entry's resources, ascending. */
  readonly arguments: readonly number[];
}

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
  /** In the order of the shape's bindings. */
  readonly storage: readonly PlannedRange[];
  /** Words of the hidden uniform, or null where the kernel needs none. */
  readonly params: Uint32Array | null;
}

const [PLAIN, TYPED, WORDS] = [0, 1, 2];
const MODES: readonly BindingMode[] = ["plain", "typed", "words"];
/** First character of a key's alphabet: one character per storage argument, group * 4 + mode. */
const KEY_BASE = 0x30;

interface Group {
  readonly first: PointerArgument;
  readonly resource: ResourceInfo;
  readonly end: number;
  start: number;
  shared: boolean;
  mode: number;
  bytes: number;
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

function canBeTyped(
  group: Group,
  start: number,
  members: readonly (PointerArgument | null)[],
  entry: EntryInfo,
  groups: Uint8Array,
  index: number,
): boolean {
  const element = group.resource.element;
  const stride = group.resource.elementBytes;
  if (element === null) return false;
  for (let i = 0; i < members.length; i += 1) {
    const member = members[i];
    const resource = entry.resources[i];
    if (!member || resource === undefined || groups[i] !== index) continue;
    if (resource.element?.text !== element.text) return false;
    if ((member.offset - start) % stride !== 0 || member.offset + stride > group.end) return false;
  }
  return true;
}

function chooseMode(
  group: Group,
  align: number,
  members: readonly (PointerArgument | null)[],
  entry: EntryInfo,
  groups: Uint8Array,
  index: number,
): void {
  const aligned = group.start - (group.start % align);
  const needsWords = group.shared && entry.hasStoragePointers;
  let plain = aligned === group.start && !needsWords;
  for (let i = 0; plain && group.shared && i < members.length; i += 1) {
    const member = members[i];
    if (!member || groups[i] !== index) continue;
    plain =
      member.offset === group.start && entry.resources[i]?.typeText === group.resource.typeText;
  }
  if (plain) {
    group.bytes = plainBytes(group.resource, group.end - group.start);
    if (group.bytes > 0) return;
  }
  const whole = group.first.allocationStart;
  group.mode = WORDS;
  group.start = aligned;
  if (!needsWords) {
    for (const start of [aligned, whole]) {
      if (start % align !== 0) continue;
      if (!canBeTyped(group, start, members, entry, groups, index)) continue;
      group.mode = TYPED;
      group.start = start;
      break;
    }
  }
  group.bytes = Math.ceil((group.end - group.start) / 4) * 4;
}

function checkCounts(entry: EntryInfo, argumentCount: number, limits: PlanLimits): void {
  if (argumentCount !== entry.resources.length) {
    const text = `'${entry.name}' takes ${entry.resources.length} arguments, not ${argumentCount}`;
    throw new WgslError(Status.ARGUMENT_COUNT, text);
  }
  let uniforms = 0;
  for (const resource of entry.resources) uniforms += resource.kind === "uniform" ? 1 : 0;
  // One uniform binding stays free for the hidden parameters.
  if (uniforms >= limits.uniformBindingsMax) {
    const text = `'${entry.name}' uses ${uniforms} uniform buffers; the limit is ${limits.uniformBindingsMax - 1}`;
    throw new WgslError(Status.NOT_SUPPORTED, text);
  }
}

function fillParams(
  entry: EntryInfo,
  pointers: readonly (PointerArgument | null)[],
  list: readonly Group[],
  groups: Uint8Array,
  slots: number,
): Uint32Array {
  const params = new Uint32Array(Math.ceil(slots / 2) * 4);
  let at = 0;
  for (let i = 0; i < pointers.length; i += 1) {
    const pointer = pointers[i];
    const resource = entry.resources[i];
    const group = list[groups[i] ?? 0];
    if (!pointer || resource === undefined || group === undefined) continue;
    if (group.mode === PLAIN) continue;
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
  const count = launchArguments.length;
  const pointers: (PointerArgument | null)[] = [];
  const groups = new Uint8Array(count);
  const list: Group[] = [];
  for (let i = 0; i < count; i += 1) {
    const argument = launchArguments[i];
    const resource = entry.resources[i];
    if (argument === undefined || resource === undefined) continue;
    if (resource.kind === "uniform") {
      checkUniform(argument, i, resource);
      pointers.push(null);
      continue;
    }
    const pointer = checkPointer(argument, i, resource);
    pointers.push(pointer);
    groups[i] = joinGroup(list, pointer, resource);
  }
  if (list.length > limits.storageBindingsMax) {
    const text = `'${entry.name}' needs ${list.length} storage buffers; the limit is ${limits.storageBindingsMax}`;
    throw new WgslError(Status.NOT_SUPPORTED, text);
  }
  return finishPlan(entry, pointers, list, groups, limits.storageOffsetAlign);
}

function joinGroup(list: Group[], pointer: PointerArgument, resource: ResourceInfo): number {
  for (let g = 0; g < list.length; g += 1) {
    const group = list[g];
    if (group === undefined || group.first.segment !== pointer.segment) continue;
    if (group.first.allocationStart !== pointer.allocationStart) continue;
    group.shared = true;
    if (pointer.offset < group.start) group.start = pointer.offset;
    return g;
  }
  const end = pointer.allocationStart + pointer.allocationBytes;
  const start = pointer.offset;
  list.push({ first: pointer, resource, end, start, shared: false, mode: PLAIN, bytes: 0 });
  return list.length - 1;
}

function finishPlan(
  entry: EntryInfo,
  pointers: readonly (PointerArgument | null)[],
  list: readonly Group[],
  groups: Uint8Array,
  align: number,
): LaunchPlan {
  const storage: PlannedRange[] = [];
  let simple = true;
  for (let g = 0; g < list.length; g += 1) {
    const group = list[g];
    if (group === undefined) continue;
    chooseMode(group, align, pointers, entry, groups, g);
    if (group.shared || group.mode !== PLAIN) simple = false;
    storage.push({ segment: group.first.segment, offset: group.start, bytes: group.bytes });
  }
  if (simple) return { key: "", storage, params: null };
  let key = "";
  let slots = 0;
  for (let i = 0; i < pointers.length; i += 1) {
    if (!pointers[i]) continue;
    const g = groups[i] ?? 0;
    const mode = list[g]?.mode ?? PLAIN;
    if (mode !== PLAIN) slots += 1;
    key += String.fromCharCode(KEY_BASE + g * 4 + mode);
  }
  const params = slots > 0 ? fillParams(entry, pointers, list, groups, slots) : null;
  return { key, storage, params };
}

/** The bindings that a key stands for. `key` comes from planLaunch of the same entry. */
export function shapeOfKey(entry: EntryInfo, key: string): readonly ShapeBinding[] {
  const bindings: { mode: BindingMode; arguments: number[] }[] = [];
  let ordinal = 0;
  entry.resources.forEach((resource, index) => {
    if (resource.kind !== "storage") return;
    const code = key === "" ? ordinal * 4 : key.charCodeAt(ordinal) - KEY_BASE;
    ordinal += 1;
    const binding = bindings[code >> 2];
    if (binding !== undefined) binding.arguments.push(index);
    else bindings.push({ mode: MODES[code & 3] ?? "words", arguments: [index] });
  });
  return bindings;
}
