// SPDX-License-Identifier: Apache-2.0
/** What the suites measure: each result's name, how both sides are asked for it, and its unit. */
const KIB = 1024;
const MIB = 1024 * KIB;

export interface Measurement {
  readonly name: string;
  /** Our client's words after `run`: see guest-driver/examples/bench.c. */
  readonly ours: string;
  /** The native reference's work, see native-dawn.ts. */
  readonly native: "launch_sync" | "launch_async" | "h2d" | "d2h";
  readonly bytes: number;
  /** Times are better small; rates and bandwidths, big. */
  readonly unit: "us" | "launches/s" | "GB/s";
  /** Samples of each side in a round. */
  readonly samples: number;
}

const SIZES: readonly (readonly [string, number, number])[] = [
  ["4KiB", 4 * KIB, 60],
  ["1MiB", MIB, 30],
  ["16MiB", 16 * MIB, 16],
  ["64MiB", 64 * MIB, 8],
];

function copies(memory: "pinned" | "pageable", suffix: string): Measurement[] {
  return (["h2d", "d2h"] as const).flatMap((native) =>
    SIZES.map(([size, bytes, samples]) => ({
      name: `${native}_${size}${suffix}`,
      ours: `${native} bytes=${bytes} memory=${memory}`,
      native,
      bytes,
      unit: "GB/s" as const,
      samples,
    })),
  );
}

export const SUITES: Readonly<Record<string, readonly Measurement[]>> = {
  latency: [
    {
      name: "launch_sync_polled",
      ours: "launch_sync mode=polled",
      native: "launch_sync",
      bytes: 0,
      unit: "us",
      samples: 100,
    },
    {
      name: "launch_sync_interrupt",
      ours: "launch_sync mode=interrupt",
      native: "launch_sync",
      bytes: 0,
      unit: "us",
      samples: 100,
    },
    {
      name: "launch_async",
      ours: "launch_async",
      native: "launch_async",
      bytes: 0,
      unit: "launches/s",
      samples: 6,
    },
  ],
  bandwidth: [...copies("pinned", ""), ...copies("pageable", "_pageable")],
};
