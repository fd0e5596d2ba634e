// SPDX-License-Identifier: Apache-2.0
/**
 * Split and packed rings with all their chains. An input is a driver's program: an option byte, a
 * size, and steps that write descriptors, words and indices anywhere, and let the device drain.
 */
import type { Chain } from "../../../src/virtqueue/types.js";
import { PackedFixture } from "../../support/packed-fixture.js";
import { DATA, FixtureMemory, HOLE, PAGES, RingFixture } from "../../support/ring-fixture.js";
import { expectThat, type FuzzTarget, InputReader, kindOf } from "../target.js";

const END = 0x30000;
const SIZES = [1, 2, 4, 8, 16, 32] as const;
const STEPS_MAX = 300;
const Step = { descriptor: 0, offer: 1, poke: 2, index: 3, drain: 4, hold: 5 } as const;
const STEP_COUNT = 6;

/** One for all inputs: allocating it takes longer than most inputs. */
const at = new FixtureMemory();

function checkChain(chain: Chain, memory: Uint8Array, size: number): void {
  const views = [...chain.readable, ...chain.writable];
  const sum = (list: readonly Uint8Array[]): number =>
    list.reduce((total, view) => total + view.length, 0);
  expectThat(sum(chain.readable) === chain.readableBytes, "readable bytes are counted wrongly");
  expectThat(sum(chain.writable) === chain.writableBytes, "writable bytes are counted wrongly");
  // Each descriptor is cut at most into the pages of the data area; tables are as long as the ring.
  expectThat(views.length <= size * 18, `a chain has ${views.length} views`);
  for (const view of views) {
    const [start, end] = [view.byteOffset, view.byteOffset + view.length];
    expectThat(view.buffer === memory.buffer, "a view is of other memory");
    const mapped = start >= DATA && end <= END && (end <= HOLE || start >= PAGES);
    expectThat(mapped, `a view has bytes ${start} to ${end}, which are not mapped`);
  }
}

/** What both rings have in common, as far as this needs it. */
interface Ring {
  pop(): Chain | null;
  push(chain: Chain, written: number): void;
  flush(): void;
  enableKick(on: boolean): boolean;
  readonly outstanding: number;
  readonly brokenReason: string | null;
}

/** The device's side: takes all there is, and gives it back unless it is to hold it. */
class Drainer {
  readonly held: Chain[] = [];
  readonly kinds = new Set<string>();

  constructor(
    readonly ring: Ring,
    readonly memory: Uint8Array,
    readonly size: number,
    readonly inOrder: boolean,
  ) {}

  drain(hold: boolean): void {
    const { ring, held } = this;
    for (let count = 0; ; count++) {
      const chain = ring.pop();
      if (chain === null) break;
      expectThat(count < this.size, `one drain gives more than ${this.size} chains`);
      const twice = held.some((other) => other.head === chain.head);
      this.kinds.add(twice ? "head twice" : kindOf(chain.fault ?? "sound"));
      checkChain(chain, this.memory, this.size);
      held.push(chain);
    }
    expectThat(held.length <= this.size, `${held.length} chains are out of ${this.size}`);
    while (!hold && held.length > 0) {
      const chain = this.inOrder ? held.shift() : held.pop();
      if (chain !== undefined) ring.push(chain, chain.writableBytes);
    }
    ring.flush();
    ring.enableKick(hold);
  }

  end(brokenReasons: readonly string[]): string {
    const { ring, held } = this;
    expectThat(ring.outstanding === held.length, `${ring.outstanding} are out, not ${held.length}`);
    const broken = ring.brokenReason;
    expectThat(brokenReasons.length === (broken === null ? 0 : 1), "broken is not said once");
    return [...this.kinds, broken === null ? "" : kindOf(broken)].join("|");
  }
}

interface Start {
  readonly size: number;
  readonly eventIndex: boolean;
  readonly indirect: boolean;
  readonly inOrder: boolean;
}

function readStart(reader: InputReader): Start {
  const bits = reader.u8();
  const size = SIZES[reader.u8() % SIZES.length] ?? 8;
  const is = (bit: number): boolean => (bits & bit) !== 0;
  return { size, eventIndex: is(1), indirect: !is(2), inOrder: is(4) };
}

function readDescriptor(reader: InputReader) {
  return { address: reader.u64(), length: Number(reader.u64() & 0xffff_ffffn) };
}

function runSplit(bytes: Uint8Array): string {
  const reader = new InputReader(bytes);
  const start = readStart(reader);
  const fixture = new RingFixture({ ...start, at: at.clear() });
  const drainer = new Drainer(fixture.ring, fixture.memory, start.size, start.inOrder);
  for (let steps = 0; steps < STEPS_MAX && !reader.done; steps++) {
    const step = reader.u8() % STEP_COUNT;
    const where = reader.u8();
    if (step === Step.descriptor) {
      const flags = reader.u16();
      const next = reader.u16();
      const table = where >= 128;
      const index = table ? where - 128 : where % start.size;
      fixture.descriptor(index, { ...readDescriptor(reader), flags, next }, table ? DATA : 0);
    } else if (step === Step.offer)
      fixture.offerHead(where < 240 ? where % start.size : reader.u16());
    else if (step === Step.poke)
      fixture.view.setUint16(2 * reader.u16() + where, reader.u16(), true);
    else if (step === Step.index) fixture.setAvailable(reader.u16());
    else drainer.drain(step === Step.hold);
  }
  drainer.drain(false);
  return drainer.end(fixture.brokenReasons);
}

