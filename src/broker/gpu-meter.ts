// SPDX-License-Identifier: Apache-2.0
/**
 * How long the GPU worked for a process, as its kernel driver counts it: a meter that the process
 * can't reach. Drivers with "DRM usage statistics" (amdgpu, i915, msm, panfrost, v3d and others; not
 * NVIDIA's own) give it in /proc/PID/fdinfo, for each open file of a GPU:
 *
 *   drm-pdev: 0000:03:00.0          the GPU
 *   drm-client-id: 42               one open file; copies of a descriptor have the same
 *   drm-engine-compute: 123456 ns   time that an engine worked for it
 *   drm-engine-capacity-compute: 2  how many such engines there are, if more than one
 *
 * Engines work side by side. The time that counts is that of the busiest one, since no single engine
 * can have worked for longer than the process held the GPU.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Client {
  readonly id: string;
  readonly engineNs: ReadonlyMap<string, number>;
  readonly capacities: ReadonlyMap<string, number>;
}

export class GpuMeter {
  readonly #proc: string;
  /** Last readings by client and engine. */
  #last = new Map<string, number>();
  #busyNs = 0;

  constructor(proc = "/proc") {
    this.#proc = proc;
  }

  /**
   * GPU time of the process since it started, ns: call it now and then with the same process id.
   * Null if nothing tells.
   */
  read(pid: number): number | null {
    const clients = this.#clients(pid);
    // What could not be read is no evidence, least of all at the next reading.
    if (clients === null || clients.length === 0) return null;
    const readings = new Map<string, number>();
    const engines = new Map<string, number>();
    for (const { id, engineNs, capacities } of clients) {
      for (const [engine, ns] of engineNs) {
        const key = `${id} ${engine}`;
        readings.set(key, ns);
        // Counters that are reset (a GPU that was) give no evidence.
        const newNs = Math.max(0, ns - (this.#last.get(key) ?? 0));
        const share = newNs / Math.max(1, capacities.get(engine) ?? 1);
        engines.set(engine, (engines.get(engine) ?? 0) + share);
      }
    }
    this.#last = readings;
    this.#busyNs += Math.max(0, ...engines.values());
    return this.#busyNs;
  }

  /** Null if only a part of them can be read. */
  #clients(pid: number): Client[] | null {
    const folder = join(this.#proc, String(pid), "fdinfo");
    const clients = new Map<string, Client>();
    let names: string[] = [];
    try {
      names = readdirSync(folder);
    } catch {
      // It has ended, or is not ours to look at.
    }
    for (const name of names) {
      let text = "";
      try {
        text = readFileSync(join(folder, name), "latin1");
      } catch (error) {
        // Closed meanwhile; anything else (no descriptors left) hides what there is.
        if (error instanceof Error && "code" in error && error.code === "ENOENT") continue;
        return null;
      }
      const client = parseClient(text);
      if (client !== null) clients.set(client.id, client);
    }
    return [...clients.values()];
  }
}

function parseClient(text: string): Client | null {
  const gpu = /^drm-pdev:\s*(\S+)/m.exec(text)?.[1] ?? "";
  const client = /^drm-client-id:\s*(\d+)/m.exec(text)?.[1];
  if (client === undefined) return null;
  const engineNs = new Map<string, number>();
  const capacities = new Map<string, number>();
  for (const [, engine = "", ns] of text.matchAll(/^drm-engine-([\w-]+):\s*(\d+) ns$/gm))
    engineNs.set(`${gpu} ${engine}`, Number(ns));
  for (const [, engine = "", count] of text.matchAll(/^drm-engine-capacity-([\w-]+):\s*(\d+)$/gm))
    capacities.set(`${gpu} ${engine}`, Number(count));
  return engineNs.size === 0 ? null : { id: `${gpu} ${client}`, engineNs, capacities };
}
