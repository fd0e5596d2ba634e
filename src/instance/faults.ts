// SPDX-License-Identifier: Apache-2.0
/**
 * Faults of kernels in PTX. A kernel that traps, fails an assertion, or (in a checked module) meets a
 * bad address writes four words into a hidden variable of its module, the first thread only:
 *
 *   code (1 trap, 2 assertion, 3 illegal address, 4 misaligned) · line in the PTX · block · thread
 *
 * Batches in which such kernels run read these words at their end. GPUs have no exceptions that
 * WebGPU could tell; so the kernel's other threads go on, as after a fault in CUDA, and what they
 * write is undefined.
 */
import { Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import { type Failure, failure } from "./failure.js";
import type { PtxEntry } from "./kernel-code.js";
import type { Module } from "./kernels.js";
import { FAULT_BYTES, FAULT_VARIABLE, type PlacedSymbol } from "./variables.js";

const CODES: readonly { readonly status: Failure["status"]; readonly text: string }[] = [
  { status: Status.INTERNAL, text: "" },
  { status: Status.TRAP, text: "executes a trap" },
  { status: Status.ASSERT, text: "fails an assertion" },
  { status: Status.ILLEGAL_ADDRESS, text: "accesses an illegal address" },
  { status: Status.MISALIGNED_ADDRESS, text: "accesses a misaligned address" },
];

/** The fault words of one module in one batch, and the kernels that may have written them. */
export interface FaultWatch {
  readonly symbol: PlacedSymbol;
  readonly entries: PtxEntry[];
  readonly words: Uint8Array;
}

/** Notes that a kernel runs in this batch whose faults have to be looked for. */
export function watchFaults(record: BatchRecord, module: Module, entry: PtxEntry): void {
  if (!entry.info.mayFault && !entry.code.checkedAccess) return;
  const symbol = module.variables?.symbols.get(FAULT_VARIABLE);
  if (symbol === undefined || module.variables?.live !== true) return;
  const known = record.faults.get(module);
  if (known === undefined)
    record.faults.set(module, { symbol, entries: [entry], words: new Uint8Array(FAULT_BYTES) });
  else if (!known.entries.includes(entry)) known.entries.push(entry);
}

/** Adds the reads to a batch that is about to be submitted. */
export function readFaults(record: BatchRecord): void {
  for (const module of record.faults.keys()) readFaultsOf(record, module);
}

/** Adds the read for one module: at the end of the batch, or before the module goes. */
export function readFaultsOf(record: BatchRecord, module: Module): void {
  const watch = record.faults.get(module);
  if (watch === undefined || module.variables?.live !== true) return;
  const { symbol, words } = watch;
  const entry = record.context.memory.resolve(symbol.segment, symbol.offset, FAULT_BYTES);
  if (entry !== null) record.batch.read(entry.segment, symbol.offset, FAULT_BYTES, () => [words]);
}

/** The fault that a finished batch has found, or null. */
export function foundFault(record: BatchRecord): Failure | null {
  for (const { entries, words } of record.faults.values()) {
    const view = new DataView(words.buffer);
    const code = view.getUint32(0, true);
    if (code === 0) continue;
    const line = view.getUint32(4, true);
    const block = view.getUint32(8, true);
    const thread = view.getUint32(12, true);
    const known = CODES[code];
    const kernel = kernelAt(entries, line);
    const what = known === undefined ? `stops with code ${code}` : known.text;
    const text = `kernel ${kernel} ${what}: line ${line} of its PTX, block ${block}, thread ${thread}`;
    return failure(known?.status ?? Status.TRAP, text, line, 0);
  }
  return null;
}

/** Of several kernels, the one that the line is in; they may share functions, which are in none. */
function kernelAt(entries: readonly PtxEntry[], line: number): string {
  if (entries.length === 1) return entries[0]?.name ?? "";
  let found: PtxEntry | null = null;
  for (const each of entries)
    if (each.info.line <= line && line <= each.info.lastLine) found = each;
  if (found !== null) return found.name;
  return `(one of ${entries.map((each) => each.name).join(", ")})`;
}
