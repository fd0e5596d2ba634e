// SPDX-License-Identifier: Apache-2.0
/** Descriptors that come with messages: their number, where they come, and that none is kept. */
import { close, eventfd, memfdCreate } from "../../io/native.js";
import { Feature, type FrontEnd, QUEUES } from "../driver/front-end.js";
import { concat, frame, Vhost, words } from "../driver/wire.js";
import { check } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { inStep, negotiated, refused } from "./session-messages.js";

const source = "vhost-user";

const counts = group(
  "session/descriptors/count",
  "A message brings exactly the descriptors that it needs.",
  { source, needs: ["reply-ack"] },
);

/** Payload of a message about memory, of one page. */
const region = words(0n, 0x4000_0000n, 4096n, 0x7000_0000_0000n, 0n);
const table = concat(words(1, 0), words(0x4000_0000n, 4096n, 0x7000_0000_0000n, 0n));

const wrong = [
  { name: "kick-none", request: Vhost.SET_VRING_KICK, payload: words(0n), fds: 0 },
  { name: "kick-two", request: Vhost.SET_VRING_KICK, payload: words(0n), fds: 2 },
  { name: "kick-not-meant", request: Vhost.SET_VRING_KICK, payload: words(0x100n), fds: 1 },
  { name: "call-none", request: Vhost.SET_VRING_CALL, payload: words(0n), fds: 0 },
  { name: "call-two", request: Vhost.SET_VRING_CALL, payload: words(0n), fds: 2 },
  { name: "err-none", request: Vhost.SET_VRING_ERR, payload: words(0n), fds: 0 },
  { name: "features-one", request: Vhost.SET_FEATURES, payload: words(0n), fds: 1 },
  { name: "table-none", request: Vhost.SET_MEM_TABLE, payload: table, fds: 0 },
  { name: "table-two", request: Vhost.SET_MEM_TABLE, payload: table, fds: 2 },
  { name: "region-none", request: Vhost.ADD_MEM_REG, payload: region, fds: 0 },
  { name: "region-two", request: Vhost.ADD_MEM_REG, payload: region, fds: 2 },
  { name: "channel-none", request: Vhost.SET_BACKEND_REQ_FD, payload: words(), fds: 0 },
] as const;

counts
  .test("wrong")
  .desc("Too few or too many descriptors: the message is refused or ends the connection.")
  .params(wrong)
  .fn(async (t, { request, payload, fds }) => {
    const frontEnd = await negotiated(t);
    const own = Array.from({ length: fds }, () => memfdCreate("test", 4096));
    try {
      const how = await refused(frontEnd, request, payload, own);
      if (how === "closed") await t.survives();
      else await inStep(frontEnd.wire);
    } finally {
      for (const fd of own) close(fd);
    }
  });

counts
  .test("right")
  .desc("The control: with its one descriptor each message about a ring is accepted.")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    await frontEnd.shareMemory();
    for (const index of QUEUES) {
      frontEnd.addQueue(index);
      await frontEnd.startQueue(index);
    }
  });

counts
  .test("none-meant")
  .desc("CALL and ERR without a descriptor, and saying so, are accepted.")
  .fn(async (t) => {
    const device = await t.device();
    for (const request of [Vhost.SET_VRING_CALL, Vhost.SET_VRING_ERR])
      await device.frontEnd.set(request, words(0x101n));
  });

// ---- Leaks --------------------------------------------------------------------------------------

const leaks = group(
  "session/descriptors/leak",
  "After a connection the back end has as many descriptors as before, whatever came.",
  { source, needs: ["pid"] },
);

/** What is done on one connection, which then ends. */
interface Misuse {
  readonly name: string;
  readonly act: (frontEnd: FrontEnd, test: TestContext) => Promise<void>;
}

async function withFds(
  count: number,
  use: (fds: readonly number[]) => void | Promise<void>,
): Promise<void> {
  const fds = Array.from({ length: count }, () => memfdCreate("test", 4096));
  try {
    await use(fds);
  } finally {
    for (const fd of fds) close(fd);
  }
}

