// SPDX-License-Identifier: Apache-2.0
/**
 * The native side of a workload (bench-program.h): pipelines and bind groups made once, then each
 * step is one command buffer with one compute pass, as a careful WebGPU program would do it.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

interface Launch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

/** Words as bench-program.c makes them. */
function words(count: number, kind: string, first: number, second: number): Uint32Array {
  const data = new Uint32Array(count);
  const floats = new Float32Array(data.buffer);
  let state = kind === "below" ? second : first;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  for (let i = 0; i < count && kind !== "zero"; i++) {
    if (kind === "below") data[i] = next() % first;
    else floats[i] = (next() >>> 8) * 2 ** -24 - 0.5;
  }
  return data;
}

export class NativeProgram {
  readonly #device: GPUDevice;
  readonly #folder: string;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #uniforms = new Map<string, { buffer: GPUBuffer; bytes: number }>();
  readonly #kernels = new Map<string, GPUComputePipeline>();
  readonly #launches: Launch[] = [];
  #result: { buffer: GPUBuffer; bytes: number } | null = null;

  constructor(device: GPUDevice, path: string) {
    this.#device = device;
    this.#folder = dirname(path);
    for (const line of readFileSync(path, "utf8").split("\n"))
      if (line.trim() !== "") this.#add(line.trim().split(" "));
  }

  #add([verb, ...rest]: string[]): void {
    const [name = "", second = "", third = "", ...more] = rest;
    switch (verb) {
      case "buffer": {
        const buffer = this.#device.createBuffer({
          size: Number(second),
          usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
        });
        const data = words(buffer.size / 4, third, Number(more[0] ?? 0), Number(more[1] ?? 0));
        this.#device.queue.writeBuffer(buffer, 0, data);
        this.#buffers.set(name, buffer);
        return;
      }
      case "kernel": {
        const module = this.#device.createShaderModule({
          code: readFileSync(join(this.#folder, second), "utf8"),
        });
        const compute = { module, entryPoint: third };
        this.#kernels.set(name, this.#device.createComputePipeline({ layout: "auto", compute }));
        return;
      }
      case "uniform": {
        const data = Uint32Array.from(rest.slice(1), (word) => Number.parseInt(word, 16));
        const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
        const size = Math.ceil(data.byteLength / 16) * 16;
        const buffer = this.#device.createBuffer({ size, usage });
        this.#device.queue.writeBuffer(buffer, 0, data);
        this.#uniforms.set(name, { buffer, bytes: data.byteLength });
        return;
      }
      case "launch":
        this.#launch(name, rest.slice(1, 4).map(Number), rest.slice(4));
        return;
      case "result":
        this.#result = { buffer: this.#buffer(name), bytes: 4 * Number(second) };
        return;
      default:
        throw new Error(`the word ${verb} has no meaning`);
    }
  }

  #buffer(name: string): GPUBuffer {
    const found = this.#buffers.get(name);
    if (found === undefined) throw new Error(`there is no buffer ${name}`);
    return found;
  }

  #launch(kernel: string, [x = 1, y = 1, z = 1]: number[], given: readonly string[]): void {
    const pipeline = this.#kernels.get(kernel);
    if (pipeline === undefined) throw new Error(`there is no kernel ${kernel}`);
    const used = this.#bindings(kernel);
    const entries = given.map((argument, index): GPUBindGroupEntry => {
      const binding = used[index] ?? index;
      if (argument.startsWith("=")) {
        const uniform = this.#uniforms.get(argument.slice(1));
        if (uniform === undefined) throw new Error(`there is no uniform ${argument}`);
        return { binding, resource: { buffer: uniform.buffer } };
      }
      const [name = "", offset = "0"] = argument.split("+");
      return { binding, resource: { buffer: this.#buffer(name), offset: Number(offset) } };
    });
    const group = this.#device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries,
    });
    this.#launches.push({ pipeline, group, grid: [x, y, z] });
  }

  /** The bindings that an entry point uses, ascending: arguments bind in that order. */
  #bindings(kernel: string): readonly number[] {
    return BINDINGS[kernel] ?? [];
  }

  /** Submits one step. */
  step(): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, grid } of this.#launches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Sum of the absolute values of the result. */
  async sum(): Promise<number> {
    if (this.#result === null) throw new Error("the program has no result");
    const { buffer, bytes } = this.#result;
    const staging = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    let sum = 0;
    for (const value of new Float32Array(staging.getMappedRange())) sum += Math.abs(value);
    staging.destroy();
    return sum;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
  }
}

/** As in guest-driver/examples/digits.wgsl and bench/workloads; others bind from 0 without gaps. */
const BINDINGS: Readonly<Record<string, readonly number[]>> = {
  forward_hidden: [0, 1, 3, 4, 7],
  forward_output: [0, 2, 5, 6, 7, 8, 10, 11],
  backward_hidden: [0, 5, 7, 8, 9],
  gradient_hidden: [0, 1, 9, 12],
  gradient_output: [0, 7, 8, 12],
  adam: [0, 12, 13, 14, 15],
  layer_norm: [0, 1, 3],
  attention: [0, 1, 3],
};
