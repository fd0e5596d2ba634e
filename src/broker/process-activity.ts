// SPDX-License-Identifier: Apache-2.0
/**
 * What a process is doing, as the kernel tells it: whether it is stopped, asleep, or waits for a
 * core that others use. By this a process that hangs is told from one that is only slow.
 *
 *   /proc/PID/task/TID/stat       state of a thread: field 3, after the name in parentheses
 *   /proc/PID/task/TID/schedstat  ns on a core, ns waited for one, number of times; the wait is
 *                                 added when it is over, so that the state has to be looked at too
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Activity {
  /** Every thread is stopped by a signal. A process under a debugger is not. */
  readonly stopped: boolean;
  /** No thread runs, waits for a core or for a disk. */
  readonly asleep: boolean;
  /** Time that the first thread, which runs JavaScript, was on a core, ns. */
  readonly mainNs: number;
  /** Time that all threads were on a core or waited for one, ns. */
  readonly allNs: number;
}

/** Null if there is no such process, or if this kernel does not tell. */
export function readActivity(pid: number, proc = "/proc"): Activity | null {
  const tasks = join(proc, String(pid), "task");
  let stopped = true;
  let asleep = true;
  let mainNs = 0;
  let allNs = 0;
  try {
    for (const tid of readdirSync(tasks)) {
      const stat = readFileSync(join(tasks, tid, "stat"), "utf8");
      // The name may hold anything, a parenthesis too.
      const state = stat.charAt(stat.lastIndexOf(")") + 2);
      const [runNs = Number.NaN, waitNs = Number.NaN] = readFileSync(
        join(tasks, tid, "schedstat"),
        "utf8",
      )
        .split(" ")
        .map(Number);
      stopped &&= state === "T";
      asleep &&= state === "S" || state === "T" || state === "I";
      allNs += runNs + waitNs;
      if (tid === String(pid)) mainNs = runNs;
    }
  } catch {
    // A thread has ended meanwhile, or the process has: the next look is as good.
    return null;
  }
  return Number.isFinite(allNs) && allNs > 0 ? { stopped, asleep, mainNs, allNs } : null;
}
