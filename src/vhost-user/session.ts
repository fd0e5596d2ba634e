// SPDX-License-Identifier: Apache-2.0
/**
 * The state of one connection and what each request does to it. No socket here: the connection
 * hands in decoded requests and sends what comes back. Every descriptor that is handed in is owned
 * here from then on.
 */

import { crashPoint } from "../io/crash-points.js";
import { GuestMemory } from "../io/guest-memory.js";
import { close, PollEvents, type Poller, sendmsg } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import type { Virtqueue } from "../virtqueue/types.js";
import type { ContextJournal, DeviceTransport, VirtioDevice } from "./device.js";
import { DirtyLogging } from "./dirty-logging.js";
import { encodeMessage } from "./framing.js";
import { areaProblem, createArea, type InflightLimits, MappedArea } from "./inflight-area.js";
import { addRegion, removeRegion, replaceRegions } from "./memory-table.js";
import type { InflightArea, Request } from "./messages.js";
import { isPacked, type RingPlan } from "./placed-ring.js";
import {
  BackendRequest,
  CONFIG_HEADER_BYTES,
  Feature,
  HeaderFlag,
  MEM_SLOTS_MAX,
  PROTOCOL_FEATURES,
  ProtocolFeature,
  TRANSPORT_FEATURES,
} from "./protocol.js";
import { type PollingOptions, RingLoop } from "./ring-loop.js";
import { Vring } from "./vring.js";

export interface SessionOptions {
  readonly device: VirtioDevice;
  readonly poller: Poller;
  readonly log: Logger;
  readonly polling: PollingOptions;
  /** Of the connection, if another process can take it over. */
  readonly journal: ContextJournal | null;
  /** The session can't go on: the owner disposes of it. */
  readonly failed: (reason: string) => void;
}

/** What a request led to: `reply` is a payload of its own, else it is acknowledged if asked for. */
export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "reply"; readonly payload: Uint8Array; readonly fds?: readonly number[] }
  | { readonly kind: "refused"; readonly text: string };

const DONE: Outcome = { kind: "done" };

export class Session implements DeviceTransport {
  readonly memory = new GuestMemory({ slotsMax: MEM_SLOTS_MAX });
  readonly journal: ContextJournal | null;
  readonly #device: VirtioDevice;
  readonly #poller: Poller;
  readonly #log: Logger;
  readonly #vrings: readonly Vring[];
  readonly #loop: RingLoop;
  readonly #failed: (reason: string) => void;
  readonly #logging = new DirtyLogging(this.memory);
  #inflight: MappedArea | null = null;
  #outsideTold = false;
  #features = 0n;
  #protocolFeatures = 0n;
  #backendFd = -1;
  #suspended = true;
  #configChanged = false;
  #resuming = false;
  #closed = false;

