// SPDX-License-Identifier: Apache-2.0
/**
 * The whole device behind its queues: requests one after the other, of which each changes what the
 * next one means, reads and writes of config space, and resets. An input is a guest's program:
 *
 *   step:     kind u8 (control, submit, event buffer, config, work done, reset)
 *   request:  room u16 for the answer, length u16, bytes
 *   config:   offset u8, length u8
 */
import { VgpuDevice } from "../../../src/instance/device.js";
import { localLease } from "../../../src/instance/lease.js";
import { DEFAULT_LIMITS, DEFAULT_SCHEDULING } from "../../../src/instance/limits.js";
import type { GuestMemory } from "../../../src/io/guest-memory.js";
import { InlineTranslator } from "../../../src/kernel/translator/index.js";
import {
  CommandWriter,
  hostmemRegisterBytes,
  requestBytes,
  structBytes,
  submitBytes,
} from "../../../src/protocol/encode.js";
import {
  ContextCreateRequest,
  InitRequest,
  MemoryAllocRequest,
  Request,
  ResponseHeader,
  statusName,
  VGPU,
} from "../../../src/protocol/generated/wire.js";
import { FakeMemory, FakeQueue, FakeWords } from "../../support/fake-guest.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { controlVectors, submitVectors, vectorBytes } from "../../support/vectors.js";
import { expectThat, type FuzzTarget, InputReader, stepPieces } from "../target.js";

const STEPS_MAX = 100;
const ROOM_MAX = 4096;
const Kind = { control: 0, submit: 1, event: 2, config: 3, done: 4, reset: 5 } as const;
const KINDS = 6;
const MEMORY_BYTES = 0x4_0000;
/** Small, so that limits are met and an input takes little memory. */
const LIMITS = { ...DEFAULT_LIMITS, memoryBytesMax: 4 << 20, segmentBytesFirst: 1 << 16 };

/** One for all inputs. */
const guestBytes = new Uint8Array(MEMORY_BYTES);

class Guest {
  readonly gpu = new MemoryExecutor({ memoryBytes: 8 << 20 });
  readonly device: VgpuDevice;
  readonly queues = [new FakeQueue(0), new FakeQueue(1), new FakeQueue(2)];
  readonly seen = new Set<string>();
  #timeNs = 1000;

  constructor() {
    const memory = new FakeMemory(guestBytes.fill(0));
    const quiet = (): void => {};
    const never = { arm: quiet, disarm: quiet };
    this.device = new VgpuDevice({
      executor: this.gpu,
      reopen: null,
      limits: LIMITS,
      translator: new InlineTranslator(),
      scheduling: DEFAULT_SCHEDULING,
      nowNs: () => this.#timeNs++,
      randomU32: () => 7,
      timer: never,
      watchdog: never,
      words: new FakeWords(memory),
      lease: localLease(),
      log: { debug: quiet, info: quiet, warn: quiet },
      abandon: null,
      busy: () => {},
    });
    this.device.attach({
      memory: memory as unknown as GuestMemory,
      queue: (index) => this.queues[index] ?? null,
      features: 0n,
      journal: null,
      notifyConfigChange: () => false,
    });
    this.device.ringsChanged(false);
  }

  /** One chain; the device answers at once or holds it, and never more than once. */
  send(index: number, reader: InputReader): void {
    const queue = this.queues[index];
    const room = reader.u16() % ROOM_MAX;
    const bytes = reader.take(reader.u16()).slice();
    if (queue === undefined) return;
    const before = queue.used.length;
    const cut = Math.min(5, bytes.length);
    queue.add(bytes.length > 0 ? [bytes.subarray(0, cut), bytes.subarray(cut)] : [], room);
    this.device.processQueue(index);
    const answer = queue.used[before];
    if (answer === undefined || answer.written < ResponseHeader.bytes) return;
    const { room: answered } = answer.chain;
    const view = new DataView(answered.buffer, answered.byteOffset, answered.length);
    const name = statusName(ResponseHeader.decode(view, 0).status);
    expectThat(!name.startsWith("STATUS_"), `a status has no name: ${name}`);
    this.seen.add(`${index}${name}`);
  }

  /** As the session does it: it has checked the range. */
  config(reader: InputReader): void {
    const offset = reader.u8() % VGPU.CONFIG_SPACE_BYTES;
    const length = reader.u8() % (VGPU.CONFIG_SPACE_BYTES - offset + 1);
    const into = new Uint8Array(length);
    this.device.readConfig(offset, into);
    expectThat(!this.device.writeConfig(), "the device takes a write of config space");
  }

