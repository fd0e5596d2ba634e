// SPDX-License-Identifier: Apache-2.0
/**
 * The workloads of the benchmark: what machine learning and simulation launch in one step. Each is a
 * text file (format: guest-driver/examples/bench-program.h) that our client and the native reference
 * both run, so that they do the same; their results are compared too.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;

export interface Workload {
  readonly name: string;
  /** Steps of each side in a round. */
  readonly samples: number;
  /** WGSL files, relative to the repository. */
  readonly sources: readonly string[];
  readonly lines: readonly string[];
}

const hex = (value: number): string => value.toString(16);

function floatHex(value: number): string {
  return hex(new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0);
}

const EXAMPLES = "guest-driver/examples";
const OWN = "bench/workloads";

/** A product of two matrices of n × n floats. */
export function sgemm(n: number): Workload {
  return {
    name: `sgemm_${n}`,
    samples: 6,
    sources: [`${EXAMPLES}/sgemm.wgsl`],
    lines: [
      `buffer a ${n * n * 4} random 1`,
      `buffer b ${n * n * 4} random 2`,
      `buffer c ${n * n * 4} zero`,
      "kernel sgemm sgemm.wgsl sgemm",
      `uniform n ${hex(n)}`,
      `launch sgemm ${n / 64} ${n / 64} 1 a b c =n`,
      `result c ${n * n}`,
    ],
  };
}

/** One training step of guest-driver/examples/digits.c on random images. */
function digits(): Workload {
  const [inputs, hidden, outputs, batch] = [256, 64, 10, 100];
  const b1 = inputs * hidden;
  const w2 = b1 + hidden;
  const b2 = w2 + hidden * outputs;
  const count = b2 + outputs;
  const across = Math.ceil(count / 64);
  return {
    name: "digits_step",
    samples: 40,
    sources: [`${EXAMPLES}/digits.wgsl`],
    lines: [
      `buffer images ${batch * inputs * 4} random 1`,
      `buffer labels ${batch * 4} below ${outputs} 2`,
      `buffer weights ${count * 4} random 3`,
      `buffer activation ${batch * hidden * 4} zero`,
      `buffer delta_out ${batch * outputs * 4} zero`,
      `buffer delta_hidden ${batch * hidden * 4} zero`,
      `buffer losses ${batch * 4} zero`,
      `buffer correct ${batch * 4} zero`,
      `buffer gradient ${count * 4} zero`,
      `buffer mean ${count * 4} zero`,
      `buffer square ${count * 4} zero`,
      ...["forward_hidden", "forward_output", "backward_hidden"].map(
        (name) => `kernel ${name} digits.wgsl ${name}`,
      ),
      ...["gradient_hidden", "gradient_output", "adam"].map(
        (name) => `kernel ${name} digits.wgsl ${name}`,
      ),
      `uniform p ${[batch, 0, inputs, hidden, outputs, count].map(hex).join(" ")} ${floatHex(1e-5)} 0`,
      `launch forward_hidden 1 ${batch} 1 =p images weights weights+${b1 * 4} activation`,
      `launch forward_output 2 1 1 =p labels weights+${w2 * 4} weights+${b2 * 4} activation delta_out losses correct`,
      `launch backward_hidden 1 ${batch} 1 =p weights+${w2 * 4} activation delta_out delta_hidden`,
      `launch gradient_hidden 1 ${inputs + 1} 1 =p images delta_hidden gradient`,
      `launch gradient_output 1 ${hidden + 1} 1 =p activation delta_out gradient`,
      `launch adam ${across} 1 1 =p gradient weights mean square`,
      `result losses ${batch}`,
    ],
  };
}

