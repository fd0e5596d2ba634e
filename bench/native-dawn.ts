// SPDX-License-Identifier: Apache-2.0
/**
 * The reference of every benchmark: the same work on plain Dawn in Node, with no device of ours in
 * between. A process of its own, driven line by line over stdin, so that its samples interleave
 * with ours in one run:
 *
 *   in   run NAME WAY N [BYTES [DEPTH]]   or   run program WAY N PATH
 *   out  {"samples":[ns, …], "sum":…}   one a sample; for rates, ns per launch; the sum is a
 *                                       program's result
 *
 * With `relay` instead of `run`, it does the work N times when another process asks for it by a word of
 * the page whose file is this program's argument (guest-driver/examples/bench-relay.h): the floor of any
 * device in a process of its own.
 *
 * There are three ways of waiting for the GPU, since which is fastest depends on the machine:
 *   await   Dawn's own: a promise, and a tick on every turn of the event loop
 *   tick    Dawn's tick taken from setImmediate and called in a loop, until a buffer is mapped
 *   poller  our ticker (src/gpu/dawn/ticker.ts)
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { globals } from "webgpu";
import { openDevice, openGpu } from "../src/gpu/dawn/device.js";
import { Ticker } from "../src/gpu/dawn/ticker.js";
import {
  createHrTimer,
  exchange32,
  loadAcquire32,
  mapRegion,
  nowNs,
  storeRelease32,
} from "../src/io/native.js";
import { NativeProgram } from "./native-program.js";

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

async function launchAsync(way: Way, given: number): Promise<number> {
  const train = given > 0 ? given : ASYNC_BATCH;
  const begin = nowNs();
  for (let i = 0; i < train; i++) {
    queue.submit([encodeLaunch(false)]);
  }
  await waitIdle(way);
  return (nowNs() - begin) / train;
}

const buffers = new Map<string, GPUBuffer>();
const hosts = new Map<number, Uint8Array>();

function buffer(bytes: number, kind: "storage" | "staging", index = 0): GPUBuffer {
  const key = `${kind}${bytes}/${index}`;
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

/** Encoding alone: a dispatch with its pipeline and bindings, in one pass of many. */
function encode(): Promise<number> {
  const begin = nowNs();
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < ASYNC_BATCH; i++) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(1);
  }
  pass.end();
  encoder.finish();
  return Promise.resolve((nowNs() - begin) / ASYNC_BATCH);
}

async function hostToDevice(way: Way, bytes: number, depth: number): Promise<number> {
  const target = buffer(bytes * depth, "storage");
  const source = host(bytes * depth);
  const begin = nowNs();
  for (let i = 0; i < depth; i++) {
    queue.writeBuffer(target, i * bytes, source, i * bytes, bytes);
  }
  await waitIdle(way);
  return (nowNs() - begin) / depth;
}

/** As large as the host's memory of a copy, and not what Dawn copies from or to. */
function pageable(bytes: number): Uint8Array {
  const key = -bytes;
  const known = hosts.get(key) ?? new Uint8Array(bytes).fill(0xa5);
  hosts.set(key, known);
  return known;
}

/** `depth` copies on the way at once, each with a staging buffer of its own. */
async function deviceToHostPipelined(way: Way, bytes: number, depth: number): Promise<number> {
  const source = buffer(bytes * depth, "storage");
  const target = host(bytes * depth);
  const staging = Array.from({ length: depth }, (_, i) => buffer(bytes, "staging", i));
  const begin = nowNs();
  const mapped = staging.map((each, i) => {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, i * bytes, each, 0, bytes);
    queue.submit([encoder.finish()]);
    if (way !== "poller") return each.mapAsync(GPUMapMode.READ);
    ticker.activity();
    return ticker.call(() => each.mapAsync(GPUMapMode.READ));
  });
  for (const [i, each] of staging.entries()) {
    if (way === "tick") tickUntilMapped(each);
    await mapped[i];
    target.set(new Uint8Array(each.getMappedRange()), i * bytes);
  }
  const ns = (nowNs() - begin) / depth;
  for (const each of staging) each.unmap();
  return ns;
}

