// SPDX-License-Identifier: Apache-2.0
/** What an operator asks for at the control socket, and the answers. */
import { setTimeout as sleep } from "node:timers/promises";
import { SettingsError, tailNsOf } from "../scheduler/index.js";
import type { Logger } from "../telemetry/log.js";
import { writeLine } from "./lines.js";
import {
  type ControlReply,
  type ControlRequest,
  deviceMemory,
  type VgpuStatus,
} from "./messages.js";
import type { GpuSchedule } from "./schedule.js";
import { parseSettings } from "./settings-text.js";
import type { Vgpu } from "./vgpu.js";

/** How long an instance may take to answer a status question. */
const STATUS_MS = 2_000;
/** How long an instance has to bring its part of the G-VMCS up to date before it is shown. */
const REFRESH_MS = 30;
/** How long one that is to be replaced has to come to an end, and its successor to be there. */
const SAVE_MS = 3_000;
const REPLACE_MS = 5_000;
const LOOK_MS = 5;

export interface ControlPorts {
  readonly vgpus: ReadonlyMap<string, Vgpu>;
  readonly schedule: GpuSchedule;
  readonly version: string;
  readonly log: Logger;
}

/** What an operator should know of a change that was accepted. */
function noteOf({ id, memoryLimitBytes: limit, device }: VgpuStatus): { note?: string } {
  const memory = deviceMemory.safeParse(device?.memory);
  if (!memory.success || limit === null || memory.data.reserved_bytes <= limit) return {};
  const note =
    `vGPU ${id} holds ${memory.data.reserved_bytes} bytes of device memory, more than its limit of ` +
    `${limit}: it keeps them, and gets no more until it has given enough back`;
  return { note };
}

async function until(condition: () => boolean, limitMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < limitMs && !condition(); waitedMs += LOOK_MS)
    await sleep(LOOK_MS);
  return condition();
}

export class Control {
  readonly #ports: ControlPorts;

  constructor(ports: ControlPorts) {
    this.#ports = ports;
  }

  async answer(request: ControlRequest): Promise<ControlReply> {
    if (request.command === "status") {
      return this.#status();
    }
    const { id } = request;
    const vgpu = this.#ports.vgpus.get(id);
    if (vgpu === undefined) {
      const names = [...this.#ports.vgpus.keys()].join(", ");
      return { ok: false, error: `there is no vGPU "${id}"; there are ${names}` };
    }
    switch (request.command) {
      case "gvmcs": {
        this.#ports.schedule.refresh(id);
        await sleep(REFRESH_MS);
        const decoded = this.#ports.schedule.decoded(id);
        return decoded === null
          ? { ok: false, error: `vGPU "${id}" has no process at present, and so no G-VMCS` }
          : { ok: true, ...decoded };
      }
      case "reset":
        this.#ports.log.info({ id }, "the vGPU is reset");
        this.#ports.schedule.reset(id);
        return this.#status();
      case "restart":
        return this.#restart(vgpu);
      case "set":
        return this.#set(id, request.settings);
    }
  }

  /**
   * Puts another process in the place of the vGPU's, of a newer build perhaps. It stops between two
   * batches: what was given to the GPU is finished and told to the guest, the rest fails.
   */
  async #restart(vgpu: Vgpu): Promise<ControlReply> {
    const { process } = vgpu;
    const id = vgpu.config.name;
    const { pid } = process;
    if (pid === null || vgpu.link === null)
      return { ok: false, error: `vGPU "${id}" has no process that could be replaced now` };
    const { schedule, log } = this.#ports;
    log.info({ id, pid }, "the instance is replaced");
    schedule.save(id);
    await until(() => schedule.saved(id) || process.pid !== pid, SAVE_MS);
    const saved = schedule.saved(id);
    if (process.pid === pid) process.replace();
    const back = await until(() => process.pid !== pid && vgpu.link !== null, REPLACE_MS);
    if (!back) return { ok: false, error: `vGPU "${id}" is not back after ${REPLACE_MS / 1e3} s` };
    const note = saved
      ? `vGPU "${id}" stopped between two batches`
      : `vGPU "${id}" did not stop within ${SAVE_MS / 1e3} s: its process was ended at its work`;
    return { ...(await this.#status()), note };
  }

  async #set(id: string, settings: readonly string[]): Promise<ControlReply> {
    try {
      this.#ports.schedule.set(id, parseSettings(settings));
    } catch (error) {
      if (error instanceof SettingsError) {
        return { ok: false, error: error.message };
      }
      throw error;
    }
    this.#ports.log.info({ id, settings }, "settings are changed");
    const status = await this.#status();
    const changed = status.vgpus.find((vgpu) => vgpu.id === id);
    return changed === undefined ? status : { ...status, ...noteOf(changed) };
  }

  async #status(): Promise<Extract<ControlReply, { vgpus: unknown }>> {
    const vgpus = await Promise.all(
      [...this.#ports.vgpus.values()].map((vgpu) => this.#statusOf(vgpu)),
    );
    return { ok: true, version: this.#ports.version, pid: process.pid, vgpus };
  }

  async #statusOf(vgpu: Vgpu): Promise<VgpuStatus> {
    const id = vgpu.config.name;
    return {
      id,
      state: stateOf(vgpu),
      socket: vgpu.config.socketPath,
      pid: vgpu.process.pid,
      restarts: vgpu.process.restarts,
      takeovers: vgpu.frontEnds.takeovers,
      frontEnd: vgpu.frontEnds.connected,
      adapter: vgpu.adapter,
      executor: vgpu.executor,
      memoryLimitBytes: this.#ports.schedule.memoryBytesMax(id),
      confinement: vgpu.process.confined,
      schedule: this.#scheduleOf(id),
      meteredMs: vgpu.meteredNs === null ? null : vgpu.meteredNs / 1e6,
      device: await this.#ask(vgpu),
    };
  }

  #scheduleOf(id: string): VgpuStatus["schedule"] {
    const { state, settings, share, debtNs, account } = this.#ports.schedule.standings(id);
    return {
      state,
      policy: settings.policy,
      weight: settings.weight,
      slice_ms: settings.sliceNs / 1e6,
      tail_ms: tailNsOf(settings) / 1e6,
      min_share: settings.minShare,
      max_share: settings.maxShare,
      share,
      debt_ms: debtNs / 1e6,
      entries: account.entries,
      held_ms: account.heldNs / 1e6,
      wait_ms: account.waitNs / 1e6,
      gpu_ms: account.gpuNs / 1e6,
      exits: { ...account.exits },
      tails: account.tails,
      last_abort: this.#ports.schedule.lastAbort(id),
    };
  }

  /** Null if there is no process, or if it does not answer in time. */
  #ask(vgpu: Vgpu): Promise<Record<string, unknown> | null> {
    const { link } = vgpu;
    if (link === null) {
      return Promise.resolve(null);
    }
    const sequence = vgpu.nextSequence++;
    return new Promise((resolve) => {
      const answer = (status: Record<string, unknown> | null): void => {
        clearTimeout(timer);
        vgpu.questions.delete(sequence);
        resolve(status);
      };
      const timer = setTimeout(() => answer(null), STATUS_MS);
      vgpu.questions.set(sequence, answer);
      writeLine(link, { type: "status", sequence });
    });
  }
}

function stateOf({ link, process }: Vgpu): VgpuStatus["state"] {
  if (link !== null) return "running";
  if (process.givenUp) return "failed";
  return process.restarts > 0 ? "restarting" : "starting";
}
