// SPDX-License-Identifier: Apache-2.0
/** All cases of CUDA kernels, and the PTX that is checked in for them. */
import { readFileSync } from "node:fs";
import type { KernelCase } from "../../support/cuda/lab.js";
import { ATOMICS } from "./atomics.js";
import { CONTROL } from "./control.js";
import { LINKED } from "./linked.js";
import { MATH } from "./math.js";
import { MATRIX } from "./matrix.js";
import { MIPMAP } from "./mipmap.js";
import { NN } from "./nn.js";
import { NUMBERS } from "./numbers.js";
import { PARAMS } from "./params.js";
import { REDUCE } from "./reduce.js";
import { SCAN } from "./scan.js";
import { SORT } from "./sort.js";
import { STREAM } from "./stream.js";
import { TEXT } from "./text.js";
import { TEXTURE } from "./texture.js";
import { WARP } from "./warp.js";

export const CASES: readonly KernelCase[] = [
  ...STREAM,
  ...REDUCE,
  ...SCAN,
  ...SORT,
  ...MATRIX,
  ...ATOMICS,
  ...LINKED,
  ...CONTROL,
  ...WARP,
  ...PARAMS,
  ...NN,
  ...NUMBERS,
  ...MATH,
  ...TEXT,
  ...TEXTURE,
  ...MIPMAP,
];

/** The oldest target that nvcc 13 compiles for, and the newest. */
export const TARGETS = ["75", "121"] as const;

const loaded = new Map<string, string>();

export function ptxOf(module: string, target: string): string {
  const key = `${module}.${target}`;
  let text = loaded.get(key);
  if (text === undefined) {
    text = readFileSync(new URL(`../ptx/${key}.ptx`, import.meta.url), "utf8");
    loaded.set(key, text);
  }
  return text;
}
