// SPDX-License-Identifier: Apache-2.0
/**
 * Devices that are wrong on purpose: each breaks one rule of the real device at run time, and names
 * the conformance tests that have to notice. A suite that can't fail proves nothing.
 */
import type { Executor } from "../../src/gpu/executor.js";
import { VgpuDevice } from "../../src/instance/device.js";
import { EventQueue } from "../../src/instance/event-queue.js";
import { EventTable } from "../../src/instance/events.js";
import { HostmemTable } from "../../src/instance/hostmem.js";
import { ContextMemory } from "../../src/instance/memory.js";
import { Publisher } from "../../src/instance/publisher.js";
import { Runner } from "../../src/instance/runner.js";
import { Timeline } from "../../src/instance/timeline.js";
import { DirtyLog } from "../../src/io/dirty-log.js";
import { dup } from "../../src/io/native.js";
import { Status } from "../../src/protocol/generated/wire.js";
import { Session } from "../../src/vhost-user/session.js";
import { PackedRing } from "../../src/virtqueue/packed-ring.js";
import { SplitRing } from "../../src/virtqueue/split-ring.js";

export interface Mutant {
  readonly name: string;
  /** What is wrong with the device. */
  readonly fault: string;
  /** Ids of tests that fail because of it. */
  readonly caughtBy: readonly string[];
  readonly executor: "null" | "dawn";
  /** Changes the classes that the device is made of. */
  readonly apply?: () => void;
  /** Changes the executor. */
  readonly wrap?: (executor: Executor) => void;
}

/** Replaces a method; `make` gets the one that was there. */
function replace<T extends object, K extends keyof T>(
  type: { readonly prototype: T },
  name: K,
  make: (original: T[K]) => T[K],
): void {
  const original = type.prototype[name];
  Object.defineProperty(type.prototype, name, { value: make(original), configurable: true });
}

/** Wraps each batch that an executor begins. */
function batches(executor: Executor, change: (batch: ReturnType<Executor["begin"]>) => void): void {
  const begin = executor.begin.bind(executor);
  executor.begin = (label) => {
    const batch = begin(label);
    change(batch);
    return batch;
  };
}

const session: readonly Mutant[] = [
  {
    name: "features-unchecked",
    fault: "SET_FEATURES takes bits that were not offered",
    caughtBy: ["session/features/unknown-bit:bit-63"],
    executor: "null",
    apply: () =>
      replace(
        Session,
        "handle",
        (original) =>
          function (this: Session, request, fds) {
            const outcome = original.call(this, request, fds);
            return request.kind === "set-features" ? { kind: "done" } : outcome;
          },
      ),
  },
  {
    name: "descriptor-leak",
    fault: "a call descriptor is kept when another replaces it",
    caughtBy: ["session/descriptors/leak/connection:replaced"],
    executor: "null",
    apply: () =>
      replace(
        Session,
        "handle",
        (original) =>
          function (this: Session, request, fds) {
            if (request.kind === "vring-call" && fds[0] !== undefined) dup(fds[0]);
            return original.call(this, request, fds);
          },
      ),
  },
  {
    name: "disabled-ring-runs",
    fault: "SET_VRING_ENABLE with 0 is acknowledged and ignored",
    caughtBy: ["session/ring/run/disabled"],
    executor: "null",
    apply: () =>
      replace(
        Session,
        "handle",
        (original) =>
          function (this: Session, request, fds) {
            if (request.kind === "vring-enable" && request.value === 0) return { kind: "done" };
            return original.call(this, request, fds);
          },
      ),
  },
  {
    name: "used-length",
    fault: "the used length is one too many",
    caughtBy: ["ring/chain/used-length:split"],
    executor: "null",
    apply: () =>
      replace(
        SplitRing,
        "push",
        (original) =>
          function (this: SplitRing, chain, written) {
            original.call(this, chain, Math.min(written + 1, chain.writableBytes));
          },
      ),
  },
  {
    name: "used-length-packed",
    fault: "the used length of packed rings is one too many",
    caughtBy: ["ring/chain/used-length:packed"],
    executor: "null",
    apply: () =>
      replace(
        PackedRing,
        "push",
        (original) =>
          function (this: PackedRing, chain, written) {
            original.call(this, chain, Math.min(written + 1, chain.writableBytes));
          },
      ),
  },
  {
    name: "log-first-page",
    fault: "of what is written, only the first page is marked in the dirty log",
    caughtBy: ["session/log/copies"],
    executor: "null",
    apply: () =>
      replace(
        DirtyLog,
        "mark",
        (original) =>
          function (this: DirtyLog, address, bytes) {
            original.call(this, address, Math.min(bytes, 1));
          },
      ),
  },
];

