// SPDX-License-Identifier: Apache-2.0
/**
 * `bench vm`: our path from inside a QEMU guest, beside plain Dawn on the host in the same run. In
 * each round the guest measures and then rests, and the host measures while it rests.
 *
 * The guest times itself. Under TCG its own instructions are slow, so what counts there is how few
 * of them a launch needs, how often it leaves the guest (kicks, interrupts), and that bulk data is not
 * touched by them: the device reads and writes the guest's pages itself. All of these are counted.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { median } from "simple-statistics";
import { type Broker, startBroker } from "../scripts/lib/broker.js";
import { buildGuestImage, type Guest, startGuest } from "../scripts/lib/guest.js";
import { stopProcess } from "../scripts/lib/processes.js";
import { programPath, projectRoot } from "../scripts/lib/programs.js";
import { startNative } from "./beside.js";
import type { LineProcess } from "./line-process.js";
import type { SharingReport, SharingResult, SharingSuite } from "./sharing.js";
import { sgemm, writeWorkload } from "./workloads.js";

const REST_SECONDS = 12;
const WAYS = ["await", "tick", "poller"] as const;
const MIB = 1024 * 1024;
/** This share of a turn's samples is left out: caches and compiled code of the side that rested. */
const SETTLE_SHARE = 0.4;
const MODES = ["auto", "polled", "interrupt"] as const;

interface VmMeasurement {
  readonly name: string;
  readonly guest: string;
  readonly native: string;
  readonly unit: "us" | "ms" | "launches/s" | "GB/s";
  readonly bytes: number;
  readonly n: number;
}

const copy = (name: "h2d" | "d2h", bytes: number, n: number): VmMeasurement => ({
  name: `vm_${name}_${bytes < MIB ? "4KiB" : `${bytes / MIB}MiB`}`,
  guest: `${name} bytes=${bytes} memory=pinned`,
  native: name,
  unit: "GB/s",
  bytes,
  n,
});

const MEASUREMENTS: readonly VmMeasurement[] = [
  ...MODES.map((mode) => ({
    name: `vm_launch_sync_${mode}`,
    guest: `launch_sync mode=${mode}`,
    native: "launch_sync",
    unit: "us" as const,
    bytes: 0,
    n: 1000,
  })),
  {
    name: "vm_launch_async",
    guest: "launch_async",
    native: "launch_async",
    unit: "launches/s",
    bytes: 0,
    n: 15,
  },
  ...(["h2d", "d2h"] as const).flatMap((name) => [
    copy(name, 4096, 500),
    copy(name, MIB, 100),
    copy(name, 16 * MIB, 20),
  ]),
  {
    name: "vm_sgemm_512",
    guest: "program path=/opt/vgpu/bin/program",
    native: "program",
    unit: "ms",
    bytes: 0,
    n: 15,
  },
];
const COPIES = MEASUREMENTS.filter(({ unit }) => unit === "GB/s");

/**
 * One client for all rounds. Before and after each measurement: interrupts of all virtio devices,
 * the driver's kicks, bytes that it copied. A measurement's line: index, these three, the answer.
 */
function script(rounds: number): string {
  return [
    "cd /tmp; mkfifo ask answer",
    "/opt/vgpu/bin/vgpu-bench --serve <ask >answer &",
    "exec 3>ask 4<answer",
    "q(){ awk '/virtio/{for(i=2;i<NF;i++)if($i~/^[0-9]+$/)s+=$i}END{print s+0}' /proc/interrupts;}",
    "c(){ awk -v n=$1 '$1==n{print $2}' /sys/kernel/debug/vgpu/*/stats;}",
    'm(){ i=$1;shift;a=$(q);k=$(c kicks);b=$(c copied_bytes);echo "run $*">&3;read -r o<&4',
    'echo "bench $i $(($(q)-a)) $(($(c kicks)-k)) $(($(c copied_bytes)-b)) $o";}',
    `r=0;while [ $r -le ${rounds} ];do`,
    ...MEASUREMENTS.map(({ guest, n }, index) => `m ${index} ${guest} n=${n}`),
    `echo "rest $r";sleep ${REST_SECONDS};r=$((r+1));done`,
  ].join("\n");
}

function inUnit(ns: number, { unit, bytes }: VmMeasurement): number {
  if (unit === "us") return ns / 1e3;
  if (unit === "ms") return ns / 1e6;
  return unit === "GB/s" ? bytes / ns : 1e9 / ns;
}

interface Samples {
  readonly guest: number[];
  /** A sample's share of each. */
  readonly interrupts: number[];
  readonly kicks: number[];
  readonly copiedBytes: number[];
  readonly native: Map<string, number[]>;
}

const kept = (samples: readonly number[], m: VmMeasurement): number[] =>
  samples.slice(Math.floor(samples.length * SETTLE_SHARE)).map((ns) => inUnit(ns, m));

