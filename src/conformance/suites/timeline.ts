// SPDX-License-Identifier: Apache-2.0
/** Timelines: fences, their order, arming, events on the event queue. */
import { RingWords } from "../../io/native.js";
import { EventMessage, EventType, VGPU } from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import { type Context, type Device, slotAt } from "../driver/device.js";
import type { Buffer } from "../driver/memory.js";
import { check, equal, Violation } from "../framework/check.js";
import { group } from "../framework/registry.js";
import { EMPTY } from "./modules.js";

const EVENT = VGPU.QUEUE_EVENT;

/** Posts one event buffer. */
export function post(device: Device, bytes = 32): { readonly id: number; readonly buffer: Buffer } {
  const buffer = device.frontEnd.memory.allocate(bytes, 8);
  buffer.bytes.fill(0xee);
  const pieces = [{ address: buffer.address, length: bytes, write: true }];
  const id = device.frontEnd.ring(EVENT).add(pieces);
  device.frontEnd.publish(EVENT);
  return { id, buffer };
}

/** Waits for the event in a posted buffer. */
export async function event(
  device: Device,
  posted: { readonly id: number; readonly buffer: Buffer },
): Promise<EventMessage> {
  equal(await device.frontEnd.returned(EVENT, posted.id), 32, "the used length of an event");
  check(
    EventMessage.reservedZero(posted.buffer.view, 0),
    "the reserved words of an event are zero",
  );
  return EventMessage.decode(posted.buffer.view, 0);
}

/** No event came, though everything that was sent before has been done. */
async function noEvent(device: Device, id: number): Promise<void> {
  await device.capabilities();
  check(!device.frontEnd.collect(EVENT).has(id), "no event message came");
}

// ---- Fences -------------------------------------------------------------------------------------

const fences = group("timeline/fence", "The slot of a stream tells the last completed fence.");

fences
  .test("completes")
  .desc("A fence completes with status OK and a time; only its own slot changes.")
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    await context.succeed(new Commands().nop(), 5);
    const slot = context.slot(5);
    equal(slot.fence, 1n, "the fence in slot 5");
    check(slot.time_ns > 0n, "time_ns is set");
    equal(context.slot(4).fence + context.slot(6).fence, 0n, "the fences of its neighbours");
  });

fences
  .test("empty")
  .desc("A submit without commands completes its fence.")
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    equal(await context.run(new Commands()), "OK", "the status");
  });

fences
  .test("every-stream")
  .desc("All streams exist from the start, and complete fences.")
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    for (let stream = 0; stream < t.limits.streams_max; stream++)
      await context.succeed(new Commands().nop(), stream);
  });

fences
  .test("jumps")
  .desc("Fences may leave numbers out, and go beyond 2^32.")
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    for (const fence of [5n, 1000n, 0xffff_ffffn, 0x1_0000_0000n, (1n << 53n) - 1n]) {
      const bytes = context.submitBytes(0, fence, new Commands().nop());
      equal((await context.device.send(bytes, { queue: 2 })).status, "OK", "SUBMIT");
      equal(await context.wait(0, fence), "OK", "the slot's status");
      equal(context.done(0), fence, "the slot's fence");
    }
  });

fences
  .test("too-large")
  .desc("A fence of 2^53 is refused.")
  .dev(22)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const bytes = context.submitBytes(0, 1n << 53n, new Commands().nop());
    equal((await context.device.send(bytes, { queue: 2 })).status, "OUT_OF_RANGE", "the status");
  });

fences
  .test("monotonic")
  .desc("Read as fast as possible, a slot never goes back and never shows a torn number.")
  .dev(48, 49)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    // Consecutive fences differ in both halves: a half-written one is neither.
    const known = new Set<bigint>([0n]);
    const fencesSent: bigint[] = [];
    for (let index = 1n; index <= 60n; index++)
      fencesSent.push((index << 32n) | (0xffff_ffffn - index));
    for (const fence of fencesSent) {
      known.add(fence);
      const bytes = context.submitBytes(0, fence, new Commands().nop());
      await context.device.send(bytes, { queue: 2 });
      await follow(context, known, fence);
    }
  });

