// SPDX-License-Identifier: Apache-2.0
/**
 * Instructions at which threads of a warp or a block meet. A thread that reaches one waits; when all
 * that it names are there (threads that have ended do not count), they are done together.
 */
import { popcount } from "./integers.js";
import type { Thread } from "./machine.js";
import type { Get, Operands } from "./operands.js";

export interface Meeting {
  /** Who meets: the lanes of a mask, whatever lanes happen to be here, or a barrier of the block. */
  readonly among: "mask" | "present" | "block";
  /** The mask, or the barrier's number. */
  readonly key: Get<number>;
  /** Threads that a barrier waits for; 0 for all. */
  readonly count: Get<number>;
  /** bar.arrive goes on at once. */
  readonly passes: boolean;
  /** Two instructions with the same name may meet. */
  readonly name: string;
  readonly run: (threads: readonly Thread[]) => void;
}

const ALL = (): number => 0xffff_ffff;
const NONE = (): number => 0;

function bySource(op: string, lane: number, b: number, c: number): [number, boolean] {
  const segment = (c >> 8) & 31;
  const clamp = c & 31;
  const high = (lane & segment) | (clamp & ~segment);
  const low = lane & segment;
  switch (op) {
    case "up": {
      const from = lane - b;
      return from >= high ? [from, true] : [lane, false];
    }
    case "down": {
      const from = lane + b;
      return from <= high ? [from, true] : [lane, false];
    }
    case "bfly": {
      const from = lane ^ b;
      return from <= high ? [from, true] : [lane, false];
    }
    default: {
      const from = low | (b & ~segment);
      return from <= high ? [from, true] : [lane, false];
    }
  }
}

function shuffle(o: Operands): Meeting {
  const kind = o.at.mods.find((m) => /^(up|down|bfly|idx)$/.test(m)) ?? "idx";
  const [into = "", flag = "_"] = o
    .text(0)
    .split("|")
    .map((t) => t.trim());
  const [value, lane, control] = [o.u32(o.text(1)), o.u32(o.text(2)), o.u32(o.text(3))];
  const [set, setFlag] = [o.setInt("u32", into), o.setPred(flag)];
  return {
    among: "mask",
    key: o.u32(o.text(4)),
    count: NONE,
    passes: false,
    name: o.at.text,
    run: (threads) => {
      const values = new Map(threads.map((t) => [t.lane, value(t.frame)]));
      for (const t of threads) {
        const [from, inside] = bySource(kind, t.lane, lane(t.frame) & 31, control(t.frame));
        // A lane that takes no part has no defined value; GPUs give 0.
        set(t.frame, values.get(from) ?? 0);
        setFlag(t.frame, inside);
      }
    },
  };
}

function vote(o: Operands): Meeting {
  const { mods } = o.at;
  const kind = mods.find((m) => /^(all|any|uni|ballot)$/.test(m)) ?? "all";
  const value = o.pred(o.text(1));
  const set = o.setInt("u32", o.text(0));
  return {
    among: "mask",
    key: o.u32(o.text(2)),
    count: NONE,
    passes: false,
    name: `vote.${kind}`,
    run: (threads) => {
      const ballot = threads.reduce((sum, t) => sum | (value(t.frame) ? 1 << t.lane : 0), 0);
      const yes = popcount(ballot);
      const results: Record<string, number> = {
        all: yes === threads.length ? 1 : 0,
        any: yes > 0 ? 1 : 0,
        uni: yes === 0 || yes === threads.length ? 1 : 0,
        ballot: ballot >>> 0,
      };
      for (const t of threads) set(t.frame, results[kind] ?? 0);
    },
  };
}

function match(o: Operands): Meeting {
  const all = o.at.mods.includes("all");
  const wide = o.at.mods.includes("b64");
  const narrow = o.u32(o.text(1));
  const value: Get<bigint> = wide ? o.u64(o.text(1)) : (b) => BigInt(narrow(b));
  const [into = "", flag = "_"] = o
    .text(0)
    .split("|")
    .map((t) => t.trim());
  const [set, setFlag] = [o.setInt("u32", into), o.setPred(flag)];
  return {
    among: "mask",
    key: o.u32(o.text(2)),
    count: NONE,
    passes: false,
    name: "match",
    run: (threads) => {
      const values = threads.map((t) => ({ lane: t.lane, value: value(t.frame) }));
      threads.forEach((t, i) => {
        const same = values.filter((v) => v.value === values[i]?.value);
        const mask = same.reduce((sum, v) => sum | (1 << v.lane), 0) >>> 0;
        if (!all) {
          set(t.frame, mask);
          return;
        }
        set(t.frame, same.length === threads.length ? mask : 0);
        setFlag(t.frame, same.length === threads.length);
      });
    },
  };
}

