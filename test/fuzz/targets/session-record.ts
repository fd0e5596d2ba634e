// SPDX-License-Identifier: Apache-2.0
/**
 * Whole vhost-user sessions as inputs, and recordings of real ones: what the mock driver sends, the
 * descriptors that it sends along, what it writes into guest memory, and its kicks.
 *
 *   step:  kind u8 (send, poke, kick)
 *   send:  descriptors u8, a kind u8 for each, length u16, that many bytes of the stream
 *   poke:  address u32 (modulo the memory), length u16, bytes
 *   kick:  queue u8
 */
import { EchoDevice } from "../../support/echo-device.js";
import { type InProcessOptions, MockDriver, VU } from "../../support/mock-driver.js";
import { concat, u32s } from "../../support/mock-frontend.js";

export const MEMORY_BYTES = 64 * 1024;
export const QUEUES = 3;
export const StepKind = { send: 0, poke: 1, kick: 2 } as const;
export const STEP_KINDS = 3;
/** Kinds of descriptors: guest memory, the kick of each queue, an interrupt, and odd ones. */
export const FdKind = { memory: 0, kick: 1, call: 4, shortFile: 5, device: 6, socket: 7 } as const;
export const FD_KINDS = 8;
const PIECE_MAX = 4096;

export function sendStep(bytes: Uint8Array, fdKinds: readonly number[]): Uint8Array {
  const head = Uint8Array.of(StepKind.send, fdKinds.length, ...fdKinds);
  return concat(head, Uint8Array.of(bytes.length & 0xff, bytes.length >> 8), bytes);
}

export const kickStep = (queue: number): Uint8Array => Uint8Array.of(StepKind.kick, queue);

function pokeStep(address: number, bytes: Uint8Array): Uint8Array {
  const length = Uint8Array.of(bytes.length & 0xff, bytes.length >> 8);
  return concat(Uint8Array.of(StepKind.poke), u32s(address), length, bytes);
}

/** Runs of bytes that differ, cut where 16 equal ones follow. */
function* changes(before: Uint8Array, after: Uint8Array): Generator<[at: number, end: number]> {
  for (let at = 0; at < after.length; at++) {
    if (before[at] === after[at]) continue;
    let end = at + 1;
    for (let i = end; i < after.length && i < end + 16 && i < at + PIECE_MAX; i++)
      if (before[i] !== after[i]) end = i + 1;
    yield [at, end];
    at = end;
  }
}

class Recorder {
  readonly steps: Uint8Array[] = [];
  #memory = new Uint8Array(MEMORY_BYTES);

  constructor(readonly driver: MockDriver) {
    const { frontend } = driver;
    const send = frontend.sendBytes.bind(frontend);
    frontend.sendBytes = (bytes, fds = []) => {
      this.#noteMemory();
      this.steps.push(
        sendStep(
          bytes,
          fds.map((fd) => this.#kindOf(fd, bytes)),
        ),
      );
      send(bytes, fds);
    };
    const kick = driver.kick.bind(driver);
    driver.kick = (index, force) => {
      kick(index, force);
      this.#noteMemory();
      this.steps.push(kickStep(index));
    };
  }

  /** What a descriptor is follows from the message that it comes with. */
  #kindOf(fd: number, message: Uint8Array): number {
    if (this.driver.memory.regions.some((region) => region.fd === fd)) return FdKind.memory;
    const [request = 0] = message;
    if (request === VU.SET_BACKEND_REQ_FD) return FdKind.socket;
    return request === VU.SET_VRING_KICK ? FdKind.kick + (message[12] ?? 0) : FdKind.call;
  }

  #noteMemory(): void {
    const now = this.driver.memory.read(0, MEMORY_BYTES).slice();
    for (const [at, end] of changes(this.#memory, now))
      this.steps.push(pokeStep(at, now.subarray(at, end)));
    this.#memory = now;
  }
}

async function record(options: InProcessOptions): Promise<Uint8Array> {
  const driver = MockDriver.inProcess(new EchoDevice(), {
    regions: [{ guestAddress: 0, bytes: MEMORY_BYTES }],
    queueSize: 8,
    timeoutMs: 60_000,
    ...options,
  });
  try {
    const recorder = new Recorder(driver);
    await driver.start();
    await driver.request(0, new Uint8Array(40).fill(7), 64);
    await driver.request(2, new Uint8Array(8).fill(9), 16, { indirect: true });
    if (driver.protocolFeatures !== 0n)
      await driver.frontend.query(VU.GET_CONFIG, concat(u32s(0, 32, 0), new Uint8Array(32)));
    await driver.stopQueue(0);
    await driver.stopQueue(2);
    return concat(...recorder.steps);
  } finally {
    driver.close();
  }
}

/** Split and packed rings, with and without the protocol's own features. */
export async function recordSessions(): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  const variants: InProcessOptions[] = [
    {},
    { packed: true },
    { inOrder: true, protocolFeatures: 0n },
    { features: (1n << 64n) - 1n - (1n << 30n) },
  ];
  for (const each of variants) all.push(await record(each));
  return all;
}