/** Reads the slot until it has `last`. */
async function follow(context: Context, known: ReadonlySet<bigint>, last: bigint): Promise<void> {
  const words = new RingWords(context.timeline.bytes);
  let before = words.loadBig64(slotAt(0));
  while (before < last) {
    for (let spin = 0; spin < 200; spin++) {
      const now = words.loadBig64(slotAt(0));
      if (now < before) throw new Violation(`the fence goes back from ${before} to ${now}`);
      if (!known.has(now)) throw new Violation(`the fence 0x${now.toString(16)} was never sent`);
      before = now;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

fences
  .test("status-first")
  .desc("Whoever sees the fence of a failed submit sees its status, in the slot and in the header.")
  .dev(46, 47)
  .fn(async (t) => {
    const device = await t.device();
    for (let round = 0; round < 20; round++) {
      const context = await device.createContext(round);
      const fence = await context.queue(0, new Commands().fill(16n, 4, 0));
      while (context.done(0) < fence) await new Promise((resolve) => setImmediate(resolve));
      check(context.slot(0).status !== 0, "the slot's status is there with the fence");
      check(context.head().context_status !== 0, "the header's status is there with the fence");
      await context.destroy();
    }
  });

fences
  .test("data-first")
  .desc("When a fence is seen, the data of its copies are there.")
  .dev(50)
  .needs("results")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const bytes = 256 << 10;
    const pointer = await context.alloc(bytes);
    const buffer = device.frontEnd.memory.allocate(bytes, 4096);
    const hostmem = await context.register(buffer);
    for (let round = 1; round <= 20; round++) {
      buffer.bytes.fill(0);
      const commands = new Commands()
        .fill(pointer, bytes, round)
        .copyFromDevice(pointer, hostmem, 0, bytes);
      const fence = await context.queue(0, commands);
      while (context.done(0) < fence) await new Promise((resolve) => setImmediate(resolve));
      equal(buffer.bytes[bytes - 1] ?? 0, round, "the last byte when the fence is seen");
      equal(buffer.bytes[0] ?? 0, round, "the first byte when the fence is seen");
    }
  });

fences
  .test("page-is-not-read")
  .desc("A driver that scribbles over its timeline page harms nobody: fences go on from there.")
  .dev(51)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    await context.succeed(new Commands().nop());
    context.timeline.bytes.fill(0xff);
    const fence = await context.queue(0, new Commands().nop());
    while (context.done(0) !== fence) await t.pause(1);
    const words = new RingWords(context.timeline.bytes);
    words.store64(slotAt(1), 1n << 40n);
    await context.queue(1, new Commands().nop());
    while (context.done(1) !== 1n) await t.pause(1);
    const other = await device.createContext(9);
    await other.succeed(new Commands().nop());
  });

// ---- Arming -------------------------------------------------------------------------------------

const arming = group("timeline/arm", "A driver that arms a fence gets an event when it completes.");

arming
  .test("reached")
  .desc("An armed fence that completes sends FENCE with the context and the epoch.")
  .dev(53)
  .fn(async (t) => {
    const device = await t.device();
    const { epoch } = await device.capabilities();
    const context = await device.createContext(4);
    const posted = post(device);
    context.armFence(2, 1n);
    await context.queue(2, new Commands().nop());
    const message = await event(device, posted);
    equal(message.type, EventType.FENCE, "the type");
    equal(message.context, 4, "the context");
    equal(message.epoch, epoch, "the epoch");
    equal(context.done(2), 1n, "the fence in the slot");
  });

arming
  .test("limits")
  .desc("A fence that is armed one above the completed one sends nothing; at it, it sends.")
  .dev(53)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const posted = post(device);
    context.armFence(0, 2n);
    await context.succeed(new Commands().nop());
    await noEvent(device, posted.id);
    await context.succeed(new Commands().nop());
    equal((await event(device, posted)).type, EventType.FENCE, "the type");
  });

arming
  .test("not-armed")
  .desc("Fences of streams that are not armed, or armed below what had completed, send nothing.")
  .dev(53)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const posted = post(device);
    await context.succeed(new Commands().nop());
    context.armFence(0, 1n);
    context.armFence(1, 5n);
    for (let round = 0; round < 5; round++) await context.succeed(new Commands().nop());
    await noEvent(device, posted.id);
  });

