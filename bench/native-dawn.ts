// SPDX-License-Identifier: Apache-2.0
/**
 * The reference of every benchmark: the same work on plain Dawn in Node, with no device of ours in
 * between. A process of its own, driven line by line over stdin, so that its samples interleave
 * with ours in one run:
 *
 *   in   run NAME WAY N [BYTES]
 *   out  {"samples":[ns, …]}            one a sample; for rates, ns per launch
 *
 * There are three ways of waiting for the GPU, since which is fastest depends on the machine:
 *   await   Dawn's own: a promise, and a tick on every turn of the event loop
 *   tick    Dawn's tick taken from setImmediate and called in a loop, until a buffer is mapped
 *   poller  our ticker (src/gpu/dawn/ticker.ts)
 */
import { createInterface } from "node:readline";
import { globals } from "webgpu";
import { openDevice, openGpu } from "../src/gpu/dawn/device.js";
import { Ticker } from "../src/gpu/dawn/ticker.js";
import { createHrTimer, nowNs } from "../src/io/native.js";

Object.assign(globalThis, globals);

type Way = "await" | "tick" | "poller";
const ASYNC_BATCH = 1000;

const plainSetImmediate = globalThis.setImmediate;
const ticker = new Ticker({ nowNs, timer: createHrTimer() });
const tickerSetImmediate = globalThis.setImmediate;
/** Dawn's tick, while the way is "tick". */
let heldTick: (() => void) | null = null;
const holdingSetImmediate = Object.assign(
  (callback: () => void): void => {
    heldTick = callback;
  },
  { __promisify__: plainSetImmediate.__promisify__ },
) as unknown as typeof setImmediate;

function choose(way: Way): void {
  globalThis.setImmediate =
    way === "await" ? plainSetImmediate : way === "tick" ? holdingSetImmediate : tickerSetImmediate;
}

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
const small = device.createBuffer({
  size: 4096,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
});
const bindGroup = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: small } }],
});
const fenceBuffer = device.createBuffer({
  size: 4,
  usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
});

function encodeLaunch(withFence: boolean): GPUCommandBuffer {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  if (withFence) {
    encoder.copyBufferToBuffer(small, 0, fenceBuffer, 0, 4);
  }
  return encoder.finish();
}

function turn(): Promise<void> {
  return new Promise((resolve) => plainSetImmediate(resolve));
}

/** Ticks until `buffer` is mapped, without a turn of the event loop. */
function tickUntilMapped(buffer: GPUBuffer): void {
  while (buffer.mapState !== "mapped") {
    const tick = heldTick;
    heldTick = null;
    tick?.();
  }
}

async function waitIdle(way: Way): Promise<void> {
  if (way === "poller") {
    ticker.activity();
    await ticker.call(() => queue.onSubmittedWorkDone());
  } else if (way === "await") {
    await queue.onSubmittedWorkDone();
  } else {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(small, 0, fenceBuffer, 0, 4);
    queue.submit([encoder.finish()]);
    const mapped = fenceBuffer.mapAsync(GPUMapMode.READ);
    tickUntilMapped(fenceBuffer);
    await mapped;
    fenceBuffer.unmap();
  }
}

async function launchSync(way: Way): Promise<number> {
  const begin = nowNs();
  if (way === "tick") {
    queue.submit([encodeLaunch(true)]);
    const mapped = fenceBuffer.mapAsync(GPUMapMode.READ);
    tickUntilMapped(fenceBuffer);
    const ns = nowNs() - begin;
    await mapped;
    fenceBuffer.unmap();
    return ns;
  }
  const submit = (): void => queue.submit([encodeLaunch(false)]);
  if (way === "poller") {
    ticker.call(submit);
  } else {
    submit();
  }
  await waitIdle(way);
  return nowNs() - begin;
}

async function launchAsync(way: Way): Promise<number> {
  const begin = nowNs();
  for (let i = 0; i < ASYNC_BATCH; i++) {
    queue.submit([encodeLaunch(false)]);
  }
  await waitIdle(way);
  return (nowNs() - begin) / ASYNC_BATCH;
}

const buffers = new Map<string, GPUBuffer>();
const hosts = new Map<number, Uint8Array>();

function buffer(bytes: number, kind: "storage" | "staging"): GPUBuffer {
  const key = `${kind}${bytes}`;
  let known = buffers.get(key);
  if (known === undefined) {
    const usage =
      kind === "storage"
        ? GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
        : GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    known = device.createBuffer({ size: bytes, usage });
    buffers.set(key, known);
  }
  return known;
}

function host(bytes: number): Uint8Array {
  let known = hosts.get(bytes);
  if (known === undefined) {
    known = new Uint8Array(bytes).fill(0x5a);
    hosts.set(bytes, known);
  }
  return known;
}

async function hostToDevice(way: Way, bytes: number): Promise<number> {
  const target = buffer(bytes, "storage");
  const source = host(bytes);
  const begin = nowNs();
  queue.writeBuffer(target, 0, source);
  await waitIdle(way);
  return nowNs() - begin;
}

async function deviceToHost(way: Way, bytes: number): Promise<number> {
  const source = buffer(bytes, "storage");
  const staging = buffer(bytes, "staging");
  const target = host(bytes);
  const begin = nowNs();
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
  queue.submit([encoder.finish()]);
  const map = (): Promise<undefined> => staging.mapAsync(GPUMapMode.READ);
  if (way === "tick") {
    const mapped = map();
    tickUntilMapped(staging);
    await mapped;
  } else if (way === "poller") {
    ticker.activity();
    await ticker.call(map);
  } else {
    await map();
  }
  target.set(new Uint8Array(staging.getMappedRange()));
  const ns = nowNs() - begin;
  staging.unmap();
  return ns;
}

const works: Readonly<Record<string, (way: Way, bytes: number) => Promise<number>>> = {
  launch_sync: launchSync,
  launch_async: launchAsync,
  h2d: hostToDevice,
  d2h: deviceToHost,
};

process.stdout.write(`${JSON.stringify({ ready: true, adapter: info.adapter })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, name = "", way = "await", n = "1", bytes = "0"] = line.trim().split(/\s+/);
  const work = works[name];
  if (verb !== "run" || work === undefined || !["await", "tick", "poller"].includes(way)) {
    process.stdout.write(`${JSON.stringify({ error: `can't do "${line}"` })}\n`);
    continue;
  }
  choose(way as Way);
  const samples: number[] = [];
  for (let i = 0; i < Number(n); i++) {
    samples.push(Math.round(await work(way as Way, Number(bytes))));
    await turn();
  }
  choose("await");
  process.stdout.write(`${JSON.stringify({ samples })}\n`);
}
process.exit(0);
