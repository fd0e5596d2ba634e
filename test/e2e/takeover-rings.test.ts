// SPDX-License-Identifier: Apache-2.0
/**
 * Instances are killed again and again under a front end that keeps requests in flight: over rings
 * of either format, every request is answered, once.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { requestBytes } from "../../src/protocol/encode.js";
import { Request, ResponseHeader } from "../../src/protocol/generated/wire.js";
import { MockDriver } from "../support/mock-driver.js";

const KILLS = 4;
const AT_ONCE = 6;

let broker: Broker;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-takeover-rings-"));
  const extraArgs = ["--executor", "null"];
  broker = await startBroker({
    vgpus: ["split", "packed"],
    logPath: join(folder, "vgpud.log"),
    extraArgs,
  });
});

afterAll(async () => {
  await broker?.stop();
});

it.each(["split", "packed"])(
  "no request is lost over %s rings",
  async (format) => {
    const driver = MockDriver.connectPath(broker.socketOf(format), {
      packed: format === "packed",
      queueSize: 16,
      timeoutMs: 60_000,
    });
    await driver.start();
    expect(driver.anyQueue(0).packed).toBe(format === "packed");
    let answered = 0;
    let ended = false;
    const worker = async (queue: number): Promise<void> => {
      while (!ended) {
        // Refused before INIT, but answered; so is a submit that is too short.
        const request = requestBytes(Request.GET_CAPABILITIES, 0, new Uint8Array(0));
        const answer = await driver.request(queue, request, 64);
        expect(answer.length).toBe(ResponseHeader.bytes);
        answered++;
      }
    };
    const workers = Array.from({ length: AT_ONCE }, (_, i) => worker(i % 2 === 0 ? 0 : 2));
    for (let kill = 0; kill < KILLS; kill++) {
      const before = answered;
      await expect
        .poll(() => answered, { timeout: 60_000, interval: 5 })
        .toBeGreaterThan(before + 50);
      const { pid } = await broker.statusOf(format);
      if (pid !== null) process.kill(pid, "SIGKILL");
    }
    const before = answered;
    await expect
      .poll(() => answered, { timeout: 60_000, interval: 5 })
      .toBeGreaterThan(before + 50);
    ended = true;
    await Promise.all(workers);
    // The mock driver throws for a buffer that comes back and is not out; none is missing either.
    expect(driver.anyQueue(0).free).toBe(16);
    expect(driver.anyQueue(2).free).toBe(16);
    for (const index of [0, 2]) expect(driver.counts(index).errors).toBe(0);
    expect((await broker.statusOf(format)).restarts).toBe(KILLS);
    driver.close();
  },
  120_000,
);
