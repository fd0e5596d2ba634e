// SPDX-License-Identifier: Apache-2.0
/**
 * The variables of a module in PTX: one allocation of the context's memory, in which each has its
 * place, those with initial values first, so that one write at load time brings them all. The rest
 * of new memory is zero already. Variables in managed memory lie before all others, in pages of
 * their own, which a hidden variable names: the guest maps them.
 */
import type { ModuleVariable, TranslatedModule } from "../kernel/translator/index.js";
import { Status, VGPU } from "../protocol/generated/wire.js";
import type { DevicePointer } from "../protocol/pointer.js";
import { type Failure, failure } from "./failure.js";
import type { ContextMemory } from "./memory.js";

/** At least; variables of vectors, and what programs cast them to, are aligned so. */
const ALIGN_MIN = 16;
/** Larger alignments than that of the allocation can't be had. */
const ALIGN_MAX = VGPU.ALLOCATION_ALIGN;
/** Hidden variable that a kernel writes when it faults; see faults.ts. */
export const FAULT_VARIABLE = "__vgpu_fault";
export const FAULT_BYTES = 16;
/** Hidden variable: the pages of the managed variables. */
const MANAGED_VARIABLE = "__vgpu_managed";
const MANAGED_ALIGN = 4096;

export interface PlacedSymbol extends DevicePointer {
  readonly bytes: number;
}

export class PlacedVariables {
  readonly symbols: ReadonlyMap<string, PlacedSymbol>;
  readonly #memory: ContextMemory;
  #at: DevicePointer | null;

  constructor(
    memory: ContextMemory,
    at: DevicePointer | null,
    symbols: ReadonlyMap<string, PlacedSymbol>,
  ) {
    this.#memory = memory;
    this.#at = at;
    this.symbols = symbols;
  }

  /** Whether they are still there: a launch may outlive its module. */
  get live(): boolean {
    return this.#at !== null;
  }

  free(): void {
    if (this.#at !== null) this.#memory.freeForModule(this.#at);
    this.#at = null;
  }
}

/** What is to be written before anything else uses the module. */
export interface InitialBytes {
  readonly pointer: DevicePointer;
  readonly bytes: Uint8Array;
}

interface Layout {
  readonly places: ReadonlyMap<string, { readonly offset: number; readonly bytes: number }>;
  readonly bytes: number;
  /** Bytes up to the end of the last variable that has initial values. */
  readonly initBytes: number;
}

/** Allocates the variables of a module, and says what is to be written there (null for nothing). */
export function placeVariables(
  memory: ContextMemory,
  info: TranslatedModule,
  checked: boolean,
  label: string,
): { readonly variables: PlacedVariables; readonly initial: InitialBytes | null } | Failure {
  const layout = layOut(info.variables, checked);
  if (layout.bytes === 0)
    return { variables: new PlacedVariables(memory, null, new Map()), initial: null };
  const slack = layout.places.has(MANAGED_VARIABLE) ? MANAGED_ALIGN : 0;
  const grant = memory.allocateForModule(layout.bytes + slack);
  if ("kind" in grant) {
    const text = `the variables of ${label} need ${layout.bytes} bytes: ${grant.text}`;
    const full = grant.status === Status.ALLOCATION_TOO_LARGE || grant.status === Status.QUOTA;
    return { ...grant, status: full ? Status.OUT_OF_MEMORY : grant.status, text };
  }
  const symbols = new Map<string, PlacedSymbol>();
  const { segment } = grant;
  const start = slack === 0 ? grant.offset : Math.ceil(grant.offset / slack) * slack;
  for (const [name, { offset, bytes }] of layout.places)
    symbols.set(name, { segment, offset: start + offset, bytes });
  const variables = new PlacedVariables(memory, grant, symbols);
  if (layout.initBytes === 0) return { variables, initial: null };
  const bytes = initialBytes(info.variables, layout, symbols);
  if (!(bytes instanceof Uint8Array)) {
    variables.free();
    return bytes;
  }
  return { variables, initial: { pointer: { segment, offset: start }, bytes } };
}

const hasInitial = (each: ModuleVariable): boolean =>
  each.init !== null || each.relocations.length > 0;

function layOut(list: readonly ModuleVariable[], checked: boolean): Layout {
  const places = new Map<string, { offset: number; bytes: number }>();
  let end = 0;
  const place = (name: string, bytes: number, align: number): void => {
    const step = Math.min(ALIGN_MAX, Math.max(ALIGN_MIN, align));
    const offset = Math.ceil(end / step) * step;
    places.set(name, { offset, bytes });
    end = offset + Math.max(1, bytes);
  };
  let initBytes = 0;
  for (const each of list) {
    if (!each.managed) continue;
    place(each.name, each.bytes, each.align);
    if (hasInitial(each)) initBytes = end;
  }
  if (end > 0) {
    end = Math.ceil(end / MANAGED_ALIGN) * MANAGED_ALIGN;
    places.set(MANAGED_VARIABLE, { offset: 0, bytes: end });
  }
  const plain = list.filter(({ managed }) => !managed);
  for (const each of plain) {
    if (!hasInitial(each)) continue;
    place(each.name, each.bytes, each.align);
    initBytes = end;
  }
  for (const each of plain) if (!hasInitial(each)) place(each.name, each.bytes, each.align);
  // Any kernel of a checked module may find a bad address.
  if (checked && !places.has(FAULT_VARIABLE)) place(FAULT_VARIABLE, FAULT_BYTES, ALIGN_MIN);
  return { places, bytes: end, initBytes };
}

function initialBytes(
  list: readonly ModuleVariable[],
  layout: Layout,
  symbols: ReadonlyMap<string, PlacedSymbol>,
): Uint8Array | Failure {
  const bytes = new Uint8Array(layout.initBytes);
  const view = new DataView(bytes.buffer);
  for (const { name, init, relocations } of list) {
    const place = layout.places.get(name);
    if (place === undefined) continue;
    if (init !== null) bytes.set(init.subarray(0, place.bytes), place.offset);
    for (const { at, target, addend } of relocations) {
      const symbol = symbols.get(target);
      if (symbol === undefined || at < 0 || at + 8 > place.bytes) {
        const text = `variable ${name} holds the address of ${target}, which the module has not`;
        return failure(Status.MODULE_INVALID, text);
      }
      const base = (BigInt(symbol.segment) << 32n) + BigInt(symbol.offset);
      view.setBigUint64(place.offset + at, BigInt.asUintN(64, base + BigInt(addend)), true);
    }
  }
  return bytes;
}