/** The forward step of a transformer of four blocks. */
function transformer(): Workload {
  const [tokens, width, heads, blocks] = [128, 128, 4, 4];
  const mlp = 4 * width;
  const shape = (name: string, columns: number, inner: number, gelu = 0): string =>
    `uniform ${name} ${[tokens, columns, inner, gelu].map(hex).join(" ")}`;
  const matmul = (uniform: string, a: string, b: string, c: string, columns: number): string =>
    `launch matmul ${columns / 16} ${tokens / 16} 1 =${uniform} ${a} ${b} ${c}`;
  const block = (from: string, to: string): string[] => [
    `launch layer_norm ${tokens} 1 1 =norm ${from} normed`,
    matmul("to_qkv", "normed", "w_qkv", "qkv", 3 * width),
    `launch attention ${tokens / 32} ${heads} 1 =heads qkv attended`,
    matmul("to_width", "attended", "w_out", "projected", width),
    `launch add ${(tokens * width) / 64} 1 1 =norm ${from} projected middle`,
    `launch layer_norm ${tokens} 1 1 =norm middle normed`,
    matmul("to_mlp", "normed", "w_up", "expanded", mlp),
    matmul("from_mlp", "expanded", "w_down", "projected", width),
    `launch add ${(tokens * width) / 64} 1 1 =norm middle projected ${to}`,
  ];
  return {
    name: "transformer_step",
    samples: 10,
    sources: [`${OWN}/transformer.wgsl`],
    lines: [
      `buffer input ${tokens * width * 4} random 1`,
      `buffer even ${tokens * width * 4} zero`,
      `buffer odd ${tokens * width * 4} zero`,
      ...["normed", "attended", "projected", "middle"].map(
        (name) => `buffer ${name} ${tokens * width * 4} zero`,
      ),
      `buffer qkv ${tokens * width * 12} zero`,
      `buffer expanded ${tokens * mlp * 4} zero`,
      `buffer w_qkv ${width * width * 12} random 2`,
      `buffer w_out ${width * width * 4} random 3`,
      `buffer w_up ${width * mlp * 4} random 4`,
      `buffer w_down ${width * mlp * 4} random 5`,
      ...["layer_norm", "matmul", "attention", "add"].map(
        (name) => `kernel ${name} transformer.wgsl ${name}`,
      ),
      shape("norm", width, 0),
      shape("heads", width, heads),
      shape("to_qkv", 3 * width, width),
      shape("to_width", width, width),
      shape("to_mlp", mlp, width, 1),
      shape("from_mlp", width, mlp),
      ...Array.from({ length: blocks }, (_, i) =>
        block(i === 0 ? "input" : i % 2 === 0 ? "odd" : "even", i % 2 === 0 ? "even" : "odd"),
      ).flat(),
      `result odd ${tokens * width}`,
    ],
  };
}

const STENCIL_N = 1024;
const stencil: Workload = {
  name: "stencil",
  samples: 8,
  sources: [`${OWN}/stencil.wgsl`],
  lines: [
    `buffer even ${STENCIL_N * STENCIL_N * 4} random 1`,
    `buffer odd ${STENCIL_N * STENCIL_N * 4} zero`,
    "kernel step stencil.wgsl step",
    `uniform n ${hex(STENCIL_N)} 0 0 0`,
    ...Array.from({ length: 20 }, (_, i) =>
      i % 2 === 0
        ? `launch step ${STENCIL_N / 16} ${STENCIL_N / 16} 1 =n even odd`
        : `launch step ${STENCIL_N / 16} ${STENCIL_N / 16} 1 =n odd even`,
    ),
    `result even ${STENCIL_N * STENCIL_N}`,
  ],
};

const manySmall: Workload = {
  name: "many_small",
  samples: 30,
  sources: [`${OWN}/small.wgsl`],
  lines: [
    "buffer values 16384 random 1",
    "kernel scale small.wgsl scale",
    ...Array.from({ length: 500 }, () => "launch scale 4 1 1 values"),
    "result values 4096",
  ],
};

export const WORKLOADS: readonly Workload[] = [
  sgemm(1024),
  digits(),
  transformer(),
  stencil,
  manySmall,
];

/** Writes a workload's program and sources into `folder`; the program's path. */
export function writeWorkload(workload: Workload, folder: string): string {
  const own = join(folder, workload.name);
  mkdirSync(own, { recursive: true });
  for (const source of workload.sources)
    copyFileSync(join(root, source), join(own, source.split("/").at(-1) ?? source));
  const path = join(own, "program");
  writeFileSync(path, `${workload.lines.join("\n")}\n`);
  return path;
}
