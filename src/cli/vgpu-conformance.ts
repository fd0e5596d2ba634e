// SPDX-License-Identifier: Apache-2.0
/** `vgpu-conformance`: tests a virtio-vgpu back end over vhost-user. */
import { writeFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { ExitCode, isProgram, packageVersion, UsageError } from "./common.js";

interface Options {
  readonly socketPath?: string;
  readonly json?: string;
  readonly filter: string;
  readonly list?: true;
  readonly timeout: string;
  readonly executor: "null" | "full" | "detect";
  readonly pid?: string;
  readonly quiet?: true;
}

const AFTER = `
A pattern is a test's id or a path above it, with * for any text; several are parted by commas:
  vgpu-conformance --socket-path=/tmp/vgpu.sock --filter 'session,command/copy*'

Exit code: 0 if no test failed, 1 if one failed or the back end can't be tested, 2 for wrong options.`;

function program(): Command {
  return new Command("vgpu-conformance")
    .description("Tests a virtio-vgpu back end: it must listen at a socket and have no front end.")
    .version(packageVersion())
    .option("--socket-path <path>", "the back end's vhost-user socket")
    .option("--filter <patterns>", "run only the tests that the patterns name", "")
    .option("--list", "print the tests and what they check, and run none")
    .option("--json <file>", "write a report to a file")
    .option("--timeout <seconds>", "for one test", "10")
    .addOption(
      new Option("--executor <kind>", "whether the back end computes (null: it does not)")
        .choices(["null", "full", "detect"])
        .default("detect"),
    )
    .option("--pid <n>", "the back end's process: its descriptors are counted")
    .option("--quiet", "print only failures and the sum")
    .addHelpText("after", AFTER)
    .exitOverride();
}

function positive(text: string, option: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`${option}: '${text}' is no number above 0`);
}

/** Runs the program; resolves with the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const command = program().parse(argv);
    if (command.args.length > 0) throw new UsageError(`'${command.args[0]}' is not understood`);
    return await start(command.opts<Options>());
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : ExitCode.usage;
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`vgpu-conformance: error: ${message}\n`);
    return error instanceof UsageError ? ExitCode.usage : ExitCode.failure;
  }
}

async function start(options: Options): Promise<number> {
  // Loaded late: `--help` and wrong options need no addon.
  const suite = await import("../conformance/index.js");
  const cases = suite.selectCases(options.filter);
  if (cases.length === 0) throw new UsageError(`--filter: '${options.filter}' names no test`);
  if (options.list === true) {
    for (const one of cases) {
      const rules = one.statements.map((number) => `VGPU-DEV-${number}`).join(", ");
      process.stdout.write(`${one.id}  [${rules || one.source}]\n    ${one.description}\n`);
    }
    return ExitCode.ok;
  }
  const { socketPath: path, executor } = options;
  if (path === undefined) throw new UsageError("--socket-path is missing");
  const width = Math.max(...cases.map(({ id }) => id.length));
  const run = {
    path,
    executor,
    pid: options.pid === undefined ? null : positive(options.pid, "--pid"),
    timeoutMs: positive(options.timeout, "--timeout") * 1000,
    report: (result: import("../conformance/index.js").Result): void => {
      if (options.quiet === true && result.outcome !== "failed") return;
      process.stdout.write(`${suite.line(result, width)}\n`);
    },
  };
  const environment = await suite.explore(run);
  const results = await suite.run(cases, environment, run);
  process.stdout.write(`${suite.summary(results)}\n`);
  if (options.json !== undefined) {
    const name = { name: "vgpu-conformance", version: packageVersion() };
    writeFileSync(options.json, suite.json(results, environment, name));
  }
  return suite.totals(results).failed === 0 ? ExitCode.ok : ExitCode.failure;
}

if (isProgram("vgpu-conformance")) {
  // What was written to a pipe may still be on its way.
  void main(process.argv).then((code) => process.stdout.write("", () => process.exit(code)));
}
