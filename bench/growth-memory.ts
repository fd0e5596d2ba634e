// SPDX-License-Identifier: Apache-2.0
/**
 * How a copy's time grows with the guest's memory, over which its pages are scattered as a guest's
 * kernel does it, and with the number of ranges that they come in. The front end is that of
 * vgpu-conformance: libvgpu's own memory lies in one piece. The guest's memory is a sparse file, of
 * which only the pages of the copy exist.
 */
import { median } from "simple-statistics";
import { Commands } from "../src/conformance/driver/commands.js";
import { type Context, Device, succeeded } from "../src/conformance/driver/device.js";
import { FrontEnd } from "../src/conformance/driver/front-end.js";
import { Vhost, words } from "../src/conformance/driver/wire.js";
import { close, memfdCreate } from "../src/io/native.js";

const PAGE = 4096;
const COPY_BYTES = 16 << 20;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
export const MEMORIES = [256 * MIB, 512 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB, 16 * GIB];
export const RANGES = [1, 4, 16, 64, 256, 1024, 4096];
/** Of the plot of ranges. */
const RANGES_MEMORY = 4 * GIB;
/** Where it lies for the guest: above what the driver itself uses. */
const ADDRESS = 4 * GIB;
const USER_ADDRESS = 0x6000_0000_0000n;
/** The first copies find the pages, and are left out. */
const WARM = 3;

export interface MemoryPoint {
  readonly memoryBytes: number;
  readonly ranges: number;
  readonly h2dUs: number;
  readonly d2hUs: number;
}

async function finished(context: Context, fence: bigint): Promise<void> {
  while (context.done(0) < fence) await new Promise((resolve) => setImmediate(resolve));
  const status = await context.wait(0, fence);
  if (status !== "OK") throw new Error(`a copy ends with ${status}`);
}

async function timed(context: Context, commands: () => Commands, n: number): Promise<number> {
  const took: number[] = [];
  for (let i = 0; i < n + WARM; i++) {
    const began = performance.now();
    await finished(context, await context.queue(0, commands()));
    if (i >= WARM) took.push((performance.now() - began) * 1e3);
  }
  return median(took);
}

/** One guest of that much memory, and a registration of so many ranges that are apart. */
async function measure(
  socket: string,
  memoryBytes: number,
  ranges: number,
  n: number,
): Promise<MemoryPoint> {
  const fd = memfdCreate("guest", memoryBytes);
  const frontEnd = new FrontEnd(socket);
  try {
    await frontEnd.start();
    const fields = [BigInt(ADDRESS), BigInt(memoryBytes), USER_ADDRESS, 0n] as const;
    await frontEnd.set(Vhost.ADD_MEM_REG, words(0n, ...fields), [fd]);
    const device = new Device(frontEnd);
    await device.init();
    const context = await device.createContext();
    const pointer = await context.alloc(COPY_BYTES);
    const bytes = COPY_BYTES / ranges;
    const stride = Math.floor(memoryBytes / ranges / PAGE) * PAGE;
    // From the top down, so that no two are neighbours in the order in which they are copied.
    const entries = Array.from({ length: ranges }, (_, i) => ({
      address: ADDRESS + (ranges - 1 - i) * stride,
      bytes,
    }));
    succeeded(await context.registerRaw(1, entries), "HOSTMEM_REGISTER");
    const up = () => new Commands().copyToDevice(pointer, 1, 0, COPY_BYTES);
    const down = () => new Commands().copyFromDevice(pointer, 1, 0, COPY_BYTES);
    const h2dUs = await timed(context, up, n);
    const d2hUs = await timed(context, down, n);
    return { memoryBytes, ranges, h2dUs, d2hUs };
  } finally {
    frontEnd.wire.close();
    frontEnd.memory.free();
    close(fd);
  }
}

export async function growthMemory(
  socket: string,
  quick: boolean,
): Promise<{ memory: MemoryPoint[]; ranges: MemoryPoint[] }> {
  const n = quick ? 5 : 20;
  const memory: MemoryPoint[] = [];
  for (const bytes of MEMORIES) {
    memory.push(await measure(socket, bytes, COPY_BYTES / PAGE, n));
    process.stderr.write(`${bytes / MIB} MiB of guest memory\n`);
  }
  const ranges: MemoryPoint[] = [];
  for (const count of RANGES) ranges.push(await measure(socket, RANGES_MEMORY, count, n));
  return { memory, ranges };
}
