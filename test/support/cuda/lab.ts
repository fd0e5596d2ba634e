// SPDX-License-Identifier: Apache-2.0
/**
 * Cases for CUDA kernels: buffers, launches, and what a CPU says must come out. A case runs anywhere
 * that has one segment of device memory: in the PTX interpreter, on Dawn, through a whole device.
 */

import { LoadedModule } from "../ptx/interpreter.js";
import type { Memory, Triple } from "../ptx/machine.js";

export type Data =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** The device address of a buffer, by its name. */
export type AddressOf = (name: string) => bigint;
export type Arg = (at: AddressOf) => { readonly bytes: Uint8Array; readonly align: number };

export interface Launch {
  readonly kernel: string;
  readonly grid: Triple;
  readonly block: Triple;
  readonly args: readonly Arg[];
  /** Dynamic shared memory, bytes. */
  readonly shared?: number;
}

/** How far a float may be off; integers have to be equal. */
export interface Tolerance {
  readonly abs?: number;
  readonly rel?: number;
}

export interface Expected {
  readonly data: Data;
  readonly tolerance?: Tolerance;
}

export interface KernelCase {
  readonly name: string;
  /** Stem of the file in test/cuda/kernels. */
  readonly module: string;
  readonly buffers: Readonly<Record<string, Data | ((at: AddressOf) => Data)>>;
  readonly launches: readonly Launch[];
  readonly expect: Readonly<Record<string, Data | Expected>>;
  /** For results in no fixed order: what is wrong, or null. */
  readonly check?: (result: (name: string) => Data, at: AddressOf) => string | null;
  /** Lines that are printed, in any order. */
  readonly printed?: readonly string[];
  readonly fault?: "trap" | "assert";
  /** Why only the interpreter runs it. */
  readonly noGpu?: string;
  /** Why slow drivers leave it out. */
  readonly heavy?: string;
}

function scalar(bytes: number, write: (view: DataView) => void): Arg {
  const view = new DataView(new ArrayBuffer(bytes));
  write(view);
  return () => ({ bytes: new Uint8Array(view.buffer), align: bytes });
}

export const i8 = (v: number): Arg => scalar(1, (d) => d.setInt8(0, v));
export const i16 = (v: number): Arg => scalar(2, (d) => d.setInt16(0, v, true));
export const i32 = (v: number): Arg => scalar(4, (d) => d.setInt32(0, v, true));
export const f32 = (v: number): Arg => scalar(4, (d) => d.setFloat32(0, v, true));
export const f64 = (v: number): Arg => scalar(8, (d) => d.setFloat64(0, v, true));
export const i64 = (v: bigint): Arg => scalar(8, (d) => d.setBigInt64(0, v, true));

export function ptr(name: string, offset = 0): Arg {
  return (at) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, at(name) + BigInt(offset), true);
    return { bytes, align: 8 };
  };
}

/** Members one after the other, as C lays them out. */
export function struct(members: readonly Arg[], least = 1): Arg {
  return (at) => packArgs(members, at, least);
}

export function packArgs(
  args: readonly Arg[],
  at: AddressOf,
  least = 1,
  tail = true,
): { bytes: Uint8Array; align: number } {
  const out: number[] = [];
  let largest = least;
  for (const arg of args) {
    const { bytes, align } = arg(at);
    largest = Math.max(largest, align);
    while (out.length % align !== 0) out.push(0);
    out.push(...bytes);
  }
  while (tail && out.length % largest !== 0) out.push(0);
  return { bytes: Uint8Array.from(out), align: largest };
}

export const SEGMENT = 4;
const FIRST = 256;
/** Room for a module's globals in the interpreter's memory. */
const GLOBALS = 1 << 16;

/** A case's memory, laid out: every buffer at a multiple of 256. */
export class Image {
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly #at = new Map<string, { offset: number; data: Data }>();

  /** `spare` bytes are left at the end. */
  constructor(
    readonly testCase: KernelCase,
    readonly segment: number,
    spare = 0,
  ) {
    let at = FIRST;
    const dummy: AddressOf = () => 0n;
    const places = new Map<string, number>();
    for (const [name, given] of Object.entries(testCase.buffers)) {
      places.set(name, at);
      const data = typeof given === "function" ? given(dummy) : given;
      at += Math.ceil((data.byteLength + 1) / 256) * 256;
    }
    this.end = at;
    this.bytes = new Uint8Array(at + spare);
    for (const [name, offset] of places) {
      const given = testCase.buffers[name];
      if (given === undefined) continue;
      const resolve: AddressOf = (n) => this.#address(places.get(n) ?? 0);
      const data = typeof given === "function" ? given(resolve) : given;
      this.#at.set(name, { offset, data });
      this.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    }
  }

