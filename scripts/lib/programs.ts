// SPDX-License-Identifier: Apache-2.0
//
// The example programs, where their build puts them, and what they report: each prints its
// progress and ends with one line of JSON.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

export const projectRoot = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export interface Program {
  readonly name: string;
  readonly args: readonly string[];
}

export const demoPrograms: readonly Program[] = [
  { name: "vecadd", args: [] },
  { name: "sgemm", args: ["512"] },
  { name: "histogram", args: [] },
  { name: "digits", args: [] },
  { name: "cuda-nbody", args: [] },
];

const guestDriver = join(projectRoot, "guest-driver");
export const guestModule = join(guestDriver, "kernel", "virtio_vgpu.ko");
export const libvgpu = join(guestDriver, "build", "lib", "libvgpu.so.0");
/** What programs load: libvgpu's own, and CUDA's. */
export const guestLibraries: readonly string[] = [
  libvgpu,
  join(guestDriver, "build", "lib", "libcuda.so.1"),
  join(guestDriver, "build", "lib", "libcudart.so.13"),
];

export function programPath(name: string): string {
  return join(guestDriver, "build", "bin", name);
}

/** Fails with the command to run when something that the guests need is not built. */
export function requireBuilt(paths: readonly string[]): void {
  for (const path of paths) {
    if (!existsSync(path)) throw new Error(`${path} is not built; scripts/setup.sh builds it`);
  }
}

/** The line of JSON that a program ends with; times in milliseconds. */
export const programReport = z.looseObject({
  program: z.string(),
  ok: z.boolean(),
  ms: z.number().optional(),
  gpu_ms: z.number().nullable().optional(),
});
export type ProgramReport = z.infer<typeof programReport>;

export interface ProgramResult {
  readonly name: string;
  readonly ok: boolean;
  /** Null when the program did not come to report it. */
  readonly ms: number | null;
  readonly gpu_ms: number | null;
}

/** A program has passed when it says so, and its exit status says so too. */
export function programResult(
  name: string,
  exitStatus: number | null,
  report: ProgramReport | null,
): ProgramResult {
  return {
    name,
    ok: exitStatus === 0 && report !== null && report.ok && report.program === name,
    ms: report?.ms ?? null,
    gpu_ms: report?.gpu_ms ?? null,
  };
}

export function parseReport(line: string): ProgramReport | null {
  if (!line.startsWith("{")) return null;
  try {
    return programReport.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