async function nativeRound(native: LineProcess, program: string, all: readonly Samples[]) {
  for (const [index, m] of MEASUREMENTS.entries()) {
    for (const way of WAYS) {
      const rest = m.native === "program" ? program : m.bytes;
      const { samples } = await native.ask(`run ${m.native} ${way} ${m.n} ${rest}`);
      const list = all[index]?.native.get(way) ?? [];
      all[index]?.native.set(way, list);
      list.push(...kept(samples as number[], m));
    }
  }
}

/** Takes the guest's lines of one round. */
async function guestRound(guest: Guest, round: number, all: readonly Samples[]): Promise<void> {
  await guest.waitForLine((line) => line === `rest ${round}`);
  const lines = guest.output.filter((line) => line.startsWith("bench "));
  for (const line of lines.slice(-MEASUREMENTS.length)) {
    const [, index = "", interrupts = "", kicks = "", bytes = "", ...rest] = line.split(" ");
    const m = MEASUREMENTS[Number(index)];
    const into = all[Number(index)];
    if (m === undefined || into === undefined) continue;
    const answer = JSON.parse(rest.join(" ")) as { samples?: number[]; error?: string };
    if (answer.samples === undefined) throw new Error(`${m.name}: ${answer.error ?? line}`);
    into.guest.push(...kept(answer.samples, m));
    into.interrupts.push(Number(interrupts) / answer.samples.length);
    into.kicks.push(Number(kicks) / answer.samples.length);
    into.copiedBytes.push(Number(bytes) / answer.samples.length);
  }
}

const round = (value: number): number => Number(value.toPrecision(4));

function summarise(m: VmMeasurement, samples: Samples): SharingResult[] {
  const ways = [...samples.native.values()].map((values) => median(values));
  const best = m.unit === "us" || m.unit === "ms" ? Math.min(...ways) : Math.max(...ways);
  const own = median(samples.guest);
  const result = {
    name: m.name,
    unit: m.unit,
    median: round(own),
    native_median: round(best),
    ratio: round(own / best),
  };
  if (m.unit === "GB/s") {
    const name = m.name.replace("vm_", "vm_guest_copies_per_byte_");
    const perByte = median(samples.copiedBytes) / m.bytes;
    return [result, { name, unit: "bytes", median: round(perByte) }];
  }
  if (!m.name.startsWith("vm_launch_sync")) return [result];
  const named = (what: string): string => m.name.replace("launch_sync", `${what}_per_launch`);
  return [
    result,
    { name: named("interrupts"), unit: "interrupts", median: round(median(samples.interrupts)) },
    { name: named("kicks"), unit: "kicks", median: round(median(samples.kicks)) },
  ];
}

async function copiedBytes(broker: Broker): Promise<number> {
  const { device } = await broker.statusOf("bench");
  const queue = device?.queue as { copied_bytes?: number } | undefined;
  return queue?.copied_bytes ?? 0;
}

/** What the host copied for a byte that a guest had copied, of all copies together. */
function hostCopies(copied: number, rounds: number): SharingResult {
  const asked = COPIES.reduce((sum, { bytes, n }) => sum + bytes * n, 0) * rounds;
  return { name: "vm_host_copies_per_byte", unit: "bytes", median: round(copied / asked) };
}

export const vm: SharingSuite = async ({ quick, executor }): Promise<SharingReport> => {
  const rounds = quick ? 1 : 4;
  const folder = join(projectRoot, "out", "bench-vm");
  mkdirSync(folder, { recursive: true });
  const image = join(folder, "guest.img");
  const program = writeWorkload(sgemm(512), folder);
  const source = join(program, "..", "sgemm.wgsl");
  await buildGuestImage(image, [programPath("vgpu-bench"), program, source], folder);
  const broker = await startBroker({
    vgpus: ["bench"],
    logPath: join(folder, "vgpud.log"),
    extraArgs: ["--executor", executor],
  });
  const native = startNative();
  const guest = startGuest({
    name: "bench",
    image,
    memory: "1G",
    sockets: [broker.socketOf("bench")],
    programs: [],
    script: script(rounds),
    logDirectory: folder,
  });
  try {
    const { adapter } = await native.next();
    const fresh = (): Samples[] =>
      MEASUREMENTS.map(() => ({
        guest: [],
        interrupts: [],
        kicks: [],
        copiedBytes: [],
        native: new Map<string, number[]>(),
      }));
    // The first round warms up: pipelines, pinned memory, pages.
    const warmUp = fresh();
    await guestRound(guest, 0, warmUp);
    const before = await copiedBytes(broker);
    await nativeRound(native, program, warmUp);
    const all = fresh();
    for (let at = 1; at <= rounds; at++) {
      await guestRound(guest, at, all);
      await nativeRound(native, program, all);
      process.stderr.write(`round ${at} of ${rounds}\n`);
    }
    const copied = (await copiedBytes(broker)) - before;
    const results = MEASUREMENTS.flatMap((m, index) => {
      const samples = all[index];
      return samples === undefined ? [] : summarise(m, samples);
    });
    return { adapter: String(adapter), results: [...results, hostCopies(copied, rounds)] };
  } finally {
    native.stop();
    await stopProcess(guest.process);
    await broker.stop();
  }
};
