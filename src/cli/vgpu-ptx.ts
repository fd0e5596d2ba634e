// SPDX-License-Identifier: Apache-2.0
/** `vgpu-ptx`: shows what the PTX compiler makes of a file, a fat binary or PTX text. */
import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { choosePtx, FatbinError, loadZstd } from "../kernel/fatbin/index.js";
import {
  type EmitOptions,
  emitKernel,
  PtxError,
  type PtxModule,
  parsePtx,
  printIr,
} from "../kernel/ptx/index.js";
import { packageVersion } from "./common.js";

interface Options {
  readonly emit: "ir" | "wgsl" | "list";
  readonly kernel?: string;
  readonly checked?: boolean;
  readonly segments: number;
  readonly block: [number, number, number];
  readonly shared: number;
}

const FATBIN_START = [0x50, 0xed, 0x55, 0xba];

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("not a whole number");
  return value;
}

function segments(text: string): number {
  const value = count(text);
  if (value < 1 || value > 8) throw new InvalidArgumentError("not 1 to 8");
  return value;
}

function block(text: string): [number, number, number] {
  const [x = 1, y = 1, z = 1, ...more] = text.split(",").map(count);
  if (more.length > 0 || x * y * z === 0) throw new InvalidArgumentError("not X,Y,Z");
  return [x, y, z];
}

async function textOf(path: string): Promise<string> {
  const bytes = readFileSync(path);
  if (FATBIN_START.every((byte, i) => bytes[i] === byte)) {
    await loadZstd();
    return choosePtx(bytes);
  }
  return bytes.toString("utf8");
}

function emitOptions(options: Options): EmitOptions {
  return {
    segments: options.segments,
    block: options.block,
    dynamicSharedBytes: options.shared,
    f16: false,
    subgroups: false,
    subgroupSize: 4,
    checked: options.checked === true,
    blockThreadsMax: 1024,
    sharedBytesMax: Number.POSITIVE_INFINITY,
  };
}

function list(module: PtxModule): string {
  const lines = [`PTX ${module.version}, ${module.target}`];
  for (const { name, params, sharedBytes, unsupported } of module.kernels) {
    const state = unsupported ?? `${params.length} parameters, ${sharedBytes} bytes shared`;
    lines.push(`${name}: ${state}`);
  }
  return `${lines.join("\n")}\n`;
}

function one(module: PtxModule, name: string, options: Options): string {
  const emit = emitOptions(options);
  if (options.emit === "ir") return printIr(module, name, emit);
  const emitted = emitKernel(module, name, emit);
  const globals = emitted.globals.length === 0 ? "none" : emitted.globals.join(" ");
  return `// kernel ${name}: ${emitted.mode}; globals: ${globals}\n${emitted.wgsl}`;
}

async function run(path: string, options: Options): Promise<void> {
  const module = parsePtx(await textOf(path));
  if (options.emit === "list") {
    process.stdout.write(list(module));
    return;
  }
  const names =
    options.kernel === undefined ? module.kernels.map((kernel) => kernel.name) : [options.kernel];
  for (const name of names) {
    try {
      process.stdout.write(one(module, name, options));
    } catch (error) {
      // One kernel's failure leaves the others.
      if (!(error instanceof PtxError)) throw error;
      process.stderr.write(`vgpu-ptx: ${error.message}\n`);
      process.exitCode = 1;
    }
  }
}

const program = new Command("vgpu-ptx")
  .description("translates PTX, or the PTX in a fat binary, to WGSL")
  .version(packageVersion())
  .argument("<file>", "PTX text or a fat binary")
  .addOption(
    new Option("--emit <what>", "what to print").choices(["ir", "wgsl", "list"]).default("wgsl"),
  )
  .option("--kernel <name>", "this kernel only")
  .option("--checked", "check every access to memory")
  .option("--segments <n>", "memory segments of the context", segments, 1)
  .option("--block <x,y,z>", "threads of a block", block, [128, 1, 1] as [number, number, number])
  .option("--shared <bytes>", "dynamic shared memory", count, 0);

program.action(async (path: string, options: Options) => {
  try {
    await run(path, options);
  } catch (error) {
    const isKnown =
      error instanceof PtxError ||
      error instanceof FatbinError ||
      (error instanceof Error && "code" in error);
    if (!isKnown) throw error;
    process.stderr.write(`vgpu-ptx: ${path}: ${error.message}\n`);
    process.exitCode = 1;
  }
});

void program.parseAsync();
