// SPDX-License-Identifier: Apache-2.0
/** What the suites measure: each result's name, how both sides are asked for it, and its unit. */
import { WORKLOADS } from "./workloads.js";

const KIB = 1024;
const MIB = 1024 * KIB;

export interface Measurement {
  readonly name: string;
  /** Our client's words after `run`: see guest-driver/examples/bench.c. `PROGRAM`: a path. */
  readonly ours: string;
  /** Who answers for us: the device, or one with the null executor (our own overhead alone). */
  readonly by: "device" | "null";
  /**
   * The reference: words of native-dawn.ts, NAME WAY N ARGUMENTS, without way and n; or our client's
   * own `eventfd`, which has no ways.
   */
  readonly native: { readonly name: string; readonly arguments: string } | "eventfd";
  /** Of one sample, for a bandwidth. */
  readonly bytes: number;
  /** Times are better small; rates and bandwidths, big. */
  readonly unit: "us" | "ms" | "launches/s" | "GB/s";
  /**
   * Samples of each side in a round: turns of 30 ms and more, for a side that comes to its turn finds its
   * code and data in no cache (copies of 16 MiB take some 20 to 40 samples to settle).
   */
  readonly samples: number;
  /** A workload: both sides must come to the same result. */
  readonly workload?: string;
  /**
   * Our client's words for the same work in a bare process with the GPU, which it asks by a word of a
   * shared page, without rings, commands and checks.
   */
  readonly floor?: string;
}

const SIZES: readonly (readonly [string, number, number])[] = [
  ["4KiB", 4 * KIB, 4000],
  ["1MiB", MIB, 1500],
  ["16MiB", 16 * MIB, 120],
  ["64MiB", 64 * MIB, 24],
];
const PIPELINE_DEPTH = 8;

function copies(memory: "pinned" | "pageable", suffix: string): Measurement[] {
  return (["h2d", "d2h"] as const).flatMap((name) =>
    SIZES.map(([size, bytes, samples]) => ({
      name: `${name}_${size}${suffix}`,
      ours: `${name} bytes=${bytes} memory=${memory}`,
      by: "device" as const,
      native: { name: memory === "pinned" ? name : `${name}_pageable`, arguments: `${bytes}` },
      bytes,
      unit: "GB/s" as const,
      samples,
    })),
  );
}

/** Several copies on the way at once, pinned memory. */
function pipelined(): Measurement[] {
  const sizes = [
    ["1MiB", MIB, 250],
    ["16MiB", 16 * MIB, 16],
  ] as const;
  return (["h2d", "d2h"] as const).flatMap((name) =>
    sizes.map(([size, bytes, samples]) => ({
      name: `${name}_${size}_pipelined`,
      ours: `${name} bytes=${bytes} memory=pinned depth=${PIPELINE_DEPTH}`,
      by: "device" as const,
      native: { name, arguments: `${bytes} ${PIPELINE_DEPTH}` },
      bytes,
      unit: "GB/s" as const,
      samples,
    })),
  );
}

function launchSync(mode: "polled" | "interrupt"): Measurement {
  return {
    name: `launch_sync_${mode}`,
    ours: `launch_sync mode=${mode}`,
    by: "device",
    native: { name: "launch_sync", arguments: "" },
    bytes: 0,
    unit: "us",
    samples: 2000,
  };
}

const PIPELINED = pipelined();
const WORKLOAD_STEPS: readonly Measurement[] = WORKLOADS.map(({ name, samples }) => ({
  name: `workload_${name}`,
  ours: "program path=PROGRAM",
  by: "device",
  native: { name: "program", arguments: "PROGRAM" },
  bytes: 0,
  unit: "ms",
  samples,
  workload: name,
}));

/** What is asked of us and of native Dawn, asked of native Dawn in another process. */
function withFloor(measurement: Measurement): Measurement {
  const words = measurement.ours.split(" ");
  const waiting = words.filter((word) => /^(mode|depth)=/.test(word));
  return { ...measurement, floor: ["relay path=RELAY", ...waiting].join(" ") };
}

export const SUITES: Readonly<Record<string, readonly Measurement[]>> = {
  latency: [
    launchSync("polled"),
    launchSync("interrupt"),
    {
      name: "launch_async",
      ours: "launch_async",
      by: "device",
      native: { name: "launch_async", arguments: "" },
      bytes: 0,
      unit: "launches/s",
      samples: 30,
    },
    {
      name: "null_round_trip_polled",
      ours: "launch_sync mode=polled",
      by: "null",
      native: "eventfd",
      bytes: 0,
      unit: "us",
      samples: 10_000,
    },
    {
      name: "null_command",
      ours: "launch_async",
      by: "null",
      native: { name: "encode", arguments: "" },
      bytes: 0,
      unit: "us",
      samples: 200,
    },
  ],
  bandwidth: [...copies("pinned", ""), ...PIPELINED, ...copies("pageable", "_pageable")],
  workloads: WORKLOAD_STEPS,
  floor: [
    launchSync("polled"),
    launchSync("interrupt"),
    ...PIPELINED,
    ...WORKLOAD_STEPS.filter(({ workload }) =>
      ["digits_step", "many_small"].includes(workload ?? ""),
    ),
  ].map(withFloor),
};
