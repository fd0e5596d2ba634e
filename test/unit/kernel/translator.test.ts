// SPDX-License-Identifier: Apache-2.0
/** The translator in its thread, as built: answers, limits, and what outlives a thread. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import {
  type EmitRequest,
  InlineTranslator,
  TranslateError,
  type Translator,
  WorkerTranslator,
} from "../../../src/kernel/translator/index.js";

const built = new URL("../../../dist/programs/worker.js", import.meta.url);
const fatbin = new Uint8Array(readFileSync(new URL("./fatbin/zstd.fatbin", import.meta.url)));
const LIMITS = { loadMs: 20_000, kernelMs: 20_000, heapMib: 256 };
const REQUEST: EmitRequest = {
  segments: 1,
  block: [64, 1, 1],
  dynamicSharedBytes: 0,
  checked: false,
  f16: false,
  subgroups: false,
  subgroupSize: 4,
  blockThreadsMax: 1024,
  sharedBytesMax: 32768,
};

const folder = mkdtempSync(join(tmpdir(), "translator-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A thread that runs forever, or fails, on modules that say so, and else answers with the count. */
const thread = join(folder, "thread.mjs");
writeFileSync(
  thread,
  `import { parentPort } from "node:worker_threads";
  const loaded = [];
  parentPort.on("message", (request) => {
    const text = request.source ?? request.kernel ?? "";
    if (text === "forever") for (;;) {}
    if (text === "memory") { const all = []; for (;;) all.push(new Array(1e5).fill({ a: 1 })); }
    if (text === "exit") process.exit(3);
    if (text === "throw") throw new Error("thrown in the thread");
    if (request.kind === "load") loaded.push(request.id);
    parentPort.postMessage({ ok: true, result: [request.kind, request.id, loaded.length] });
  });`,
);
const scripted = (ms: number): WorkerTranslator =>
  new WorkerTranslator({ loadMs: ms, kernelMs: ms, heapMib: 32 }, pathToFileURL(thread));

const reason = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof TranslateError) return `${error.reason}: ${error.message}`;
    throw error;
  }
  return "no error";
};

const kinds: readonly [string, () => Translator][] = [
  ["in place", () => new InlineTranslator()],
  ["in a thread", () => new WorkerTranslator(LIMITS, built)],
];

describe.each(kinds)("the translator %s", (_, make) => {
  it("reads, describes and emits", async () => {
    expect(existsSync(built), "run the build first").toBe(true);
    const translator = make();
    const module = await translator.load(7, fatbin);
    expect(module.kernels).toEqual(["scale"]);
    expect(module.variables.map((each) => each.name)).toEqual(["runs", "table", "__vgpu_fault"]);
    expect(module.variables[0]?.init?.[0]).toBe(7);
    expect(await translator.describe(7, "scale")).toMatchObject({
      paramBytes: 16,
      unsupported: null,
      params: [{ offset: 0 }, { offset: 8 }, { offset: 12 }],
      line: 17,
    });
    const emitted = await translator.emit(7, "scale", REQUEST);
    expect(emitted).toMatchObject({ globals: ["table", "runs"], uniformBytes: 48 });
    expect(emitted.wgsl).toContain(`fn ${emitted.entryPoint}(`);
    translator.forget(7);
    translator.close();
  });

  it.each([
    ["heads of kernels in one line", `${".entry a ".repeat(200_000)}\n*/\n`, /^no error/],
    ["zeros before the end", `${"\0".repeat(1_000_000)}x`, /^invalid/],
  ])("takes no longer for %s", async (_, text, expected) => {
    const translator = make();
    const start = process.cpuUsage();
    const head = ".version 8.0\n.target sm_75\n.address_size 64\n/*\n";
    expect(await reason(translator.load(9, head + text))).toMatch(expected);
    // Each was looked through from each of its places: hours.
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(5000);
    translator.close();
  });

  it("tells what is wrong with a module", async () => {
    const translator = make();
    expect(await reason(translator.load(1, ".version 8.0\n.target sm_75\n.what"))).toMatch(
      /^invalid: line 3/,
    );
    expect(await reason(translator.load(2, fatbin.subarray(0, 100)))).toMatch(
      /^invalid: .*fat bin/,
    );
    expect((await translator.load(3, fatbin)).kernels.length).toBe(1);
    translator.close();
  });
});

describe("limits of the thread", () => {
  it.each([
    ["forever", /^limit: the translation takes longer than 2 s/],
    ["memory", /^limit: the translation needs more than 32 MiB/],
    ["exit", /^limit: the translator has ended/],
    ["throw", /^limit: the translator has failed: thrown in the thread/],
  ])("%s costs that module, and the others are read again", async (bad, message) => {
    const translator = scripted(bad === "forever" ? 2000 : 30_000);
    expect(await translator.load(1, "good")).toEqual(["load", 1, 1]);
    const waiting = Promise.all([
      reason(translator.load(2, bad)),
      translator.emit(1, "good", REQUEST),
      translator.load(3, "good"),
    ]);
    const [failed, emitted, loaded] = await waiting;
    expect(failed).toMatch(message);
    // A new thread, which has read module 1 once more.
    expect(emitted).toEqual(["emit", 1, 1]);
    expect(loaded).toEqual(["load", 3, 2]);
    translator.close();
  });

  it("a kernel without end fails alone", async () => {
    const translator = scripted(2000);
    await translator.load(1, "good");
    expect(await reason(translator.describe(1, "forever"))).toContain("longer than 2 s");
    expect(await translator.describe(1, "good")).toEqual(["describe", 1, 1]);
    translator.close();
  });

  it("all that waits is answered when the device ends", async () => {
    const translator = scripted(2000);
    await translator.load(1, "good");
    const waiting = [translator.load(2, "forever"), translator.emit(1, "good", REQUEST)];
    const answers = Promise.all(waiting.map(reason));
    translator.close();
    expect(await answers).toEqual(["limit: the device ends", "limit: the device ends"]);
  });
});
