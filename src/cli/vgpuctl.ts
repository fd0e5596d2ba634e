// SPDX-License-Identifier: Apache-2.0
/** `vgpuctl`: asks a running `vgpud`. */
import { connect } from "node:net";
import { Command } from "commander";
import { readLines, writeLine } from "../broker/lines.js";
import { type ControlReply, controlReply } from "../broker/messages.js";
import { metricsText } from "../broker/metrics.js";
import { controlPathIn, defaultRuntimeDir } from "../broker/paths.js";
import { SETTING_KEYS } from "../broker/settings-text.js";
import { statusTable } from "../broker/status-table.js";
import { packageVersion } from "./common.js";

const ANSWER_MS = 10_000;

class CtlError extends Error {}

function ask(path: string, request: object): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => {
      reject(new CtlError(`vgpud at ${path} does not answer within ${ANSWER_MS / 1000} s`));
      socket.destroy();
    }, ANSWER_MS);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const hint = error.code === "EACCES" ? "you are not its user" : "is vgpud running?";
      reject(
        new CtlError(`vgpud at ${path} can't be reached: ${error.code ?? error.message} (${hint})`),
      );
    });
    socket.on("close", () => {
      clearTimeout(timer);
      reject(new CtlError(`vgpud at ${path} closed the connection without an answer`));
    });
    readLines(socket, controlReply, {
      message: (reply) => {
        resolve(reply);
        socket.end();
      },
      invalid: (reason) => reject(new CtlError(`vgpud's answer can't be understood: ${reason}`)),
    });
    writeLine(socket, request);
  });
}

interface Options {
  readonly json?: boolean;
  readonly control: string;
}

async function status(options: Options): Promise<void> {
  showStatus(await ask(options.control, { command: "status" }), options);
}

async function set(id: string, settings: string[], options: Options): Promise<void> {
  showStatus(await ask(options.control, { command: "set", id, settings }), options);
}

async function reset(id: string, options: Options): Promise<void> {
  showStatus(await ask(options.control, { command: "reset", id }), options);
}

async function restart(id: string, options: Options): Promise<void> {
  showStatus(await ask(options.control, { command: "restart", id }), options);
}

async function gvmcs(id: string, options: Options): Promise<void> {
  const reply = await ask(options.control, { command: "gvmcs", id });
  if (!reply.ok) {
    throw new CtlError(reply.error);
  }
  if ("text" in reply) {
    process.stdout.write(
      options.json === true ? `${JSON.stringify(reply.json, null, 2)}\n` : reply.text,
    );
  }
}

async function metrics(options: Options): Promise<void> {
  const reply = await ask(options.control, { command: "status" });
  if (!reply.ok) {
    throw new CtlError(reply.error);
  }
  process.stdout.write(await metricsText("vgpus" in reply ? reply.vgpus : []));
}

function showStatus(reply: ControlReply, options: Options): void {
  if (!reply.ok) {
    throw new CtlError(reply.error);
  }
  if (!("vgpus" in reply)) {
    throw new CtlError("vgpud's answer is of another kind than was asked for");
  }
  process.stdout.write(
    options.json === true ? `${JSON.stringify(reply, null, 2)}\n` : statusTable(reply.vgpus),
  );
  if (reply.note !== undefined) {
    process.stderr.write(`vgpuctl: note: ${reply.note}\n`);
  }
}

async function main(): Promise<void> {
  const runtimeDir = defaultRuntimeDir(process.env, process.getuid?.() ?? 0);
  const program = new Command("vgpuctl")
    .description("Shows what the vGPUs of a running vgpud do, and changes their shares.")
    .version(packageVersion())
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  program
    .command("status")
    .description("one line for each vGPU, and for each context in it")
    .option("--json", "everything, as JSON")
    .option("--control <path>", "vgpud's control socket", controlPathIn(runtimeDir))
    .allowExcessArguments(false)
    .action(status);
  program
    .command("metrics")
    .description("the same in Prometheus' text format")
    .option("--control <path>", "vgpud's control socket", controlPathIn(runtimeDir))
    .allowExcessArguments(false)
    .action(metrics);
  program
    .command("set")
    .description(`changes a vGPU live: key=value, with keys ${SETTING_KEYS}`)
    .argument("<id>", "name of the vGPU")
    .argument("<settings...>", "for example weight=4 max=50%")
    .option("--json", "the new status, as JSON")
    .option("--control <path>", "vgpud's control socket", controlPathIn(runtimeDir))
    .action(set);
  program
    .command("reset")
    .description("ends all contexts of a vGPU's guest; new ones work at once")
    .argument("<id>", "name of the vGPU")
    .option("--json", "the new status, as JSON")
    .option("--control <path>", "vgpud's control socket", controlPathIn(runtimeDir))
    .allowExcessArguments(false)
    .action(reset);
  program
    .command("restart")
    .description("replaces a vGPU's process, by a newer build perhaps; its VM stays connected")
    .argument("<id>", "name of the vGPU")
    .option("--json", "the new status, as JSON")
    .option("--control <path>", "vgpud's control socket", controlPathIn(runtimeDir))
    .allowExcessArguments(false)
    .action(restart);
  program
    .command("gvmcs")
    .description("prints a vGPU's control structure, field by field")
    .argument("<id>", "name of the vGPU")
    .option("--json", "as JSON")
    .option("--control <path>", "vgpud's control socket", controlPathIn(runtimeDir))
    .allowExcessArguments(false)
    .action(gvmcs);
  await program.parseAsync();
}

main().catch((error: unknown) => {
  const text = error instanceof CtlError ? error.message : String((error as Error).stack ?? error);
  process.stderr.write(`vgpuctl: ${text}\n`);
  process.exit(1);
});
