// SPDX-License-Identifier: Apache-2.0
/** Config space, initialisation, and what holds for every request. */
import {
  CapabilitiesResponse,
  Config,
  InitRequest,
  MemoryAllocRequest,
  MemoryFreeRequest,
  Request,
  RequestHeader,
  ResponseHeader,
  requestShapes,
  TimelineHeader,
  TimelineSlot,
  VGPU,
} from "../../protocol/generated/wire.js";
import { Commands, struct } from "../driver/commands.js";
import { type Device, request, responseOf, slotAt, viewOf } from "../driver/device.js";
import { concat, Vhost, words } from "../driver/wire.js";
import { allBytes, check, equal, oneOf } from "../framework/check.js";
import { group } from "../framework/registry.js";

const NONE = new Uint8Array(0);
const CONTROL = [...requestShapes].filter(([, shape]) => shape.queue === "control");

// ---- Config space -------------------------------------------------------------------------------

const config = group("device/config", "What config space says.", { needs: ["config"] });

config
  .test("magic")
  .desc("Magic number, major version and queue count are those of this specification.")
  .dev(2)
  .fn(async (t) => {
    const fields = await (await t.driver()).config();
    equal(fields.magic, VGPU.MAGIC, "config.magic");
    equal(fields.version >>> 16, VGPU.VERSION >>> 16, "the major version");
    equal(fields.queue_count, 3, "config.queue_count");
  });

config
  .test("limits")
  .desc("Limits are there, and at most those of the specification; GET_CAPABILITIES agrees.")
  .fn(async (t) => {
    const device = await t.device();
    const fields = await device.config();
    const limits = await device.capabilities();
    check(fields.contexts_max > 0, "config.contexts_max is above 0");
    check(fields.streams_max > 0, "config.streams_max is above 0");
    check(fields.streams_max <= VGPU.STREAMS_MAX, "config.streams_max fits the timeline page");
    check(fields.hostmem_entries_max > 0, "config.hostmem_entries_max is above 0");
    equal(limits.contexts_max, fields.contexts_max, "contexts_max of GET_CAPABILITIES");
    equal(limits.streams_max, fields.streams_max, "streams_max of GET_CAPABILITIES");
    equal(limits.capabilities, fields.capabilities, "capabilities of GET_CAPABILITIES");
  });

config
  .test("rest-zero")
  .desc("Reserved bytes and the bytes behind the structure are zero.")
  .dev(3, 19)
  .fn(async (t) => {
    const space = await (await t.driver()).configSpace();
    check(Config.reservedZero(viewOf(space), 0), "reserved bytes of config are zero");
    allBytes(space.slice(Config.bytes), 0, "config space behind struct config");
  });

config
  .test("constant")
  .desc("Config space is the same before and after INIT, and in a new session.")
  .fn(async (t) => {
    const device = await t.driver();
    const before = await device.configSpace();
    await device.init();
    await device.init();
    equal(Buffer.compare(await device.configSpace(), before), 0, "the change of config space");
  });

// ---- Initialisation -----------------------------------------------------------------------------

const init = group("device/init", "INIT opens a session.");

init
  .test("first")
  .desc("Before INIT every other request is answered with NOT_INITIALISED.")
  .dev(6)
  .params(
    [...requestShapes]
      .filter(([type]) => type !== Request.INIT)
      .map(([type, shape]) => ({ name: shape.name, type, shape })),
  )
  .fn(async (t, { type, shape }) => {
    const device = await t.driver();
    const queue = shape.queue === "submit" ? VGPU.QUEUE_SUBMIT : VGPU.QUEUE_CONTROL;
    const bytes = request(type, 0, wellFormed(type, shape.requestBytes));
    equal((await device.send(bytes, { queue })).status, "NOT_INITIALISED", "the status");
  });

/** A payload that is refused for nothing but the state of the device. */
function wellFormed(type: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes);
  switch (type) {
    case Request.SUBMIT:
      payload[8] = 1;
      return payload;
    case Request.MEMORY_ALLOC:
    case Request.INIT:
      payload[0] = 1;
      return payload;
    case Request.CONTEXT_CREATE:
      payload[9] = 0x10;
      return payload;
    case Request.HOSTMEM_REGISTER:
      return concat(words(0, 1, 16n), words(0n, 16n));
    case Request.MODULE_SYMBOL:
      return concat(words(0, 1), new Uint8Array([0x78]));
    default:
      return payload;
  }
}

