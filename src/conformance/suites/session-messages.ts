// SPDX-License-Identifier: Apache-2.0
/** The vhost-user session: frames, fragments, acknowledgements, features, unknown requests. */

import { close, eventfd } from "../../io/native.js";
import type { Device } from "../driver/device.js";
import { Feature, type FrontEnd, Protocol } from "../driver/front-end.js";
import { concat, frame, HEADER_BYTES, u64Of, Vhost, type Wire, words } from "../driver/wire.js";
import { check, equal, oneOf } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";

const NONE = new Uint8Array(0);
const source = "vhost-user";

/** The back end answers GET_FEATURES: the stream of messages is in step. */
async function inStep(wire: Wire): Promise<void> {
  wire.send({ request: Vhost.GET_FEATURES });
  const reply = await wire.reply("GET_FEATURES");
  equal(reply.request, Vhost.GET_FEATURES, "the request that the reply names");
  equal(reply.payload.length, 8, "the length of the reply to GET_FEATURES");
}

async function negotiated(test: TestContext): Promise<FrontEnd> {
  const frontEnd = test.connect();
  await frontEnd.negotiate();
  return frontEnd;
}

/** Sends a message that is to be refused; what comes back says so, or the connection ends. */
async function refused(
  frontEnd: FrontEnd,
  request: number,
  payload: Uint8Array,
  fds: readonly number[] = [],
): Promise<"acknowledged" | "closed"> {
  frontEnd.wire.send({ request, payload, fds, needReply: true });
  const reply = await frontEnd.wire.replyOrClosed();
  if (reply === null) return "closed";
  equal(reply.request, request, "the request that the acknowledgement names");
  equal(reply.payload.length, 8, "the length of the acknowledgement");
  check(u64Of(reply.payload) !== 0n, "a request that breaks a rule is not acknowledged as done");
  return "acknowledged";
}

export { inStep, negotiated, refused };

// ---- Frames -------------------------------------------------------------------------------------

const frames = group(
  "session/frame",
  "Messages arrive whole, in fragments and several at once; what is no message ends the " +
    "connection and nothing else.",
  { source },
);

frames
  .test("whole")
  .desc("A message in one piece is answered with the same request number and flags 0x5.")
  .fn(async (t) => inStep(t.connect().wire));

frames
  .test("fragments")
  .desc("A message cut in two at every byte, with time between the parts, is understood.")
  .params([
    { name: "no-payload", bytes: frame(Vhost.GET_FEATURES, NONE) },
    { name: "payload", bytes: frame(Vhost.GET_VRING_BASE, words(0, 0)) },
  ])
  .fn(async (t, { bytes }) => {
    const { wire } = t.connect();
    for (let cut = 1; cut < bytes.length; cut++) {
      wire.sendBytes(bytes.subarray(0, cut));
      await t.pause(1);
      equal(wire.pending, 0, "the number of replies to a part of a message");
      wire.sendBytes(bytes.subarray(cut));
      equal((await wire.reply("a message in two parts")).payload.length, 8, "the reply's length");
    }
  });

frames
  .test("bytewise")
  .desc("A message that comes byte by byte, its descriptor with the first, is understood.")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    const bytes = frame(Vhost.SET_VRING_CALL, words(0n));
    const fd = eventfd();
    for (let at = 0; at < bytes.length; at++) {
      frontEnd.wire.sendBytes(bytes.subarray(at, at + 1), at === 0 ? [fd] : []);
      await t.pause(1);
    }
    close(fd);
    await inStep(frontEnd.wire);
  });

frames
  .test("together")
  .desc("Fifty messages that are sent in one piece are answered one by one, in order.")
  .fn(async (t) => {
    const { wire } = t.connect();
    const two = concat(frame(Vhost.GET_FEATURES, NONE), frame(Vhost.GET_PROTOCOL_FEATURES, NONE));
    wire.sendBytes(concat(...Array.from({ length: 25 }, () => two)));
    for (let index = 0; index < 50; index++) {
      const expected = index % 2 === 0 ? Vhost.GET_FEATURES : Vhost.GET_PROTOCOL_FEATURES;
      equal((await wire.reply("one of many")).request, expected, `the reply ${index}`);
    }
  });