function reduce(o: Operands): Meeting {
  const { mods } = o.at;
  const kind = mods.find((m) => /^(add|min|max|and|or|xor)$/.test(m)) ?? "add";
  const type = mods[mods.length - 1] ?? "u32";
  const value = o.int(type, o.text(1));
  const set = o.setInt(type, o.text(0));
  const combine = (a: number, b: number): number => {
    switch (kind) {
      case "add":
        return (a + b) | 0;
      case "min":
        return Math.min(a, b);
      case "max":
        return Math.max(a, b);
      case "and":
        return a & b;
      case "or":
        return a | b;
      default:
        return a ^ b;
    }
  };
  return {
    among: "mask",
    key: o.u32(o.text(2)),
    count: NONE,
    passes: false,
    name: `redux.${kind}`,
    run: (threads) => {
      const result = threads.map((t) => value(t.frame)).reduce(combine);
      for (const t of threads) set(t.frame, result);
    },
  };
}

/** Lanes that happen to be here: those that wait when no lane of the warp can go on. */
function activeMask(o: Operands): Meeting {
  const set = o.setInt("u32", o.text(0));
  return {
    among: "present",
    key: ALL,
    count: NONE,
    passes: false,
    name: "activemask",
    run: (threads) => {
      const mask = threads.reduce((sum, t) => sum | (1 << t.lane), 0) >>> 0;
      for (const t of threads) set(t.frame, mask);
    },
  };
}

function elect(o: Operands): Meeting {
  const [into = "_", flag = "_"] = o
    .text(0)
    .split("|")
    .map((t) => t.trim());
  const [set, setFlag] = [o.setInt("u32", into), o.setPred(flag)];
  return {
    among: "mask",
    key: o.u32(o.text(1)),
    count: NONE,
    passes: false,
    name: "elect",
    run: (threads) => {
      const leader = Math.min(...threads.map((t) => t.lane));
      for (const t of threads) {
        set(t.frame, leader);
        setFlag(t.frame, t.lane === leader);
      }
    },
  };
}

function barrier(o: Operands): Meeting {
  const { mods, operands } = o.at;
  if (mods.includes("warp")) {
    return {
      among: "mask",
      key: operands[0] === undefined ? ALL : o.u32(o.text(0)),
      count: NONE,
      passes: false,
      name: "bar.warp.sync",
      run: () => {},
    };
  }
  const reduction = mods.includes("red");
  const first = reduction ? 1 : 0;
  const number = operands[first];
  const counted = operands.length > (reduction ? 3 : 1) ? operands[first + 1] : undefined;
  const key: Get<number> = number === undefined ? NONE : o.u32(number);
  const count: Get<number> = counted === undefined ? NONE : o.u32(counted);
  const meeting: Meeting = {
    among: "block",
    key,
    count,
    passes: mods.includes("arrive"),
    name: "bar",
    run: () => {},
  };
  if (!reduction) return meeting;
  const value = o.pred(operands[operands.length - 1] ?? "");
  const kind = mods.find((m) => /^(popc|and|or)$/.test(m)) ?? "popc";
  const set = o.setInt("u32", o.text(0));
  const run = (threads: readonly Thread[]): void => {
    const yes = threads.filter((t) => value(t.frame)).length;
    const result = kind === "popc" ? yes : kind === "and" ? yes === threads.length : yes > 0;
    for (const t of threads) set(t.frame, Number(result));
  };
  return { ...meeting, run };
}

export function meetingOf(o: Operands): Meeting | null {
  switch (o.at.op) {
    case "shfl":
      return shuffle(o);
    case "vote":
      return vote(o);
    case "match":
      return match(o);
    case "redux":
      return reduce(o);
    case "activemask":
      return activeMask(o);
    case "elect":
      return elect(o);
    case "bar":
    case "barrier":
      return barrier(o);
    default:
      return null;
  }
}
