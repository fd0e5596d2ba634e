// SPDX-License-Identifier: Apache-2.0
/**
 * A whole vhost-user session over a socket: any bytes in any fragments, with descriptors of the right
 * and of wrong kinds, on rings in memory that the input writes too. All that came is given back.
 */
import { openSync, readdirSync, readFileSync } from "node:fs";
import {
  close,
  createPoller,
  eventfd,
  mapRegion,
  memfdCreate,
  type Poller,
  signal,
  socketpair,
} from "../../../src/io/native.js";
import { createLogger, type Logger } from "../../../src/telemetry/log.js";
import { Connection } from "../../../src/vhost-user/connection.js";
import { EchoDevice } from "../../support/echo-device.js";
import { encodeRaw, MockFrontend } from "../../support/mock-frontend.js";
import { expectThat, type FuzzTarget, InputReader, kindOf, stepPieces } from "../target.js";
import {
  FD_KINDS,
  FdKind,
  MEMORY_BYTES,
  QUEUES,
  recordSessions,
  STEP_KINDS,
  StepKind,
  sendStep,
} from "./session-record.js";

const STEPS_MAX = 400;
const FDS_MAX = 12;
const NAME = "fuzz-guest";
/** Every so many inputs what is open and mapped is counted, which takes as long as an input. */
const COUNT_EVERY = 16;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** All of them: naming each, as `openDescriptors` does, takes longer than an input. */
const descriptorCount = (): number => readdirSync("/proc/self/fd").length;

/** Ours is one. */
function mappings(): number {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return maps.split("\n").filter((line) => line.includes(NAME)).length;
}

interface Kept {
  readonly memory: number;
  readonly view: Uint8Array;
  readonly short: number;
  readonly device: number;
  readonly poller: Poller;
  readonly log: Logger;
}

let keeps: Kept | null = null;

/** Made at the first input, so that a process which only lists the targets opens nothing. */
function kept(): Kept {
  if (keeps !== null) return keeps;
  const memory = memfdCreate(NAME, MEMORY_BYTES);
  keeps = {
    memory,
    view: new Uint8Array(mapRegion(memory, 0, MEMORY_BYTES).window(0, MEMORY_BYTES)),
    short: memfdCreate(NAME, 512),
    device: openSync("/dev/null", "r+"),
    poller: createPoller(),
    log: createLogger({ name: "fuzz", level: "info", write: () => {} }),
  };
  return keeps;
}

/** The front end's side: descriptors by kind, and memory. */
class FrontEnd {
  readonly frontend: MockFrontend;
  readonly fds: number[];
  /** Those that no message can change are kept from input to input. */
  readonly #own: number[];
  readonly #memory: Uint8Array;

  constructor(socket: number) {
    this.frontend = new MockFrontend(socket);
    const { memory, view, short, device } = kept();
    this.#memory = view.fill(0);
    const [end = -1, other = -1] = socketpair();
    const events = Array.from({ length: QUEUES + 1 }, () => eventfd());
    this.#own = [...events, end, other];
    this.fds = [memory, ...events, short, device, end, other];
  }

  send(reader: InputReader): void {
    const count = reader.u8() % FDS_MAX;
    const fds: number[] = [];
    for (let i = 0; i < count; i++) fds.push(this.fds[reader.u8() % FD_KINDS] ?? -1);
    const bytes = reader.take(reader.u16());
    if (bytes.length === 0 || !this.frontend.connected) return;
    try {
      this.frontend.sendBytes(bytes, fds);
    } catch (error) {
      // The device has closed the connection, or has not read yet what fills the socket.
      const isSystem = error instanceof Error && "code" in error;
      if (!isSystem && !(error instanceof Error && error.message.includes("is full"))) throw error;
    }
  }

  poke(reader: InputReader): void {
    const at = (reader.u16() | (reader.u16() << 16)) >>> 0;
    const bytes = reader.take(reader.u16());
    const start = at % MEMORY_BYTES;
    this.#memory.set(bytes.subarray(0, MEMORY_BYTES - start), start);
  }

  kick(reader: InputReader): void {
    signal(this.fds[FdKind.kick + (reader.u8() % QUEUES)] ?? -1);
  }