init
  .test("after-reset")
  .desc("After RESET_DEVICE the driver has to begin again.")
  .dev(6, 102)
  .needs("reset-device")
  .fn(async (t) => {
    const device = await t.device();
    const { frontEnd } = device;
    await frontEnd.set(Vhost.RESET_DEVICE);
    for (const index of [0, 1, 2]) await frontEnd.enable(index, true);
    const { status } = await device.call(Request.GET_CAPABILITIES);
    equal(status, "NOT_INITIALISED", "the status after the reset");
    await device.init();
    await device.capabilities();
  });

init
  .test("after-connection")
  .desc("A new connection has to begin again.")
  .dev(6)
  .fn(async (t) => {
    const first = await t.device();
    await first.createContext();
    t.close();
    const second = await t.driver();
    const { status } = await second.call(Request.GET_CAPABILITIES);
    equal(status, "NOT_INITIALISED", "the status on the new connection");
  });

init
  .test("capabilities")
  .desc("The answer has the capabilities that both sides have.")
  .dev(5)
  .params([
    { name: "none", asked: 0n },
    { name: "first", asked: 1n },
    { name: "unknown", asked: 1n << 63n },
    { name: "all", asked: (1n << 64n) - 1n },
  ])
  .fn(async (t, { asked }) => {
    const device = await t.driver();
    const offered = (await device.config()).capabilities;
    const { capabilities } = await device.init(7n, asked);
    equal(capabilities, offered & asked, "init_response.capabilities");
  });

init
  .test("other-session")
  .desc("Another session number drops contexts and memory before INIT is answered.")
  .dev(7)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    await context.alloc(4096);
    await device.init();
    equal((await context.call(Request.MEMORY_INFO)).status, "CONTEXT_UNKNOWN", "the status");
    const again = await device.createContext(context.id);
    const info = await again.ask(Request.MEMORY_INFO);
    equal(info.getBigUint64(0, true), info.getBigUint64(8, true), "free_bytes, all of the memory");
  });

init
  .test("same-session")
  .desc("The same session number keeps contexts, memory and fences.")
  .dev(8)
  .fn(async (t) => {
    const device = await t.driver();
    await device.init(0x1234n);
    const context = await device.createContext();
    await context.alloc(4096);
    await context.succeed(new Commands().nop());
    await device.init(0x1234n);
    const info = await context.ask(Request.MEMORY_INFO);
    equal(info.getBigUint64(24, true), 1n, "allocation_count");
    await context.succeed(new Commands().nop());
  });

init
  .test("malformed")
  .desc("Session 0, and a context that is named, are refused; the session before goes on.")
  .dev(126, 127)
  .params([
    { name: "session-0", context: 0, session: 0n, status: "MALFORMED" },
    { name: "context-1", context: 1, session: 1n, status: "RESERVED_NONZERO" },
    { name: "context-largest", context: 0xffff_ffff, session: 1n, status: "RESERVED_NONZERO" },
  ])
  .fn(async (t, { context, session, status }) => {
    const device = await t.device();
    const before = await device.createContext();
    const payload = struct(InitRequest, { session, capabilities: 0n });
    equal((await device.call(Request.INIT, context, payload)).status, status, "the status");
    await before.succeed(new Commands().nop());
  });

init
  .test("epoch")
  .desc("The epoch is not zero, and stays while the device keeps its state.")
  .dev(9)
  .fn(async (t) => {
    const device = await t.driver();
    const { epoch } = await device.init();
    check(epoch !== 0, "the epoch is not 0");
    equal((await device.init()).epoch, epoch, "the epoch of the next session");
    equal((await device.capabilities()).epoch, epoch, "the epoch of GET_CAPABILITIES");
  });

// ---- What holds for every request ---------------------------------------------------------------

const every = group("request/form", "Type, flags, reserved fields and lengths of requests.");

every
  .test("no-room")
  .desc("A chain without room for a response header comes back with a used length of 0.")
  .dev(12)
  .params([0, 1, 31].map((room) => ({ name: `${room}`, room })))
  .fn(async (t, { room }) => {
    const device = await t.device();
    for (const queue of [VGPU.QUEUE_CONTROL, VGPU.QUEUE_SUBMIT]) {
      const bytes = request(Request.GET_CAPABILITIES, 0);
      equal((await device.send(bytes, { queue, room })).written, 0, "the used length");
    }
    equal((await device.call(99, 0, NONE, { room: 32 })).written, 32, "with room for the header");
  });

