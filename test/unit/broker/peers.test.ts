// SPDX-License-Identifier: Apache-2.0
/** An instance that turns on the broker it runs under: what it says at the broker's sockets. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Broker } from "../../../src/broker/broker.js";
import { DEFAULT_RESTARTS } from "../../../src/broker/restart-policy.js";
import { close, listen, nowNs } from "../../../src/io/native.js";
import { realTimers } from "../../../src/io/timers.js";
import { createLogger } from "../../../src/telemetry/log.js";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-peers-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A broker whose instances run this script, which ends with report(what it got). */
function brokerOf(script: string): { broker: Broker; report: () => Promise<string> } {
  const program = join(folder, "instance.mjs");
  const written = join(folder, "report");
  writeFileSync(
    program,
    `import { connect } from "node:net";
     import { existsSync, renameSync, writeFileSync } from "node:fs";
     const folder = ${JSON.stringify(folder)};
     const report = (text) => { writeFileSync(folder + "/part", text);
       renameSync(folder + "/part", folder + "/report"); };
     const hello = (id, pid) => JSON.stringify({ type: "hello", id, pid, adapter: "x",
       vendorId: 0, executor: "null" }) + "\\n";
     const say = (path, text) => { const s = connect(folder + "/" + path); let got = "";
       s.on("error", () => {}); s.write(text);
       s.on("data", (d) => { got += d; report(got); s.destroy(); });
       s.on("close", () => { if (got === "") report("closed"); }); };
     ${script}
     setInterval(() => {}, 1000);`,
  );
  const broker = new Broker({
    vgpus: ["a", "b"].map((name) => ({
      name,
      socketPath: join(folder, `${name}.sock`),
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
    restartLimits: DEFAULT_RESTARTS,
    meterProc: null,
    confinement: null,
    timer: realTimers.create(),
    trace: null,
    log: createLogger({ name: "t", level: "silent" }),
    nowNs,
    listen: (path) => listen(path, { mode: 0o660 }),
    close,
  });
  const report = async (): Promise<string> => {
    while (!existsSync(written)) await new Promise((resolve) => setTimeout(resolve, 10));
    return readFileSync(written, "utf8");
  };
  return { broker, report };
}

const isA = `process.argv.includes("--id=a")`;

describe("the broker's peers", () => {
  it.each([
    ["is taken on as itself", `if (${isA}) say("broker.sock", hello("a", process.pid));`, /attach/],
    ["is not taken on as another", `if (${isA}) say("broker.sock", hello("b", 1));`, /^closed$/],
    [
      "is ended if it says hello on a second connection, and nobody else",
      `if (${isA}) {
         if (existsSync(folder + "/again")) report("started anew");
         writeFileSync(folder + "/again", "");
         const text = hello("a", process.pid);
         const first = connect(folder + "/broker.sock");
         first.write(text);
         first.on("data", () => connect(folder + "/broker.sock").on("error", () => {}).write(text));
       }`,
      /^started anew$/,
    ],
    ["gives no orders", `if (${isA}) say("control.sock", '{"command":"status"}\\n');`, /^closed$/],
  ])("an instance %s", async (_, script, expected) => {
    const { broker, report } = brokerOf(script);
    try {
      broker.start();
      expect(await report()).toMatch(expected);
    } finally {
      await broker.stop();
    }
  });
});
