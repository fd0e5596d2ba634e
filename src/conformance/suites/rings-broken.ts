// SPDX-License-Identifier: Apache-2.0
/** Chains and rings that break rules: nothing outside of the buffers changes, and others go on. */
import { Request, VGPU } from "../../protocol/generated/wire.js";
import { type Device, request, responseOf } from "../driver/device.js";
import { DescriptorFlag, type RawDescriptor } from "../driver/ring.js";
import { SplitDriverRing } from "../driver/split.js";
import { check, equal, oneOf, pattern, sameBytes, Violation } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { FORMATS } from "./rings.js";

const source = "virtio";
const { next, write, indirect } = DescriptorFlag;

/** What a broken chain is made of: a good request, and room for a response. */
interface Parts {
  readonly device: Device;
  readonly input: RawDescriptor;
  readonly output: RawDescriptor;
}

interface BrokenChain {
  readonly name: string;
  readonly make: (parts: Parts) => readonly RawDescriptor[];
}

/** Chains whose buffers are wrong: the device can answer them, and has to. */
const BAD_BUFFERS: readonly BrokenChain[] = [
  {
    name: "unmapped",
    make: ({ input, output }) => [{ ...input, address: 1n << 40n }, output],
  },
  {
    name: "below-the-region",
    make: ({ input, output }) => [{ ...input, address: 0x10_0000 - 8 }, output],
  },
  {
    name: "past-the-region",
    make: ({ device, input, output }) => {
      const { main } = device.frontEnd.memory;
      return [{ ...input, address: main.address + main.length - 8 }, output];
    },
  },
  {
    name: "overflow",
    make: ({ input, output }) => [{ ...input, address: (1n << 64n) - 8n }, output],
  },
  { name: "huge", make: ({ input, output }) => [{ ...input, length: 0xffff_ffff }, output] },
  {
    name: "readable-behind-writable",
    make: ({ input, output }) => [
      { ...output, flags: write | next },
      { ...input, flags: 0 },
    ],
  },
  { name: "no-request", make: ({ output }) => [output] },
  { name: "short-request", make: ({ input, output }) => [{ ...input, length: 15 }, output] },
];

const buffers = group(
  "ring/bad-buffer",
  "A chain with a buffer that is not guest memory, or in the wrong place, is given back with an " +
    "error, and its queue goes on.",
  { source },
);

function parts(device: Device): Parts & { readonly room: Uint8Array } {
  const { memory } = device.frontEnd;
  const bytes = memory.place(request(Request.GET_CAPABILITIES, 0));
  const room = memory.allocate(64);
  room.bytes.fill(0xee);
  return {
    device,
    input: { address: bytes.address, length: bytes.bytes.length, flags: next },
    output: { address: room.address, length: 64, flags: write },
    room: room.bytes,
  };
}

buffers
  .test("answered")
  .desc("The response has an error status and no payload; the next request is answered.")
  .dev(11, 18, 128)
  .params(
    FORMATS.flatMap((format) =>
      BAD_BUFFERS.flatMap((chain) =>
        [VGPU.QUEUE_CONTROL, VGPU.QUEUE_SUBMIT].map((queue) => ({
          ...format,
          name: `${format.name}-${queue === 0 ? "control" : "submit"}-${chain.name}`,
          queue,
          make: chain.make,
        })),
      ),
    ).filter(({ name }) => !name.includes("no-event-idx")),
  )
  .fn(async (t, { options, queue, make }) => {
    const device = await t.device(options);
    const made = parts(device);
    const id = device.frontEnd.ring(queue).addRaw(make(made));
    device.frontEnd.publish(queue);
    const written = await device.frontEnd.returned(queue, id);
    const response = responseOf(made.room, written);
    equal(written, 32, "the used length");
    // A buffer of 4 GiB is also too large a request.
    oneOf(response.status, ["MALFORMED", "REQUEST_TOO_LARGE"], "the status");
    equal(response.header?.payload_bytes ?? -1, 0, "payload_bytes");
    await device.capabilities();
    const { status } = await device.call(Request.GET_CAPABILITIES, 0, undefined, { queue });
    equal(status, queue === 0 ? "OK" : "UNKNOWN_COMMAND", "the status of the next request");
  });

// ---- Structure ----------------------------------------------------------------------------------

/** Chains whose structure is wrong. A device may answer them, or stop the ring. */
const BAD_STRUCTURE: readonly (BrokenChain & { readonly split?: true })[] = [
  {
    name: "nested-indirect",
    make: ({ device, input, output }) => {
      const inner = device.frontEnd.ring(0).table([input, output]);
      const outer = device.frontEnd
        .ring(0)
        .table([{ address: inner.address, length: 32, flags: indirect }]);
      return [{ address: outer.address, length: 16, flags: indirect }];
    },
  },
  {
    name: "indirect-odd-length",
    make: ({ device, input, output }) => {
      const table = device.frontEnd.ring(0).table([input, output]);
      return [{ address: table.address, length: 31, flags: indirect }];
    },
  },
  {
    name: "indirect-empty",
    make: ({ device, input, output }) => {
      const table = device.frontEnd.ring(0).table([input, output]);
      return [{ address: table.address, length: 0, flags: indirect }];
    },
  },
  {
    name: "indirect-unmapped",
    make: () => [{ address: 1n << 40n, length: 32, flags: indirect }],
  },
  {
    name: "indirect-huge",
    make: ({ device, input, output }) => {
      const table = device.frontEnd.ring(0).table([input, output]);
      return [{ address: table.address, length: 0xffff_fff0, flags: indirect }];
    },
  },
  {
    name: "indirect-with-next",
    make: ({ device, input, output }) => {
      const table = device.frontEnd.ring(0).table([input, output]);
      return [{ address: table.address, length: 32, flags: indirect | next }, output];
    },
  },
  {
    name: "next-out-of-range",
    split: true,
    make: ({ input, output }) => [{ ...input, next: 5000 }, output],
  },
  { name: "loop", split: true, make: ({ input }) => [{ ...input, next: 0 }] },
  {
    name: "indirect-loop",
    split: true,
    make: ({ device, input }) => {
      const table = device.frontEnd.ring(0).table([{ ...input, next: 0 }]);
      return [{ address: table.address, length: 16, flags: indirect }];
    },
  },
  {
    name: "indirect-next-out-of-range",
    split: true,
    make: ({ device, input }) => {
      const table = device.frontEnd.ring(0).table([{ ...input, next: 100 }]);
      return [{ address: table.address, length: 16, flags: indirect }];
    },
  },
];

