#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** `vgpu-instance`: one vGPU in a process of its own. Arguments and environment only. */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ExitCode, UsageError } from "./common.js";
import { capabilities, type InstanceOptions, parseInstanceOptions } from "./instance-options.js";
import type { InstanceDevice, InstanceRunner } from "./instance-runner.js";

export type DeviceFactory = (options: InstanceOptions) => Promise<InstanceDevice>;

/** Loaded late: `--help`, `--print-capabilities` and wrong options need neither GPU nor addon. */
const createDevice: DeviceFactory = async (options) => {
  const { createDevice: create } = await import("./create-device.js");
  return create(options);
};

/** Runs the program until it is to end; resolves with the exit code. */
export async function main(
  argv: readonly string[],
  factory: DeviceFactory = createDevice,
): Promise<number> {
  let runner: InstanceRunner | null = null;
  try {
    const parsed = parseInstanceOptions(argv);
    if (parsed.kind === "exit") return parsed.code;
    if (parsed.kind === "print-capabilities") {
      process.stdout.write(`${JSON.stringify(capabilities(), null, 2)}\n`);
      return ExitCode.ok;
    }
    const { InstanceRunner: Runner } = await import("./instance-runner.js");
    runner = new Runner(parsed.options);
    return await runner.run(factory);
  } catch (error) {
    runner?.stop();
    process.stderr.write(`vgpu-instance: error: ${describe(error)}\n`);
    return error instanceof UsageError ? ExitCode.usage : ExitCode.failure;
  }
}

/** Errors that say all that is to be said are shown without a stack. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const expected = error instanceof UsageError || error.name === "ExecutorError" || "code" in error;
  return expected ? error.message : (error.stack ?? error.message);
}

const program = process.argv[1];
if (program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url))
  process.exit(await main(process.argv));
