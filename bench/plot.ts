// SPDX-License-Identifier: Apache-2.0
/** A plot of few lines on logarithmic axes, as SVG: enough for how a cost grows. */

export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  /** Said below the plot, for what the lines don't say themselves. */
  readonly note?: string;
}

const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 80;
const RIGHT = 24;
const TOP = 44;
const BOTTOM = 92;
const COLOURS = ["#1f6feb", "#8b949e", "#d1242f", "#2da44e"];

const xml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** 1500 as 1.5k, 4194304 as 4.19M. */
function short(value: number): string {
  for (const [limit, suffix] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const)
    if (value >= limit) return `${Number((value / limit).toPrecision(3))}${suffix}`;
  return `${Number(value.toPrecision(3))}`;
}

/** Powers of ten from the one below the least to the one above the largest. */
function decades(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: Math.max(2, last - first + 1) }, (_, i) => 10 ** (first + i));
}

export function plotSvg({ title, x, y, lines, note }: Plot): string {
  const points = lines.flatMap((line) => line.points);
  const xs = decades(points.map(([value]) => value));
  const ys = decades(points.map(([, value]) => value));
  const place = (value: number, ticks: readonly number[], from: number, to: number): number => {
    const [low = 1, high = 10] = [ticks[0], ticks.at(-1)];
    return from + ((Math.log10(value) - Math.log10(low)) / Math.log10(high / low)) * (to - from);
  };
  const atX = (value: number): string => place(value, xs, LEFT, WIDTH - RIGHT).toFixed(1);
  const atY = (value: number): string => place(value, ys, HEIGHT - BOTTOM, TOP).toFixed(1);
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="24" font-size="15" font-weight="bold">${xml(title)}</text>`,
  ];
  for (const tick of xs)
    out.push(
      `<line x1="${atX(tick)}" x2="${atX(tick)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#e5e7eb"/>`,
      `<text x="${atX(tick)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${short(tick)}</text>`,
    );
  for (const tick of ys)
    out.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${atY(tick)}" y2="${atY(tick)}" stroke="#e5e7eb"/>`,
      `<text x="${LEFT - 6}" y="${Number(atY(tick)) + 4}" text-anchor="end">${short(tick)}</text>`,
    );
  out.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 34}" text-anchor="middle">${xml(x)}</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${xml(y)}</text>`,
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
