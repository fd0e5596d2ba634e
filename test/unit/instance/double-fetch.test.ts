// SPDX-License-Identifier: Apache-2.0
// Requests are copied once: what a guest writes over them after the device took them changes
// nothing (CVE-2020-14374 to 14378).
import { afterEach, expect, it } from "vitest";
import { VgpuDevice } from "../../../src/instance/device.js";
import { createDevice } from "../../../src/instance/index.js";
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
  Status,
  VGPU,
} from "../../../src/protocol/generated/wire.js";
import { withChangingMemory } from "../../support/changing-memory.js";
import { FakeMemory, FakeQueue, FakeWords } from "../../support/fake-guest.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { MockDriver } from "../../support/mock-driver.js";
import { MockGuest, ok } from "../../support/mock-guest.js";

const open: (() => void)[] = [];
afterEach(() => {
  for (const end of open.splice(0)) end();
});

it("a submit that is rewritten after its acknowledgement does what it said", async () => {
  const executor = new MemoryExecutor();
  const device = await createDevice({ executor });
  const driver = MockDriver.inProcess(device);
  open.push(() => driver.close());
  const guest = new MockGuest(await driver.start());
  ok(await guest.init());
  const context = await guest.createContext(1);
  const target = driver.memory.allocate(4096, 4096);
  await guest.registerMemory(1, 1, [target]);
  const pointer = await guest.alloc(1, 4096);

  const commands = new CommandWriter();
  commands.fill(pointer, 4096, 0x11, 1).copyFromDevice(pointer, 1, 0, 4096);
  const submit = driver.memory.place(submitBytes(1, 0, 1n, commands));
  const answer = driver.memory.allocate(32);
  expect(await driver.complete(VGPU.QUEUE_SUBMIT, [submit], [answer])).toBe(32);
  expect(executor.inFlight).toBe(1);
  driver.memory.viewOf(submit).fill(0xff);
  executor.finishAll();
  expect((await driver.waitFence(context, 0, 1n)).status).toBe(Status.OK);
  expect(driver.memory.viewOf(target).every((byte) => byte === 0x11)).toBe(true);
});

// ---- All requests, in memory that changes at every read -----------------------------------------

const PAGE = 0x1_0000;
const REQUESTS = 0x8_0000;
const HOST = 0x2_0000;
const SOURCE =
  "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
  "@compute @workgroup_size(1) fn increment() { d[0] += 1u; }\n";

function deviceOver(
  memory: FakeMemory,
  queues: readonly FakeQueue[],
  executor: MemoryExecutor,
): VgpuDevice {
  let timeNs = 1000;
  const quiet = (): void => {};
  const never = { arm: quiet, disarm: quiet };
  const device = new VgpuDevice({
    executor,
    reopen: null,
    limits: DEFAULT_LIMITS,
    translator: new InlineTranslator(),
    scheduling: DEFAULT_SCHEDULING,
    nowNs: () => timeNs++,
    randomU32: () => 7,
    timer: never,
    watchdog: never,
    words: new FakeWords(memory),
    lease: localLease(),
    log: { debug: quiet, info: quiet, warn: quiet },
    abandon: null,
    busy: quiet,
  });
  device.attach({
    memory: memory as unknown as GuestMemory,
    queue: (index) => queues[index] ?? null,
    features: 0n,
    journal: null,
    notifyConfigChange: () => false,
  });
  device.ringsChanged(false);
  return device;
}

/** A guest's requests from its memory: what the device answers, computes and writes. */
async function play(changing: boolean): Promise<unknown> {
  const memory = new FakeMemory(new Uint8Array(1 << 20));
  memory.windowBytes = PAGE;
  const gpu = new MemoryExecutor();
  const queues = [new FakeQueue(0), new FakeQueue(1), new FakeQueue(2)];
  const device = deviceOver(memory, queues, gpu);
  const guarded = <T>(work: () => T): T =>
    changing ? withChangingMemory(memory.bytes.buffer, work) : work();
  const send = (index: number, bytes: Uint8Array, room = 64): void => {
    // Cut in the middle of a field, across a window's border.
    const at = REQUESTS - 5;
    memory.bytes.set(bytes, at);
    const views = memory.translate(at, bytes.length) ?? [];
    queues[index]?.add(views, room);
    guarded(() => device.processQueue(index));
  };
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 12; turns++) {
      await Promise.resolve();
      guarded(() => gpu.finishAll());
    }
  };
  const page = BigInt(PAGE);
  const create = { timeline_address: page, arm_address: page + 4096n, name: "double" };
  const init = structBytes(InitRequest, { session: 5n, capabilities: 0n });
  send(0, requestBytes(Request.INIT, 0, init), 256);
  send(0, requestBytes(Request.CONTEXT_CREATE, 1, structBytes(ContextCreateRequest, create)));
  const alloc = structBytes(MemoryAllocRequest, { bytes: 4096n, flags: 0n });
  send(0, requestBytes(Request.MEMORY_ALLOC, 1, alloc));
  send(
    0,
    hostmemRegisterBytes(
      1,
      0,
      [0, 1, 2].map((i) => ({ address: HOST + i * 8192, bytes: 4096 })),
    ),
  );
  memory.bytes.fill(0x21, HOST, HOST + 3 * 8192);
  // The driver wants to hear of fence 1.
  new DataView(memory.bytes.buffer).setBigUint64(PAGE + 4096 + 64, 1n, true);
  queues[VGPU.QUEUE_EVENT]?.add([], 64);
  const pointer = { segment: 0x04000000, offset: 0 };
  const writer = new CommandWriter();
  writer.moduleLoad(0, SOURCE).functionCreate(0, 0, "increment");
  writer.copyToDevice(pointer, 0, 4000, 200);
  writer.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer] });
  writer.copyFromDevice(pointer, 0, 8192, 64);
  send(VGPU.QUEUE_SUBMIT, submitBytes(1, 0, 1n, writer));
  await settle();
  send(VGPU.QUEUE_SUBMIT, submitBytes(1, 0, 1n, new CommandWriter().nop()));
  send(0, Uint8Array.of(1, 2, 3));
  await settle();
  const answers = queues.map((queue) =>
    queue.used.map(({ chain, written }) => [written, [...chain.room]]),
  );
  const shown = memory.bytes.slice(PAGE, PAGE + 128);
  const copied = memory.bytes.slice(HOST + 2 * 8192, HOST + 2 * 8192 + 64);
  device.reset();
  return { answers, shown: [...shown], copied: [...copied] };
}

it("answers, results and events are those of the bytes that were read first", async () => {
  const quiet = await play(false);
  expect(await play(true)).toEqual(quiet);
  // It has been computed, and what came back is not what was there.
  expect(quiet).toMatchObject({ copied: expect.arrayContaining([0x22, 0x21]) });
  expect((quiet as { answers: unknown[][] }).answers.map((each) => each.length)).toEqual([5, 1, 2]);
});
