// SPDX-License-Identifier: Apache-2.0
/** `vgpu-instance`: one vGPU in a process of its own. Arguments and environment only. */
import { ExitCode, isProgram, UsageError } from "./common.js";
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

if (isProgram("vgpu-instance")) void main(process.argv).then((code) => process.exit(code));
