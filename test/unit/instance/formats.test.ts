// SPDX-License-Identifier: Apache-2.0
// The whole device over rings of either format, and with IN_ORDER: all three queues give buffers
// back in the order in which they were offered, or the ring would throw.
import { afterEach, describe, expect, it } from "vitest";
import { createNullExecutor } from "../../../src/gpu/null/index.js";
import { createDevice } from "../../../src/instance/index.js";
import { nowNs } from "../../../src/io/native.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import { Request, Status, VGPU } from "../../../src/protocol/generated/wire.js";
import { F_IN_ORDER, F_RING_PACKED, MockDriver } from "../../support/mock-driver.js";
import { MockGuest, ok } from "../../support/mock-guest.js";

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

const CONTEXTS = 4;
const SUBMITS = 60;

describe.each([
  { name: "split", packed: false, inOrder: false },
  { name: "split, in order", packed: false, inOrder: true },
  { name: "packed", packed: true, inOrder: false },
  { name: "packed, in order", packed: true, inOrder: true },
])("with $name rings", ({ packed, inOrder }) => {
  it("all queues work at once, errors and bad buffers included", async () => {
    const device = await createDevice({ executor: await createNullExecutor({ nowNs }) });
    const driver = MockDriver.inProcess(device, { packed, inOrder, queueSize: 16 });
    open.push(() => driver.close());
    await driver.start();
    expect((driver.features & F_RING_PACKED) !== 0n).toBe(packed);
    expect((driver.features & F_IN_ORDER) !== 0n).toBe(inOrder);
    const guest = new MockGuest(driver);
    ok(await guest.init());
    // A buffer that is too small for an event is given back in its turn.
    driver.postEvents(1, 8);
    driver.postEvents(4);
    const contexts = await Promise.all(
      Array.from({ length: CONTEXTS }, (_, i) => guest.createContext(i + 1)),
    );
    const work = contexts.map(async (context) => {
      const pointer = await guest.alloc(context.id, 4096);
      for (let i = 0; i < SUBMITS; i++) {
        const slot = await guest.run(context, i % 3, (commands: CommandWriter) => {
          commands.fill(pointer, 256, i, 1);
        });
        expect(slot.status).toBe(Status.OK);
      }
    });
    const requests = Array.from({ length: 100 }, async (_, i) => {
      const answer = await guest.call(i % 2 === 0 ? Request.GET_CAPABILITIES : 0x7777);
      expect(answer.status).toBe(i % 2 === 0 ? "OK" : "UNKNOWN_COMMAND");
    });
    const bad = Array.from({ length: 20 }, () =>
      guest.send(VGPU.QUEUE_SUBMIT, new Uint8Array(10), 32),
    );
    await Promise.all([...work, ...requests, ...bad]);
    const { requests_rejected: rejected } = device.status();
    expect(rejected).toBe(70);
    for (let i = 0; i < 3; i++) expect(driver.counts(i).errors).toBe(0);
    await device.close();
  });
});
