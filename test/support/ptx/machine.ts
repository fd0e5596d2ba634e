// SPDX-License-Identifier: Apache-2.0
/**
 * What an instruction of the PTX interpreter works on: the register file of one block, its shared
 * memory, and the segments of global memory.
 *
 * A register is 8 bytes of raw bits; the opcode says what they mean. A thread's frame holds its
 * registers, its parameters and its local variables, so local memory is the register file.
 *
 * Generic addresses: the upper half is a segment's number, or 1 (shared) or 2 (local).
 */
export const SHARED_WINDOW = 1;
export const LOCAL_WINDOW = 2;

export class PtxFault extends Error {
  constructor(
    readonly code: "trap" | "assert" | "illegal address" | "misaligned address" | "timeout",
    message: string,
  ) {
    super(message);
  }
}

export type Triple = readonly [number, number, number];

export class Thread {
  pc = 0;
  /** First slot of the frame in the register file. */
  frame = 0;
  status: "ready" | "waiting" | "done" = "ready";
  function = 0;
  readonly calls: { function: number; pc: number; frame: number }[] = [];
  frameEnd = 0;
  constructor(
    readonly index: number,
    readonly lane: number,
    readonly warp: number,
    readonly id: Triple,
    readonly stackStart: number,
    readonly stackEnd: number,
  ) {}
}

export interface Geometry {
  readonly grid: Triple;
  readonly block: Triple;
}

/** Global memory: segments by number. */
export type Memory = Map<number, DataView>;

export class Machine {
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;
  readonly file: DataView;
  readonly shared: DataView;
  thread: Thread;
  blockId: Triple = [0, 0, 0];
  clock = 0;
  readonly printed: string[] = [];
  /** Set by `resolve`: where an access goes. */
  view: DataView;
  at = 0;

  constructor(
    readonly memory: Memory,
    readonly geometry: Geometry,
    readonly symbols: ReadonlyMap<string, bigint>,
    readonly dynamicShared: number,
    sharedBytes: number,
    slots: number,
    first: Thread,
  ) {
    const buffer = new ArrayBuffer(slots * 8);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.file = new DataView(buffer);
    this.shared = new DataView(new ArrayBuffer(Math.max(16, sharedBytes)));
    this.view = this.shared;
    this.thread = first;
  }

  /** Finds the bytes of an access; `space` is "generic", or a state space. */
  resolve(space: string, high: number, low: number, bytes: number, align: number): void {
    let view: DataView | undefined;
    let name = space;
    if (space === "shared" || (space === "generic" && high === SHARED_WINDOW)) {
      view = this.shared;
      name = "shared";
    } else if (
      space === "local" ||
      space === "param" ||
      (space === "generic" && high === LOCAL_WINDOW)
    ) {
      view = this.file;
      name = "local";
    } else {
      view = this.memory.get(high);
      if (low < 256) view = undefined;
    }
    if (view === undefined || low + bytes > view.byteLength) {
      const address = `0x${high.toString(16)}:${low.toString(16)}`;
      throw new PtxFault("illegal address", `${bytes} bytes at ${address} (${name}) do not exist`);
    }
    if (low % (name === "local" ? Math.min(align, 8) : align) !== 0) {
      throw new PtxFault("misaligned address", `${low} (${name}) is not aligned to ${align}`);
    }
    this.view = view;
    this.at = low;
  }

  /** A text in device memory that ends with a zero byte. */
  textAt(address: bigint): string {
    const bytes: number[] = [];
    for (let a = address; bytes.length < 4096; a += 1n) {
      this.resolve("generic", Number(a >> 32n), Number(a & 0xffff_ffffn), 1, 1);
      const byte = this.view.getUint8(this.at);
      if (byte === 0) break;
      bytes.push(byte);
    }
    return Buffer.from(bytes).toString("latin1");
  }
}
