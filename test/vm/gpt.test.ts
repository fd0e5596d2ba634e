// SPDX-License-Identifier: Apache-2.0
//
// A CUDA program trains a transformer in a virtual machine, with the same training on the guest's
// CPU beside it. The model is small, for the guest's CPU is emulated; docs/CUDA.md has the figures
// of the full size.

import { afterAll, beforeAll, expect, test } from "vitest";
import { programPath } from "../../scripts/lib/programs.js";
import { openVmBench, type VmBench } from "../support/vm.js";

const steps = 12;
const size = ["--layers", "2", "--width", "32", "--heads", "2", "--length", "16", "--batch", "2"];

let bench: VmBench;

beforeAll(async () => {
  // A software GPU on a busy machine needs more time than the watchdog gives by itself.
  bench = await openVmBench("gpt", ["gpt,watchdog=60s"], [programPath("cuda-gpt")]);
});

afterAll(async () => {
  await bench?.close();
});

test("a GPT learns in a guest what its reference on the guest's CPU learns", async () => {
  const args = [...size, "--steps", String(steps), "--reference"];
  const guest = bench.boot("gpt", { programs: [{ name: "cuda-gpt", args }] });
  const end = await bench.expecting(
    guest,
    guest.waitForEvent((event) => event.event === "end" && event.program === "cuda-gpt"),
  );
  expect(end).toMatchObject({ exit: 0, result: { program: "cuda-gpt", ok: true, steps } });
  const report = (end.event === "end" ? end.result : null) as Record<string, number> | null;
  expect(report?.reference_difference).toBeLessThan(1e-3);
  expect(report?.last_loss).toBeLessThan((report?.first_loss ?? 0) - 0.2);
});
