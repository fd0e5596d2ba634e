// SPDX-License-Identifier: Apache-2.0
// Requests are copied once: what a guest writes over them after the device took them changes
// nothing (CVE-2020-14374 to 14378).
import { afterEach, expect, it } from "vitest";
import { createDevice } from "../../../src/instance/index.js";
import { CommandWriter, submitBytes } from "../../../src/protocol/encode.js";
import { Status, VGPU } from "../../../src/protocol/generated/wire.js";
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
