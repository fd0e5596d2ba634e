// SPDX-License-Identifier: Apache-2.0
//
// The demo: vgpud with two vGPUs, and for each a guest that runs the example programs through it.
// A guest is a virtual machine, or with --no-vm a plain process of this machine: the programs are
// the same. It shows what happens while it happens, and ends with a table and out/demo.json, and with
// a trace of the schedule and a picture of who had the GPU when.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Broker, startBroker } from "./lib/broker.js";
import { buildGuestImage, type GuestEvent, programPaths, startGuest } from "./lib/guest.js";
import { runOnHost } from "./lib/host-guest.js";
import { stopAllProcesses, stopProcess, tail, withDeadline } from "./lib/processes.js";
import {
  demoPrograms,
  type ProgramResult,
  parseReport,
  programResult,
  projectRoot,
} from "./lib/programs.js";
import { sharesOverTime, sharesSvg, type TraceEvent } from "./lib/shares.js";

const guestNames = ["guest-a", "guest-b"] as const;
const deadlineMs = 285_000;
const outDirectory = join(projectRoot, "out");
const logDirectory = join(outDirectory, "demo-logs");
const tracePath = join(outDirectory, "demo-trace.json");
const sharesPath = join(outDirectory, "demo-shares.svg");
/** Of the time in the picture. */
const shareIntervals = 200;
const startedMs = performance.now();

interface GuestResult {
  readonly name: string;
  readonly programs: readonly ProgramResult[];
  /** What else went wrong with this guest; null when nothing did. */
  readonly failure: string | null;
}

function say(text: string): void {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6);
  console.log(`${seconds} s  ${text}`);
}

function sayResult(guest: string, result: ProgramResult): void {
  const gpu = result.gpu_ms === null ? "" : `, GPU ${result.gpu_ms.toFixed(1)} ms`;
  const time = result.ms === null ? "no report" : `${result.ms.toFixed(1)} ms${gpu}`;
  say(`${guest}  ${result.name}: ${result.ok ? "ok" : "FAILED"}, ${time}`);
}

/** Programs that did not run count as failed, so that the table always has every row. */
function complete(results: readonly ProgramResult[]): ProgramResult[] {
  return demoPrograms.map(
    ({ name }) => results.find((result) => result.name === name) ?? programResult(name, null, null),
  );
}

function sayEvent(guest: string, event: GuestEvent): void {
  switch (event.event) {
    case "boot":
      say(`${guest}  Linux ${event.kernel}, ${Math.round(event.memory_kib / 1024)} MiB`);
      return;
    case "modules":
      say(`${guest}  ${event.ok ? "virtio_vgpu is loaded" : "a kernel module does not load"}`);
      return;
    case "start":
      say(`${guest}  ${event.program} …`);
      return;
    case "end":
      sayResult(guest, programResult(event.program, event.exit, event.result));
      return;
    case "done":
      return;
  }
}

async function runVirtualMachine(
  name: string,
  image: string,
  memory: string,
  socket: string,
): Promise<GuestResult> {
  const guest = startGuest({
    name,
    image,
    memory,
    sockets: [socket],
    programs: demoPrograms,
    logDirectory,
    onEvent: (event) => sayEvent(name, event),
    onOutput: (line) => {
      // The report comes again with the event of the program's end.
      if (parseReport(line) === null) say(`${name}  | ${line}`);
    },
  });
  let failure: string | null = null;
  try {
    await withDeadline(
      guest.waitForEvent((event) => event.event === "done"),
      deadlineMs - (performance.now() - startedMs),
      `${name}: not done ${deadlineMs / 1000} s after the demo's start`,
    );
    await withDeadline(guest.process.exited, 10_000, `${name}: does not power off`);
  } catch (error) {
    failure = `${(error as Error).message}\n${guest.logTails()}`;
    say(`${name}  ${(error as Error).message}`);
  }
  await stopProcess(guest.process);
  const ends = guest.events.flatMap((event) =>
    event.event === "end" ? [programResult(event.program, event.exit, event.result)] : [],
  );
  if (failure === null && !complete(ends).every((result) => result.ok)) failure = guest.logTails();
  return { name, programs: complete(ends), failure };
}

