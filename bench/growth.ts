// SPDX-License-Identifier: Apache-2.0
/**
 * How cost grows with size: launches of a train, bytes of a copy, streams, guests, guest memory and
 * the ranges that a copy is scattered over. Each point beside native Dawn where there is such a
 * thing; a plot of each (SVG) goes to out/growth-*.svg.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "simple-statistics";
import { Ours, startNative } from "./beside.js";
import { growthGuests } from "./growth-guests.js";
import { growthMemory, type MemoryPoint } from "./growth-memory.js";
import type { LineProcess } from "./line-process.js";
import { type Plot, plotSvg } from "./plot.js";
import type { SharingReport, SharingResult, SharingSuite } from "./sharing.js";

const root = new URL("..", import.meta.url).pathname;
/** About this long a side takes for one point of a round. */
const POINT_NS = 150e6;

const TRAINS = [1, 10, 100, 1000, 10_000, 100_000];
const SIZES = [4, 64, 1024, 4096, 65_536, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 128 << 20];
const STREAMS = [1, 2, 4, 8, 16, 32];

interface Point {
  readonly at: number;
  readonly ours: string;
  /** Work and its arguments, of native-dawn.ts. */
  readonly native: readonly [string, string] | null;
  /** Guessed ns of one sample, for how many are taken. */
  readonly guessNs: number;
}

interface Curve {
  readonly name: string;
  readonly title: string;
  readonly x: string;
  readonly ticks?: Plot["ticks"];
  readonly points: readonly Point[];
}

function curves(largest: number): Curve[] {
  const copies = (["h2d", "d2h"] as const).map((name) => ({
    name,
    title: name === "h2d" ? "Copy to the device, pinned" : "Copy from the device, pinned",
    x: "bytes",
    ticks: "bytes" as const,
    points: SIZES.filter((bytes) => bytes <= largest).map((bytes) => ({
      at: bytes,
      ours: `${name} bytes=${bytes} memory=pinned`,
      native: [name, `${bytes}`] as const,
      guessNs: 5e4 + bytes / 5,
    })),
  }));
  return [
    {
      name: "launches",
      title: "Empty launches, then one wait",
      x: "launches",
      points: TRAINS.map((train) => ({
        at: train,
        ours: `launch_async train=${train}`,
        native: ["launch_async", `${train}`] as const,
        guessNs: 5e4 + train * 2e4,
      })),
    },
    ...copies,
    {
      name: "streams",
      title: "1000 empty launches over several streams",
      x: "streams",
      ticks: "counts",
      points: STREAMS.map((streams) => ({
        at: streams,
        ours: `launch_async streams=${streams}`,
        native: null,
        guessNs: 2e7,
      })),
    },
  ];
}

/** Samples in ns a whole; a train's answers are per launch. */
async function samples(side: LineProcess, line: string): Promise<number[]> {
  const answer = await side.ask(line);
  const list = answer.samples as number[];
  return list.slice(Math.floor(list.length / 5));
}

async function measurePoint(
  point: Point,
  scale: number,
  ours: LineProcess,
  native: LineProcess,
): Promise<readonly [number, number | null]> {
  const n = Math.max(1, Math.min(500, Math.round(POINT_NS / point.guessNs)));
  const mine = median(await samples(ours, `run ${point.ours} n=${n}`)) * scale;
  if (point.native === null) return [mine, null];
  const [work, given] = point.native;
  let best = Infinity;
  for (const way of ["await", "tick", "poller"])
    best = Math.min(best, median(await samples(native, `run ${work} ${way} ${n} ${given}`)));
  return [mine, best * scale];
}

