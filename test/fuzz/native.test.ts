// SPDX-License-Identifier: Apache-2.0
/** The C targets in short, with the compiler that is there; `npm run fuzz -- --native` has libFuzzer. */
import { describe, expect, it } from "vitest";
import { systemRandom } from "../../src/io/random.js";
import { buildNative, NATIVE_CANARY, NATIVE_TARGETS, runStandalone } from "./native.js";

const fresh = systemRandom.u32();
console.log(`native fuzz: seed ${fresh}`);

describe("C targets, with sanitizers", () => {
  it.each(NATIVE_TARGETS.filter((each) => !each.sanitizedOnly))("$name holds", (target) => {
    const { status, stdout, stderr } = runStandalone(
      target,
      buildNative(target, "cc", false),
      5_000,
      fresh,
    );
    expect({ status, stderr }, `seed ${fresh}`).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe("5000 inputs\n");
  });

  it("see the canary's bug", () => {
    const target = { ...NATIVE_CANARY, seeds: () => [new TextEncoder().encode("vgpu\x07")] };
    const { status, stderr } = runStandalone(target, buildNative(target, "cc", false), 1, 1);
    expect(status).not.toBe(0);
    expect(stderr).toContain("heap-buffer-overflow");
  });
});
