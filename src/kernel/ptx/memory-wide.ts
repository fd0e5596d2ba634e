// SPDX-License-Identifier: Apache-2.0
/**
 * 64-bit atomics. WGSL has none, so each takes a lock first: one of a table in a hidden global
 * variable for global memory, one of the workgroup for shared memory. The lock is taken and given
 * back inside one branch, which works whether or not threads of a warp run in step.
 */
import { PtxError } from "./error.js";

const LOCKS = 1024;
export const LOCKS_BYTES = LOCKS * 4;
const SHARED_LOCKS = 64;

interface Operation {
  readonly next: string;
  readonly needs?: string;
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  add: { next: "add64(old, v)", needs: "add64" },
  and: { next: "old & v" },
  or: { next: "old | v" },
  xor: { next: "old ^ v" },
  exch: { next: "v" },
  minu: { next: "min_u64(old, v)", needs: "min_u64" },
  maxu: { next: "max_u64(old, v)", needs: "max_u64" },
  mins: { next: "min_s64(old, v)", needs: "min_s64" },
  maxs: { next: "max_s64(old, v)", needs: "max_s64" },
  addd: { next: "dadd(old, v)", needs: "dadd" },
  cas: { next: "select(old, v, all(old == c))" },
};

function operation(op: string): Operation {
  const found = Object.hasOwn(OPERATIONS, op) ? OPERATIONS[op] : undefined;
  if (found === undefined) throw new PtxError(`64-bit atomic ${op} is not supported`);
  return found;
}

export const wideNeeds = (op: string): string[] =>
  (operation(op).needs ?? "").split(" ").filter((name) => name !== "");

export interface Locks {
  /** Prefix of the helpers on the lock table's memory. */
  readonly prefix: string;
  /** Address of the lock at a byte offset. */
  readonly at: (offset: string) => string;
}

export function wideFunction(
  name: string,
  prefix: string,
  op: string,
  isAtomic: boolean,
  locks: Locks,
): string {
  const { next } = operation(op);
  const params = op === "cas" ? "a: u32, c: vec2u, v: vec2u" : "a: u32, v: vec2u";
  const head = `fn ${name}(${params}) -> vec2u {\n  let i = a >> 2u;`;
  if (!isAtomic) {
    return `${head}
  let old = vec2u(${prefix}[i], ${prefix}[i + 1u]);
  let n = ${next};
  ${prefix}[i] = n.x; ${prefix}[i + 1u] = n.y;
  return old;
}`;
  }
  const isShared = prefix === "sh";
  const lock = isShared
    ? `atomicCompareExchangeWeak(&wl[(a >> 3u) & ${SHARED_LOCKS - 1}u], 0u, 1u).exchanged`
    : `${locks.prefix}_cas(${locks.at(`((a >> 3u) & ${LOCKS - 1}u) * 4u`)}, 0u, 1u) == 0u`;
  const unlock = isShared
    ? `atomicStore(&wl[(a >> 3u) & ${SHARED_LOCKS - 1}u], 0u);`
    : `${locks.prefix}_st(${locks.at(`((a >> 3u) & ${LOCKS - 1}u) * 4u`)}, 0u);`;
  return `${head}
  var old = vec2u(); var done = false;
  loop {
    if (${lock}) {
      old = vec2u(atomicLoad(&${prefix}[i]), atomicLoad(&${prefix}[i + 1u]));
      let n = ${next};
      atomicStore(&${prefix}[i], n.x); atomicStore(&${prefix}[i + 1u], n.y);
      ${unlock}
      done = true;
    }
    if (done) { break; }
  }
  return old;
}`;
}

export const SHARED_LOCKS_TEXT = `var<workgroup> wl: array<atomic<u32>, ${SHARED_LOCKS}>;`;