  async done(): Promise<void> {
    for (let turns = 0; turns < 12; turns++) {
      await Promise.resolve();
      this.gpu.finishAll();
    }
  }

  check(): void {
    const [problem] = this.device.audit().problems;
    expectThat(problem === undefined, `the audit says: ${problem}`);
  }
}

async function run(bytes: Uint8Array): Promise<string> {
  const reader = new InputReader(bytes);
  const guest = new Guest();
  for (let steps = 0; steps < STEPS_MAX && !reader.done; steps++) {
    const kind = reader.u8() % KINDS;
    if (kind === Kind.control) guest.send(VGPU.QUEUE_CONTROL, reader);
    else if (kind === Kind.submit) guest.send(VGPU.QUEUE_SUBMIT, reader);
    else if (kind === Kind.event) guest.send(VGPU.QUEUE_EVENT, reader);
    else if (kind === Kind.config) guest.config(reader);
    else if (kind === Kind.done) await guest.done();
    else guest.device.reset();
  }
  await guest.done();
  guest.check();
  guest.device.reset();
  await guest.done();
  guest.check();
  const held = Object.entries(guest.device.audit().holdings).filter(([, count]) => count !== 0);
  expectThat(held.length === 0, `after a reset there are ${held.flat().join(" ")}`);
  expectThat(guest.gpu.liveBytes === 0, `after a reset ${guest.gpu.liveBytes} bytes are live`);
  guest.device.detach();
  return [...guest.seen].sort().join();
}

function step(kind: number, bytes: Uint8Array): Uint8Array {
  const head = Uint8Array.of(kind, 0, 1, bytes.length & 0xff, bytes.length >> 8);
  return Uint8Array.of(...head, ...bytes);
}

const SOURCE =
  "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
  "@compute @workgroup_size(1) fn increment() { d[0] += 1u; }\n";

/** A guest that does everything right. */
function startSteps(): Uint8Array[] {
  const page = 0x1_0000n;
  const create = { timeline_address: page, arm_address: page + 4096n, name: "seed" };
  const control = [
    requestBytes(Request.INIT, 0, structBytes(InitRequest, { session: 5n, capabilities: 0xffn })),
    requestBytes(Request.CONTEXT_CREATE, 0, structBytes(ContextCreateRequest, create)),
    requestBytes(
      Request.MEMORY_ALLOC,
      0,
      structBytes(MemoryAllocRequest, { bytes: 4096n, flags: 0n }),
    ),
    hostmemRegisterBytes(0, 0, [{ address: 0x2_0000, bytes: 4096 }]),
  ];
  return control.map((bytes) => step(Kind.control, bytes));
}

function seeds(): Uint8Array[] {
  const start = startSteps();
  const pointer = { segment: 0x04000000, offset: 0 };
  const writer = new CommandWriter();
  writer.moduleLoad(0, SOURCE).functionCreate(0, 0, "increment");
  writer.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer] });
  writer.copyToDevice(pointer, 0, 0, 64).copyFromDevice(pointer, 0, 64, 64);
  writer.copyDevice({ ...pointer, offset: 256 }, pointer, 8).fill(pointer, 8, 1, 4);
  writer.eventRecord(0, 1).eventWait(0, 1).eventDestroy(0).nop();
  writer.functionDestroy(0).moduleUnload(0);
  const work = step(Kind.submit, submitBytes(0, 0, 1, writer));
  const rest = [Uint8Array.of(Kind.done), step(Kind.event, new Uint8Array(0))];
  const config = Uint8Array.of(Kind.config, 0, 64);
  const join = (...parts: readonly Uint8Array[]): Uint8Array =>
    new Uint8Array(Buffer.concat([...start, ...parts]));
  const vectors = [
    ...controlVectors().map((each) => step(Kind.control, vectorBytes(each.hex))),
    ...submitVectors().map((each) => step(Kind.submit, vectorBytes(each.hex))),
  ];
  return [
    join(work, ...rest, config),
    ...vectors.filter((each) => each.length < 4096).map((each) => join(each, ...rest)),
  ];
}

function skip(reader: InputReader): void {
  const kind = reader.u8() % KINDS;
  if (kind === Kind.config) reader.take(2);
  else if (kind < Kind.config) {
    reader.take(2);
    reader.take(reader.u16());
  }
}

export const deviceTarget: FuzzTarget = {
  name: "device",
  parses: "guests' programs: requests on all queues, config space, resets",
  bytesMax: 16384,
  cpuLimitMs: 5000,
  seeds,
  dictionary: () => [...startSteps(), Uint8Array.of(Kind.done), Uint8Array.of(Kind.reset)],
  pieces: (bytes) => stepPieces(bytes, 0, skip),
  run,
};