frames
  .test("broken")
  .desc("A header that can't be right ends the connection or is refused; the back end goes on.")
  .params([
    { name: "version-0", bytes: frame(Vhost.GET_FEATURES, NONE, { flags: 0 }) },
    { name: "version-2", bytes: frame(Vhost.GET_FEATURES, NONE, { flags: 2 }) },
    { name: "reply", bytes: frame(Vhost.GET_FEATURES, NONE, { flags: 5 }) },
    { name: "huge", bytes: frame(Vhost.SET_FEATURES, NONE, { size: 0x7fff_ffff }) },
    { name: "size-ffffffff", bytes: frame(Vhost.SET_FEATURES, NONE, { size: 0xffff_ffff }) },
    { name: "noise", bytes: new Uint8Array(64).fill(0xff) },
  ])
  .fn(async (t, { bytes }) => {
    const { wire } = t.connect();
    await inStep(wire);
    wire.sendBytes(bytes);
    await wire.until(() => wire.closed || wire.pending > 0);
    check(wire.closed, "a connection with a broken header is closed");
    await t.survives();
  });

frames
  .test("ends-inside")
  .desc("A connection that ends inside a message is forgotten.")
  .params([{ name: "header" }, { name: "payload" }])
  .fn(async (t, { name }) => {
    const bytes = frame(Vhost.SET_FEATURES, words(0n));
    const frontEnd = t.connect();
    await inStep(frontEnd.wire);
    frontEnd.wire.sendBytes(bytes.subarray(0, name === "header" ? 5 : HEADER_BYTES + 3));
    await t.survives();
  });

// ---- Features -----------------------------------------------------------------------------------

const features = group(
  "session/features",
  "What is offered can be taken, what is not offered can't.",
  { source },
);

features
  .test("version-1")
  .desc("VIRTIO_F_VERSION_1 is offered.")
  .dev(1)
  .fn(async (t) => {
    const offered = await t.connect().get64(Vhost.GET_FEATURES);
    check((offered & Feature.version1) !== 0n, "VIRTIO_F_VERSION_1 (bit 32) is offered");
  });

features
  .test("none-of-its-own")
  .desc("No device-specific feature bit (0 to 23) is offered, for the device type has none.")
  .fn(async (t) => {
    const offered = await t.connect().get64(Vhost.GET_FEATURES);
    equal(offered & 0xff_ffffn, 0n, "the device-specific part of the features");
  });

features
  .test("all-offered")
  .desc("All features that are offered, the packed ring and the log apart, can be taken together.")
  .fn(async (t) => {
    const offered = await t.connect().get64(Vhost.GET_FEATURES);
    t.close();
    const device = await t.device({ features: offered & ~(Feature.packed | Feature.logAll) });
    equal((await device.config()).queue_count, 3, "config.queue_count");
  });

features
  .test("fewest")
  .desc("A driver that takes VIRTIO_F_VERSION_1 alone is served.")
  .fn(async (t) => {
    const device = await t.device({ features: Feature.version1 });
    await (await device.createContext()).destroy();
  });

features
  .test("unknown-bit")
  .desc("SET_FEATURES with a bit that is not offered is refused, and the session goes on.")
  .needs("reply-ack")
  .params([
    { name: "bit-40", bit: 40n },
    { name: "bit-63", bit: 63n },
    { name: "bit-0", bit: 0n },
  ])
  .fn(async (t, { bit }) => {
    const frontEnd = await negotiated(t);
    check((t.environment.features & (1n << bit)) === 0n, `feature bit ${bit} is not offered`);
    const how = await refused(frontEnd, Vhost.SET_FEATURES, words(frontEnd.features | (1n << bit)));
    if (how === "closed") return t.survives();
    await frontEnd.set(Vhost.SET_FEATURES, words(frontEnd.features));
  });

