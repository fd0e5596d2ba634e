// SPDX-License-Identifier: Apache-2.0
/** Runs cases of CUDA kernels through libcuda and a device: a program and a broker's socket. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guestEnvironment } from "../e2e.js";
import { Image, judge, type KernelCase, packArgs } from "./lab.js";

const root = new URL("../../..", import.meta.url).pathname;
const build = join(root, "guest-driver/build");

const SEED = 0x5eedn << 48n;

/** Buffers by the numbers that stand for their addresses. */
function planOf(file: string, each: KernelCase, at: string): { lines: string[]; names: string[] } {
  const names = Object.keys(each.buffers);
  const address = (name: string): bigint => SEED | (BigInt(names.indexOf(name)) << 32n);
  const lines = [`module ${join(root, "test/cuda", file)}`];
  mkdirSync(at, { recursive: true });
  for (const name of names) {
    const given = each.buffers[name];
    if (given === undefined) continue;
    const data = typeof given === "function" ? given(address) : given;
    writeFileSync(join(at, name), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    lines.push(`buffer ${data.byteLength} ${join(at, name)}`);
  }
  for (const { kernel, grid, block, args, shared } of each.launches) {
    const params = Buffer.from(packArgs(args, address, 1, false).bytes).toString("hex");
    const sizes = [...grid, ...block, shared ?? 0].join(" ");
    lines.push(`launch ${kernel} ${sizes} ${params === "" ? "-" : params}`);
  }
  lines.push("end");
  return { lines, names };
}

const FAULTS: Readonly<Record<string, string>> = {
  CUDA_ERROR_ASSERT: "assert",
  CUDA_ERROR_LAUNCH_FAILED: "trap",
};

/** What is wrong with a case that ran; its buffers are in `at`, and `said` is its output. */
function verdict(each: KernelCase, at: string, names: string[], said: string): string | null {
  const end = /end (\w+)\n$/.exec(said)?.[1] ?? `nothing: ${said.slice(-300)}`;
  if (end !== "CUDA_SUCCESS" && FAULTS[end] === undefined) return `it ended with ${end}`;
  if (FAULTS[end] !== undefined) return FAULTS[end] === each.fault ? null : `it ended with ${end}`;
  const image = new Image(each, 4);
  const memory = image.bytes;
  for (const name of names) {
    const offset = Number(image.address(name) & 0xffff_ffffn);
    memory.set(readFileSync(join(at, `${name}.out`)), offset);
  }
  const printed = said
    .slice(0, said.lastIndexOf("end "))
    .split(/(?<=\n)/)
    .filter((line) => line !== "");
  return judge(each, image, { memory, printed, fault: null });
}

export class DeviceRunner {
  private readonly program: string;
  private runs = 0;

  /** Builds the program in `folder`, which also takes the cases' files. */
  constructor(private readonly folder: string) {
    this.program = join(folder, "run-case");
    const flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"];
    const source = join(root, "test/cuda/programs/run-case.c");
    const include = ["-I", join(build, "../include")];
    const library = ["-L", join(build, "lib"), "-lcuda"];
    execFileSync("cc", [...flags, ...include, "-o", this.program, source, ...library]);
  }

  /** What is wrong with the case, from a file in test/cuda; null if nothing is. */
  async run(
    socket: string,
    file: string,
    each: KernelCase,
    env: NodeJS.ProcessEnv = {},
  ): Promise<string | null> {
    this.runs += 1;
    const at = join(this.folder, `${this.runs}-${each.name}`);
    const { lines, names } = planOf(file, each, at);
    const said = await this.say(lines, { ...guestEnvironment(socket), ...env });
    return verdict(each, at, names, said);
  }

  private say(lines: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.program, [], { env });
      let said = "";
      child.stdout.on("data", (data) => {
        said += String(data);
      });
      child.stderr.on("data", (data) => {
        said += String(data);
      });
      child.on("error", reject);
      child.on("close", () => resolve(said));
      child.stdin.end(`${lines.join("\n")}\n`);
    });
  }
}
