// SPDX-License-Identifier: Apache-2.0
/**
 * A broker in this process with instances as processes of their own, on the null executor: what
 * tests of crashes need, since one program run can have hundreds of them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Broker, type BrokerOptions } from "../../src/broker/broker.js";
import { close, listen, nowNs } from "../../src/io/native.js";
import { realTimers } from "../../src/io/timers.js";
import { createLogger } from "../../src/telemetry/log.js";

const program = new URL("../../dist/cli/vgpu-instance.js", import.meta.url).pathname;

export interface RealBroker {
  readonly broker: Broker;
  readonly folder: string;
  readonly socketOf: (vgpu: string) => string;
  /** What the broker logged, one JSON object a line. */
  readonly log: readonly string[];
  readonly stop: () => Promise<void>;
}

/** Restarts are not held back unless the test says so. */
export async function startRealBroker(
  vgpus: readonly string[],
  options: Partial<BrokerOptions> = {},
): Promise<RealBroker> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-broker-"));
  const socketOf = (name: string): string => join(folder, `${name}.sock`);
  const log: string[] = [];
  const broker = new Broker({
    vgpus: vgpus.map((name) => ({
      name,
      socketPath: socketOf(name),
      settings: { memoryBytesMax: 2 ** 30 },
    })),
    runtimeDir: folder,
    controlPath: join(folder, "control.sock"),
    executor: "null",
    gpuMemoryBytes: null,
    logLevel: "silent",
    version: "0",
    instanceCommand: [process.execPath, program],
    extraArguments: [],
    translationCache: null,
    crashAt: [],
    answerMs: 5000,
    meterProc: null,
    restartLimits: { max: 1, windowMs: 0 },
    confinement: null,
    timer: realTimers.create(),
    trace: null,
    log: createLogger({ name: "t", level: "debug", write: (line) => log.push(line) }),
    nowNs,
    listen: (path) => listen(path, { mode: 0o660 }),
    close,
    ...options,
  });
  const stop = async (): Promise<void> => {
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  broker.start();
  return { broker, folder, socketOf, log, stop };
}