  constructor(options: SessionOptions) {
    this.journal = options.journal;
    this.#device = options.device;
    this.#poller = options.poller;
    this.#log = options.log;
    this.#failed = options.failed;
    this.#vrings = Array.from(
      { length: options.device.queueCount },
      (_, index) =>
        new Vring({
          index,
          sizeMax: options.device.queueSizeMax,
          memory: this.memory,
          inflight: (plan, resuming) => this.#inflightOf(plan, resuming),
          broken: (at, reason) => this.#ringBroken(at, reason),
          warn: (at, text) => this.#log.warn({ ring: at }, text),
        }),
    );
    this.#loop = new RingLoop({
      vrings: this.#vrings,
      polling: options.polling,
      process: (index) => this.#device.processQueue(index),
      busy: () => this.#device.busy,
      settled: () => this.#checkMemory(),
    });
    this.#device.attach(this);
  }

  expectMore(): void {
    if (!this.#resuming && !this.#suspended) this.#loop.expectMore();
  }

  get features(): bigint {
    return this.#features;
  }

  get protocolFeatures(): bigint {
    return this.#protocolFeatures;
  }

  get offeredFeatures(): bigint {
    return TRANSPORT_FEATURES | this.#device.deviceFeatures;
  }

  get replyAck(): boolean {
    return (this.#protocolFeatures & ProtocolFeature.replyAck) !== 0n;
  }

  /** True while no ring runs: nothing may be written into guest memory then. */
  get suspended(): boolean {
    return this.#suspended;
  }

  /** Whether rings are being polled now, and how many turns that has taken so far. */
  get polling(): boolean {
    return this.#loop.polling;
  }

  get pollTurns(): number {
    return this.#loop.turns;
  }

  /** While the state of a process that is gone is told again. */
  get resuming(): boolean {
    return this.#resuming;
  }

  /** What follows is the state that the connection had in another process. */
  resume(): void {
    this.#resuming = true;
  }

  /** The state is whole: from here on rings are served. */
  resumed(): void {
    if (!this.#resuming) return;
    this.#resuming = false;
    this.#loop.ringsChanged();
    this.#suspended = this.#vrings.every((vring) => vring.activeRing === null);
    this.#device.ringsChanged(this.#suspended);
    for (const vring of this.#vrings) {
      // An interrupt of the process that is gone may have been missed, and it took its kicks.
      if (vring.ring !== null) vring.signalDriver();
      if (vring.activeRing !== null) this.#loop.kicked(vring.index);
    }
  }

  queue(index: number): Virtqueue | null {
    return this.#vrings[index]?.activeRing ?? null;
  }

  notifyConfigChange(): boolean {
    if (this.#backendFd < 0 || this.#closed) return false;
    // No messages while suspended: it is sent on resume.
    if (this.#suspended) this.#configChanged = true;
    else this.#sendConfigChange();
    return true;
  }

  /** Handles one request. `fds` has the count that the message's rule asks for. */
  handle(request: Request, fds: readonly number[]): Outcome {
    switch (request.kind) {
      case "get-features":
        return reply64(this.offeredFeatures);
      case "set-features":
        return this.#setFeatures(request.value);
      case "get-protocol-features":
        return reply64(PROTOCOL_FEATURES);
      case "set-protocol-features":
        return this.#setProtocolFeatures(request.value);
      case "set-owner":
        return DONE;
      case "reset-owner":
        // Deprecated; the specification lets a back end disable its rings, or do nothing.
        return this.#changeRings(() => this.#disableAll());
      case "reset-device":
        this.#changeRings(() => this.#disableAll());
        this.#device.reset();
        return DONE;
      case "get-queue-num":
        return reply64(BigInt(this.#device.queueCount));
      case "get-max-mem-slots":
        return reply64(BigInt(MEM_SLOTS_MAX));
      case "set-mem-table":
        return this.#memoryChange(replaceRegions(this.memory, request.regions, fds));
      case "add-mem-reg":
        return this.#memoryChange(addRegion(this.memory, request.region, fds));
      case "rem-mem-reg":
        return this.#memoryChange(removeRegion(this.memory, request.region, fds));
      case "backend-req-fd":
        this.#replaceBackendFd(fds[0] ?? -1);
        return DONE;
      case "get-config":
        return this.#getConfig(request.offset, request.bytes, request.flags);
      case "set-config":
        return this.#setConfig(request.offset, request.data);
      case "set-log-base": {
        const problem = this.#logging.setLog(fds[0] ?? -1, request.offset, request.bytes);
        return problem === null ? reply64(0n) : refuse(problem);
      }
      case "set-log-fd":
        this.#logging.setFd(fds[0] ?? -1);
        return DONE;
      case "get-inflight-fd":
        return this.#makeInflight(request.area);
      case "set-inflight-fd":
        return this.#setInflight(request.area, fds[0] ?? -1);
      default:
        return this.#handleVring(request, fds);
    }
  }

  /** The connection is over: everything that it brought is given back. Idempotent. */
  dispose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.close();
    for (const vring of this.#vrings) {
      this.#unwatchKick(vring);
      vring.dispose();
    }
    this.#suspended = true;
    this.#device.detach();
    this.#logging.dispose();
    this.#inflight?.unmap();
    this.#inflight = null;
    this.memory.clear();
    this.#replaceBackendFd(-1);
  }

  #handleVring(
    request: Extract<Request, { kind: `vring-${string}` | "get-vring-base" }>,
    fds: readonly number[],
  ): Outcome {
    const index = request.kind === "vring-addr" ? request.addresses.index : request.index;
    const vring = this.#vrings[index];
    if (vring === undefined) {
      for (const fd of fds) close(fd);
      return refuse(`ring ${index} does not exist, the device has ${this.#vrings.length}`);
    }
    const fd = fds[0] ?? -1;
    switch (request.kind) {
      case "vring-num":
        return outcome(vring.setSize(request.value));
      case "vring-base":
        return outcome(vring.setBase(request.value, this.#features));
      case "vring-addr":
        return this.#setAddresses(vring, request.addresses);
      case "get-vring-base":
        return this.#stopRing(vring);
      case "vring-kick":
        return this.#kick(vring, fd);
      case "vring-call":
        vring.setCall(fd);
        return DONE;
      case "vring-err":
        vring.setErr(fd);
        return DONE;
      case "vring-enable":
        if (request.value > 1) return refuse(`ring ${index}: enable has value ${request.value}`);
        return this.#changeRings(() => vring.setEnabled(request.value === 1));
    }
  }

  #setFeatures(value: bigint): Outcome {
    const unknown = value & ~this.offeredFeatures;
    if (unknown !== 0n) return refuse(`features 0x${unknown.toString(16)} are not offered`);
    this.#features = value;
    this.#logging.setFeatures(value);
    // Without PROTOCOL_FEATURES there is no message to enable rings: they are enabled from here on.
    if ((value & Feature.protocolFeatures) !== 0n) return DONE;
    return this.#changeRings(() => {
      for (const vring of this.#vrings) vring.setEnabled(true);
    });
  }

  #setProtocolFeatures(value: bigint): Outcome {
    const unknown = value & ~PROTOCOL_FEATURES;
    if (unknown !== 0n)
      return refuse(`protocol features 0x${unknown.toString(16)} are not offered`);
    this.#protocolFeatures = value;
    return DONE;
  }

  /** GET_INFLIGHT_FD: a new file; it is used once the front end hands it back. */
  #makeInflight(area: InflightArea): Outcome {
    const problem = areaProblem(area, this.#inflightLimits);
    if (problem !== null) return refuse(problem);
    const { fd, payload } = createArea(area, isPacked(this.#features));
    return { kind: "reply", payload, fds: [fd] };
  }

  /** SET_INFLIGHT_FD: for rings that are started after it. Those that are hold views of the old. */
  #setInflight(area: InflightArea, fd: number): Outcome {
    try {
      const problem = areaProblem(area, this.#inflightLimits);
      if (problem !== null) return refuse(problem);
      if (this.#vrings.some((vring) => vring.ring !== null)) return refuse("rings are started");
      const mapped = new MappedArea(area, fd);
      if (mapped.region(area.queues - 1, area.queueSize, isPacked(this.#features)) === null) {
        mapped.unmap();
        return refuse(`an area of ${area.bytes} bytes is too small for its rings`);
      }
      this.#inflight?.unmap();
      this.#inflight = mapped;
      return DONE;
    } catch (error) {
      return refuse(`the area of chains in flight can't be mapped: ${error}`);
    } finally {
      close(fd);
    }
  }

  get #inflightLimits(): InflightLimits {
    return { queues: this.#device.queueCount, queueSize: this.#device.queueSizeMax };
  }

  /**
   * The front end's area, if it gave one. A packed ring does not say where a process that is gone
   * has left it: where another one may take over, it notes that in the journal.
   */
  #inflightOf({ index, size, features }: RingPlan, resuming: boolean): Uint8Array | null {
    const packed = isPacked(features);
    const given = this.#inflight?.region(index, size, packed) ?? null;
    if (given !== null || !packed) return given;
    const kept = this.journal?.ring(index) ?? null;
    if (!resuming) kept?.fill(0);
    return kept;
  }

  #memoryChange(problem: string | null): Outcome {
    if (problem !== null) return refuse(problem);
    for (const vring of this.#vrings) vring.memoryChanged();
    this.#loop.ringsChanged();
    this.#device.memoryChanged();
    return DONE;
  }

  #setAddresses(vring: Vring, addresses: Parameters<Vring["setAddresses"]>[0]): Outcome {
    const problem = vring.setAddresses(addresses, this.#features);
    this.#loop.ringsChanged();
    return outcome(problem);
  }

  #kick(vring: Vring, fd: number): Outcome {
    this.#unwatchKick(vring);
    if (this.#resuming) vring.goOnFromUsed();
    const problem = vring.kick(fd, this.#features);
    if (problem !== null) {
      this.#log.warn({ ring: vring.index }, problem);
      vring.signalError();
      return refuse(problem);
    }
    if (fd >= 0) {
      try {
        this.#poller.watch(fd, PollEvents.readable, () => this.#kicked(vring));
      } catch (error) {
        vring.stop();
        this.#changeRings(() => {});
        return refuse(`the kick descriptor of ring ${vring.index} can't be waited on: ${error}`);
      }
    }
    return this.#changeRings(() => {}, vring);
  }

  #kicked(vring: Vring): void {
    if (!vring.drainKick()) this.#poller.unwatch(vring.kickFd);
    if (this.#resuming) return;
    this.#loop.kicked(vring.index);
  }

  #stopRing(vring: Vring): Outcome {
    this.#unwatchKick(vring);
    let base = 0;
    crashPoint("ring-flushed");
    this.#changeRings(() => {
      base = vring.stop();
    });
    crashPoint("ring-stopped");
    return { kind: "reply", payload: pair32(vring.index, base) };
  }

  #unwatchKick(vring: Vring): void {
    if (vring.kickFd >= 0) this.#poller.unwatch(vring.kickFd);
  }

  #disableAll(): void {
    for (const vring of this.#vrings) vring.setEnabled(false);
  }

  /** Applies a change, tells the device, and lets it drain rings that became active. */
  #changeRings(change: () => void, restarted: Vring | null = null): Outcome {
    const before = this.#vrings.map((vring) => vring.activeRing);
    change();
    if (this.#resuming) return DONE;
    this.#loop.ringsChanged();
    this.#suspended = this.#vrings.every((vring) => vring.activeRing === null);
    const changed = this.#vrings.filter((vring, i) => vring.activeRing !== before[i]);
    if (changed.length > 0 || restarted !== null) this.#device.ringsChanged(this.#suspended);
    if (!this.#suspended && this.#configChanged) this.#sendConfigChange();
    for (const vring of this.#vrings) {
      if (vring.activeRing === null) continue;
      if (vring === restarted || changed.includes(vring)) this.#loop.kicked(vring.index);
    }
    return DONE;
  }

  /** Looked at after activity, since only accesses find out that a memory file has shrunk. */
  #checkMemory(): void {
    const logging = this.#logging;
    if (logging.outside > 0 && !this.#outsideTold) {
      this.#outsideTold = true;
      this.#log.warn({ pages: logging.outside }, "pages that were written lie beyond the log");
    }
    const what = this.memory.poisoned ? "a guest memory file" : "a file of the front end's";
    if (!this.memory.poisoned && !logging.poisoned && this.#inflight?.poisoned !== true) return;
    this.#log.error(`${what} has shrunk: the front end is disconnected`);
    this.#failed(`${what} has shrunk`);
  }

  #ringBroken(index: number, reason: string): void {
    this.#log.error({ ring: index }, `ring ${index} is broken and stops: ${reason}`);
    this.#vrings[index]?.signalError();
  }

  #getConfig(offset: number, bytes: number, flags: number): Outcome {
    // A failed GET_CONFIG is a reply without payload.
    if (!this.#configRangeValid(offset, bytes))
      return { kind: "reply", payload: new Uint8Array(0) };
    const payload = new Uint8Array(CONFIG_HEADER_BYTES + bytes);
    const view = new DataView(payload.buffer);
    view.setUint32(0, offset, true);
    view.setUint32(4, bytes, true);
    view.setUint32(8, flags, true);
    this.#device.readConfig(offset, payload.subarray(CONFIG_HEADER_BYTES));
    return { kind: "reply", payload };
  }

  #setConfig(offset: number, data: Uint8Array): Outcome {
    if (!this.#configRangeValid(offset, data.length))
      return refuse(
        `config bytes ${offset} to ${offset + data.length} are outside ${this.#device.configBytes}`,
      );
    return this.#device.writeConfig(offset, data)
      ? DONE
      : refuse("the device refuses the write to config space");
  }

  #configRangeValid(offset: number, bytes: number): boolean {
    return offset + bytes <= this.#device.configBytes;
  }

  #sendConfigChange(): void {
    this.#configChanged = false;
    const flags = HeaderFlag.version;
    const message = encodeMessage(BackendRequest.CONFIG_CHANGE, flags, new Uint8Array(0));
    try {
      const sent = sendmsg(this.#backendFd, message);
      // A front end that does not read its channel has a notification waiting there already.
      if (sent === message.length || sent < 0) return;
      this.#log.warn("the back-end channel took a part of a message; it is closed");
    } catch (error) {
      this.#log.warn({ error: String(error) }, "the back-end channel is closed");
    }
    this.#replaceBackendFd(-1);
  }

  #replaceBackendFd(fd: number): void {
    if (this.#backendFd >= 0) close(this.#backendFd);
    this.#backendFd = fd;
  }
}

function outcome(problem: string | null): Outcome {
  return problem === null ? DONE : refuse(problem);
}

function refuse(text: string): Outcome {
  return { kind: "refused", text };
}

function reply64(value: bigint): Outcome {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setBigUint64(0, value, true);
  return { kind: "reply", payload };
}

function pair32(first: number, second: number): Uint8Array {
  const payload = new Uint8Array(8);
  const view = new DataView(payload.buffer);
  view.setUint32(0, first, true);
  view.setUint32(4, second, true);
  return payload;
}