features
  .test("unknown-protocol-bit")
  .desc("SET_PROTOCOL_FEATURES with a bit that is not offered is refused.")
  .needs("reply-ack")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    const bits = frontEnd.protocol | (1n << 63n);
    const how = await refused(frontEnd, Vhost.SET_PROTOCOL_FEATURES, words(bits));
    if (how === "closed") return t.survives();
    await frontEnd.set(Vhost.SET_PROTOCOL_FEATURES, words(frontEnd.protocol));
  });

features
  .test("protocol-first")
  .desc("Protocol features can be read and set before SET_FEATURES.")
  .needs("protocol-features")
  .fn(async (t) => {
    const frontEnd = t.connect();
    const offered = await frontEnd.get64(Vhost.GET_PROTOCOL_FEATURES);
    frontEnd.wire.send({
      request: Vhost.SET_PROTOCOL_FEATURES,
      payload: words(offered & Protocol.config),
    });
    equal(await frontEnd.get64(Vhost.GET_PROTOCOL_FEATURES), offered, "what is offered");
  });

features
  .test("queue-count")
  .desc("GET_QUEUE_NUM tells the three queues.")
  .needs("multi-queue")
  .fn(async (t) => {
    equal(await (await negotiated(t)).get64(Vhost.GET_QUEUE_NUM), 3n, "the number of queues");
  });

// ---- Acknowledgements ---------------------------------------------------------------------------

const acks = group(
  "session/reply-ack",
  "With REPLY_ACK and NEED_REPLY each request is answered exactly once.",
  { source, needs: ["reply-ack"] },
);

acks
  .test("asked")
  .desc("A request that asks for it is acknowledged with 0.")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    equal(await frontEnd.trySet(Vhost.SET_OWNER), 0n, "the acknowledgement");
  });

acks
  .test("not-asked")
  .desc("A request without NEED_REPLY is not acknowledged.")
  .fn(async (t) => {
    const { wire } = await negotiated(t);
    wire.send({ request: Vhost.SET_OWNER });
    await inStep(wire);
    equal(wire.pending, 0, "the number of further replies");
  });

acks
  .test("not-negotiated")
  .desc("Without REPLY_ACK, NEED_REPLY is not answered.")
  .fn(async (t) => {
    const { wire } = t.connect();
    wire.send({ request: Vhost.SET_OWNER, needReply: true });
    await inStep(wire);
    equal(wire.pending, 0, "the number of further replies");
  });

acks
  .test("reply-of-its-own")
  .desc("A request that has a reply is answered once, not acknowledged besides.")
  .fn(async (t) => {
    const { wire } = await negotiated(t);
    wire.send({ request: Vhost.GET_FEATURES, needReply: true });
    equal((await wire.reply("GET_FEATURES")).payload.length, 8, "the reply's length");
    await inStep(wire);
    equal(wire.pending, 0, "the number of further replies");
  });

// ---- Requests that are not there ----------------------------------------------------------------

const unknown = group(
  "session/unknown",
  "Requests that no rule knows, or of other devices, are refused.",
  { source, needs: ["reply-ack"] },
);

unknown
  .test("request")
  .desc("The request is acknowledged as failed or ends the connection; it is never done.")
  .params(
    [0, 19, 20, 23, 26, 27, 28, 29, 30, 33, 41, 45, 1000, 0xffff_ffff].map((request) => ({
      name: `${request}`,
      request,
    })),
  )
  .fn(async (t, { request }) => {
    const frontEnd = await negotiated(t);
    const how = await refused(frontEnd, request, words(0n));
    if (how === "closed") return t.survives();
    await inStep(frontEnd.wire);
  });

