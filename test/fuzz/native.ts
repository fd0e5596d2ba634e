// SPDX-License-Identifier: Apache-2.0
/**
 * Fuzz targets in C and C++: what guests' libraries and the kernel driver make of a device's bytes, the
 * host's addon, and its launcher. Under clang they are libFuzzer's, guided by coverage; with any other compiler `standalone.c` runs them, which is
 * enough to see in CI that they hold. Both with the address and undefined-behaviour sanitizers.
 */
import { execFileSync, type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { addonSeeds, buildAddonTarget } from "./native-addon.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const driver = "guest-driver/libvgpu";

export interface NativeTarget {
  readonly name: string;
  readonly parses: string;
  /** Beside its own file. */
  readonly sources: readonly string[];
  readonly include: readonly string[];
  readonly seeds: () => Uint8Array[];
  /** Builds it another way. */
  readonly build?: (compiler: string, libFuzzer: boolean, program: string) => string;
  /** Needs what only test/native/run-sanitized.sh builds, which runs it. */
  readonly sanitizedOnly?: boolean;
}

function reply(what: number, request: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(13 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, what);
  view.setUint32(1, request, true);
  view.setUint32(5, 5, true);
  view.setUint32(9, payload.length, true);
  bytes.set(payload, 13);
  return bytes;
}

/** A submit, its answer, a control request that is answered, a message, a sleep. */
function queueSeed(): Uint8Array {
  const u32 = (value: number): number[] => [value, 0, 0, 0, 0, 0, 0, 0];
  return Uint8Array.of(
    ...[3, 0, ...u32(1)],
    ...[16, 0, ...u32(32)],
    ...[3, 1, ...u32(2)],
    ...[0, 0, ...u32(24), 4, ...u32(64)],
    ...[8, 5, ...u32(32), 5],
    ...[7, 0, ...u32(0)],
  );
}

export const NATIVE_TARGETS: readonly NativeTarget[] = [
  {
    name: "logic",
    parses: "the kernel driver's sums over numbers of the device and of user space",
    sources: [],
    include: ["guest-driver/kernel", "test/kernel"],
    seeds: () => [0, 1, 2, 3, 4].map((kind) => new Uint8Array(64).fill(1).fill(kind, 0, 1)),
  },
  {
    name: "image",
    parses: "libcuda's module images: fat binaries, PTX",
    sources: [],
    include: ["guest-driver/cuda/driver", driver],
    seeds: () => {
      const folder = join(root, "test/unit/kernel/fatbin");
      const files = readdirSync(folder).filter((file) => file.endsWith(".fatbin"));
      const text = new TextEncoder().encode(
        ".version 8.0\n/* x */ .visible .entry f(.param .b32 p)\n{}",
      );
      return [...files.map((file) => new Uint8Array(readFileSync(join(folder, file)))), text];
    },
  },
  {
    name: "replies",
    parses: "libvgpu's vhost-user replies",
    sources: [`${driver}/vhost.c`],
    include: [driver],
    seeds: () => [
      reply(0, 1, new Uint8Array(8)),
      reply(1, 8, new Uint8Array(8)),
      reply(32, 24, new Uint8Array(12 + 32)),
    ],
  },
  {
    name: "queues",
    parses: "libvgpu's rings, answers and timeline in memory that the device writes",
    sources: [`${driver}/errors.c`, `${driver}/wait.c`],
    include: [driver],
    seeds: () => [queueSeed()],
  },
  {
    name: "addon",
    parses: "all that the addon exports: descriptors, sockets, mappings, words, pollers, timers",
    sources: [],
    include: [],
    seeds: addonSeeds,
    build: buildAddonTarget,
    sanitizedOnly: true,
  },
];

/** Has a bug that the fuzzer must find. */
export const NATIVE_CANARY: NativeTarget = {
  name: "canary",
  parses: "a planted bug",
  sources: [],
  include: [],
  seeds: () => [new TextEncoder().encode("vgp")],
};

/** A clang with libFuzzer, or null. */
export function clangWithFuzzer(): string | null {
  const named = ["clang", ...Array.from({ length: 10 }, (_, i) => `clang-${22 - i}`)];
  const source = "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }";
  return (
    named.find((command) => {
      const flags = ["-fsanitize=fuzzer,address", "-x", "c", "-", "-o", "/dev/null"];
      return spawnSync(command, flags, { input: source, stdio: "pipe" }).status === 0;
    }) ?? null
  );
}

function seedFiles(target: NativeTarget, folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  return target.seeds().map((bytes, i) => {
    const file = join(folder, `seed-${i}`);
    writeFileSync(file, bytes);
    return file;
  });
}

/** Compiles a target; gives the program. */
export function buildNative(target: NativeTarget, compiler: string, libFuzzer: boolean): string {
  const folder = join(root, "build/fuzz");
  mkdirSync(folder, { recursive: true });
  const program = join(folder, libFuzzer ? target.name : `${target.name}-standalone`);
  if (target.build !== undefined)
    return target.build(
      libFuzzer ? compiler.replace("clang", "clang++") : "c++",
      libFuzzer,
      program,
    );
  const sanitizers = `${libFuzzer ? "fuzzer," : ""}address,undefined`;
  const include = ["guest-driver/include", "guest-driver/include/uapi", "test/fuzz/native"];
  const sources = [`test/fuzz/native/${target.name}.c`, ...target.sources];
  if (!libFuzzer) sources.push("test/fuzz/native/standalone.c");
  execFileSync(
    compiler,
    [
      ...["-std=gnu11", "-g", "-O1", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra"],
      ...[`-fsanitize=${sanitizers}`, "-fno-sanitize-recover=undefined"],
      ...[...include, ...target.include].flatMap((each) => ["-I", join(root, each)]),
      ...sources.map((each) => join(root, each)),
      ...["-o", program],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  return program;
}

/** Runs so many inputs without libFuzzer. */
export function runStandalone(
  target: NativeTarget,
  program: string,
  inputs: number,
  seed: number,
): SpawnSyncReturns<string> {
  const files = seedFiles(target, join(root, "build/fuzz", `seeds-${target.name}`));
  return spawnSync(program, [String(inputs), String(seed), ...files], { encoding: "utf8" });
}

/** Runs libFuzzer; its corpus stays in out/fuzz/native, and so do crashing inputs. */
export function runLibFuzzer(
  target: NativeTarget,
  program: string,
  seconds: number,
  seed: number,
): { readonly ok: boolean; readonly text: string } {
  const folder = join(root, "out/fuzz/native", target.name);
  const corpus = join(folder, "corpus");
  seedFiles(target, corpus);
  const options = [`-max_total_time=${seconds}`, `-seed=${seed}`, "-max_len=4096", "-timeout=60"];
  // Naming functions starts a process, whose pipes would be taken for an input's.
  const limits = ["-rss_limit_mb=1024", "-print_funcs=0", `-artifact_prefix=${folder}/`];
  const { status, stderr } = spawnSync(program, [...options, ...limits, corpus], {
    encoding: "utf8",
    maxBuffer: 64 * 2 ** 20,
  });
  if (status !== 0) return { ok: false, text: stderr.slice(-4000) };
  const done = /^#(\d+)\s+DONE\s+cov: (\d+)/mu.exec(stderr);
  return { ok: true, text: `${done?.[1] ?? "?"} inputs, ${done?.[2] ?? "?"} edges` };
}

/** `npm run fuzz -- --native`: all targets, and first the canary. */
export function fuzzNative(seconds: number, seed: number, only: string | undefined): boolean {
  const clang = clangWithFuzzer();
  if (clang === null) {
    console.log("no clang with libFuzzer (Debian: apt install clang): the targets run unguided");
    return fuzzUnguided(1_000_000, seed, only);
  }
  const canary = runLibFuzzer(NATIVE_CANARY, buildNative(NATIVE_CANARY, clang, true), 60, 1);
  if (canary.ok) {
    console.error("libFuzzer does not find the canary's bug");
    return false;
  }
  let good = true;
  for (const target of NATIVE_TARGETS.filter((each) => only === undefined || each.name === only)) {
    const result = runLibFuzzer(target, buildNative(target, clang, true), seconds, seed);
    console.log(`${target.name.padEnd(10)} ${result.text}`);
    good &&= result.ok;
  }
  return good;
}

/** The same without libFuzzer. What only the sanitized build has is run if it is asked for. */
export function fuzzUnguided(inputs: number, seed: number, only: string | undefined): boolean {
  let good = true;
  for (const target of NATIVE_TARGETS.filter((each) =>
    only === undefined ? !each.sanitizedOnly : each.name === only,
  )) {
    const result = runStandalone(target, buildNative(target, "cc", false), inputs, seed);
    console.log(`${target.name.padEnd(10)} ${result.stdout.trim()}${result.stderr.slice(-4000)}`);
    good &&= result.status === 0;
  }
  return good;
}