  close(): void {
    this.frontend.close();
    for (const fd of this.#own) close(fd);
  }
}

/** Waits until the device has read everything, or has closed. */
async function settled(connection: Connection, device: EchoDevice): Promise<void> {
  const count = (): number => connection.counters.messages + device.processed;
  for (let idle = 0, last = count(); idle < 3 && connection.open; ) {
    await turn();
    idle = count() === last ? idle + 1 : 0;
    last = count();
  }
}

let inputs = 0;
/** Open descriptors at the last count; none of them is an input's. */
let openBefore = -1;

/** A finding names the last of the inputs since the last count: one of them left it. */
async function nothingIsLeft(): Promise<void> {
  // A poller's own is closed some turns after the poller.
  let after = descriptorCount();
  for (let turns = 0; after > openBefore && turns < 100; turns++) {
    await turn();
    after = descriptorCount();
  }
  const more = after - openBefore;
  expectThat(more <= 0, `${more} descriptors more are open than ${COUNT_EVERY} inputs before`);
  openBefore = after;
  expectThat(mappings() === 1, "a mapping is left");
}

async function play(bytes: Uint8Array): Promise<string> {
  const { poller, log } = kept();
  if (openBefore < 0) openBefore = descriptorCount();
  const [ours, theirs] = socketpair();
  const device = new EchoDevice();
  const reasons: string[] = [];
  const connection = new Connection({
    fd: theirs,
    device,
    poller,
    log,
    closed: (reason) => reasons.push(kindOf(reason)),
  });
  const front = new FrontEnd(ours);
  const reader = new InputReader(bytes);
  for (let steps = 0; steps < STEPS_MAX && !reader.done; steps++) {
    const kind = reader.u8() % STEP_KINDS;
    if (kind === StepKind.send) front.send(reader);
    else if (kind === StepKind.poke) front.poke(reader);
    else {
      await settled(connection, device);
      front.kick(reader);
    }
  }
  await settled(connection, device);
  front.close();
  for (let turns = 0; connection.open && turns < 10_000; turns++) await turn();
  expectThat(!connection.open, "the connection stays open after the front end's end");
  expectThat(reasons.length === 1, `the connection ends ${reasons.length} times`);
  expectThat(device.calls.at(-1) === "detach", "the device is not detached");
  if (++inputs % COUNT_EVERY === 0) await nothingIsLeft();
  const faults = [...new Set(device.faults.map(kindOf))].slice(0, 3);
  const done = `${Math.min(device.processed, 8)} ${connection.counters.refused > 0}`;
  return [done, [...new Set(device.calls)].join(), ...faults, ...reasons].join("|");
}

/** An error in a callback of the event loop is a finding as one of the call itself. */
async function run(bytes: Uint8Array): Promise<string> {
  let uncaught: unknown = null;
  const note = (error: unknown): void => {
    uncaught = error;
  };
  process.on("uncaughtException", note);
  try {
    const outcome = await play(bytes);
    if (uncaught !== null) throw uncaught;
    return outcome;
  } finally {
    process.off("uncaughtException", note);
  }
}

/** Each message by itself, empty, so that each id is near. */
function dictionary(): Uint8Array[] {
  return Array.from({ length: 44 }, (_, request) =>
    sendStep(encodeRaw({ request, payload: new Uint8Array(8), flags: 9 }), [request % FD_KINDS]),
  );
}

function skip(reader: InputReader): void {
  const kind = reader.u8() % STEP_KINDS;
  if (kind === StepKind.send) reader.take(reader.u8() % FDS_MAX);
  else if (kind === StepKind.poke) reader.take(4);
  else reader.u8();
  if (kind !== StepKind.kick) reader.take(reader.u16());
}

export const sessionTarget: FuzzTarget = {
  name: "vhost-session",
  parses: "whole vhost-user sessions with descriptors, memory and rings",
  bytesMax: 32768,
  cpuLimitMs: 5000,
  seeds: recordSessions,
  dictionary,
  pieces: (bytes) => stepPieces(bytes, 0, skip),
  run,
};
