// SPDX-License-Identifier: Apache-2.0
/**
 * `bench stages`: where the time of one launch and of one copy goes, from time stamps of the running
 * processes: the client's (when it began, when its commands were sent, when it had the answer) and
 * the instance's (src/io/stage-marks.ts), all of one clock. Beside each stands the floor: Dawn's own
 * calls for the same work in a bare process, and the same bytes copied from memory to memory. A
 * picture goes to out/stages.svg.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "simple-statistics";
import type { Stage } from "../src/io/stage-marks.js";
import { Ours } from "./beside.js";
import { LineProcess } from "./line-process.js";
import { type Bar, barsSvg } from "./plot-bars.js";
import type { SharingReport, SharingResult, SharingSuite } from "./sharing.js";

const root = new URL("..", import.meta.url).pathname;
const MIB = 1 << 20;
/** This share of the samples is left out, from the first on: caches, pages and compiled code. */
const SETTLE_SHARE = 0.5;

interface Work {
  readonly name: string;
  readonly title: string;
  readonly ours: string;
  /** Words for native-stages.ts, without the count: NAME and BYTES. */
  readonly native: readonly [string, number];
  readonly n: number;
}

const WORKS: readonly Work[] = [
  ...(["polled", "interrupt"] as const).map((mode) => ({
    name: `launch_${mode}`,
    title: `launch, ${mode === "polled" ? "polled" : "by interrupt"}`,
    ours: `launch_sync mode=${mode}`,
    native: ["launch", 4] as const,
    n: 8000,
  })),
  ...[4096, MIB, 16 * MIB].flatMap((bytes) =>
    (["h2d", "d2h"] as const).map((name) => ({
      name: `${name}_${bytes < MIB ? "4KiB" : `${bytes / MIB}MiB`}`,
      title: `${name === "h2d" ? "to" : "from"} the device, ${bytes < MIB ? "4 KiB" : `${bytes / MIB} MiB`}`,
      ours: `${name} mode=polled memory=pinned bytes=${bytes}`,
      native: [name, bytes] as const,
      n: bytes < MIB ? 6000 : bytes > MIB ? 120 : 1000,
    })),
  ),
];

/** What the time up to a mark was spent on. Marks that repeat (parts of a copy) add up. */
const UP_TO: Readonly<Record<Stage | "sent" | "returned", string>> = {
  taken: "wake",
  decoded: "decode",
  written: "copy",
  encoded: "encode",
  submitted: "submit",
  arrived: "GPU",
  delivered: "copy",
  done: "GPU",
  shown: "fence",
  notified: "notify",
  sent: "client",
  returned: "return",
};
/** In the order of the picture, with colours; the floor's stages have the same names. */
const STAGES = {
  client: "#8b949e",
  wake: "#bc4c00",
  decode: "#d4a72c",
  encode: "#1f6feb",
  submit: "#0550ae",
  GPU: "#2da44e",
  copy: "#8250df",
  fence: "#cf222e",
  notify: "#fa4549",
  return: "#57606a",
} as const;
type StageName = keyof typeof STAGES;
const NAMES = Object.keys(STAGES) as StageName[];

interface Mark {
  readonly what: string;
  readonly ns: number;
}

function readMarks(path: string): Mark[] {
  const file = readFileSync(path);
  const end = file.indexOf("\n");
  const names = file.toString("latin1", 0, end).split(" ");
  const marks: Mark[] = [];
  for (let at = end + 1; at + 16 <= file.length; at += 16)
    marks.push({ what: names[file.readDoubleLE(at)] ?? "", ns: file.readDoubleLE(at + 8) });
  return marks;
}

/** Samples as the client tells them. */
interface Told {
  readonly work: Work;
  readonly begins: readonly number[];
  readonly sents: readonly number[];
  readonly samples: readonly number[];
}

/** ns by stage of each sample: the time from mark to mark within it. */
function cut({ work, begins, sents, samples }: Told, marks: readonly Mark[]): number[][] {
  const byStage: number[][] = NAMES.map(() => []);
  let next = 0;
  for (let i = Math.floor(samples.length * SETTLE_SHARE); i < samples.length; i++) {
    const begin = begins[i] ?? 0;
    const end = begin + (samples[i] ?? 0);
    while (next < marks.length && (marks[next]?.ns ?? 0) < begin) next++;
    const sums = new Map<string, number>();
    const add = (what: string, ns: number): void => {
      sums.set(what, (sums.get(what) ?? 0) + ns);
    };
    let last = begin;
    for (; next < marks.length; next++) {
      const mark = marks[next];
      if (mark === undefined || mark.ns > end) break;
      if (mark.what === "taken" && last === begin) {
        // The instance may see the ring before the client's call has returned.
        last = Math.min(sents[i] ?? begin, mark.ns);
        add("client", last - begin);
      }
      add(UP_TO[mark.what as Stage], mark.ns - last);
      last = mark.ns;
    }
    add(UP_TO.returned, end - last);
    for (const [index, name] of NAMES.entries()) byStage[index]?.push(sums.get(name) ?? 0);
  }
  if (byStage[0]?.length === 0) throw new Error(`${work.name}: no samples`);
  return byStage;
}