every
  .test("unknown-type")
  .desc("Unknown types are refused on both queues.")
  .dev(13)
  .params([0, 7, 15, 31, 33, 0xffff_ffff].map((type) => ({ name: `${type}`, type })))
  .fn(async (t, { type }) => {
    const device = await t.device();
    for (const queue of [VGPU.QUEUE_CONTROL, VGPU.QUEUE_SUBMIT])
      equal((await device.call(type, 0, NONE, { queue })).status, "UNKNOWN_COMMAND", "the status");
  });

every
  .test("other-queue")
  .desc("Requests are refused on the queue that is not theirs.")
  .dev(13)
  .params([...requestShapes].map(([type, shape]) => ({ name: shape.name, type, shape })))
  .fn(async (t, { type, shape }) => {
    const device = await t.device();
    const queue = shape.queue === "submit" ? VGPU.QUEUE_CONTROL : VGPU.QUEUE_SUBMIT;
    const { status } = await device.call(type, 0, new Uint8Array(shape.requestBytes), { queue });
    equal(status, "UNKNOWN_COMMAND", "the status");
  });

every
  .test("reserved")
  .desc("Flags and the reserved word of the header must be zero, each bit of them.")
  .dev(14)
  .params([
    { name: "flags", at: RequestHeader.at.flags },
    { name: "reserved", at: RequestHeader.at.reserved },
  ])
  .fn(async (t, { at }) => {
    const device = await t.device();
    for (let bit = 0; bit < 32; bit++) {
      const bytes = request(Request.GET_CAPABILITIES, 0);
      bytes[(at ?? 0) + (bit >> 3)] = 1 << (bit & 7);
      equal((await device.send(bytes)).status, "RESERVED_NONZERO", `the status with bit ${bit}`);
    }
  });

every
  .test("length")
  .desc("A request that is a byte longer or shorter than its type says is refused.")
  .dev(15)
  .params(
    CONTROL.flatMap(([type, shape]) =>
      [-1, 1].map((by) => ({
        name: `${shape.name}${by < 0 ? "-short" : "-long"}`,
        type,
        requestBytes: shape.requestBytes,
        by,
      })),
    ),
  )
  .fn(async (t, { type, requestBytes, by }) => {
    const device = await t.device();
    await device.createContext();
    const right = request(type, type === Request.INIT ? 0 : 1, wellFormed(type, requestBytes));
    const sent = by < 0 ? right.subarray(0, right.length - 1) : concat(right, new Uint8Array(1));
    equal((await device.send(sent)).status, "MALFORMED", "the status");
  });

every
  .test("too-large")
  .desc("A request above the limit of its queue is refused as such; one at the limit is not.")
  .dev(16)
  .needs("config", "indirect")
  .params([
    { name: "control", queue: VGPU.QUEUE_CONTROL, type: Request.GET_CAPABILITIES },
    { name: "submit", queue: VGPU.QUEUE_SUBMIT, type: Request.SUBMIT },
  ])
  .fn(async (t, { queue, type }) => {
    const device = await t.device({ memoryBytes: 32 << 20 });
    const fields = await device.config();
    const most = queue === 0 ? fields.control_request_bytes_max : fields.submit_bytes_max;
    const long = new Uint8Array(most + 1);
    long.set(request(type, 0));
    equal((await device.send(long, { queue })).status, "REQUEST_TOO_LARGE", "one byte above");
    const { status } = await device.send(long.subarray(0, most), { queue });
    check(status !== "REQUEST_TOO_LARGE", "a request at the limit is not too large");
  });

const answers = group("request/response", "What responses have.");

answers
  .test("too-small")
  .desc("A response that does not fit is refused, one that fits exactly is not.")
  .dev(17, 18)
  .params(
    [Request.INIT, Request.GET_CAPABILITIES, Request.MEMORY_INFO, Request.ERROR_QUERY].map(
      (type) => ({
        name: requestShapes.get(type)?.name ?? "",
        type,
      }),
    ),
  )
  .fn(async (t, { type }) => {
    const device = await t.device();
    await device.createContext();
    const fits = ResponseHeader.bytes + (requestShapes.get(type)?.responseBytes ?? 0);
    const fields = { session: 77n, capabilities: 0n };
    const payload = type === Request.INIT ? struct(InitRequest, fields) : NONE;
    const context = type === Request.INIT ? 0 : 1;
    const short = await device.call(type, context, payload, { room: fits - 1 });
    equal(short.status, "RESPONSE_TOO_SMALL", "the status with a byte too few");
    equal(short.header?.payload_bytes ?? -1, 0, "payload_bytes");
    equal(short.written, ResponseHeader.bytes, "the used length");
    equal((await device.call(type, context, payload, { room: fits })).status, "OK", "with room");
  });

