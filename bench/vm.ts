// SPDX-License-Identifier: Apache-2.0
/**
 * `bench vm`: our path from inside a QEMU guest, beside plain Dawn on the host in the same run. In
 * each round the guest measures and then rests, and the host measures while it rests.
 *
 * The guest times itself. Under TCG its own instructions are slow, so what counts there is that
 * bulk data is not touched by them: the device reads and writes the guest's pages itself.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { median } from "simple-statistics";
import { startBroker } from "../scripts/lib/broker.js";
import { buildGuestImage, type Guest, startGuest } from "../scripts/lib/guest.js";
import { stopProcess } from "../scripts/lib/processes.js";
import { programPath, projectRoot } from "../scripts/lib/programs.js";
import { startNative } from "./beside.js";
import type { LineProcess } from "./line-process.js";
import type { SharingReport, SharingResult, SharingSuite } from "./sharing.js";

const REST_SECONDS = 12;
const WAYS = ["await", "tick", "poller"] as const;
const MIB = 1024 * 1024;

interface VmMeasurement {
  readonly name: string;
  readonly guest: string;
  readonly native: string;
  readonly unit: "us" | "launches/s" | "GB/s";
  readonly bytes: number;
  readonly n: number;
}

const MEASUREMENTS: readonly VmMeasurement[] = [
  ...(["polled", "interrupt"] as const).map((mode) => ({
    name: `vm_launch_sync_${mode}`,
    guest: `launch_sync --mode=${mode}`,
    native: "launch_sync",
    unit: "us" as const,
    bytes: 0,
    n: 300,
  })),
  {
    name: "vm_launch_async",
    guest: "launch_async",
    native: "launch_async",
    unit: "launches/s",
    bytes: 0,
    n: 6,
  },
  ...(["h2d", "d2h"] as const).flatMap((name) =>
    [MIB, 16 * MIB].map((bytes) => ({
      name: `vm_${name}_${bytes / MIB}MiB`,
      guest: `${name} --bytes=${bytes} --pinned`,
      native: name,
      unit: "GB/s" as const,
      bytes,
      n: 12,
    })),
  ),
];

/** Interrupts of all virtio devices; a measurement's line: index, interrupts, the client's answer. */
function script(rounds: number): string {
  return [
    "b=/opt/vgpu/bin/vgpu-bench",
    "q(){ awk '/virtio/{for(i=2;i<NF;i++)if($i~/^[0-9]+$/)s+=$i}END{print s+0}' /proc/interrupts;}",
    'm(){ i=$1;shift;a=$(q);o=$($b $*);echo "bench $i $(($(q)-a)) $o";}',
    `r=0;while [ $r -lt ${rounds} ];do`,
    ...MEASUREMENTS.map(({ guest, n }, index) => `m ${index} ${guest} --n=${n}`),
    `echo "rest $r";sleep ${REST_SECONDS};r=$((r+1));done`,
  ].join("\n");
}

function inUnit(ns: number, { unit, bytes }: VmMeasurement): number {
  if (unit === "us") return ns / 1e3;
  return unit === "GB/s" ? bytes / ns : 1e9 / ns;
}

interface Samples {
  readonly guest: number[];
  readonly interrupts: number[];
  readonly native: Map<string, number[]>;
}

async function nativeRound(native: LineProcess, all: readonly Samples[]): Promise<void> {
  for (const [index, m] of MEASUREMENTS.entries()) {
    for (const way of WAYS) {
      const { samples } = await native.ask(`run ${m.native} ${way} ${m.n} ${m.bytes}`);
      const list = all[index]?.native.get(way) ?? [];
      all[index]?.native.set(way, list);
      list.push(...(samples as number[]).slice(m.n / 4).map((ns) => inUnit(ns, m)));
    }
  }
}

/** Takes the guest's lines of one round. */
async function guestRound(guest: Guest, round: number, all: readonly Samples[]): Promise<void> {
  await guest.waitForLine((line) => line === `rest ${round}`);
  const lines = guest.output.filter((line) => line.startsWith("bench "));
  for (const line of lines.slice(-MEASUREMENTS.length)) {
    const [, index = "", interrupts = "", ...rest] = line.split(" ");
    const m = MEASUREMENTS[Number(index)];
    const into = all[Number(index)];
    if (m === undefined || into === undefined) continue;
    const answer = JSON.parse(rest.join(" ")) as { samples?: number[]; error?: string };
    if (answer.samples === undefined) throw new Error(`${m.name}: ${answer.error ?? line}`);
    into.guest.push(...answer.samples.slice(m.n / 4).map((ns) => inUnit(ns, m)));
    into.interrupts.push(Number(interrupts) / answer.samples.length);
  }
}

function summarise(m: VmMeasurement, { guest, interrupts, native }: Samples): SharingResult[] {
  const round = (value: number): number => Number(value.toPrecision(4));
  const ways = [...native.values()].map((values) => median(values));
  const best = m.unit === "us" ? Math.min(...ways) : Math.max(...ways);
  const own = median(guest);
  const result = {
    name: m.name,
    unit: m.unit,
    median: round(own),
    native_median: round(best),
    ratio: round(own / best),
  };
  if (!m.name.startsWith("vm_launch_sync")) return [result];
  const name = m.name.replace("launch_sync", "interrupts_per_launch");
  return [result, { name, unit: "interrupts", median: round(median(interrupts)) }];
}

export const vm: SharingSuite = async ({ quick, executor }): Promise<SharingReport> => {
  const rounds = quick ? 1 : 5;
  const folder = join(projectRoot, "out", "bench-vm");
  mkdirSync(folder, { recursive: true });
  const image = join(folder, "guest.img");
  await buildGuestImage(image, [programPath("vgpu-bench")], folder);
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
    const all = MEASUREMENTS.map(() => ({
      guest: [],
      interrupts: [],
      native: new Map<string, number[]>(),
    }));
    for (let round = 0; round < rounds; round++) {
      await guestRound(guest, round, all);
      await nativeRound(native, all);
      process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    }
    const results = MEASUREMENTS.flatMap((m, index) => {
      const samples = all[index];
      return samples === undefined ? [] : summarise(m, samples);
    });
    return { adapter: String(adapter), results };
  } finally {
    native.stop();
    await stopProcess(guest.process);
    await broker.stop();
  }
};