const device: readonly Mutant[] = [
  {
    name: "magic",
    fault: "config space has another magic number",
    caughtBy: ["device/config/magic"],
    executor: "null",
    apply: () =>
      replace(
        VgpuDevice,
        "readConfig",
        (original) =>
          function (this: VgpuDevice, offset, into) {
            original.call(this, offset, into);
            if (offset === 0 && into.length > 0) into[0] = 0;
          },
      ),
  },
  {
    name: "session-forgotten",
    fault: "INIT with the same session number drops the contexts",
    caughtBy: ["device/init/same-session"],
    executor: "null",
    apply: () =>
      replace(
        VgpuDevice,
        "beginSession",
        (original) =>
          function (this: VgpuDevice, number) {
            this.reset();
            original.call(this, number);
          },
      ),
  },
  {
    name: "reset-keeps",
    fault: "RESET_DEVICE keeps the contexts",
    caughtBy: ["device/init/after-reset"],
    executor: "null",
    apply: () => replace(VgpuDevice, "reset", () => () => {}),
  },
  {
    name: "contexts-not-isolated",
    fault: "a pointer of any context is one of every context",
    caughtBy: ["memory/content/isolated"],
    executor: "null",
    apply: () => {
      const all = new Set<ContextMemory>();
      replace(
        ContextMemory,
        "allocate",
        (original) =>
          function (this: ContextMemory, bytes) {
            all.add(this);
            return original.call(this, bytes);
          },
      );
      replace(
        ContextMemory,
        "resolve",
        (original) =>
          function (this: ContextMemory, segment, offset, bytes) {
            for (const memory of [this, ...all]) {
              const found = original.call(memory, segment, offset, bytes);
              if (found !== null) return found;
            }
            return null;
          },
      );
    },
  },
  {
    name: "unregister-ignored",
    fault: "a registration lives on after HOSTMEM_UNREGISTER was answered",
    caughtBy: ["hostmem/unregister/queued-copy"],
    executor: "null",
    apply: () => replace(HostmemTable, "unregister", () => () => null),
  },
  {
    name: "waits-ignored",
    fault: "EVENT_WAIT does not wait",
    caughtBy: ["stream/event/wait-first", "stream/event/held-record"],
    executor: "null",
    apply: () => replace(EventTable, "wait", () => () => true),
  },
];

const timeline: readonly Mutant[] = [
  {
    name: "status-after-fence",
    fault: "the status of a slot is written after its fence",
    caughtBy: ["timeline/fence/status-first"],
    executor: "null",
    apply: () =>
      replace(
        Timeline,
        "writeSlot",
        (original) =>
          function (this: Timeline, slot) {
            original.call(this, { ...slot, doneStatus: Status.OK });
            setTimeout(() => original.call(this, slot), 5);
          },
      ),
  },
  {
    name: "no-wake-up",
    fault: "armed fences send no event",
    caughtBy: ["timeline/arm/reached"],
    executor: "null",
    apply: () => replace(EventQueue, "fence", () => () => {}),
  },
  {
    name: "told-unasked",
    fault: "who arms a fence is told before it completes, asked for or not",
    caughtBy: ["timeline/arm/ahead"],
    executor: "null",
    apply: () => replace(Timeline, "aheadNs", () => () => 1e9),
  },
  {
    name: "arming-ignored",
    fault: "every fence sends an event, armed or not",
    caughtBy: ["timeline/arm/limits", "timeline/arm/not-armed"],
    executor: "null",
    apply: () => replace(Timeline, "isArmed", () => () => true),
  },
  {
    name: "writes-while-suspended",
    fault: "results are shown while all queues are stopped",
    caughtBy: ["lifecycle/suspend/quiet:copies"],
    executor: "dawn",
    apply: () => {
      replace(
        Publisher,
        "setSuspended",
        (original) =>
          function (this: Publisher) {
            original.call(this, false);
          },
      );
    },
  },
  {
    name: "last-error-is-kept",
    fault: "a later error of a context replaces the first",
    caughtBy: ["error/sticky/first-is-kept"],
    executor: "null",
    apply: () =>
      replace(
        Runner,
        "failContext",
        (original) =>
          function (this: Runner, context, why, where) {
            context.error = null;
            original.call(this, context, why, where);
          },
      ),
  },
];

const memory: readonly Mutant[] = [
  {
    name: "fill-too-long",
    fault: "FILL writes one byte more",
    caughtBy: ["command/bytes/fill:1-1-1"],
    executor: "dawn",
    wrap: (executor) =>
      batches(executor, (batch) => {
        const fill = batch.fill.bind(batch);
        batch.fill = (target, offset, bytes, value, width) =>
          fill(target, offset, width === 1 ? bytes + 1 : bytes, value, width);
      }),
  },
  {
    name: "copy-too-short",
    fault: "COPY_TO_DEVICE leaves the last byte out",
    caughtBy: ["command/bytes/to-device:1-7"],
    executor: "dawn",
    wrap: (executor) =>
      batches(executor, (batch) => {
        const write = batch.write.bind(batch);
        batch.write = (target, offset, sources) => {
          const last = sources.at(-1);
          write(target, offset, [...sources.slice(0, -1), ...(last ? [last.subarray(0, -1)] : [])]);
        };
      }),
  },
  {
    name: "data-missing",
    fault: "a fence completes although the copy to the host was dropped",
    caughtBy: ["timeline/fence/data-first"],
    executor: "dawn",
    wrap: (executor) =>
      batches(executor, (batch) => {
        const read = batch.read.bind(batch);
        batch.read = (source, offset, bytes) => read(source, offset, bytes, () => null);
      }),
  },
  {
    name: "memory-not-cleared",
    fault: "memory that is used again keeps what it held",
    caughtBy: ["memory/content/zero-first"],
    executor: "dawn",
    apply: () => replace(ContextMemory, "takeFills", () => () => {}),
  },
  {
    name: "grid-cut",
    fault: "a launch leaves the last workgroup of x out",
    caughtBy: ["command/launch/result/grid:7-1-1"],
    executor: "dawn",
    wrap: (executor) =>
      batches(executor, (batch) => {
        const launch = batch.launch.bind(batch);
        batch.launch = (operation) => {
          const [x, y, z] = operation.grid;
          launch({ ...operation, grid: [Math.max(1, x - 1), y, z] });
        };
      }),
  },
];

export const MUTANTS: readonly Mutant[] = [...session, ...device, ...timeline, ...memory];
