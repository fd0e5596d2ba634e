// SPDX-License-Identifier: Apache-2.0
//
// The shares of the GPU over time, as a picture: from a trace of `vgpud --trace`, which part of each
// short interval each vGPU held the GPU. An SVG of our own: areas on top of each other, and a line of
// text for each vGPU.

export interface TraceEvent {
  readonly ph: string;
  readonly name?: string;
  readonly tid?: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface Shares {
  /** Seconds from the first entry to the last exit. */
  readonly seconds: number;
  readonly vgpus: readonly {
    readonly name: string;
    /** Part of each interval, 0 to 1. */
    readonly parts: readonly number[];
    /** Part of the whole time. */
    readonly share: number;
    readonly entries: number;
  }[];
}

interface Held {
  readonly name: string;
  readonly spans: (readonly [number, number])[];
}

/** Entries with their ends, by track. One that has not ended is left out. */
function heldSpans(events: readonly TraceEvent[]): Held[] {
  const tracks = new Map<number, Held & { beganUs: number | null }>();
  for (const { ph, name, tid, ts, args } of events) {
    if (tid === undefined) continue;
    if (ph === "M" && name === "thread_name") {
      tracks.set(tid, { name: String(args?.name ?? tid), spans: [], beganUs: null });
    }
    const track = tracks.get(tid);
    if (track === undefined || ts === undefined) continue;
    // A tail is no entry: the next vGPU has been entered by then.
    if (ph === "B") track.beganUs = args?.expected_ns === undefined ? ts : null;
    if (ph !== "E" || track.beganUs === null) continue;
    track.spans.push([track.beganUs, ts]);
    track.beganUs = null;
  }
  return [...tracks.values()];
}

/** Null if nobody was entered at all. */
export function sharesOverTime(events: readonly TraceEvent[], intervals: number): Shares | null {
  const held = heldSpans(events);
  const spans = held.flatMap((each) => each.spans);
  if (spans.length === 0) return null;
  const fromUs = Math.min(...spans.map(([begin]) => begin));
  const toUs = Math.max(...spans.map(([, end]) => end), fromUs + 1);
  const stepUs = (toUs - fromUs) / intervals;
  const vgpus = held.map(({ name, spans: own }) => {
    const parts = new Array<number>(intervals).fill(0);
    let heldUs = 0;
    for (const [begin, end] of own) {
      heldUs += end - begin;
      const first = Math.floor((begin - fromUs) / stepUs);
      const last = Math.min(intervals - 1, Math.floor((end - fromUs) / stepUs));
      for (let index = first; index <= last; index++) {
        const from = Math.max(begin, fromUs + index * stepUs);
        const to = Math.min(end, fromUs + (index + 1) * stepUs);
        parts[index] = (parts[index] ?? 0) + Math.max(0, to - from) / stepUs;
      }
    }
    return { name, parts, share: heldUs / (toUs - fromUs), entries: own.length };
  });
  return { seconds: (toUs - fromUs) / 1e6, vgpus };
}

const WIDTH = 960;
const LEFT = 56;
const RIGHT = 24;
const TOP = 72;
const PLOT_HEIGHT = 260;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
/** Told apart with all common kinds of colour blindness. */
const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];
const INK = "#333333";
const FAINT = "#dddddd";

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;
}

/** A round step that gives at most ten of them. */
function timeStep(seconds: number): number {
  const rough = seconds / 10;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-6)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? 10 * power;
}

function axes(seconds: number): string[] {
  const bottom = TOP + PLOT_HEIGHT;
  const lines: string[] = [];
  for (const percent of [0, 25, 50, 75, 100]) {
    const y = bottom - (PLOT_HEIGHT * percent) / 100;
    lines.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" stroke="${FAINT}"/>`);
    lines.push(text(LEFT - 8, y + 4, `${percent} %`, 'text-anchor="end"'));
  }
  const step = timeStep(seconds);
  for (let at = 0; at <= seconds + step / 1e3; at += step) {
    const x = LEFT + (PLOT_WIDTH * at) / seconds;
    lines.push(`<line x1="${x}" x2="${x}" y1="${bottom}" y2="${bottom + 5}" stroke="${INK}"/>`);
    const label = Number(at.toPrecision(6));
    lines.push(text(x, bottom + 20, `${label}${at === 0 ? " s" : ""}`, 'text-anchor="middle"'));
  }
  return lines;
}

/** A step area between two heights of each interval, in parts of the plot's height. */
function area(lower: readonly number[], upper: readonly number[], colour: string): string {
  const bottom = TOP + PLOT_HEIGHT;
  const step = PLOT_WIDTH / upper.length;
  const point = (index: number, part: number): string =>
    `${(LEFT + index * step).toFixed(1)},${(bottom - PLOT_HEIGHT * Math.min(1, part)).toFixed(1)}`;
  const along = (parts: readonly number[]): string[] =>
    parts.flatMap((part, index) => [point(index, part), point(index + 1, part)]);
  const points = [...along(upper), ...along(lower).reverse()];
  return `<polygon points="${points.join(" ")}" fill="${colour}"/>`;
}

export function sharesSvg(shares: Shares, title: string): string {
  const { seconds, vgpus } = shares;
  const areas: string[] = [];
  let lower = new Array<number>(vgpus[0]?.parts.length ?? 0).fill(0);
  for (const [index, { parts }] of vgpus.entries()) {
    const upper = lower.map((below, at) => below + (parts[at] ?? 0));
    areas.push(area(lower, upper, COLOURS[index % COLOURS.length] ?? INK));
    lower = upper;
  }
  const keys = vgpus.map(({ name, share, entries }, index) => {
    const y = TOP + PLOT_HEIGHT + 48 + index * 20;
    const colour = COLOURS[index % COLOURS.length];
    const line = `${name}: ${(share * 100).toFixed(1)} % of the time, ${entries} entries`;
    return `<rect x="${LEFT}" y="${y - 11}" width="12" height="12" fill="${colour}"/>${text(LEFT + 20, y, line)}`;
  });
  const idle = Math.max(0, 1 - vgpus.reduce((sum, { share }) => sum + share, 0));
  const height = TOP + PLOT_HEIGHT + 48 + vgpus.length * 20 + 16;
  const note = `${seconds.toFixed(1)} s from the first VM entry to the last exit; white: nobody has the GPU (${(idle * 100).toFixed(1)} %)`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
      `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="${INK}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(LEFT, 30, title, 'font-size="18"'),
    text(LEFT, 52, note),
    ...axes(seconds).filter((line) => line.startsWith("<text")),
    ...areas,
    ...axes(seconds).filter((line) => line.startsWith("<line")),
    ...keys,
    "</svg>",
    "",
  ].join("\n");
}
