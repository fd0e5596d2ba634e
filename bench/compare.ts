// SPDX-License-Identifier: Apache-2.0
/**
 * `bench compare A B`: whether two commits differ. Each is checked out and built in a folder of its
 * own; then they run the same suite by turns, and the ratios to native of all rounds are compared
 * with the Wilcoxon rank sum test, which assumes nothing of how they are distributed.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, wilcoxonRankSum } from "simple-statistics";

const root = new URL("..", import.meta.url).pathname;
/** Two-sided, 1 %: |z| above this is called a difference. */
const Z_MIN = 2.576;

export interface CompareOptions {
  readonly suite: string;
  readonly rounds: number;
  readonly executor: string;
}

export interface Comparison {
  readonly name: string;
  readonly a: number;
  readonly b: number;
  /** b ÷ a of the medians of the ratios to native. */
  readonly change: number;
  readonly z: number;
  readonly verdict: "no difference shown" | "differs";
}

interface Build {
  readonly commit: string;
  readonly folder: string;
}

function run(folder: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** This checkout's packages where the commit wants the same ones; else its own. */
function installPackages(folder: string): void {
  const lock = (checkout: string): string =>
    readFileSync(join(checkout, "package-lock.json"), "utf8");
  if (lock(folder) === lock(root))
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  else run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund");
}

/** A worktree of the commit, built. */
function build(commit: string, parent: string, name: string): Build {
  const full = run(root, "git", "rev-parse", "--verify", `${commit}^{commit}`).trim();
  const folder = join(parent, name);
  process.stderr.write(`${name}: building ${commit} (${full.slice(0, 10)}) …\n`);
  run(root, "git", "worktree", "add", "--detach", folder, full);
  installPackages(folder);
  run(folder, process.execPath, "scripts/build-addon.mjs");
  run(folder, "npm", "run", "--silent", "build");
  run(folder, "make", "-s", "-C", "guest-driver");
  return { commit: full.slice(0, 10), folder };
}

/** Ratio to native by name, of one run of one round. */
function sample(built: Build, options: CompareOptions, file: string): Map<string, number> {
  const args = [options.suite, "--rounds", "1", "--executor", options.executor, "--json", file];
  run(built.folder, "npx", "tsx", "bench/run.ts", ...args);
  const report = JSON.parse(readFileSync(file, "utf8")) as {
    results: { name: string; ratio?: number; median: number }[];
  };
  return new Map(report.results.map((each) => [each.name, each.ratio ?? each.median]));
}

/** The normal form of the rank sum of `a` among both. */
function zScore(a: number[], b: number[]): number {
  const [na, nb] = [a.length, b.length];
  const mean = (na * (na + nb + 1)) / 2;
  return (wilcoxonRankSum(a, b) - mean) / Math.sqrt((na * nb * (na + nb + 1)) / 12);
}

export function judge(name: string, a: number[], b: number[]): Comparison {
  const z = zScore(a, b);
  const round = (value: number): number => Number(value.toPrecision(4));
  return {
    name,
    a: round(median(a)),
    b: round(median(b)),
    change: round(median(b) / median(a)),
    z: round(z),
    verdict: Math.abs(z) > Z_MIN ? "differs" : "no difference shown",
  };
}

export function compare(first: string, second: string, options: CompareOptions): Comparison[] {
  const parent = mkdtempSync(join(tmpdir(), "vgpu-compare-"));
  const builds: Build[] = [];
  try {
    for (const [name, commit] of [
      ["a", first],
      ["b", second],
    ] as const)
      builds.push(build(commit, parent, name));
    const ratios = builds.map(() => new Map<string, number[]>());
    for (let round = 0; round < options.rounds; round++) {
      // Who goes first alternates.
      for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const built = builds[side];
        if (built === undefined) continue;
        for (const [name, ratio] of sample(built, options, join(parent, "round.json"))) {
          const list = ratios[side]?.get(name) ?? [];
          ratios[side]?.set(name, [...list, ratio]);
        }
      }
      process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
    }
    const [a, b] = ratios;
    return [...(a ?? [])].flatMap(([name, values]) => {
      const others = b?.get(name);
      return others === undefined ? [] : [judge(name, values, others)];
    });
  } finally {
    for (const { folder } of builds) run(root, "git", "worktree", "remove", "--force", folder);
    rmSync(parent, { recursive: true, force: true });
  }
}
