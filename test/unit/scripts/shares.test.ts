// SPDX-License-Identifier: Apache-2.0
/** The picture of shares over time: the numbers from a trace, and what is drawn of them. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sharesOverTime, sharesSvg, type TraceEvent } from "../../../scripts/lib/shares.js";
import { ExitReason } from "../../../src/gvmcs/index.js";
import { TraceFile } from "../../../src/telemetry/trace.js";

/** Two vGPUs through the real trace: a has 0 to 3 ms, b 3 to 4 ms, nobody 4 to 9, b 9 to 10. */
function trace(): TraceEvent[] {
  const path = join(mkdtempSync(join(tmpdir(), "vgpu-shares-")), "trace.json");
  const file = new TraceFile(path);
  const turn = (id: string, fromMs: number, toMs: number): void => {
    file.event({ kind: "entry", id, timeNs: fromMs * 1e6, deadlineNs: null });
    const exit = {
      sequence: 1,
      reason: ExitReason.IDLE,
      qualification: 0,
      batches: 1,
      gpu_time_ns: 1e6,
      time_ns: toMs * 1e6,
      tail_ns: id === "a" ? 5e5 : 0,
    };
    const more = { queued: 3, wants: false, reason: "idle" } as const;
    file.event({ kind: "exit", id, timeNs: toMs * 1e6, exit, ...more });
    if (id === "a") file.event({ kind: "drained", id, timeNs: toMs * 1e6 + 6e5 });
  };
  file.event({ kind: "waiting", id: "b", timeNs: 1e5 });
  turn("a", 0, 3);
  turn("b", 3, 4);
  turn("b", 9, 10);
  file.event({ kind: "entry", id: "a", timeNs: 11e6, deadlineNs: null });
  file.close();
  return JSON.parse(readFileSync(path, "utf8")) as TraceEvent[];
}

it("says which part of each interval each one had, and of the whole", () => {
  const shares = sharesOverTime(trace(), 5);
  expect(shares?.seconds).toBeCloseTo(0.01, 9);
  const round = (parts: readonly number[] = []): number[] => parts.map((p) => Number(p.toFixed(6)));
  const by = new Map(shares?.vgpus.map((each) => [each.name, each]));
  expect(round(by.get("a")?.parts)).toEqual([1, 0.5, 0, 0, 0]);
  expect(round(by.get("b")?.parts)).toEqual([0, 0.5, 0, 0, 0.5]);
  expect(by.get("a")?.share).toBeCloseTo(0.3, 9);
  expect(by.get("b")).toMatchObject({ entries: 2 });
  expect(by.get("b")?.share).toBeCloseTo(0.2, 9);
});

it("is null for a trace without entries", () => {
  expect(
    sharesOverTime([{ ph: "M", name: "thread_name", tid: 1, args: { name: "a" } }], 5),
  ).toBeNull();
});

it("draws an area for each, with its name and share, and no markup of theirs", () => {
  const shares = sharesOverTime(trace(), 5);
  if (shares === null) throw new Error("no shares");
  const svg = sharesSvg(shares, "a <b> & c");
  expect(svg.match(/<polygon /g)?.length).toBe(2);
  expect(svg).toContain("a: 30.0 % of the time, 1 entries");
  expect(svg).toContain("a &#60;b&#62; &#38; c");
  expect(svg).toContain("nobody has the GPU (50.0 %)");
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});

it("has the queues in the trace too", () => {
  const counters = trace().filter(({ ph }) => ph === "C");
  expect(counters.filter(({ name }) => name === "b queue").map(({ args }) => args?.value)).toEqual([
    3, 3,
  ]);
  expect(
    counters.filter(({ name }) => name === "run queue").map(({ args }) => args?.value),
  ).toEqual([1, 0]);
});