unknown
  .test("size")
  .desc("A known request with a payload of another size is refused.")
  .params(
    [
      { name: "features", request: Vhost.SET_FEATURES, right: 8 },
      { name: "vring-num", request: Vhost.SET_VRING_NUM, right: 8 },
      { name: "vring-addr", request: Vhost.SET_VRING_ADDR, right: 40 },
      { name: "vring-enable", request: Vhost.SET_VRING_ENABLE, right: 8 },
    ].flatMap(({ name, request, right }) =>
      [0, right - 1, right + 1].map((bytes) => ({ name: `${name}-${bytes}`, request, bytes })),
    ),
  )
  .fn(async (t, { request, bytes }) => {
    const frontEnd = await negotiated(t);
    const how = await refused(frontEnd, request, new Uint8Array(bytes));
    if (how === "closed") return t.survives();
    await inStep(frontEnd.wire);
  });

// ---- Config space -------------------------------------------------------------------------------

const config = group("session/config", "GET_CONFIG and SET_CONFIG on config space.", {
  source,
  needs: ["config"],
});

/** GET_CONFIG; the bytes of config space, or null for the reply that says no. */
async function readConfig(
  device: Device,
  offset: number,
  bytes: number,
): Promise<Uint8Array | null> {
  const room = new Uint8Array(bytes <= 256 ? bytes : 0);
  const payload = await device.frontEnd.get(
    Vhost.GET_CONFIG,
    concat(words(offset, bytes, 0), room),
  );
  return payload.length === 0 ? null : payload.slice(12);
}

config
  .test("parts")
  .desc("Any part of config space reads as the same bytes of the whole.")
  .params([
    { name: "first", offset: 0, bytes: 1 },
    { name: "odd", offset: 7, bytes: 11 },
    { name: "last", offset: 255, bytes: 1 },
    { name: "whole", offset: 0, bytes: 256 },
  ])
  .fn(async (t, { offset, bytes }) => {
    const device = await t.driver();
    const whole = await device.configSpace();
    const part = await readConfig(device, offset, bytes);
    check(part !== null, "a part of config space can be read");
    equal(Buffer.compare(part, whole.subarray(offset, offset + bytes)), 0, "their difference");
  });

config
  .test("outside")
  .desc("Reading past the end of config space is answered with an empty reply.")
  .params([
    { name: "offset", offset: 256, bytes: 1 },
    { name: "size", offset: 0, bytes: 257 },
    { name: "both", offset: 250, bytes: 8 },
    { name: "overflow", offset: 0xffff_fff0, bytes: 32 },
  ])
  .fn(async (t, { offset, bytes }) => {
    const device = await t.driver();
    const part = await readConfig(device, offset, bytes);
    check(part === null, `${bytes} bytes at ${offset} of config space can't be read`);
    check((await readConfig(device, 0, 4)) !== null, "the rest can be read afterwards");
  });

config
  .test("write")
  .desc("Writes of all of config space or a part of it change nothing.")
  .dev(4)
  .params([
    { name: "whole", offset: 0, bytes: 256, flags: 0 },
    { name: "magic", offset: 0, bytes: 4, flags: 0 },
    { name: "migration", offset: 0, bytes: 256, flags: 1 },
  ])
  .fn(async (t, { offset, bytes, flags }) => {
    const device = await t.driver();
    const before = await device.configSpace();
    const data = new Uint8Array(bytes).fill(0x5a);
    await device.frontEnd.trySet(Vhost.SET_CONFIG, concat(words(offset, bytes, flags), data));
    equal(Buffer.compare(await device.configSpace(), before), 0, "the change of config space");
  });

config
  .test("write-outside")
  .desc("A write past the end of config space is refused.")
  .needs("reply-ack")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    const payload = concat(words(250, 16, 0), new Uint8Array(16));
    oneOf(
      await refused(frontEnd, Vhost.SET_CONFIG, payload),
      ["acknowledged", "closed"],
      "the answer",
    );
  });