  #address(offset: number): bigint {
    return (BigInt(this.segment) << 32n) | BigInt(offset);
  }

  readonly address: AddressOf = (name) => {
    const found = this.#at.get(name);
    if (found === undefined) throw new Error(`${this.testCase.name}: no buffer "${name}"`);
    return this.#address(found.offset);
  };

  /** A buffer's contents in `memory`, of the type that it was given with. */
  read(name: string, memory: Uint8Array): Data {
    const found = this.#at.get(name);
    if (found === undefined) throw new Error(`${this.testCase.name}: no buffer "${name}"`);
    const { offset, data } = found;
    const copy = memory.slice(offset, offset + data.byteLength);
    const Type = data.constructor as new (buffer: ArrayBufferLike) => Data;
    return new Type(copy.buffer);
  }

  params(launch: Launch): Uint8Array {
    return packArgs(launch.args, this.address, 1, false).bytes;
  }
}

function differs(got: number | bigint, want: number | bigint, tolerance: Tolerance): boolean {
  if (typeof got === "bigint" || typeof want === "bigint") return got !== want;
  if (Number.isNaN(got) || Number.isNaN(want)) return Number.isNaN(got) !== Number.isNaN(want);
  if (got === want) return tolerance.abs === undefined && !Object.is(got, want);
  const allowed = (tolerance.abs ?? 0) + (tolerance.rel ?? 0) * Math.abs(want);
  return !(Math.abs(got - want) <= allowed);
}

/** The first differences as text; null if there are none. */
export function compareData(name: string, got: Data, expected: Data | Expected): string | null {
  const { data: want, tolerance = {} }: Expected =
    "data" in expected ? expected : { data: expected };
  if (got.length !== want.length) return `${name}: ${got.length} elements, not ${want.length}`;
  const wrong: string[] = [];
  let count = 0;
  for (let i = 0; i < got.length; i++) {
    const [a = 0, b = 0] = [got[i], want[i]];
    if (!differs(a, b, tolerance)) continue;
    count += 1;
    if (wrong.length < 4) wrong.push(`[${i}] is ${String(a)}, not ${String(b)}`);
  }
  return count === 0 ? null : `${name}: ${count} of ${got.length} differ: ${wrong.join("; ")}`;
}

export interface Outcome {
  readonly memory: Uint8Array;
  readonly printed: readonly string[];
  readonly fault: string | null;
}

/** What is wrong with an outcome; null if nothing is. */
export function judge(testCase: KernelCase, image: Image, outcome: Outcome): string | null {
  if ((outcome.fault ?? null) !== (testCase.fault ?? null)) {
    return `the fault is ${outcome.fault}, not ${testCase.fault ?? null}`;
  }
  for (const [name, expected] of Object.entries(testCase.expect)) {
    const wrong = compareData(name, image.read(name, outcome.memory), expected);
    if (wrong !== null) return wrong;
  }
  const wrong = testCase.check?.((name) => image.read(name, outcome.memory), image.address) ?? null;
  if (wrong !== null) return wrong;
  if (testCase.printed !== undefined) {
    const [got, want] = [[...outcome.printed].sort(), [...testCase.printed].sort()];
    if (got.join("") !== want.join("")) {
      return `printed ${JSON.stringify(got.slice(0, 8))}, not ${JSON.stringify(want.slice(0, 8))}`;
    }
  }
  return null;
}

/** Runs a case in the interpreter; what is wrong, or null. */
export function interpretCase(
  testCase: KernelCase,
  ptx: string,
): { wrong: string | null; instructions: number } {
  const image = new Image(testCase, SEGMENT, GLOBALS);
  const memory: Memory = new Map([[SEGMENT, new DataView(image.bytes.buffer)]]);
  const module = new LoadedModule(ptx, memory, SEGMENT, image.end);
  let instructions = 0;
  let fault: string | null = null;
  const printed: string[] = [];
  for (const launch of testCase.launches) {
    const params = image.params(launch);
    const { bytes } = module.paramsOf(launch.kernel);
    if (params.length !== bytes) {
      return { wrong: `${launch.kernel} takes ${bytes} bytes, not ${params.length}`, instructions };
    }
    try {
      const { grid, block, shared } = launch;
      const result = module.run({
        kernel: launch.kernel,
        grid,
        block,
        params,
        dynamicShared: shared ?? 0,
      });
      instructions += result.instructions;
      printed.push(...result.printed);
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (testCase.fault === undefined || code !== testCase.fault) throw error;
      fault = code;
    }
  }
  return { wrong: judge(testCase, image, { memory: image.bytes, printed, fault }), instructions };
}

/** Numbers that look random and are the same every time. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** 32 bits. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** From 0 up to, but not, `below`. */
  below(below: number): number {
    return Math.floor((this.u32() / 2 ** 32) * below);
  }
  between(low: number, high: number): number {
    return low + (this.u32() / 2 ** 32) * (high - low);
  }
}

export function floats(count: number, seed: number, low = -1, high = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.between(low, high));
}

export function ints(count: number, seed: number, low: number, high: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => low + random.below(high - low));
}

export const f = Math.fround;