const structure = group(
  "ring/bad-structure",
  "A chain that can't be followed is answered with an error or stops its ring; nothing else is " +
    "written, the other queues go on, and a new connection works.",
  { source },
);

/** A page beside what the device uses; it must stay as it is. */
function guard(device: Device): () => void {
  const page = device.frontEnd.memory.page();
  page.bytes.set(pattern(4096));
  return () => sameBytes(page.bytes.slice(), pattern(4096), "a page of memory nobody named");
}

/** The chain came back with an error, or the ring stopped: the other queue shows that it goes on. */
async function contained(
  t: TestContext,
  device: Device,
  room: Uint8Array,
  unchanged: () => void,
): Promise<void> {
  const { frontEnd } = device;
  const other = await device.call(Request.GET_CAPABILITIES, 0, undefined, {
    queue: VGPU.QUEUE_SUBMIT,
  });
  equal(other.status, "UNKNOWN_COMMAND", "the status of a request on the submit queue");
  for (const [, written] of frontEnd.collect(0)) {
    const response = responseOf(room, written);
    if (written > 0 && response.status === "OK")
      throw new Violation("a chain that breaks a rule is answered with success");
  }
  check(!frontEnd.wire.closed, "the connection is open still");
  unchanged();
  await t.survives();
}

structure
  .test("contained")
  .desc("The chain is not answered with success, and other queues and connections go on.")
  .params(
    FORMATS.filter(({ name }) => !name.includes("no-event-idx")).flatMap((format) =>
      BAD_STRUCTURE.filter(({ split }) => split !== true || format.name === "split").map(
        ({ name, make }) => ({ ...format, name: `${format.name}-${name}`, make }),
      ),
    ),
  )
  .fn(async (t, { options, make }) => {
    const device = await t.device(options);
    const unchanged = guard(device);
    const made = parts(device);
    device.frontEnd.ring(0).addRaw(make(made));
    device.frontEnd.publish(0, true);
    await t.pause(5);
    await contained(t, device, made.room, unchanged);
  });

structure
  .test("head-out-of-range")
  .desc("A head that is no descriptor of the ring.")
  .params([64, 65535].map((head) => ({ name: `${head}`, head })))
  .fn(async (t, { head }) => {
    const device = await t.device({ queueSize: 64 });
    const unchanged = guard(device);
    const made = parts(device);
    device.frontEnd.ring(0).addRaw([made.input, made.output], head);
    device.frontEnd.publish(0, true);
    await t.pause(5);
    await contained(t, device, made.room, unchanged);
  });

structure
  .test("index-too-far")
  .desc("An available index that is further ahead than the ring is long.")
  .params([
    { name: "65", ahead: 65 },
    { name: "40000", ahead: 40_000 },
  ])
  .fn(async (t, { ahead }) => {
    const device = await t.device({ queueSize: 64 });
    const unchanged = guard(device);
    const made = parts(device);
    const ring = device.frontEnd.ring(0);
    if (!(ring instanceof SplitDriverRing)) throw new Violation("a split ring is another one");
    ring.skip(ahead);
    device.frontEnd.publish(0, true);
    await t.pause(5);
    await contained(t, device, made.room, unchanged);
  });

structure
  .test("packed-id")
  .desc("Ids of packed rings that are out of range, or twice under way, are not trusted.")
  .needs("packed")
  .params([
    { name: "out-of-range", id: 64 },
    { name: "huge", id: 65535 },
  ])
  .fn(async (t, { id }) => {
    const device = await t.device({ queueSize: 64, packed: true });
    const unchanged = guard(device);
    const made = parts(device);
    device.frontEnd.ring(0).addRaw([made.input, made.output], id);
    device.frontEnd.publish(0, true);
    await t.pause(5);
    unchanged();
    await t.survives();
  });

structure
  .test("error-descriptor")
  .desc("A ring that stops over a broken chain tells so on its error descriptor.")
  .fn(async (t) => {
    const device = await t.device({ queueSize: 64 });
    const made = parts(device);
    const { frontEnd } = device;
    frontEnd.ring(0).addRaw([made.input, made.output], 65535);
    frontEnd.publish(0, true);
    await frontEnd.wire.until(() => frontEnd.counts(0).errors > 0 || frontEnd.wire.closed);
    check(!frontEnd.wire.closed, "the connection is open still");
  });
