// SPDX-License-Identifier: Apache-2.0
/**
 * What each kernel of a PTX text uses, its called functions included, by the text alone: a kernel
 * that the compiler refuses must be told apart too.
 */

export type Feature = keyof typeof PATTERNS;

const PATTERNS = {
  textures: /^\s*(@\S+\s+)?(tex|tld4|txq|suld|sust|sured|suq)\./m,
  f64: /\.f64\b/,
  "tensor cores": /^\s*(@\S+\s+)?(wmma|mma|ldmatrix|stmatrix|wgmma|tcgen05)\./m,
  "grid-wide sync": /%envreg/,
  "dynamic parallelism": /\b__cudaCDP2|\bcudaGetParameterBuffer|\bcudaLaunchDevice/,
  "conditional graphs": /\bcudaGraphSetConditional\b/,
  clusters: /%cluster|barrier\.cluster|\bmapa\.|\.shared::cluster/,
  "asynchronous barriers": /\bmbarrier\.|\bcp\.async\.bulk|\bcp\.async\.mbarrier/,
  "device-side malloc": /\b(malloc|free),?\s*$|\((?:[^()]*)\),\s*malloc\b|^\s*(malloc|free)\s*,/m,
  "calls through pointers": /\.callprototype\b/,
} as const;

/** Features that put a kernel out of what is counted. */
export const OUT_OF_SCOPE: readonly Feature[] = [
  "textures",
  "f64",
  "tensor cores",
  "grid-wide sync",
];

interface Body {
  readonly isEntry: boolean;
  readonly text: string;
}

const HEAD = /^[^\S\n]*(?:\.(?:visible|weak|extern|common)\s+)?\.(entry|func)\b/gm;

/** Functions with a body, by name. */
function functionsOf(ptx: string): Map<string, Body> {
  const text = ptx.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, "");
  const starts = [...text.matchAll(HEAD)];
  const found = new Map<string, Body>();
  starts.forEach((head, i) => {
    const part = text.slice(head.index, starts[i + 1]?.index ?? text.length);
    const open = part.indexOf("{");
    const semicolon = part.indexOf(";");
    if (open < 0 || (semicolon >= 0 && semicolon < open)) return;
    const isEntry = head[1] === "entry";
    // The name of a .func stands behind its result, if it has one.
    const name = isEntry
      ? /\.entry\s+([\w$%]+)/.exec(part)
      : /\.func\s+(?:\.noreturn\s+)?(?:\([^)]*\)\s*)?([\w$%]+)/.exec(part);
    if (name?.[1] !== undefined) found.set(name[1], { isEntry, text: part.slice(open) });
  });
  return found;
}

/** Every kernel's features, in the text's order. */
export function featuresOf(ptx: string): Map<string, ReadonlySet<Feature>> {
  const functions = functionsOf(ptx);
  const result = new Map<string, ReadonlySet<Feature>>();
  for (const [name, { isEntry }] of functions) {
    if (!isEntry) continue;
    const reached = new Set([name]);
    for (const each of reached) {
      for (const word of functions.get(each)?.text.match(/[\w$%]+/g) ?? []) {
        if (functions.has(word)) reached.add(word);
      }
    }
    const texts = [...reached].map((each) => functions.get(each)?.text ?? "").join("\n");
    const all = Object.keys(PATTERNS) as Feature[];
    result.set(name, new Set(all.filter((feature) => PATTERNS[feature].test(texts))));
  }
  return result;
}
