// SPDX-License-Identifier: Apache-2.0
/**
 * CUDA kernels through a whole device: libcuda in a program, vgpu-instance on Dawn; from PTX and from
 * the fat binaries that nvcc makes, compressed and not. And the example that trains a GPT.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { Image, judge, type KernelCase, packArgs } from "../support/cuda/lab.js";
import { guestEnvironment, Watched } from "../support/e2e.js";
import { CASES } from "./cases/index.js";

const root = new URL("../..", import.meta.url).pathname;
const build = join(root, "guest-driver/build");
const folder = mkdtempSync(join(tmpdir(), "vgpu-cuda-"));
const program = join(folder, "run-case");
let broker: Broker;

/** One module with its cases, as a plan for run-case. */
interface Part {
  readonly module: string;
  readonly file: string;
  readonly only?: readonly string[];
}

const PARTS: readonly Part[] = [
  ...["stream", "scan", "params", "linked"].map((module) => ({
    module,
    file: `ptx/${module}.121.ptx`,
  })),
  ...["75", "121"].map((target) => ({ module: "text", file: `ptx/text.${target}.ptx` })),
  { module: "nn", file: "ptx/nn.75.ptx", only: ["softmax", "attention", "adamw"] },
  ...["reduce", "warp"].flatMap((module) =>
    ["default", "none"].map((mode) => ({
      module,
      file: `fatbin/${module}.${mode}.fatbin`,
      ...(mode === "none" ? { only: ["reduce_atomic", "argmax", "votes", "warp_sort"] } : {}),
    })),
  ),
];

const casesOf = (part: Part): KernelCase[] =>
  CASES.filter(
    (c) =>
      c.module === part.module &&
      c.noGpu === undefined &&
      (part.only === undefined || part.only.includes(c.name)),
  );

const SEED = 0x5eedn << 48n;

/** Buffers by the numbers that stand for their addresses. */
function planOf(part: Part, each: KernelCase, at: string): { lines: string[]; names: string[] } {
  const names = Object.keys(each.buffers);
  const address = (name: string): bigint => SEED | (BigInt(names.indexOf(name)) << 32n);
  const lines = [`module ${join(root, "test/cuda", part.file)}`];
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

function runPlan(lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], { env: guestEnvironment(broker.socketOf("cuda")) });
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

beforeAll(async () => {
  const include = join(build, "../include");
  const flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-I", include];
  const source = join(root, "test/cuda/programs/run-case.c");
  execFileSync("cc", [...flags, "-o", program, source, "-L", join(build, "lib"), "-lcuda"]);
  // Software drivers compile at the first launch: the usual limit is too short on a busy machine.
  const logPath = join(folder, "vgpud.log");
  broker = await startBroker({ vgpus: ["cuda,watchdog=60s"], logPath });
}, 60_000);

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("CUDA kernels through libcuda and a device", () => {
  for (const part of PARTS) {
    for (const each of casesOf(part)) {
      // A list that the kernel builds holds addresses of the device, which the check can't know.
      if (each.name === "list_push") continue;
      it(`${part.file}: ${each.name}`, async () => {
        const at = join(folder, part.file.replaceAll("/", "-"), each.name);
        const { lines, names } = planOf(part, each, at);
        const said = await runPlan(lines);
        expect(verdict(each, at, names, said)).toBeNull();
      }, 60_000);
    }
  }
});

describe("the example that trains a GPT", () => {
  const gpt = join(build, "bin/cuda-gpt");
  const small = [
    "--layers",
    "2",
    "--width",
    "32",
    "--heads",
    "2",
    "--length",
    "16",
    "--batch",
    "2",
  ];

  it("learns what its reference on the CPU learns", async () => {
    const run = new Watched(gpt, [...small, "--steps", "15", "--reference"], {
      ...guestEnvironment(broker.socketOf("cuda")),
    });
    expect((await run.exit).code, run.stderr).toBe(0);
    const report = JSON.parse(run.lines.at(-1) ?? "{}") as Record<string, number>;
    expect(report).toMatchObject({ program: "cuda-gpt", ok: true, steps: 15 });
    expect(report.reference_difference).toBeLessThan(1e-3);
    expect(report.last_loss).toBeLessThan((report.first_loss ?? 0) - 0.2);
  }, 120_000);

  it("says how it is used, and refuses what makes no sense", async () => {
    const help = new Watched(gpt, ["--help"], process.env);
    expect((await help.exit).code).toBe(0);
    expect(help.lines.join("\n")).toMatch(/--layers N.*--reference/s);
    const odd = new Watched(gpt, ["--width", "10", "--heads", "3"], process.env);
    expect((await odd.exit).code).toBe(2);
    expect(odd.stderr).toContain("the width (10) must be a multiple of the heads (3)");
  });
});
