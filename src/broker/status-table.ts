// SPDX-License-Identifier: Apache-2.0
/** `vgpuctl status` for people: a line for each vGPU, and one for each context (process) in it. */
import type { VgpuStatus } from "./messages.js";

const HEADINGS = [
  "VGPU",
  "STATE",
  "PID",
  "SCHEDULE",
  "SHARE",
  "CONTEXT",
  "MEMORY",
  "LIMIT",
  "LAUNCHES",
  "COPIES",
  "GPU TIME",
  "WAIT",
  "REJECTED",
] as const;
type Row = readonly string[];

export function statusTable(vgpus: readonly VgpuStatus[]): string {
  const rows: Row[] = [HEADINGS];
  for (const vgpu of vgpus) {
    const device = vgpu.device ?? {};
    rows.push([
      vgpu.id,
      vgpu.restarts > 0 ? `${vgpu.state} (${vgpu.restarts} restarts)` : vgpu.state,
      vgpu.pid?.toString() ?? "-",
      vgpu.schedule.state,
      `${vgpu.schedule.policy} ${(vgpu.schedule.share * 100).toFixed(0)} %`,
      "",
      ...counters(device),
    ]);
    for (const context of contextsOf(device)) {
      const name = `${String(context.name ?? "?")} #${String(context.id ?? "?")}`;
      rows.push(["", "", "", "", "", name, ...counters(context)]);
    }
  }
  const adapter = vgpus.find((vgpu) => vgpu.adapter !== null)?.adapter;
  return `${adapter === undefined ? "" : `GPU: ${adapter}\n`}${layOut(rows)}`;
}

function contextsOf(device: Record<string, unknown>): Record<string, unknown>[] {
  const contexts = device.contexts;
  return Array.isArray(contexts) ? (contexts as Record<string, unknown>[]) : [];
}

/** The counters of a vGPU or of a context, as the instance reports them. */
function counters(from: Record<string, unknown>): Row {
  const memory = record(from.memory);
  const usage = record(from.usage);
  return [
    bytesText(number(from.memory_bytes) ?? number(memory.allocated_bytes)),
    bytesText(number(memory.limit_bytes)),
    number(usage.launches)?.toString() ?? "-",
    number(usage.copies)?.toString() ?? "-",
    timeText(number(usage.gpu_time_ns)),
    timeText(number(usage.wait_ns)),
    (number(from.requests_rejected) ?? number(usage.rejections))?.toString() ?? "-",
  ];
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function bytesText(bytes: number | null): string {
  if (bytes === null) {
    return "-";
  }
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

function timeText(ns: number | null): string {
  if (ns === null) {
    return "-";
  }
  return ns >= 1e9 ? `${(ns / 1e9).toFixed(2)} s` : `${(ns / 1e6).toFixed(1)} ms`;
}

function layOut(rows: readonly Row[]): string {
  const widths = HEADINGS.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: Row): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return `${rows.map(line).join("\n")}\n`;
}
