// SPDX-License-Identifier: Apache-2.0
/**
 * `vgpuctl metrics`: the status of all vGPUs in Prometheus' text format, for a textfile collector or
 * a scraper that runs a command. Times are seconds, sizes bytes; counters start with each process
 * (what the instance counts) or with vgpud (what the schedule counts).
 */
import { Counter, Gauge, Registry } from "prom-client";
import type { VgpuStatus } from "./messages.js";

type Value = (vgpu: VgpuStatus) => number | null;

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly value: Value;
}

const fromDevice =
  (...path: readonly string[]): Value =>
  ({ device }) => {
    let at: unknown = device;
    for (const key of path) {
      at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
    }
    return typeof at === "number" ? at : null;
  };

const seconds =
  (value: Value, unitsPerSecond: number): Value =>
  (vgpu) => {
    const found = value(vgpu);
    return found === null ? null : found / unitsPerSecond;
  };

const METRICS: readonly Metric[] = [
  {
    name: "vgpu_up",
    help: "1 while the vGPU's process runs and answers.",
    type: "gauge",
    value: ({ state, device }) => (state === "running" && device !== null ? 1 : 0),
  },
  {
    name: "vgpu_restarts_total",
    help: "How often the vGPU's process was started again.",
    type: "counter",
    value: ({ restarts }) => restarts,
  },
  {
    name: "vgpu_takeovers_total",
    help: "How often a process took the front end of the one before over.",
    type: "counter",
    value: ({ takeovers }) => takeovers,
  },
  {
    name: "vgpu_memory_bytes",
    help: "Device memory allocated by the guest.",
    type: "gauge",
    value: fromDevice("memory", "allocated_bytes"),
  },
  {
    name: "vgpu_memory_limit_bytes",
    help: "Device memory that the guest may allocate.",
    type: "gauge",
    value: fromDevice("memory", "limit_bytes"),
  },
  {
    name: "vgpu_gpu_seconds_total",
    help: "GPU time that the guest's work took.",
    type: "counter",
    value: seconds(fromDevice("usage", "gpu_time_ns"), 1e9),
  },
  {
    name: "vgpu_launches_total",
    help: "Launches completed.",
    type: "counter",
    value: fromDevice("usage", "launches"),
  },
  {
    name: "vgpu_copies_total",
    help: "Copies and fills completed.",
    type: "counter",
    value: fromDevice("usage", "copies"),
  },
  {
    name: "vgpu_translation_cache_hits_total",
    help: "Answers of the PTX compiler that were found on disk (--translation-cache).",
    type: "counter",
    value: fromDevice("translation_cache", "hits"),
  },
  {
    name: "vgpu_translation_cache_misses_total",
    help: "Answers of the PTX compiler that were not found there.",
    type: "counter",
    value: fromDevice("translation_cache", "misses"),
  },
  {
    name: "vgpu_requests_rejected_total",
    help: "Requests and commands of the guest that were refused.",
    type: "counter",
    value: fromDevice("requests_rejected"),
  },
  {
    name: "vgpu_held_seconds_total",
    help: "Time between VM entries and their exits, by the broker's clock.",
    type: "counter",
    value: seconds(({ schedule }) => schedule.held_ms, 1e3),
  },
  {
    name: "vgpu_claimed_seconds_total",
    help: "Of that: GPU time, as the vGPU's exits claim it.",
    type: "counter",
    value: seconds(({ schedule }) => schedule.gpu_ms, 1e3),
  },
  {
    name: "vgpu_metered_seconds_total",
    help: "GPU time of the vGPU's process by the kernel driver's count, where that tells it.",
    type: "counter",
    value: seconds(({ meteredMs }) => meteredMs, 1e3),
  },
  {
    name: "vgpu_wait_seconds_total",
    help: "Time that the vGPU had work and not the GPU.",
    type: "counter",
    value: seconds(({ schedule }) => schedule.wait_ms, 1e3),
  },
  {
    name: "vgpu_entries_total",
    help: "VM entries.",
    type: "counter",
    value: ({ schedule }) => schedule.entries,
  },
];

/** The text of all metrics. */
export async function metricsText(vgpus: readonly VgpuStatus[]): Promise<string> {
  const registry = new Registry();
  for (const { name, help, type, value } of METRICS) {
    const options = { name, help, labelNames: ["vgpu"], registers: [registry] };
    const gauge = type === "gauge" ? new Gauge(options) : null;
    const counter = type === "counter" ? new Counter(options) : null;
    for (const vgpu of vgpus) {
      const found = value(vgpu);
      if (found !== null) {
        gauge?.set({ vgpu: vgpu.id }, found);
        counter?.inc({ vgpu: vgpu.id }, found);
      }
    }
  }
  const exits = new Counter({
    name: "vgpu_exits_total",
    help: "VM exits by reason.",
    labelNames: ["vgpu", "reason"],
    registers: [registry],
  });
  for (const { id, schedule } of vgpus) {
    for (const [reason, count] of Object.entries(schedule.exits)) {
      exits.inc({ vgpu: id, reason }, count);
    }
  }
  return registry.metrics();
}
