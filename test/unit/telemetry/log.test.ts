// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createLogger, isLogLevel, plainLine } from "../../../src/telemetry/log.js";

function lines(options: { plain: boolean; level?: "debug" | "warn" }): {
  log: ReturnType<typeof createLogger>;
  out: string[];
} {
  const out: string[] = [];
  return { log: createLogger({ name: "part", write: (line) => out.push(line), ...options }), out };
}

describe("the logger", () => {
  it("writes one JSON object a line for machines", () => {
    const { log, out } = lines({ plain: false });
    log.info({ ring: 2 }, "ring 2 starts");
    expect(out).toHaveLength(1);
    expect(JSON.parse(out[0] ?? "")).toMatchObject({
      name: "part",
      level: 30,
      ring: 2,
      msg: "ring 2 starts",
    });
    expect(out[0]).toMatch(/\n$/);
  });

  it("writes a plain line for people", () => {
    const { log, out } = lines({ plain: true });
    log.warn({ ring: 2, why: "two words", error: new Error("bad") }, "ring stops");
    expect(out[0]).toMatch(/^\d\d:\d\d:\d\d warn {2}part: ring stops ring=2 why="two words"/);
    expect(out[0]).not.toMatch(/hostname|pid/);
  });

  it("keeps what is below the level", () => {
    const { log, out } = lines({ plain: true, level: "warn" });
    log.info("quiet");
    log.warn("loud");
    expect(out.map((line) => line.trim())).toEqual([expect.stringContaining("loud")]);
  });

  it("passes on a line that is no JSON, and knows its levels", () => {
    expect(plainLine("oops\n")).toBe("oops\n");
    expect([isLogLevel("debug"), isLogLevel("loud")]).toEqual([true, false]);
  });
});
