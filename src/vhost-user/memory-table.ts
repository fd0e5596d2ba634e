// SPDX-License-Identifier: Apache-2.0
/**
 * The memory messages of the front end, on top of GuestMemory, which checks the regions and maps
 * them. A change that breaks a rule is refused as a whole and the table stays as it was. The
 * descriptors are closed in any case: a mapping does not need its descriptor any more.
 */
import { type GuestMemory, GuestMemoryError, type RegionSpec } from "../io/guest-memory.js";
import { close } from "../io/native.js";
import type { RegionMessage } from "./messages.js";

/** SET_MEM_TABLE. Returns the reason of a refusal, or null; so do the others. */
export function replaceRegions(
  memory: GuestMemory,
  regions: readonly RegionMessage[],
  fds: readonly number[],
): string | null {
  return attempt(fds, () => memory.replaceAll(regions.map((region, i) => spec(region, fds[i]))));
}

/** ADD_MEM_REG. */
export function addRegion(
  memory: GuestMemory,
  region: RegionMessage,
  fds: readonly number[],
): string | null {
  return attempt(fds, () => memory.addRegion(spec(region, fds[0])));
}

/** REM_MEM_REG: addresses and size must match; the offset does not identify a region. */
export function removeRegion(
  memory: GuestMemory,
  region: RegionMessage,
  fds: readonly number[],
): string | null {
  let found = false;
  const problem = attempt(fds, () => {
    found = memory.removeRegion(region);
  });
  if (problem !== null || found) return problem;
  return (
    `no region of ${region.bytes} bytes is at guest address ${region.guestAddress} ` +
    `and user address ${region.userAddress}`
  );
}

function spec(region: RegionMessage, fd: number | undefined): RegionSpec {
  if (fd === undefined) throw new Error("a memory region has no descriptor");
  return { ...region, fd };
}

function attempt(fds: readonly number[], change: () => void): string | null {
  try {
    change();
    return null;
  } catch (error) {
    if (error instanceof GuestMemoryError) return error.message;
    throw error;
  } finally {
    for (const fd of fds) close(fd);
  }
}