const misuses: readonly Misuse[] = [
  { name: "session", act: async (frontEnd) => void (await frontEnd.start()) },
  {
    name: "extra",
    act: (frontEnd) =>
      withFds(8, async (fds) => {
        frontEnd.wire.send({ request: Vhost.SET_OWNER, fds });
        frontEnd.wire.send({ request: 1000, fds });
        frontEnd.wire.send({ request: Vhost.SET_FEATURES, payload: words(0n), fds });
        await settled(frontEnd);
      }),
  },
  {
    name: "too-many",
    act: (frontEnd) =>
      withFds(16, async (fds) => {
        frontEnd.wire.send({ request: Vhost.SET_VRING_CALL, payload: words(0n), fds });
        await settled(frontEnd);
      }),
  },
  {
    name: "unfinished",
    act: (frontEnd, test) =>
      withFds(3, async (fds) => {
        frontEnd.wire.sendBytes(frame(Vhost.SET_MEM_TABLE, table).subarray(0, 9), fds);
        await test.pause(5);
      }),
  },
  {
    name: "in-the-middle",
    act: (frontEnd, test) =>
      withFds(2, async (fds) => {
        const bytes = frame(Vhost.SET_VRING_CALL, words(0n));
        frontEnd.wire.sendBytes(bytes.subarray(0, 6));
        await test.pause(5);
        frontEnd.wire.sendBytes(bytes.subarray(6), fds);
        await settled(frontEnd);
      }),
  },
  {
    name: "replaced",
    act: async (frontEnd) => {
      await frontEnd.start();
      for (let round = 0; round < 20; round++)
        for (const request of [Vhost.SET_VRING_CALL, Vhost.SET_VRING_ERR, Vhost.SET_VRING_KICK])
          await withFd((fd) => frontEnd.set(request, words(1n), [fd]));
    },
  },
  {
    name: "bad-index",
    act: (frontEnd) =>
      withFds(1, async (fds) => {
        frontEnd.wire.send({ request: Vhost.SET_VRING_KICK, payload: words(200n), fds });
        frontEnd.wire.send({ request: Vhost.SET_VRING_CALL, payload: words(3n), fds });
        await settled(frontEnd);
      }),
  },
  {
    name: "bad-memory",
    act: async (frontEnd) => {
      await frontEnd.negotiate();
      await withFds(1, async (fds) => {
        const huge = words(0n, 0n, 1n << 40n, 0x7000_0000_0000n, 0n);
        frontEnd.wire.send({ request: Vhost.ADD_MEM_REG, payload: huge, fds });
        await settled(frontEnd);
      });
    },
  },
];

async function withFd(use: (fd: number) => Promise<void>): Promise<void> {
  const fd = eventfd();
  await use(fd);
  close(fd);
}

/** The back end has seen all that was sent: it answers, or has closed. */
async function settled(frontEnd: FrontEnd): Promise<void> {
  frontEnd.wire.send({ request: Vhost.GET_FEATURES });
  await frontEnd.wire.replyOrClosed();
}

leaks
  .test("connection")
  .desc("Ten connections that do this leave no descriptor behind.")
  .params(misuses)
  .fn(async (t, { act }) => {
    // The first connection may open what the back end keeps for later ones.
    await t.device();
    t.close();
    await t.device();
    t.close();
    await t.pause(20);
    const before = t.descriptors();
    for (let round = 0; round < 10; round++) {
      await act(t.connect(), t);
      t.close();
    }
    await t.descriptorsBack(before);
    await t.survives();
  });

leaks
  .test("memory")
  .desc("Regions that are added and removed a hundred times leave no descriptor behind.")
  .needs("mem-slots")
  .fn(async (t) => {
    const device = await t.device();
    const region = device.frontEnd.memory.add({ address: 0x4000_0000, bytes: 1 << 16 });
    const before = t.descriptors();
    for (let round = 0; round < 100; round++) {
      await device.frontEnd.addRegion(region);
      await device.frontEnd.removeRegion(region);
    }
    check(t.descriptors() <= before, "the back end has no more descriptors than before");
    check(device.frontEnd.has(Feature.version1), "the session goes on");
  });
