// SPDX-License-Identifier: Apache-2.0
/**
 * Bars made of parts, as SVG. Groups of bars (one with a label of its own, then its references) have
 * a scale each, for a launch takes a hundredth of the time of a large copy.
 */

export interface Bar {
  /** What is measured; a bar labelled like a reference belongs to the one before. */
  readonly label: string;
  readonly parts: readonly {
    readonly name: string;
    readonly colour: string;
    readonly value: number;
  }[];
}

const WIDTH = 880;
const LEFT = 190;
const RIGHT = 70;
const TOP = 84;
const BAR = 16;
const GAP = 4;
const GROUP_GAP = 16;
const REFERENCES = ["Dawn alone", "memcpy"];
/** A part wider than this has its value written into it, px. */
const TEXT_WIDTH = 22;

const xml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const sum = ({ parts }: Bar): number => parts.reduce((total, { value }) => total + value, 0);
const short = (value: number): string => String(Number(value.toPrecision(3)));

function groupsOf(bars: readonly Bar[]): Bar[][] {
  const groups: Bar[][] = [];
  for (const bar of bars) {
    if (REFERENCES.includes(bar.label)) groups.at(-1)?.push(bar);
    else groups.push([bar]);
  }
  return groups;
}

function drawBar(bar: Bar, top: number, scale: number): string[] {
  const base = top + BAR - 4;
  const out = [`<text x="${LEFT - 8}" y="${base}" text-anchor="end">${xml(bar.label)}</text>`];
  let left = LEFT;
  for (const { colour, value } of bar.parts) {
    const width = value * scale;
    if (width <= 0) continue;
    out.push(
      `<rect x="${left.toFixed(1)}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
    );
    if (width > TEXT_WIDTH)
      out.push(
        `<text x="${(left + width / 2).toFixed(1)}" y="${base}" text-anchor="middle" fill="white" font-size="11">${short(value)}</text>`,
      );
    left += width;
  }
  out.push(
    `<text x="${(left + 6).toFixed(1)}" y="${base}" font-weight="bold">${short(sum(bar))}</text>`,
  );
  return out;
}

export function barsSvg(title: string, bars: readonly Bar[]): string {
  const groups = groupsOf(bars);
  const out: string[] = [];
  let top = TOP;
  for (const group of groups) {
    const scale = (WIDTH - LEFT - RIGHT) / Math.max(...group.map(sum));
    for (const bar of group) {
      out.push(...drawBar(bar, top, scale));
      top += BAR + GAP;
    }
    top += GROUP_GAP;
  }
  const legend = (bars[0]?.parts ?? []).flatMap(({ name, colour }, index) => {
    const left = LEFT + index * 72;
    return [
      `<rect x="${left}" y="44" width="12" height="12" fill="${colour}"/>`,
      `<text x="${left + 16}" y="54">${xml(name)}</text>`,
    ];
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" font-family="sans-serif" font-size="12">`,
    `<title>${xml(title)}</title>`,
    `<rect width="${WIDTH}" height="${top}" fill="white"/>`,
    `<text x="${LEFT}" y="26" font-size="15" font-weight="bold">${xml(title)}</text>`,
    ...legend,
    ...out,
    "</svg>",
  ].join("\n")}\n`;
}
