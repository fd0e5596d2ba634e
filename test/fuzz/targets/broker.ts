// SPDX-License-Identifier: Apache-2.0
/**
 * What a taken-over instance can say to the broker, and anybody at the control socket: JSON lines,
 * the pages of its G-VMCS, and settings.
 */
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { fromInstance } from "../../../src/broker/instance-messages.js";
import { readLines } from "../../../src/broker/lines.js";
import { controlRequest } from "../../../src/broker/messages.js";
import { parseSettings } from "../../../src/broker/settings-text.js";
import { decodeGvmcs, formatGvmcs, GVMCS, gvmcsToJson } from "../../../src/gvmcs/index.js";
import { SettingsError } from "../../../src/scheduler/settings.js";
import {
  expectThat,
  type FuzzTarget,
  InputReader,
  kindOf,
  textBytes,
  textPieces,
} from "../target.js";

/** As much of a socket as reading lines takes. */
class FakeSocket extends EventEmitter {
  destroyed = false;

  setEncoding(): void {}

  destroySoon(): void {
    this.destroyed = true;
  }
}

const utf8 = new TextDecoder();
const CHUNK = 64;

/** First byte: which end; then its lines, in chunks. */
function runLines(bytes: Uint8Array): string {
  const fake = new FakeSocket();
  const kinds = new Set<string>();
  const socket = fake as unknown as Socket;
  const invalid = (reason: string): void => {
    kinds.add(kindOf(reason.replace(/JSON: .*/su, "JSON")).slice(0, 60));
  };
  const control = ((bytes[0] ?? 0) & 1) === 1;
  if (!control)
    readLines(socket, fromInstance, { message: (message) => kinds.add(message.type), invalid });
  else
    readLines(socket, controlRequest, {
      message: (message) => {
        kinds.add(message.command);
        if (message.command === "set") kinds.add(settings(message.settings));
      },
      invalid,
    });
  const text = utf8.decode(bytes.subarray(1));
  for (let at = 0; at < text.length && !fake.destroyed; at += CHUNK)
    fake.emit("data", text.slice(at, at + CHUNK));
  return [...kinds].join("|");
}

function settings(list: readonly string[]): string {
  try {
    for (const [key, value] of Object.entries(parseSettings(list)))
      expectThat(typeof value !== "number" || Number.isFinite(value), `${key} is ${value}`);
    return "set";
  } catch (error) {
    if (error instanceof SettingsError) return kindOf(error.message).slice(0, 60);
    throw error;
  }
}

const hello = {
  type: "hello",
  id: "a",
  pid: 5,
  adapter: "none",
  vendorId: 1,
  executor: "null",
} as const;
const set = {
  command: "set",
  id: "a",
  settings: ["weight=4", "slice=2ms", "min=30%", "max=0.5", "memory=512M", "watchdog=2s"],
} as const;

function lineSeeds(): Uint8Array[] {
  const line = (end: number, ...messages: readonly object[]): Uint8Array => {
    const text = messages.map((each) => `${JSON.stringify(each)}\n`).join("");
    return Uint8Array.of(end, ...textBytes(text));
  };
  const status = { type: "status", sequence: 1, status: { contexts: [], nested: { deep: [1] } } };
  return [
    line(0, hello, { type: "pong" }, status),
    line(1, { command: "status" }, { command: "gvmcs", id: "a" }, { command: "reset", id: "a" }),
    line(1, set, { ...set, settings: ["policy=equal"] }),
  ];
}

export const linesTarget: FuzzTarget = {
  name: "broker-lines",
  parses: "JSON lines and settings at the broker",
  bytesMax: 8192,
  cpuLimitMs: 2000,
  seeds: lineSeeds,
  dictionary: () =>
    '"type" "command" "status" [ ] { } , : \\u0000 \\ud800 1e999 -0 null "__proto__" \n ='
      .split(" ")
      .map(textBytes),
  pieces: textPieces,
  run: runLines,
};

const pages = new Uint8Array(2 * GVMCS.PAGE_BYTES);
const view = new DataView(pages.buffer);

/** The two pages, sparse: an offset u16 and 8 bytes for each change of a page of zeros. */
function runGvmcs(bytes: Uint8Array): string {
  pages.fill(0);
  const reader = new InputReader(bytes);
  while (!reader.done) view.setBigUint64(reader.u16() % (pages.length - 7), reader.u64(), true);
  const controls = pages.subarray(0, GVMCS.PAGE_BYTES);
  const areas = decodeGvmcs(controls, pages.subarray(GVMCS.PAGE_BYTES));
  const text = formatGvmcs(areas);
  JSON.stringify(gvmcsToJson(areas));
  const rows = areas.reduce((sum, each) => sum + (each.table?.rows.length ?? 0), 0);
  expectThat(rows < 1000, `a table has ${rows} rows`);
  return kindOf(
    [...text.matchAll(/\[[^\]]*\]|invalid|unknown/gu)].map((each) => each[0]).join(),
  ).concat(areas.map((each) => (each.torn ? "t" : "-")).join(""), `${rows}`);
}

export const gvmcsTarget: FuzzTarget = {
  name: "gvmcs",
  parses: "the pages of a G-VMCS",
  bytesMax: 2048,
  cpuLimitMs: 2000,
  seeds: () =>
    [0, 64, 512, 1024, 4096, 4160, 5120].map((at) => {
      const bytes = new Uint8Array(20);
      new DataView(bytes.buffer).setUint16(0, at, true);
      bytes[2] = 1;
      return bytes;
    }),
  run: runGvmcs,
};