function runPacked(bytes: Uint8Array): string {
  const reader = new InputReader(bytes);
  const start = readStart(reader);
  const position = reader.u8() % (2 * start.size);
  const fixture = new PackedFixture({ ...start, position, at: at.clear() });
  const drainer = new Drainer(fixture.ring, fixture.memory, start.size, start.inOrder);
  for (let steps = 0; steps < STEPS_MAX && !reader.done; steps++) {
    const step = reader.u8() % STEP_COUNT;
    const where = reader.u8();
    if (step === Step.descriptor) {
      const flags = reader.u16();
      const id = reader.u16();
      fixture.raw(where % 32, { ...readDescriptor(reader), flags }, id, DATA);
    } else if (step === Step.offer) {
      const flags = reader.u8() & 7;
      const id = where < 240 ? where % start.size : reader.u16();
      fixture.offer(id, { ...readDescriptor(reader), flags });
    } else if (step === Step.poke)
      fixture.view.setUint16(2 * reader.u16() + where, reader.u16(), true);
    else if (step === Step.index) fixture.driverEvent(reader.u16(), reader.u16());
    else drainer.drain(step === Step.hold);
  }
  drainer.drain(false);
  return drainer.end(fixture.brokenReasons);
}

/** Writes programs. */
class Program {
  readonly #bytes: number[] = [];

  constructor(...start: readonly number[]) {
    this.#bytes.push(...start);
  }

  step(kind: number, at: number, ...words: readonly number[]): this {
    this.#bytes.push(kind, at, ...words.flatMap((word) => [word & 0xff, word >> 8]));
    return this;
  }

  flags(value: number): this {
    this.#bytes.push(value);
    return this;
  }

  area(address: number, length: number): this {
    const view = new DataView(new ArrayBuffer(16));
    view.setBigUint64(0, BigInt(address), true);
    view.setBigUint64(8, BigInt(length), true);
    this.#bytes.push(...new Uint8Array(view.buffer));
    return this;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

const [NEXT, WRITE, INDIRECT] = [1, 2, 4];

function splitSeeds(): Uint8Array[] {
  return [0, 1, 4, 5].flatMap((bits) => {
    const plain = new Program(bits, 3)
      .step(Step.descriptor, 0, NEXT, 1)
      .area(DATA, 64)
      .step(Step.descriptor, 1, WRITE, 0)
      .area(DATA + 64, 32)
      .step(Step.offer, 0)
      .step(Step.drain, 0);
    const table = new Program(bits, 3)
      .step(Step.descriptor, 128, NEXT, 1)
      .area(HOLE - 64, 64)
      .step(Step.descriptor, 129, WRITE, 0)
      .area(PAGES, 8192)
      .step(Step.descriptor, 2, INDIRECT, 0)
      .area(DATA, 32)
      .step(Step.offer, 2)
      .step(Step.hold, 0)
      .step(Step.drain, 0);
    const loop = new Program(bits, 2)
      .step(Step.descriptor, 0, NEXT, 1)
      .area(DATA, 1)
      .step(Step.descriptor, 1, NEXT, 0)
      .area(DATA, 1)
      .step(Step.offer, 0)
      .step(Step.index, 0, 3)
      .step(Step.drain, 0);
    return [plain.bytes, table.bytes, loop.bytes];
  });
}

function packedSeeds(): Uint8Array[] {
  return [0, 1, 4, 5].flatMap((bits) => {
    const plain = new Program(bits, 3, 0)
      .step(Step.offer, 0)
      .flags(NEXT)
      .area(DATA, 64)
      .step(Step.offer, 3)
      .flags(WRITE)
      .area(DATA + 64, 32)
      .step(Step.drain, 0);
    const table = new Program(bits, 3, 5)
      .step(Step.descriptor, 0, 0, 0)
      .area(HOLE - 64, 64)
      .step(Step.descriptor, 1, WRITE, 0)
      .area(PAGES, 8192)
      .step(Step.offer, 2)
      .flags(INDIRECT)
      .area(DATA, 32)
      .step(Step.hold, 0)
      .step(Step.index, 0, 2, 0x8003)
      .step(Step.drain, 0);
    return [plain.bytes, table.bytes];
  });
}

/** Addresses at the edges of what is mapped, and steps of their own. */
function dictionary(): Uint8Array[] {
  const edges = [DATA, HOLE - 16, HOLE, PAGES, END - 16, END, 2 ** 53 - 1].map(
    (address) => new Program().area(address, 16).bytes,
  );
  return [...edges, Uint8Array.of(Step.drain, 0), Uint8Array.of(Step.offer, 0)];
}

const shared = { bytesMax: 4096, cpuLimitMs: 1000, dictionary } as const;

export const splitRingTarget: FuzzTarget = {
  ...shared,
  name: "split-ring",
  parses: "split rings and their descriptor chains",
  seeds: splitSeeds,
  run: runSplit,
};

export const packedRingTarget: FuzzTarget = {
  ...shared,
  name: "packed-ring",
  parses: "packed rings and their descriptor chains",
  seeds: packedSeeds,
  run: runPacked,
};
