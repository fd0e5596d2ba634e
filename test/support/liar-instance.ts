// SPDX-License-Identifier: Apache-2.0
/**
 * An instance that greets the broker as it should and then breaks the rules of the relay, in the way
 * that VGPU_LIAR names.
 */
import { connectBroker } from "../../src/broker/instance-link.js";
import { close, createPoller, setNonblocking } from "../../src/io/native.js";
import { encodeReply } from "../../src/vhost-user/framing.js";
import { MessageSocket } from "../../src/vhost-user/message-socket.js";
import { encodeClose, encodeDone, encodeFrame } from "../../src/vhost-user/relay-protocol.js";

const option = (name: string): string =>
  process.argv.find((each) => each.startsWith(`--${name}=`))?.slice(name.length + 3) ?? "";
const poller = createPoller();
const done = (reply: Uint8Array | null) => encodeDone({ accepted: true, reply });

/** What is sent for a message, in place of what is right. */
const LIES: Record<string, (request: number) => readonly Uint8Array[]> = {
  "another reply": () => [done(encodeReply(2, new Uint8Array(8)))],
  "half a reply": (request) => [done(encodeReply(request, new Uint8Array(8)).subarray(0, 15))],
  "two answers": (request) => [1, 2].map(() => done(encodeReply(request, new Uint8Array(8)))),
  "another frame": () => [encodeFrame(0x76670002)],
  "no frame": () => [new Uint8Array(64).fill(0xff)],
  "an end": () => [encodeClose("it does not like it")],
};

await connectBroker({
  path: option("broker"),
  id: option("id"),
  adapter: "liar",
  vendorId: 0,
  executor: "null",
  status: () => ({}),
  closed: () => process.exit(1),
});
setNonblocking(3, true);
new MessageSocket({
  fd: 3,
  poller,
  ended: () => process.exit(0),
  message: ({ fds: [fd = -1, journal = -1] }) => {
    close(journal);
    const connection = new MessageSocket({
      fd,
      poller,
      ended: () => {},
      message: ({ request, fds }) => {
        for (const each of fds) close(each);
        const lie = LIES[process.env.VGPU_LIAR ?? ""];
        for (const bytes of lie?.(request) ?? []) connection.send(bytes);
      },
    });
  },
});