arming
  .test("jumped-over")
  .desc("An armed fence that is passed and not hit sends an event.")
  .dev(53)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const posted = post(device);
    context.armFence(0, 50n);
    const bytes = context.submitBytes(0, 100n, new Commands().nop());
    await device.send(bytes, { queue: 2 });
    equal((await event(device, posted)).type, EventType.FENCE, "the type");
  });

arming
  .test("failed")
  .desc("A fence that completes with an error sends its event too.")
  .dev(53)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const posted = post(device);
    context.armFence(0, 1n);
    await context.queue(0, new Commands().fill(16n, 4, 0));
    equal((await event(device, posted)).type, EventType.FENCE, "the type");
    check(context.slot(0).status !== 0, "the slot has the error");
  });

arming
  .test("no-lost-wake-up")
  .desc("Three hundred times: arm, look again, sleep. Each sleep ends.")
  .dev(52, 53)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const free = device.frontEnd.memory.main.mark();
    let posted = post(device);
    for (let fence = 1n; fence <= 300n; fence++) {
      // The submit is not waited for, so that the fence may complete at any moment of this.
      const bytes = device.frontEnd.memory.place(
        context.submitBytes(0, fence, new Commands().nop()),
        8,
      );
      const room = device.frontEnd.memory.allocate(32, 8);
      const id = device.frontEnd.ring(2).add([
        { address: bytes.address, length: bytes.bytes.length },
        { address: room.address, length: 32, write: true },
      ]);
      device.frontEnd.publish(2);
      while (!context.armFence(0, fence)) {
        await event(device, posted);
        posted = post(device);
      }
      await device.frontEnd.returned(2, id);
    }
    free();
  });

arming
  .test("ahead")
  .desc("A driver that asks for SOON gets FENCE too; one that does not gets no SOON.")
  .dev(53, 144)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(3);
    await context.succeed(new Commands().moduleLoad(1, EMPTY).functionCreate(1, 1, "main"));
    // The next message comes in the first of them.
    const posted = [post(device)];
    const next = async (): Promise<EventMessage> => {
      const first = posted.shift() ?? post(device);
      posted.push(post(device));
      return await event(device, first);
    };
    let fence = 1n;
    for (const aheadNs of [0, 1_000_000, 0xffffffff, 0]) {
      for (let round = 0; round < 20; round++) {
        context.armFence(0, ++fence, aheadNs);
        await context.queue(0, new Commands().launch({ function: 1 }));
        let message = await next();
        if (aheadNs > 0 && message.type === EventType.SOON) {
          equal(message.context, 3, "the context");
          message = await next();
        }
        equal(message.type, EventType.FENCE, "the type");
        equal(context.done(0), fence, "the fence in the slot");
      }
    }
  });

// ---- The event queue ----------------------------------------------------------------------------

const queue = group("timeline/event-queue", "Messages that find no buffer are kept, and merged.");

queue
  .test("kept")
  .desc("A message that finds no buffer comes when one is posted.")
  .dev(93)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    context.armFence(0, 1n);
    await context.succeed(new Commands().nop());
    await device.capabilities();
    equal((await event(device, post(device))).context, context.id, "the context");
  });

queue
  .test("merged")
  .desc("Ten messages of a context that find no buffer become one; another context's is its own.")
  .dev(94)
  .fn(async (t) => {
    const device = await t.device();
    const [one, two] = [await device.createContext(1), await device.createContext(2)];
    for (let fence = 1n; fence <= 10n; fence++) {
      one.armFence(0, fence);
      await one.succeed(new Commands().nop());
    }
    two.armFence(0, 1n);
    await two.succeed(new Commands().nop());
    const posted = [post(device), post(device), post(device)];
    const contexts = [];
    for (const each of posted.slice(0, 2)) contexts.push((await event(device, each)).context);
    equal(contexts.sort().join(), "1,2", "the contexts of the messages");
    await noEvent(device, posted[2]?.id ?? -1);
  });

queue
  .test("small-buffer")
  .desc("A buffer that is too small for a message comes back unused, and the message waits.")
  .dev(93)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const small = post(device, 31);
    context.armFence(0, 1n);
    await context.succeed(new Commands().nop());
    equal(await device.frontEnd.returned(EVENT, small.id), 0, "the used length of a small buffer");
    equal((await event(device, post(device))).context, context.id, "the context");
  });
