// SPDX-License-Identifier: Apache-2.0
/**
 * The floor under `bench stages`: one launch and one copy on plain Dawn, with the time of each of
 * Dawn's calls, and the same bytes copied from memory to memory. Like native-dawn.ts it is asked line
 * by line:
 *
 *   in   launch|h2d|d2h|memcpy N [BYTES]
 *   out  {"stages":{"encode":[ns, …], …}}   one of each stage a sample
 */
import { createInterface } from "node:readline";
import { globals } from "webgpu";
import { openDevice, openGpu } from "../src/gpu/dawn/device.js";
import { nowNs } from "../src/io/native.js";

Object.assign(globalThis, globals);

type Stages = Record<string, number[]>;

const { device, info } = await openDevice(openGpu("vulkan"), undefined);
const { queue } = device;
const pipeline = device.createComputePipeline({
  layout: "auto",
  compute: {
    module: device.createShaderModule({
      code: `@group(0) @binding(0) var<storage, read_write> unused: array<u32>;
        @compute @workgroup_size(1) fn main() { if (arrayLength(&unused) == 0u) { unused[0] = 1u; } }`,
    }),
    entryPoint: "main",
  },
});
const small = device.createBuffer({ size: 4096, usage: GPUBufferUsage.STORAGE });
const bindGroup = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: small } }],
});

/** Takes the time since the last call for a stage. */
class Watch {
  #last = nowNs();

  constructor(readonly stages: Stages) {}

  lap(stage: string): void {
    const now = nowNs();
    const list = this.stages[stage] ?? [];
    this.stages[stage] = list;
    list.push(Math.round(now - this.#last));
    this.#last = nowNs();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function launch(watch: Watch): Promise<void> {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  const commands = encoder.finish();
  watch.lap("encode");
  queue.submit([commands]);
  watch.lap("submit");
  await queue.onSubmittedWorkDone();
  watch.lap("wait");
}

interface Memory {
  readonly storage: GPUBuffer;
  readonly staging: GPUBuffer;
  readonly host: Uint8Array;
  readonly other: Uint8Array;
}

function memory(bytes: number): Memory {
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  return {
    storage: device.createBuffer({ size: bytes, usage: STORAGE | COPY_SRC | COPY_DST }),
    staging: device.createBuffer({ size: bytes, usage: MAP_READ | COPY_DST }),
    host: new Uint8Array(bytes).fill(0x5a),
    other: new Uint8Array(bytes).fill(0xa5),
  };
}

async function hostToDevice(watch: Watch, { storage, host }: Memory): Promise<void> {
  queue.writeBuffer(storage, 0, host);
  watch.lap("copy");
  await queue.onSubmittedWorkDone();
  watch.lap("wait");
}

async function deviceToHost(watch: Watch, m: Memory): Promise<void> {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(m.storage, 0, m.staging, 0, m.host.length);
  const commands = encoder.finish();
  watch.lap("encode");
  queue.submit([commands]);
  watch.lap("submit");
  await m.staging.mapAsync(GPUMapMode.READ);
  watch.lap("wait");
  m.host.set(new Uint8Array(m.staging.getMappedRange()));
  watch.lap("copy");
  m.staging.unmap();
}

async function memcpy(watch: Watch, { host, other }: Memory): Promise<void> {
  other.set(host);
  watch.lap("copy");
  await turn();
}

const works = { launch, h2d: hostToDevice, d2h: deviceToHost, memcpy };

process.stdout.write(`${JSON.stringify({ ready: true, adapter: info.adapter })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const [name = "", n = "1", bytes = "4"] = line.trim().split(/\s+/);
  if (!(name in works)) {
    process.stdout.write(`${JSON.stringify({ error: `can't do "${line}"` })}\n`);
    continue;
  }
  const work = works[name as keyof typeof works];
  const buffers = memory(Number(bytes));
  const stages: Stages = {};
  for (let i = 0; i < Number(n); i++) {
    await work(new Watch(stages), buffers);
    await turn();
  }
  buffers.storage.destroy();
  buffers.staging.destroy();
  process.stdout.write(`${JSON.stringify({ stages })}\n`);
}
process.exit(0);
