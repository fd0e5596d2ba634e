// SPDX-License-Identifier: Apache-2.0
/**
 * Runs cases one after the other, since a back end has one front end at a time. A case that fails,
 * throws or takes too long never keeps the others from running; a back end that is gone does.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { nowNs } from "../../io/native.js";
import { Capability } from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import { Device } from "../driver/device.js";
import { Feature, FrontEnd, Protocol } from "../driver/front-end.js";
import { Vhost } from "../driver/wire.js";
import { Skip } from "./check.js";
import { type Environment, TestContext } from "./context.js";
import type { Case, Need } from "./registry.js";

export type Outcome = "passed" | "failed" | "skipped";

export interface Result {
  readonly id: string;
  readonly description: string;
  readonly statements: readonly number[];
  readonly source: string;
  readonly outcome: Outcome;
  /** Why it failed or was skipped; "" for one that passed. */
  readonly reason: string;
  readonly milliseconds: number;
}

export interface RunOptions {
  readonly path: string;
  readonly pid: number | null;
  readonly executor: "null" | "full" | "detect";
  readonly timeoutMs: number;
  readonly report?: (result: Result) => void;
}

const FEATURE_NEEDS: readonly (readonly [Need, bigint])[] = [
  ["indirect", Feature.indirect],
  ["event-idx", Feature.eventIndex],
  ["packed", Feature.packed],
  ["in-order", Feature.inOrder],
  ["protocol-features", Feature.protocol],
];

const PROTOCOL_NEEDS: readonly (readonly [Need, bigint])[] = [
  ["multi-queue", Protocol.multiQueue],
  ["reply-ack", Protocol.replyAck],
  ["backend-req", Protocol.backendRequests],
  ["config", Protocol.config],
  ["mem-slots", Protocol.memorySlots],
  ["reset-device", Protocol.resetDevice],
  ["inflight", Protocol.inflight],
  ["log", Protocol.log],
];

/** Finds out what the back end offers. Throws if it can't even be initialised. */
export async function explore(options: RunOptions): Promise<Environment> {
  const frontEnd = new FrontEnd(options.path);
  try {
    await within(frontEnd.start(), options.timeoutMs, "the back end does not negotiate");
    const features = await frontEnd.get64(Vhost.GET_FEATURES);
    const protocol = frontEnd.has(Feature.protocol)
      ? await frontEnd.get64(Vhost.GET_PROTOCOL_FEATURES)
      : 0n;
    const device = new Device(frontEnd);
    await device.init();
    const limits = await device.capabilities();
    const unmet = new Map<Need, string>();
    for (const [need, bit] of FEATURE_NEEDS)
      if ((features & bit) === 0n) unmet.set(need, `not offered: ${need}`);
    for (const [need, bit] of PROTOCOL_NEEDS)
      if ((protocol & bit) === 0n) unmet.set(need, `not offered: ${need}`);
    const ptx = (limits.capabilities & Capability.PTX) !== 0n;
    if (!ptx) unmet.set("ptx", "not offered: ptx");
    const results =
      options.executor === "full" ||
      (options.executor === "detect" && (await probe(device, options.timeoutMs)));
    if (!results) unmet.set("results", "the executor computes nothing");
    if (options.pid === null) unmet.set("pid", "the back end's process is not known (--pid)");
    const { path, pid } = options;
    return { path, features, protocol, limits, results, ptx, pid, unmet };
  } finally {
    frontEnd.close();
  }
}

const PROBE = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(1) fn main() { data[0] = data[0] * 3u + 1u; }`;

/** Whether a kernel computes: 7 · 3 + 1. */
async function probe(device: Device, timeoutMs: number): Promise<boolean> {
  const context = await device.createContext();
  const pointer = await context.alloc(256);
  const commands = new Commands()
    .moduleLoad(1, PROBE)
    .functionCreate(1, 1, "main")
    .fill(pointer, 256, 7, 4)
    .launch({ function: 1, args: [pointer] });
  const fence = await context.queue(0, commands);
  const status = await within(context.wait(0, fence), timeoutMs, "the probe kernel does not end");
  if (status !== "OK") throw new Error(`the probe kernel ends with ${status}`);
  const data = await context.read(pointer, 4);
  return data[0] === 22;
}

/** Runs the cases; results in their order. */
export async function run(
  cases: readonly Case[],
  environment: Environment,
  options: RunOptions,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const one of cases) {
    const result = await runCase(one, environment, options);
    results.push(result);
    options.report?.(result);
  }
  return results;
}

async function runCase(one: Case, environment: Environment, options: RunOptions): Promise<Result> {
  const { id, description, statements, source } = one;
  const began = nowNs();
  const result = (outcome: Outcome, reason: string): Result => ({
    id,
    description,
    statements,
    source,
    outcome,
    reason,
    milliseconds: Math.round((nowNs() - began) / 1e4) / 100,
  });
  for (const need of one.needs) {
    const reason = environment.unmet.get(need);
    if (reason !== undefined) return result("skipped", reason);
  }
  const test = new TestContext(environment);
  const work = one.run(test);
  try {
    await within(work, options.timeoutMs, "it does not end");
    return result("passed", "");
  } catch (error) {
    if (error instanceof Skip) return result("skipped", error.message);
    return result("failed", reasonOf(error));
  } finally {
    test.close();
    // What still waits notices that the connection is closed.
    work.catch(() => {});
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "Violation" || error.name === "TimeoutError") return error.message;
  const at = error.stack?.split("\n")[1]?.trim() ?? "";
  return `${error.name}: ${error.message} ${at}`;
}

class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

async function within<T>(work: Promise<T>, milliseconds: number, what: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(milliseconds, null, { signal: timer.signal, ref: true }).then(
    () => {
      throw new TimeoutError(`${what} within ${milliseconds} ms`);
    },
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
