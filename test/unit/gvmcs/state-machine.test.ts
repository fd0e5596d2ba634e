// SPDX-License-Identifier: Apache-2.0
/** The launch states: every state with every event, against the table of spec/g-vmcs.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  AbortIndicator,
  ExitReason,
  ExitReasonNames,
  type LaunchEvent,
  LaunchState,
  LaunchStateNames,
  transition,
} from "../../../src/gvmcs/index.js";
import { root } from "../../support/vectors.js";

const spec = readFileSync(join(root, "spec/g-vmcs.md"), "utf8");

const events: ReadonlyMap<string, LaunchEvent> = new Map<string, LaunchEvent>([
  ["load", { kind: "load" }],
  ["enter", { kind: "enter", bounded: false }],
  ["enter bounded", { kind: "enter", bounded: true }],
  ["bound", { kind: "bound" }],
  ["abort", { kind: "abort" }],
  ["drained", { kind: "drained" }],
  ...[...ExitReasonNames].map(
    ([reason, name]) => [`exit ${name}`, { kind: "exit", reason, tail: false }] as const,
  ),
  ...([ExitReason.SLICE_USED, ExitReason.IDLE] as const).map(
    (reason) =>
      [
        `exit ${ExitReasonNames.get(reason)} with a tail`,
        { kind: "exit", reason, tail: true },
      ] as const,
  ),
]);

/** Rows of the specification's table: event → state → next state. */
function specified(): Map<string, Map<string, string>> {
  const table = new Map<string, Map<string, string>>();
  const rows = spec.split("\n").filter((line) => line.startsWith("| "));
  const head = rows.find((line) => line.startsWith("| Event |"));
  const states =
    head
      ?.split("|")
      .slice(2, -1)
      .map((cell) => cell.trim()) ?? [];
  for (const row of rows) {
    const [event = "", ...cells] = row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (!events.has(event)) continue;
    table.set(event, new Map(cells.map((cell, index) => [states[index] ?? "", cell])));
  }
  return table;
}

describe("launch states", () => {
  const table = specified();
  const cases = [...events].flatMap(([name, event]) =>
    [...LaunchStateNames].map(([state, stateName]) => [stateName, name, state, event] as const),
  );

  it("has a row for every event", () => {
    expect([...table.keys()].sort()).toEqual([...events.keys()].sort());
  });

  it.each(cases)("%s with %s", (stateName, name, state, event) => {
    const next = transition(state as LaunchState, event);
    const wanted = table.get(name)?.get(stateName);
    expect(next.ok ? LaunchStateNames.get(next.state) : "–").toBe(wanted);
    if (!next.ok) expect(next.indicator).toBe(AbortIndicator.TRANSITION);
  });

  it("refuses an exit reason that does not exist", () => {
    const next = transition(LaunchState.BOUNDED, { kind: "exit", reason: 99, tail: false });
    expect(next.ok).toBe(false);
  });

  it("refuses a tail with any other reason, in every state", () => {
    for (const state of LaunchStateNames.keys()) {
      for (const reason of ExitReasonNames.keys()) {
        if (reason === ExitReason.SLICE_USED || reason === ExitReason.IDLE) continue;
        const next = transition(state as LaunchState, { kind: "exit", reason, tail: true });
        expect(next.ok, `${state} with ${reason}`).toBe(false);
      }
    }
  });

  it("names the state and the reason", () => {
    const exit = { kind: "exit", reason: ExitReason.SLICE_USED, tail: false } as const;
    expect(transition(LaunchState.ENTERED, exit)).toEqual({
      ok: false,
      indicator: AbortIndicator.TRANSITION,
      text: "an exit with reason SLICE_USED is no transition of the launch state ENTERED",
    });
  });
});