async function askOurs(folder: string, executor: string, quick: boolean): Promise<Told[]> {
  process.env.VGPU_STAGES = join(folder, "marks");
  const ours = await Ours.start(folder, executor);
  delete process.env.VGPU_STAGES;
  const told: Told[] = [];
  try {
    for (const work of WORKS) {
      const n = quick ? Math.ceil(work.n / 8) : work.n;
      const answer = await ours.client.ask(`run ${work.ours} stages n=${n}`);
      const { begins, sents, samples } = answer as unknown as Omit<Told, "work">;
      told.push({ work, begins, sents, samples });
    }
  } finally {
    const ended = new Promise((resolve) => ours.instance.once("exit", resolve));
    ours.stop();
    await ended;
  }
  return told;
}

type Floor = Readonly<Record<string, readonly number[]>>;

async function askNative(quick: boolean): Promise<{ adapter: string; floors: Floor[] }> {
  const tsx = join(root, "node_modules/.bin/tsx");
  const script = join(root, "bench/native-stages.ts");
  const native = new LineProcess("native Dawn", tsx, [script], process.env);
  try {
    const { adapter } = await native.next();
    const floors: Floor[] = [];
    for (const work of WORKS) {
      const [name, bytes] = work.native;
      const n = quick ? Math.ceil(work.n / 8) : work.n;
      const { stages } = await native.ask(`${name} ${n} ${bytes}`);
      const memcpy = await native.ask(`memcpy ${Math.min(n, 500)} ${bytes}`);
      const copies = (memcpy.stages as Record<string, number[]>).copy ?? [];
      floors.push({ ...(stages as Record<string, number[]>), memcpy: copies });
    }
    return { adapter: String(adapter), floors };
  } finally {
    native.stop();
  }
}

const us = (ns: readonly number[]): number => Number((median([...ns]) / 1e3).toPrecision(3));
const settled = (all: readonly number[] = []): readonly number[] =>
  all.slice(Math.floor(all.length * SETTLE_SHARE));

export const stages: SharingSuite = async ({ quick, executor }): Promise<SharingReport> => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  try {
    const told = await askOurs(folder, executor, quick);
    const marks = readMarks(join(folder, "marks"));
    const { adapter, floors } = await askNative(quick);
    const results: SharingResult[] = [];
    const bars: Bar[] = [];
    for (const [index, each] of told.entries()) {
      const { work } = each;
      const found = cut(each, marks);
      const floor = floors[index] ?? {};
      const ours = found.map((ns) => us(ns));
      const native: Record<string, number> = {
        encode: us(settled(floor.encode ?? [0, 0])),
        submit: us(settled(floor.submit ?? [0, 0])),
        GPU: us(settled(floor.wait ?? [0, 0])),
        copy: us(settled(floor.copy ?? [0, 0])),
      };
      const memcpy = us(settled(floor.memcpy));
      for (const [at, name] of NAMES.entries())
        results.push({
          name: `stage_${work.name}_${name.toLowerCase()}`,
          unit: "us",
          median: ours[at] ?? 0,
          ...(name in native ? { native_median: native[name] } : {}),
        });
      const isCopy = work.native[0] !== "launch";
      if (isCopy) results.push({ name: `memcpy_${work.name}`, unit: "us", median: memcpy });
      const part = (values: readonly number[]): Bar["parts"] =>
        NAMES.map((name, at) => ({ name, colour: STAGES[name], value: values[at] ?? 0 }));
      bars.push({ label: work.title, parts: part(ours) });
      bars.push({ label: "Dawn alone", parts: part(NAMES.map((name) => native[name] ?? 0)) });
      if (isCopy)
        bars.push({
          label: "memcpy",
          parts: part(NAMES.map((name) => (name === "copy" ? memcpy : 0))),
        });
    }
    const title = "Stages of a launch and of a copy, medians, µs";
    mkdirSync(join(root, "out"), { recursive: true });
    writeFileSync(join(root, "out", "stages.svg"), barsSvg(title, bars));
    return { adapter, results };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
