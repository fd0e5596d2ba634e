// SPDX-License-Identifier: Apache-2.0
/**
 * Runs CUDA kernels on the Vulkan driver of its environment and says a line of JSON for each: a
 * process of its own, because a process keeps the driver that it began with.
 *
 *   runner.ts [MODULES]    modules separated by commas; all if there are none
 */
import { CASES, ptxOf, TARGETS } from "../../cuda/cases/index.js";
import { testDevice } from "../wgsl-gpu.js";
import { gpuCase } from "./gpu.js";

export interface RunnerLine {
  readonly target: string;
  readonly module: string;
  readonly name: string;
  readonly wrong: string | null;
  readonly ms: number;
}

const modules = process.argv[2]?.split(",") ?? [];
const device = await testDevice();
console.log(JSON.stringify({ driver: device.adapterInfo.description }));
for (const target of TARGETS) {
  for (const each of CASES) {
    const { module, name } = each;
    if (each.heavy !== undefined && process.env.VGPU_SKIP_HEAVY !== undefined) continue;
    if (each.noGpu !== undefined || (modules.length > 0 && !modules.includes(module))) continue;
    const start = performance.now();
    let wrong: string | null;
    try {
      wrong = await gpuCase(each, ptxOf(module, target));
    } catch (error) {
      wrong = error instanceof Error ? error.message : String(error);
    }
    const ms = Math.round(performance.now() - start);
    console.log(JSON.stringify({ target, module, name, wrong, ms } satisfies RunnerLine));
  }
}
process.exit(0);
