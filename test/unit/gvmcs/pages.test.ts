// SPDX-License-Identifier: Apache-2.0
/** Both sides of a G-VMCS over plain pages: entries, exits, and what a hostile instance writes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AbortIndicator,
  AdapterMode,
  ControlsWordsAt,
  Demand,
  DispatchCursor,
  decodeGvmcs,
  EntryReason,
  ExitInformation,
  ExitReason,
  FaultCode,
  formatGvmcs,
  GVMCS,
  GvmcsBroker,
  GvmcsInstance,
  gvmcsToJson,
  LaunchState,
  plainPage,
  QueueState,
  RecordPage,
  StateWordsAt,
} from "../../../src/gvmcs/index.js";
import { executionControls } from "../../../src/scheduler/index.js";
import { defaultSettings } from "../../../src/scheduler/settings.js";

function pair() {
  const pages = {
    controls: plainPage(new Uint8Array(GVMCS.PAGE_BYTES)),
    state: plainPage(new Uint8Array(GVMCS.PAGE_BYTES)),
  };
  const host = {
    owner_pid: 1,
    mode: AdapterMode.VIRTUAL,
    generation: 1,
    vendor_id: 0,
    adapter: "test adapter",
    vgpu: "a",
  };
  const execution = executionControls(defaultSettings, 2 ** 30);
  const broker = new GvmcsBroker(pages, { host, execution });
  const instance = new GvmcsInstance(pages);
  return { pages, broker, instance, host, execution };
}

function loaded() {
  const all = pair();
  all.instance.load();
  expect(all.broker.poll()).toEqual({ kind: "loaded" });
  return all;
}

function entered(deadlineNs: number | null) {
  const all = loaded();
  all.broker.enter({ deadlineNs }, 100);
  const entry = all.instance.takeEntry();
  expect(entry?.sequence).toBe(1);
  return { ...all, entry };
}

describe("entry and exit", () => {
  it("hand the GPU over and take it back", () => {
    const { broker, instance, entry } = entered(5000);
    expect(entry).toMatchObject({ reason: EntryReason.START, time_ns: 100 });
    expect(instance.deadlineNs()).toBe(5000);
    expect(broker.poll()).toEqual({ kind: "nothing" });
    instance.exit({ reason: ExitReason.SLICE_USED, gpuTimeNs: 4000, batches: 3 }, 5001);
    expect(broker.poll()).toMatchObject({
      kind: "exit",
      exit: { sequence: 1, reason: ExitReason.SLICE_USED, gpu_time_ns: 4000, batches: 3 },
    });
    expect(broker.launchState).toBe(LaunchState.READY);
    expect(broker.poll()).toEqual({ kind: "nothing" });
    broker.enter({ deadlineNs: null }, 6000);
    expect(instance.takeEntry()?.reason).toBe(EntryReason.RESUME);
    expect(instance.takeEntry()).toBeNull();
  });

  it("bound an entry that had no end", () => {
    const { broker, instance } = entered(null);
    expect(instance.deadlineNs()).toBeNull();
    broker.bound(9_007_199_254_740_000);
    expect(instance.deadlineNs()).toBe(9_007_199_254_740_000);
  });

  it("tell why the next entry comes", () => {
    const { broker, instance } = entered(5000);
    const cases = [
      [ExitReason.IDLE, EntryReason.WAKE],
      [ExitReason.YIELD, EntryReason.RESUME],
      [ExitReason.WATCHDOG, EntryReason.RECOVER],
      [ExitReason.RESET, EntryReason.WAKE],
    ] as const;
    for (const [exit, next] of cases) {
      instance.exit({ reason: exit, gpuTimeNs: 0 }, 1);
      expect(broker.poll().kind).toBe("exit");
      broker.enter({ deadlineNs: 1 }, 1);
      expect(instance.takeEntry()?.reason).toBe(next);
    }
  });

  it("save needs a load before the next entry", () => {
    const { broker, instance } = entered(null);
    instance.exit({ reason: ExitReason.SAVE, gpuTimeNs: 0 }, 1);
    expect(broker.poll().kind).toBe("exit");
    expect(broker.launchState).toBe(LaunchState.SAVED);
    expect(() => broker.enter({ deadlineNs: null }, 1)).toThrow(/SAVED/);
    instance.load();
    expect(broker.poll()).toEqual({ kind: "loaded" });
    broker.enter({ deadlineNs: null }, 1);
    expect(instance.takeEntry()?.reason).toBe(EntryReason.RESTORE);
  });

  it("answer a hint once", () => {
    const { broker, instance } = loaded();
    expect(instance.takePrepare()).toBe(false);
    broker.prepare();
    expect(instance.takePrepare()).toBe(true);
    expect(instance.takePrepare()).toBe(false);
  });

  it("go on counting over a replaced instance", () => {
    const { broker, instance, pages, host } = entered(null);
    broker.abort(AbortIndicator.OVERDUE);
    expect(pages.controls.words.load32(ControlsWordsAt.abort_indicator)).toBe(
      AbortIndicator.OVERDUE,
    );
    pages.state.bytes.fill(0);
    broker.clear({ ...host, generation: 2 });
    const next = new GvmcsInstance(pages);
    next.load();
    expect(broker.poll()).toEqual({ kind: "loaded" });
    // The old instance is late with its exit.
    instance.exit({ reason: ExitReason.IDLE, gpuTimeNs: 0 }, 1);
    expect(broker.poll()).toEqual({ kind: "nothing" });
    broker.enter({ deadlineNs: null }, 1);
    expect(next.takeEntry()?.sequence).toBe(2);
  });
});

describe("settings", () => {
  it.each([
    ["slice_ns", 999_999, /execution_controls.slice_ns is 999999/],
    ["slice_ns", 30_000_001, /at most 30000000/],
    ["weight", 0, /weight is 0/],
    ["weight", 10_001, /at most 10000/],
    ["policy", 4, /one of policy/],
    ["max_share_ppm", 0, /at least 1/],
    ["min_share_ppm", 1_000_001, /at most 1000000/],
    ["exit_bitmap", 0x100, /bits of exit_bitmap/],
    ["exit_bitmap", 0x0c, /masks an exit/],
    ["features", 0x80, /bits of features/],
  ] as const)("refuse %s = %d", (field, value, message) => {
    const { broker, execution, instance } = pair();
    expect(() => broker.setExecution({ ...execution, [field]: value })).toThrow(message);
    expect(instance.executionControls()).toEqual(execution);
  });

  it.each([
    ["slice_ns", 1_000_000],
    ["slice_ns", 30_000_000],
    ["weight", 1],
    ["weight", 10_000],
    ["max_share_ppm", 1],
    ["exit_bitmap", 0xf2],
  ] as const)("take %s = %d", (field, value) => {
    const { broker, execution, instance } = pair();
    broker.setExecution({ ...execution, [field]: value });
    expect(instance.controlsChanged()).toBe(true);
    expect(instance.executionControls()?.[field]).toBe(value);
    expect(instance.controlsChanged()).toBe(false);
  });
});

describe("a hostile instance is aborted", () => {
  const exit = { reason: ExitReason.IDLE, gpuTimeNs: 1 } as const;

  it.each<[string, AbortIndicator, (all: ReturnType<typeof entered>) => void]>([
    [
      "for an exit that is not of this entry",
      AbortIndicator.EXIT_SEQUENCE,
      ({ pages }) => pages.state.words.store32(StateWordsAt.exit_sequence, 2),
    ],
    [
      "for an exit record of another entry",
      AbortIndicator.EXIT_SEQUENCE,
      ({ pages, instance }) => {
        instance.exit(exit, 1);
        pages.state.words.store32(ExitInformation.offset + 8, 7);
      },
    ],
    [
      "for a record that is never whole",
      AbortIndicator.TORN_RECORD,
      ({ pages, instance }) => {
        instance.exit(exit, 1);
        pages.state.words.store32(ExitInformation.offset, 3);
      },
    ],
    [
      "for an unknown reason",
      AbortIndicator.EXIT_RECORD,
      ({ pages, instance }) => {
        instance.exit(exit, 1);
        pages.state.words.store32(ExitInformation.offset + 12, 8);
      },
    ],
    [
      "for a time over 2^53",
      AbortIndicator.EXIT_RECORD,
      ({ pages, instance }) => {
        instance.exit(exit, 1);
        pages.state.words.store32(ExitInformation.offset + 28, 0xffff_ffff);
      },
    ],
    [
      "for an unknown fault",
      AbortIndicator.EXIT_RECORD,
      ({ instance }) => instance.exit({ ...exit, reason: ExitReason.FAULT, qualification: 9 }, 1),
    ],
    [
      "for a used slice without a deadline",
      AbortIndicator.TRANSITION,
      ({ instance }) => instance.exit({ ...exit, reason: ExitReason.SLICE_USED }, 1),
    ],
    [
      "for a masked exit",
      AbortIndicator.EXIT_MASKED,
      ({ broker, execution, instance }) => {
        broker.setExecution({ ...execution, exit_bitmap: 0xf2 });
        instance.exit(exit, 1);
      },
    ],
    [
      "for a word out of range",
      AbortIndicator.WORD,
      ({ pages }) => pages.state.words.store32(StateWordsAt.demand, 2),
    ],
    [
      "by itself",
      AbortIndicator.INSTANCE,
      ({ instance }) => instance.fail(AbortIndicator.TORN_RECORD),
    ],
  ])("%s", (_, indicator, act) => {
    const all = entered(null);
    act(all);
    expect(all.broker.poll()).toMatchObject({ kind: "abort", abort: { indicator } });
    expect(all.broker.launchState).toBe(LaunchState.ABORTED);
    const { words } = all.pages.controls;
    expect(words.load32(ControlsWordsAt.abort_indicator)).toBe(indicator);
    expect(words.load32(ControlsWordsAt.launch_state)).toBe(LaunchState.ABORTED);
    expect(all.broker.poll()).toEqual({ kind: "nothing" });
  });

  it("and is not for a fault that exists", () => {
    const { broker, instance } = entered(null);
    const fault = { reason: ExitReason.FAULT, qualification: FaultCode.DEVICE_LOST };
    instance.exit({ ...fault, gpuTimeNs: 1 }, 1);
    expect(broker.poll().kind).toBe("exit");
  });

  it("for an exit without an entry", () => {
    const { broker, pages } = loaded();
    pages.state.words.store32(StateWordsAt.exit_sequence, 1);
    expect(broker.poll()).toMatchObject({ abort: { indicator: AbortIndicator.TRANSITION } });
  });

  it.each([
    [StateWordsAt.magic, AbortIndicator.REVISION],
    [StateWordsAt.revision, AbortIndicator.REVISION],
    [StateWordsAt.run_state, AbortIndicator.WORD],
    [StateWordsAt.exit_sequence, AbortIndicator.EXIT_SEQUENCE],
  ])("for a wrong header word at %i", (at, indicator) => {
    const { broker, instance, pages } = pair();
    instance.load();
    pages.state.words.store32(at, 77);
    expect(broker.poll()).toMatchObject({ kind: "abort", abort: { indicator } });
  });

  it("whatever bytes it writes, the broker goes on", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(200), fc.nat(0xff)), { maxLength: 40 }),
        fc.boolean(),
        (writes, bounded) => {
          const { broker, instance, pages } = entered(bounded ? 1 : null);
          instance.exit(exit, 1);
          for (const [at, value] of writes) pages.state.bytes[at] = value;
          const report = broker.poll();
          expect(["exit", "abort", "nothing"]).toContain(report.kind);
          if (report.kind === "exit") expect(ExitInformation.check(report.exit)).toBeNull();
          decodeGvmcs(pages.controls.bytes, pages.state.bytes);
        },
      ),
    );
  });
});

describe("records", () => {
  it("are read whole or not at all", () => {
    const page = plainPage(new Uint8Array(GVMCS.PAGE_BYTES));
    let loads = 0;
    const { words } = page;
    // The writer changes the record between two loads of its lock, as often as it is read.
    const racing = {
      ...page,
      words: {
        ...words,
        load32: (at: number) => {
          if (at === QueueState.offset && ++loads % 2 === 0) {
            words.store32(at, words.load32(at) + 2);
          }
          return words.load32(at);
        },
      },
    };
    expect(new RecordPage(racing).read(QueueState)).toBeNull();
    expect(loads).toBeGreaterThan(2);
    expect(new RecordPage(page).read(QueueState)).toEqual({ count: 0, queues: [] });
  });

  it("survive a writer that was killed in the middle", () => {
    const page = plainPage(new Uint8Array(GVMCS.PAGE_BYTES));
    page.words.store32(QueueState.offset, 5);
    const records = new RecordPage(page);
    records.write(QueueState, {
      count: 1,
      queues: [{ size: 256, available: 3, used: 2, enabled: 1 }],
    });
    expect(records.read(QueueState)).toEqual({
      count: 1,
      queues: [{ size: 256, available: 3, used: 2, enabled: 1 }],
    });
  });
});

describe("the printed form", () => {
  it("shows names, units and rows", () => {
    const { broker, instance, pages } = entered(2_500_000);
    instance.writeQueues({
      count: 1,
      queues: [{ size: 256, available: 70, used: 68, enabled: 1 }],
    });
    instance.writeMemoryMap({
      regions_total: 1,
      count: 1,
      generation: 4,
      guest_bytes: 2 ** 31,
      device_bytes: 3 * 2 ** 19,
      staging_bytes: 0,
      regions: [{ guest_address: 0xffff_ffff_ffff_0000n, bytes: 2 ** 31 }],
    });
    broker.setExecution({ ...broker.execution, max_share_ppm: 305_000 });
    const decoded = decodeGvmcs(pages.controls.bytes, pages.state.bytes);
    const text = formatGvmcs(decoded);
    for (const line of [
      /^controls_words \(controls page\)$/m,
      /^ {2}launch_state +BOUNDED$/m,
      /^ {2}deadline_ns +2\.5 ms$/m,
      /^ {2}max_share_ppm +30\.5 %$/m,
      /^ {2}slice_ns +2 ms$/m,
      /^ {2}memory_bytes_max +1 GiB$/m,
      /^ {2}features +SLICING TIMESTAMPS PREPARE$/m,
      /^ {2}adapter +"test adapter"$/m,
      /^ {2}queues\[0\] {2}size 256, available 70, used 68, enabled 1$/m,
      /^ {2}regions\[0\] {2}guest_address 0xffffffffffff0000, bytes 2 GiB$/m,
    ]) {
      expect(text).toMatch(line);
    }
    const json = JSON.parse(JSON.stringify(gvmcsToJson(decoded)));
    expect(json.execution_controls.max_share_ppm).toBe(305_000);
    expect(json.memory_map.regions[0].guest_address).toBe("18446744073709486080");
  });

  it("marks what is not valid, and keeps control characters from the terminal", () => {
    const { pages } = pair();
    const { state, controls } = pages;
    state.words.store32(StateWordsAt.demand, 9);
    state.words.store32(DispatchCursor.offset, 1);
    state.words.store32(ExitInformation.offset + 28, 0xffff_ffff);
    controls.bytes.set([0x1b, 0x5b, 0x33, 0x31, 0x6d], 64 + 24);
    const text = formatGvmcs(decodeGvmcs(controls.bytes, state.bytes));
    expect(text).toMatch(/demand +9 \(unknown\)/);
    expect(text).toMatch(/dispatch_cursor \(state page\) being written/);
    expect(text).toMatch(/gpu_time_ns +\d+ \(over 2\^53\)/);
    expect(text).not.toContain("\u001b");
    expect(Demand.RUNNABLE).toBe(1);
  });
});
