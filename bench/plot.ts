// SPDX-License-Identifier: Apache-2.0
/** A plot of few lines on logarithmic axes, as SVG: enough for how a cost grows. */

export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  /** What the ticks of x are: powers of ten, or the points themselves, as counts or as bytes. */
  readonly ticks?: "decades" | "counts" | "bytes";
  /** Values of y are microseconds. */
  readonly lines: readonly Line[];
  /** Said below the plot, for what the lines don't say themselves. */
  readonly note?: string;
}

const WIDTH = 740;
const HEIGHT = 420;
const LEFT = 80;
const RIGHT = 44;
const TOP = 44;
const BOTTOM = 92;
/** Labels of x that are nearer than this would touch. */
const LABEL_WIDTH = 52;
const COLOURS = ["#1f6feb", "#bc4c00", "#2da44e", "#8b949e"];

const xml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

type Units = readonly (readonly [number, string])[];
const COUNTS: Units = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
];
const TIMES: Units = [
  [1e6, " s"],
  [1e3, " ms"],
  [1, " µs"],
  [1e-3, " ns"],
];
const BYTES: Units = [
  [2 ** 30, " GiB"],
  [2 ** 20, " MiB"],
  [2 ** 10, " KiB"],
  [1, " B"],
];

/** 1500 as 1.5k, 4194304 bytes as 4 MiB. */
function short(value: number, units: Units): string {
  const [limit, suffix] = units.find(([least]) => value >= least) ?? units.at(-1) ?? [1, ""];
  return `${Number((value / limit).toPrecision(3))}${suffix}`;
}

/** Powers of ten from the one below the least to the one above the largest. */
function decades(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: Math.max(2, last - first + 1) }, (_, i) => 10 ** (first + i));
}

/** The points' own places, all of them where there is room. */
function own(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

export function plotSvg({ title, x, ticks = "decades", lines, note }: Plot): string {
  const points = lines.flatMap((line) => line.points);
  const at = points.map(([value]) => value);
  const xs = ticks === "decades" ? decades(at) : own(at);
  const units = ticks === "bytes" ? BYTES : COUNTS;
  const ys = decades(points.map(([, value]) => value));
  const place = (value: number, ticks: readonly number[], from: number, to: number): number => {
    const [low = 1, high = 10] = [ticks[0], ticks.at(-1)];
    return from + ((Math.log10(value) - Math.log10(low)) / Math.log10(high / low)) * (to - from);
  };
  const atX = (value: number): string => place(value, xs, LEFT, WIDTH - RIGHT).toFixed(1);
  const atY = (value: number): string => place(value, ys, HEIGHT - BOTTOM, TOP).toFixed(1);
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${xml(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="24" font-size="15" font-weight="bold">${xml(title)}</text>`,
  ];
  let labelled = -Infinity;
  for (const tick of xs) {
    const left = atX(tick);
    out.push(
      `<line x1="${left}" x2="${left}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#e5e7eb"/>`,
    );
    if (Number(left) - labelled < LABEL_WIDTH) continue;
    labelled = Number(left);
    out.push(
      `<text x="${left}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${short(tick, units)}</text>`,
    );
  }
  for (const tick of ys)
    out.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${atY(tick)}" y2="${atY(tick)}" stroke="#e5e7eb"/>`,
      `<text x="${LEFT - 6}" y="${Number(atY(tick)) + 4}" text-anchor="end">${short(tick, TIMES)}</text>`,
    );
  out.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 34}" text-anchor="middle">${xml(x)}</text>`,
  );
  for (const [index, { label, points: own }] of lines.entries()) {
    const colour = COLOURS[index % COLOURS.length];
    const path = own.map(([a, b]) => `${atX(a)},${atY(b)}`).join(" ");
    const left = LEFT + index * 150;
    out.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...own.map(([a, b]) => `<circle cx="${atX(a)}" cy="${atY(b)}" r="3" fill="${colour}"/>`),
      `<rect x="${left}" y="${HEIGHT - 48}" width="12" height="12" fill="${colour}"/>`,
      `<text x="${left + 18}" y="${HEIGHT - 38}">${xml(label)}</text>`,
    );
  }
  if (note !== undefined)
    out.push(`<text x="${LEFT}" y="${HEIGHT - 14}" fill="#57606a">${xml(note)}</text>`);
  out.push("</svg>");
  return `${out.join("\n")}\n`;
}