const programs = new Map<string, NativeProgram>();

async function runProgram(way: Way, path: string): Promise<number> {
  const program = programs.get(path) ?? new NativeProgram(device, path);
  programs.set(path, program);
  const begin = nowNs();
  program.step();
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

type Work = (way: Way, bytes: number, depth: number) => Promise<number>;
const works: Readonly<Record<string, Work>> = {
  launch_sync: launchSync,
  launch_async: launchAsync,
  encode,
  h2d: hostToDevice,
  d2h: (way, bytes, depth) =>
    depth === 1 ? deviceToHost(way, bytes) : deviceToHostPipelined(way, bytes, depth),
  // With one copy within the host more, which pageable memory costs a driver that can't pin it.
  h2d_pageable: async (way, bytes) => {
    const begin = nowNs();
    host(bytes).set(pageable(bytes));
    await hostToDevice(way, bytes, 1);
    return nowNs() - begin;
  },
  d2h_pageable: async (way, bytes) => {
    const ns = await deviceToHost(way, bytes);
    const begin = nowNs();
    pageable(bytes).set(host(bytes));
    return ns + nowNs() - begin;
  },
};

const RELAY_BYTES = 4096;
/** A cache line each: what was asked for, what is done, and whether the client sleeps. */
const [ASKED, DONE, ASLEEP] = [0, 64, 128] as const;
/** A client that went away is not waited for longer. */
const RELAY_PATIENCE_NS = 10e9;
const BYTE = new Uint8Array(1);

/** Other processes ask for work with a word of a shared page. */
class Relay {
  readonly #page: Uint8Array;
  readonly #bell: number;

  constructor(path: string) {
    const file = openSync(path, "r+");
    this.#page = new Uint8Array(mapRegion(file, 0, RELAY_BYTES).window(0, RELAY_BYTES));
    closeSync(file);
    this.#bell = openSync(`${path}.bell`, "r+");
  }

  async serve(work: () => Promise<number>): Promise<number> {
    const page = this.#page;
    const done = loadAcquire32(page, DONE);
    const begin = nowNs();
    while (loadAcquire32(page, ASKED) === done)
      if (nowNs() - begin > RELAY_PATIENCE_NS) throw new Error("the client asks for nothing");
    const ns = await work();
    storeRelease32(page, DONE, done + 1);
    if (exchange32(page, ASLEEP, 0) !== 0) writeSync(this.#bell, BYTE);
    return ns;
  }
}

const relayPath = process.argv[2];
const relay = relayPath === undefined ? null : new Relay(relayPath);

process.stdout.write(`${JSON.stringify({ ready: true, adapter: info.adapter })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, name = "", way = "await", n = "1", given = "0", depth = "1"] = line
    .trim()
    .split(/\s+/);
  const work: Work | undefined = name === "program" ? (by) => runProgram(by, given) : works[name];
  const known = verb === "run" || (verb === "relay" && relay !== null);
  if (!known || work === undefined || !["await", "tick", "poller"].includes(way)) {
    process.stdout.write(`${JSON.stringify({ error: `can't do "${line}"` })}\n`);
    continue;
  }
  choose(way as Way);
  const samples: number[] = [];
  for (let i = 0; i < Number(n); i++) {
    const once = (): Promise<number> => work(way as Way, Number(given), Number(depth));
    const ns = verb === "relay" && relay !== null ? relay.serve(once) : once();
    samples.push(Math.round(await ns));
    await turn();
  }
  choose("await");
  const sum = name === "program" ? await programs.get(given)?.sum() : 0;
  process.stdout.write(`${JSON.stringify({ samples, sum })}\n`);
}
process.exit(0);