async function measureCurve(
  curve: Curve,
  rounds: number,
  ours: LineProcess,
  native: LineProcess,
): Promise<{ plot: Plot; results: SharingResult[] }> {
  const round = (value: number): number => Number(value.toPrecision(4));
  const taken = curve.points.map(() => ({ ours: [] as number[], native: [] as number[] }));
  for (let turn = 0; turn < rounds; turn++) {
    for (const [index, point] of curve.points.entries()) {
      const scale = curve.name === "launches" ? point.at : curve.name === "streams" ? 1000 : 1;
      const [mine, theirs] = await measurePoint(point, scale, ours, native);
      taken[index]?.ours.push(mine / 1e3);
      if (theirs !== null) taken[index]?.native.push(theirs / 1e3);
    }
  }
  const results = curve.points.map((point, index): SharingResult => {
    const { ours: mine = [], native: theirs = [] } = taken[index] ?? {};
    const own = median(mine);
    const name = `growth_${curve.name}_${point.at}`;
    if (theirs.length === 0) return { name, unit: "us", median: round(own) };
    const best = median(theirs);
    const ratio = round(own / best);
    return { name, unit: "us", median: round(own), native_median: round(best), ratio };
  });
  const line = (pick: (result: SharingResult) => number | undefined) =>
    results.flatMap((result, index) => {
      const value = pick(result);
      return value === undefined ? [] : [[curve.points[index]?.at ?? 0, value] as const];
    });
  const lines = [
    { label: "para-vgpu", points: line((result) => result.median) },
    { label: "native Dawn", points: line((result) => result.native_median) },
  ].filter(({ points }) => points.length > 0);
  const { title, x, ticks = "decades" } = curve;
  return { plot: { title, x, ticks, lines }, results };
}

/** A plot whose lines have nothing of native Dawn's beside them, and the results in it. */
function beside(
  name: string,
  plot: Omit<Plot, "lines">,
  lines: readonly {
    readonly label: string;
    readonly key: string;
    readonly points: readonly (readonly [number, number])[];
  }[],
): { name: string; plot: Plot; results: SharingResult[] } {
  const results = lines.flatMap(({ key, points }) =>
    points.map(([at, us]): SharingResult => {
      const median = Number(us.toPrecision(4));
      return { name: `growth_${name}_${key}_${at}`, unit: "us", median };
    }),
  );
  return { name, plot: { ...plot, lines }, results };
}

type Measured = ReturnType<typeof beside>;

async function guestCurve(executor: string, quick: boolean): Promise<Measured> {
  const points = await growthGuests(executor, quick);
  const title = "A launch and a wait, by interrupt, under vgpud";
  return beside("guests", { title, x: "guests", ticks: "counts" }, [
    {
      label: "others idle",
      key: "alone",
      points: points.map((each) => [each.guests, each.aloneUs] as const),
    },
    {
      label: "all launch",
      key: "together",
      points: points.map((each) => [each.guests, each.togetherUs] as const),
    },
  ]);
}

async function memoryCurves(socket: string, quick: boolean): Promise<Measured[]> {
  const { memory, ranges } = await growthMemory(socket, quick);
  const lines = (points: readonly MemoryPoint[], at: (point: MemoryPoint) => number) => [
    {
      label: "to the device",
      key: "h2d",
      points: points.map((each) => [at(each), each.h2dUs] as const),
    },
    {
      label: "from the device",
      key: "d2h",
      points: points.map((each) => [at(each), each.d2hUs] as const),
    },
  ];
  const scattered = "Copy of 16 MiB in pages of 4 KiB all over the guest's memory";
  return [
    beside(
      "memory",
      { title: scattered, x: "guest memory", ticks: "bytes" },
      lines(memory, (each) => each.memoryBytes),
    ),
    beside(
      "ranges",
      {
        title: "Copy of 16 MiB in ranges over 4 GiB of guest memory",
        x: "ranges",
        ticks: "counts",
      },
      lines(ranges, (each) => each.ranges),
    ),
  ];
}

export const growth: SharingSuite = async ({ quick, executor }): Promise<SharingReport> => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  const ours = await Ours.start(folder, executor);
  const native = startNative();
  try {
    const { adapter } = await native.next();
    const results: SharingResult[] = [];
    mkdirSync(join(root, "out"), { recursive: true });
    const draw = ({ name, plot, results: own }: Measured): void => {
      results.push(...own);
      const file = join(root, "out", `growth-${name}.svg`);
      writeFileSync(file, plotSvg({ ...plot, note: String(adapter) }));
      process.stderr.write(`${file}\n`);
    };
    for (const curve of curves(quick ? 16 << 20 : 128 << 20))
      draw({
        name: curve.name,
        ...(await measureCurve(curve, quick ? 1 : 3, ours.client, native)),
      });
    // A second front end has to wait until the first is gone.
    ours.client.stop();
    for (const each of await memoryCurves(join(folder, `${executor}.sock`), quick)) draw(each);
    draw(await guestCurve(executor, quick));
    return { adapter: String(adapter), results };
  } finally {
    native.stop();
    ours.stop();
    rmSync(folder, { recursive: true, force: true });
  }
};
