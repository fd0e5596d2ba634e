// SPDX-License-Identifier: Apache-2.0
/** The golden vectors of spec/vectors: each invalid request is refused with its status. */
import { existsSync, readFileSync } from "node:fs";
import { packageRoot } from "../../io/package-root.js";
import { Request, requestShapes, VGPU } from "../../protocol/generated/wire.js";
import type { Device } from "../driver/device.js";
import { check, Skip, Violation } from "../framework/check.js";
import { group } from "../framework/registry.js";

interface Vector {
  readonly name: string;
  readonly hex: string;
  /** Of a request that is to be refused. */
  readonly status?: string;
}

/** The same distance from here in the sources and in what is built of them. */
const FOLDER = new URL("spec/vectors/", packageRoot);

function vectorsOf(file: string): Vector[] {
  const path = new URL(file, FOLDER);
  if (!existsSync(path)) throw new Skip(`${file} was not installed with this program`);
  const { vectors } = JSON.parse(readFileSync(path, "utf8")) as { vectors: Vector[] };
  return vectors;
}

/** What a well-formed request may still be refused with, for its context holds nothing. */
const OF_FORM: ReadonlySet<string> = new Set([
  "",
  "MALFORMED",
  "UNKNOWN_COMMAND",
  "RESERVED_NONZERO",
  "REQUEST_TOO_LARGE",
  "FORMAT_UNKNOWN",
]);

const vectors = group("vectors", "The golden vectors, over the rings.");

const FILES = [
  { name: "control", file: "control.json", queue: VGPU.QUEUE_CONTROL },
  { name: "submit", file: "submit.json", queue: VGPU.QUEUE_SUBMIT },
] as const;

/** Sends a vector to a device that has its context, and nothing else; the status. */
async function send(
  device: Device,
  bytes: Uint8Array,
  queue: number,
  most: number,
): Promise<string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  const context = bytes.length >= 12 ? view.getUint32(8, true) : 0;
  await device.init();
  const needed = requestShapes.has(type) && type !== Request.CONTEXT_CREATE && context < most;
  const free = device.frontEnd.memory.main.mark();
  if (needed) await device.createContext(context);
  const { status } = await device.send(bytes, { queue });
  free();
  return status;
}

vectors
  .test("invalid")
  .desc("Each request that breaks one rule is refused with the status of that rule.")
  .dev(13, 14, 15, 22, 54, 57, 58, 59)
  .params(FILES)
  .fn(async (t, { file, queue }) => {
    const device = await t.device();
    const list = vectorsOf(file).filter(({ status }) => status !== undefined);
    check(list.length > 50, "there are vectors");
    for (const { name, hex, status } of list) {
      const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
      const actual = await send(device, bytes, queue, t.limits.contexts_max);
      if (actual !== status)
        throw new Violation(`'${name}' is answered with ${actual}, not ${status}`);
    }
  });

vectors
  .test("valid")
  .desc("The controls: no well-formed request is refused for its form.")
  .params(FILES)
  .fn(async (t, { file, queue }) => {
    const device = await t.device();
    const list = vectorsOf(file).filter(({ status }) => status === undefined);
    check(list.length > 20, "there are vectors");
    for (const { name, hex } of list) {
      const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
      const actual = await send(device, bytes, queue, t.limits.contexts_max);
      if (OF_FORM.has(actual)) throw new Violation(`'${name}' is refused with ${actual}`);
    }
  });
