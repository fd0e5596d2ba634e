// SPDX-License-Identifier: Apache-2.0
/**
 * What sharing costs whole programs, as a user starts them: two guests with the same one at once,
 * against one after the other. Nothing is pinned, and vgpud is as it is by default; so on a software GPU
 * clients, instances and the GPU's own threads share all cores. Runs alone and together alternate.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { median } from "simple-statistics";
import { startBroker } from "../scripts/lib/broker.js";
import type { SharingOptions, SharingReport } from "./sharing.js";
import { nowNs, result } from "./sharing-rig.js";

const root = new URL("..", import.meta.url).pathname;
const NAMES = ["first", "second"];
const PROGRAMS = ["digits", "cuda-nbody"];
const TIME_MS_MAX = 120_000;
const run = promisify(execFile);

export async function programs(options: SharingOptions): Promise<SharingReport> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  const broker = await startBroker({
    vgpus: NAMES,
    logPath: join(folder, "vgpud.log"),
    extraArgs: ["--executor", options.executor, "--log-level", "warn"],
  });
  try {
    const sockets = NAMES.map((name) => broker.socketOf(name));
    const results: SharingReport["results"][number][] = [];
    for (const program of PROGRAMS) {
      const alone: number[] = [];
      const together: number[] = [];
      // The first run of each guest fills caches, and does not count.
      for (const socket of sockets) await timeMs(program, [socket]);
      const rounds = options.quick ? 1 : 5;
      for (let round = 0; round < rounds; round++) {
        alone.push(await timeMs(program, sockets.slice(round % 2, (round % 2) + 1)));
        together.push(await timeMs(program, sockets));
      }
      const ratio = median(alone.map((ms, index) => (NAMES.length * ms) / (together[index] ?? 0)));
      const name = program.replaceAll("-", "_");
      results.push(result(`${name}_two_over_turns`, "ratio", ratio, { alone, together }));
    }
    const { vgpus } = await broker.status();
    return { adapter: vgpus[0]?.adapter ?? "unknown", results };
  } finally {
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** From the start of the first to the end of the last of the guests, each of which checks its results. */
async function timeMs(program: string, sockets: readonly string[]): Promise<number> {
  const driver = join(root, "guest-driver/build");
  const fromNs = nowNs();
  await Promise.all(
    sockets.map((socket) =>
      run(join(driver, "bin", program), [], {
        env: {
          ...process.env,
          VGPU_DEVICE: `unix:${socket}`,
          LD_LIBRARY_PATH: join(driver, "lib"),
        },
        timeout: TIME_MS_MAX,
      }),
    ),
  );
  return Number(nowNs() - fromNs) / 1e6;
}