answers
  .test("no-payload")
  .desc("A refused request is answered with payload_bytes 0 and the header alone.")
  .dev(18)
  .params(CONTROL.map(([type, shape]) => ({ name: shape.name, type })))
  .fn(async (t, { type }) => {
    const device = await t.device();
    const response = await device.call(type, 0, new Uint8Array(3));
    check(response.status !== "OK", "a request of the wrong length is refused");
    equal(response.header?.payload_bytes ?? -1, 0, "payload_bytes");
    equal(response.written, ResponseHeader.bytes, "the used length");
  });

answers
  .test("reserved-zero")
  .desc("Reserved fields of responses and of the timeline page are zero.")
  .dev(19)
  .fn(async (t) => {
    const device = await t.device();
    const { payload } = await device.call(Request.GET_CAPABILITIES);
    check(CapabilitiesResponse.reservedZero(viewOf(payload), 0), "those of the capabilities are");
    const context = await device.createContext();
    await context.succeed(new Commands().nop());
    const { view } = context.timeline;
    check(TimelineHeader.reservedZero(view, 0), "those of the timeline's header are zero");
    check(TimelineSlot.reservedZero(view, slotAt(0)), "those of a timeline slot are zero");
    for (const type of [Request.MEMORY_INFO, Request.STATISTICS, Request.GET_CAPABILITIES, 99])
      await headerReserved(device, type);
  });

async function headerReserved(device: Device, type: number): Promise<void> {
  const { memory } = device.frontEnd;
  const bytes = memory.place(request(type, 1));
  const room = memory.allocate(512);
  room.bytes.fill(0xee);
  await device.frontEnd.complete(0, [
    { address: bytes.address, length: bytes.bytes.length },
    { address: room.address, length: 512, write: true },
  ]);
  check(ResponseHeader.reservedZero(room.view, 0), `the reserved word of response ${type} is zero`);
}

answers
  .test("names-the-value")
  .desc("An error names the offending value and its limit.")
  .dev(20)
  .fn(async (t) => {
    const device = await t.device();
    const { header } = await device.createContextAt(0x10_0000, 0, 4096);
    equal(header?.value ?? -1n, 0x10_0000n, "value");
    equal(header?.limit ?? -1n, BigInt(t.limits.contexts_max), "limit");
  });

answers
  .test("private-copy")
  .desc("A request whose memory is also the response's is executed as it was sent.")
  .dev(10)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const payload = struct(MemoryAllocRequest, { bytes: 4096n, flags: 0n });
    const shared = device.frontEnd.memory.allocate(64);
    shared.bytes.set(request(Request.MEMORY_ALLOC, context.id, payload));
    const written = await device.frontEnd.complete(0, [
      { address: shared.address, length: 32 },
      { address: shared.address, length: 64, write: true },
    ]);
    const response = responseOf(shared.bytes, written);
    equal(response.status, "OK", "the status");
    const pointer = viewOf(response.payload).getBigUint64(0, true);
    const freed = await context.call(Request.MEMORY_FREE, struct(MemoryFreeRequest, { pointer }));
    equal(freed.status, "OK", "the status of MEMORY_FREE of what was allocated");
  });

answers
  .test("commands-are-copied")
  .desc("Commands that wait are executed as they were sent, whatever becomes of their memory.")
  .dev(10)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(256);
    await context.queue(1, new Commands().wait(1, 1).nop().nop().fill(pointer, 256, 0, 4));
    // The chain is back: its memory is the driver's again, and the next request writes over it.
    const { main } = device.frontEnd.memory;
    for (const at of [0, 65536]) {
      const free = main.mark();
      main.allocate(65536).bytes.fill(0xff, at === 0 ? 32768 : 0);
      free();
    }
    await context.queue(0, new Commands().record(1, 1));
    equal(await context.wait(1, 1n), "OK", "the status of the commands that waited");
  });

answers
  .test("u64")
  .desc("Sizes of 2^53 and more are refused and not rounded; 2^53 − 1 is too large as well.")
  .dev(22, 42)
  .params(
    [(1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 64n) - 1n].map((bytes) => ({
      name: bytes.toString(16),
      bytes,
    })),
  )
  .fn(async (t, { bytes }) => {
    const context = await (await t.device()).createContext();
    equal((await context.allocRaw(bytes)).status, "ALLOCATION_TOO_LARGE", "the status");
    oneOf(
      (await context.registerRaw(1, [{ address: bytes, bytes: 16n }])).status,
      ["GUEST_ADDRESS"],
      "the status of a registration at this address",
    );
  });