async function runProcesses(name: string, socket: string): Promise<GuestResult> {
  const { results, failure } = await runOnHost({
    name,
    socket,
    programs: demoPrograms,
    logDirectory,
    deadlineMs: deadlineMs - (performance.now() - startedMs),
    onStart: (program) => say(`${name}  ${program} …`),
    onOutput: (line) => say(`${name}  | ${line}`),
    onResult: (result) => sayResult(name, result),
  });
  return { name, programs: complete(results), failure };
}

function printTable(guests: readonly GuestResult[]): void {
  const cell = (value: number | null): string => (value === null ? "-" : `${value.toFixed(1)} ms`);
  const rows = guests.flatMap((guest) =>
    guest.programs.map((result) => [
      guest.name,
      result.name,
      result.ok ? "passed" : "FAILED",
      cell(result.ms),
      cell(result.gpu_ms),
    ]),
  );
  const all = [["guest", "program", "result", "time", "GPU time"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...all.map((row) => (row[column] ?? "").length)),
  );
  console.log("");
  for (const row of all) {
    const cells = row.map((text, column) => {
      const width = widths[column] ?? 0;
      return column < 3 ? text.padEnd(width) : text.padStart(width);
    });
    console.log(`  ${cells.join("  ")}`);
  }
  console.log("");
}

/** Who had the GPU when: the trace for Perfetto, and a picture made of it. */
function drawShares(adapter: string): void {
  const events = JSON.parse(readFileSync(tracePath, "utf8")) as TraceEvent[];
  const shares = sharesOverTime(events, shareIntervals);
  console.log("  out/demo-trace.json: the schedule, entry by entry; open it in ui.perfetto.dev");
  if (shares === null) return;
  writeFileSync(sharesPath, sharesSvg(shares, `Shares of the GPU (${adapter})`));
  console.log("  out/demo-shares.svg: the shares over time, as a picture");
}

async function run(options: { vm: boolean; memory: string }): Promise<boolean> {
  const vgpudLog = join(logDirectory, "vgpud.log");
  const broker: Broker = await startBroker({
    vgpus: guestNames,
    logPath: vgpudLog,
    extraArgs: ["--trace", tracePath],
  });
  say(`vgpud serves ${guestNames.map((name) => broker.socketOf(name)).join(" and ")}`);
  let guests: GuestResult[];
  let adapter = "unknown";
  try {
    const status = await broker.status();
    adapter = status.vgpus.find((vgpu) => vgpu.adapter !== null)?.adapter ?? adapter;
    say(`GPU: ${adapter}`);
    if (options.vm) {
      const image = join(outDirectory, "demo-guest.img");
      await buildGuestImage(image, programPaths(demoPrograms), logDirectory);
      say(`two virtual machines start, ${options.memory} of memory each`);
      guests = await Promise.all(
        guestNames.map((name) =>
          runVirtualMachine(name, image, options.memory, broker.socketOf(name)),
        ),
      );
    } else {
      guests = await Promise.all(
        guestNames.map((name) => runProcesses(name, broker.socketOf(name))),
      );
    }
  } finally {
    await broker.stop();
  }
  const ok = guests.every(
    (guest) => guest.failure === null && guest.programs.every((result) => result.ok),
  );
  printTable(guests);
  drawShares(adapter);
  if (!ok) {
    for (const { name, failure } of guests) {
      if (failure !== null) console.log(`${name} failed:\n${failure}`);
    }
    console.log(`  vgpud (${vgpudLog}):\n${tail(vgpudLog)}`);
  }
  const summary = guests.map(({ name, programs }) => ({ name, programs }));
  const report = join(outDirectory, "demo.json");
  writeFileSync(report, `${JSON.stringify({ ok, adapter, guests: summary }, null, 2)}\n`);
  console.log(`${ok ? "passed" : "FAILED"}; the report is out/demo.json`);
  return ok;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { "no-vm": { type: "boolean" }, memory: { type: "string" } },
    strict: true,
  });
  // A report of an earlier run must not pass for one of this run.
  mkdirSync(logDirectory, { recursive: true });
  for (const path of [join(outDirectory, "demo.json"), tracePath, sharesPath])
    rmSync(path, { force: true });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      console.error(`\ninterrupted (${signal}); vgpud and the guests are ended`);
      void stopAllProcesses().then(() => process.exit(signal === "SIGINT" ? 130 : 143));
    });
  }
  try {
    const ok = await run({ vm: values["no-vm"] !== true, memory: values.memory ?? "1G" });
    process.exitCode = ok ? 0 : 1;
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

await main();
