// SPDX-License-Identifier: Apache-2.0
/**
 * The thread that watches a fuzzer: if one input takes too much CPU time, it writes the input and
 * kills the process, which can't do so itself. CPU time and not the clock's, since machines are busy.
 */
import { writeFileSync, writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

const { shared, file, target, cpuLimitMs } = workerData;
const words = new Int32Array(shared, 0, 4);
/** Without CPU time, an input waits for what never comes. */
const WAIT_LIMIT_MS = 120_000;
const STOPPED_MS = 5_000;

let last = -1;
let cpu = process.cpuUsage();
let since = Date.now();
let tick = since;
setInterval(() => {
  const now = Date.now();
  // The whole process was stopped meanwhile.
  if (now - tick > STOPPED_MS) since += now - tick;
  tick = now;
  const count = Atomics.load(words, 0);
  if (count !== last) {
    last = count;
    cpu = process.cpuUsage();
    since = now;
    return;
  }
  const { user, system } = process.cpuUsage(cpu);
  const spent = (user + system) / 1000;
  if (count === 0 || (spent < cpuLimitMs && now - since < WAIT_LIMIT_MS)) return;
  writeFileSync(file, new Uint8Array(shared, 16, words[1]).slice());
  writeSync(
    2,
    `${target}: an input hangs, ${Math.round(spent)} ms of CPU so far\n` +
      `  npm run fuzz -- --target ${target} --input ${file}\n`,
  );
  process.kill(process.pid, "SIGKILL");
}, 200);
parentPort?.postMessage("ready");
