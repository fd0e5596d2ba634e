// SPDX-License-Identifier: Apache-2.0
/**
 * A trace of the schedule in the Chrome JSON format, which Perfetto reads: one track for each vGPU,
 * a slice for each VM entry up to its exit with the reason, one for its tail if it left one, instants
 * for bounds, hints and aborts, and counters: how many vGPUs wait for the GPU, and how many submits
 * each has queued. Written through, so that a trace of a program that was killed can be read too (the
 * format allows a missing closing bracket).
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { ArbiterEvent } from "../scheduler/index.js";

const PID = 1;

export class TraceFile {
  readonly #fd: number;
  readonly #waits = new Set<string>();
  readonly #tracks = new Map<string, { tid: number; open: boolean }>();

  /** Throws if the file can't be created. */
  constructor(path: string) {
    this.#fd = openSync(path, "w");
    writeSync(this.#fd, '[\n{"ph":"M","pid":1,"name":"process_name","args":{"name":"GPU"}}');
  }

  event(event: ArbiterEvent): void {
    const track = this.#track(event.id);
    const { tid } = track;
    const base = { pid: PID, tid, ts: event.timeNs / 1e3 };
    switch (event.kind) {
      case "entry":
        track.open = true;
        this.#write({ ...base, ph: "B", name: event.id, args: { deadline_ns: event.deadlineNs } });
        this.#waiting(event, false);
        return;
      case "exit": {
        const { gpu_time_ns: gpuTimeNs, batches, tail_ns: tailNs } = event.exit;
        const args = { reason: event.reason, gpu_time_ns: gpuTimeNs, batches };
        this.#end(track, { ...base, args });
        if (tailNs > 0) {
          track.open = true;
          this.#write({ ...base, ph: "B", name: "tail", args: { expected_ns: tailNs } });
        }
        if (event.queued !== null) this.#count(event, `${event.id} queue`, event.queued);
        this.#waiting(event, event.wants);
        return;
      }
      case "drained":
        this.#end(track, base);
        return;
      case "waiting":
      case "idle":
        this.#waiting(event, event.kind === "waiting");
        return;
      case "abort":
        this.#write({ ...base, ph: "i", s: "t", name: `abort: ${event.abort.text}` });
        return;
      case "gone":
        this.#end(track, base);
        this.#waiting(event, false);
        this.#write({ ...base, ph: "i", s: "t", name: "gone" });
        return;
      case "bound":
        this.#write({ ...base, ph: "i", s: "t", name: "bound", args: { ns: event.deadlineNs } });
        return;
      case "loaded":
      case "prepare":
        this.#write({ ...base, ph: "i", s: "t", name: event.kind });
        return;
    }
  }

  close(): void {
    writeSync(this.#fd, "\n]\n");
    closeSync(this.#fd);
  }

  #end(track: { open: boolean }, fields: object): void {
    if (track.open) {
      track.open = false;
      this.#write({ ...fields, ph: "E" });
    }
  }

  #waiting(event: ArbiterEvent, waits: boolean): void {
    const before = this.#waits.size;
    if (waits) this.#waits.add(event.id);
    else this.#waits.delete(event.id);
    if (this.#waits.size !== before) this.#count(event, "run queue", this.#waits.size);
  }

  #count(event: ArbiterEvent, name: string, value: number): void {
    this.#write({ pid: PID, ts: event.timeNs / 1e3, ph: "C", name, args: { value } });
  }

  #track(id: string): { tid: number; open: boolean } {
    let track = this.#tracks.get(id);
    if (track === undefined) {
      track = { tid: this.#tracks.size + 1, open: false };
      this.#tracks.set(id, track);
      this.#write({ ph: "M", pid: PID, tid: track.tid, name: "thread_name", args: { name: id } });
    }
    return track;
  }

  #write(event: object): void {
    writeSync(this.#fd, `,\n${JSON.stringify(event)}`);
  }
}
