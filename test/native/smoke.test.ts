// SPDX-License-Identifier: Apache-2.0
//
// That the addon loads and its main mechanisms work together; the details have files of their own.

import { expect, test } from "vitest";
import * as native from "../../src/io/native.js";

test("a memfd passed over a socket shows the same bytes on the other side", () => {
  const [left, right] = native.socketpair();
  const memory = native.memfdCreate("smoke", 8192);
  expect(native.sendmsg(left, Uint8Array.of(1, 2, 3), [memory])).toBe(3);
  const buffer = new Uint8Array(16);
  const message = native.recvmsg(right, buffer, 0, 16, 8);
  expect(message.bytes).toBe(3);
  expect(message.fds).toHaveLength(1);
  const here = native.mapRegion(memory, 0, 8192);
  const there = native.mapRegion(message.fds[0] ?? -1, 0, 8192);
  new Uint8Array(here.window(0, 8192))[77] = 42;
  expect(new Uint8Array(there.window(0, 8192))[77]).toBe(42);
  here.unmap();
  there.unmap();
  for (const fd of [left, right, memory, ...message.fds]) native.close(fd);
});

test("a watched eventfd calls back", async () => {
  const poller = native.createPoller();
  const fd = native.eventfd();
  const events = new Promise<number>((resolve) => {
    poller.watch(fd, native.PollEvents.readable, resolve);
  });
  native.signal(fd);
  expect(await events).toBe(native.PollEvents.readable);
  expect(native.eventfdRead(fd)).toBe(1);
  native.close(fd);
  expect(poller.size).toBe(0);
});
