// SPDX-License-Identifier: Apache-2.0
/**
 * The broker: one listening socket and one process per configured vGPU, the lease on the GPU, and
 * the control socket for `vgpuctl`. It touches neither guests' memory nor the GPU, so nothing that
 * a guest does can end it.
 *
 *   front end ──▶ DIR/NAME.sock (kept open here) ──▶ vgpu-instance NAME ──▶ DIR/broker.sock
 *   vgpuctl   ──▶ DIR/control.sock
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Logger } from "../telemetry/log.js";
import { InstanceProcess } from "./instance-process.js";
import { type LeaseAction, LeaseQueue, type LeaseTimes } from "./lease-queue.js";
import { readLines, writeLine } from "./lines.js";
import {
  type ControlReply,
  controlRequest,
  type FromInstance,
  fromInstance,
  type VgpuStatus,
} from "./messages.js";

/** How long an instance may take to answer a status question. */
const STATUS_MS = 2_000;

export interface VgpuConfig {
  readonly name: string;
  readonly socketPath: string;
  readonly memoryLimitBytes: number | null;
}

export interface BrokerOptions {
  readonly vgpus: readonly VgpuConfig[];
  readonly runtimeDir: string;
  readonly controlPath: string;
  readonly executor: string;
  readonly logLevel: string;
  readonly version: string;
  readonly instanceCommand: readonly [string, ...string[]];
  readonly extraArguments: readonly string[];
  readonly times: LeaseTimes;
  readonly log: Logger;
  readonly nowNs: () => number;
  /** Opens a listening socket; throws an error with code EADDRINUSE if someone listens there. */
  readonly listen: (path: string) => number;
  readonly close: (fd: number) => void;
}

interface Vgpu {
  readonly config: VgpuConfig;
  readonly listenFd: number;
  readonly process: InstanceProcess;
  link: Socket | null;
  adapter: string | null;
  executor: string | null;
  grants: number;
  nextSequence: number;
  readonly questions: Map<number, (status: Record<string, unknown> | null) => void>;
}

/** A vGPU that can't be started at all. */
export class StartError extends Error {
  override readonly name = "StartError";

  constructor(vgpu: string, how: string) {
    super(`the instance of vGPU "${vgpu}" ${how}`);
  }
}

export class Broker {
  readonly #options: BrokerOptions;
  readonly #vgpus = new Map<string, Vgpu>();
  readonly #leases: LeaseQueue;
  readonly #servers: Server[] = [];
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#leases = new LeaseQueue(options.times);
  }

  get #brokerPath(): string {
    return join(this.#options.runtimeDir, "broker.sock");
  }

  /** Resolves when every vGPU's socket accepts connections; rejects naming a path that is taken. */
  async start(): Promise<void> {
    const { runtimeDir, controlPath, vgpus } = this.#options;
    mkdirSync(runtimeDir, { recursive: true, mode: 0o755 });
    await this.#serve(controlPath, (socket) => this.#control(socket));
    await this.#serve(this.#brokerPath, (socket) => this.#instance(socket));
    for (const config of vgpus) {
      this.#addVgpu(config);
    }
    for (const vgpu of this.#vgpus.values()) {
      vgpu.process.start();
    }
  }

  async stop(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
    }
    await Promise.all([...this.#vgpus.values()].map((vgpu) => vgpu.process.stop()));
    for (const vgpu of this.#vgpus.values()) {
      this.#options.close(vgpu.listenFd);
      rmSync(vgpu.config.socketPath, { force: true });
      vgpu.link?.destroy();
    }
    for (const server of this.#servers) {
      server.close();
    }
    rmSync(this.#options.controlPath, { force: true });
    rmSync(this.#brokerPath, { force: true });
  }

  /**
   * Resolves once every instance has reported for the first time. Rejects if one of them ends
   * before, since what prevents its first start (no driver, say) is not mended by another one.
   */
  async ready(timeoutMs: number): Promise<void> {
    const endNs = this.#options.nowNs() + timeoutMs * 1e6;
    while (!this.#closed) {
      const vgpus = [...this.#vgpus.values()];
      if (vgpus.every((vgpu) => vgpu.link !== null)) {
        return;
      }
      const failed = vgpus.find((vgpu) => vgpu.link === null && vgpu.process.restarts > 0);
      if (failed !== undefined) {
        throw new StartError(failed.config.name, "ended while it started: see its message above");
      }
      if (this.#options.nowNs() >= endNs) {
        const late = vgpus.find((vgpu) => vgpu.link === null)?.config.name ?? "";
        throw new StartError(late, `is not ready after ${timeoutMs} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #addVgpu(config: VgpuConfig): void {
    const o = this.#options;
    const listenFd = o.listen(config.socketPath);
    const process = new InstanceProcess({
      id: config.name,
      command: o.instanceCommand,
      brokerPath: this.#brokerPath,
      executor: o.executor,
      memoryLimitBytes: config.memoryLimitBytes,
      logLevel: o.logLevel,
      extraArguments: o.extraArguments,
      listenFd,
      log: o.log,
      nowMs: () => o.nowNs() / 1e6,
    });
    const vgpu: Vgpu = {
      config,
      listenFd,
      process,
      link: null,
      adapter: null,
      executor: null,
      grants: 0,
      nextSequence: 0,
      questions: new Map(),
    };
    process.onExit = () => this.#gone(vgpu);
    this.#vgpus.set(config.name, vgpu);
  }

  /** A private unix socket for processes of our own user. */
  async #serve(path: string, connected: (socket: Socket) => void): Promise<void> {
    // Taken by a live process, this throws; a stale file is replaced.
    this.#options.close(this.#options.listen(path));
    rmSync(path, { force: true });
    const server = createServer((socket) => {
      socket.on("error", () => {});
      connected(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      const previous = process.umask(0o177);
      server.listen(path, () => {
        process.umask(previous);
        chmodSync(path, 0o600);
        resolve();
      });
    });
    this.#servers.push(server);
  }

  #instance(socket: Socket): void {
    let vgpu: Vgpu | null = null;
    readLines(socket, fromInstance, {
      message: (message) => {
        if (vgpu === null) {
          vgpu = this.#hello(socket, message);
          return;
        }
        this.#fromInstance(vgpu, message);
      },
      invalid: (reason) => {
        this.#options.log.error({ id: vgpu?.config.name, reason }, "an instance sent nonsense");
        vgpu?.process.kill("SIGKILL");
      },
    });
    socket.on("close", () => {
      if (vgpu !== null && vgpu.link === socket) {
        this.#gone(vgpu);
      }
    });
  }

  #hello(socket: Socket, message: FromInstance): Vgpu | null {
    const { log } = this.#options;
    if (message.type !== "hello") {
      log.warn("a connection to the broker did not begin with hello");
      socket.destroy();
      return null;
    }
    const vgpu = this.#vgpus.get(message.id);
    if (vgpu === undefined || vgpu.process.pid !== message.pid) {
      log.warn({ id: message.id, pid: message.pid }, "an instance that is none of ours is refused");
      socket.destroy();
      return null;
    }
    vgpu.link = socket;
    vgpu.adapter = message.adapter;
    vgpu.executor = message.executor;
    log.info({ id: message.id, pid: message.pid, adapter: message.adapter }, "the vGPU is ready");
    return vgpu;
  }

  #fromInstance(vgpu: Vgpu, message: FromInstance): void {
    const id = vgpu.config.name;
    const nowNs = this.#options.nowNs();
    switch (message.type) {
      case "request":
        this.#act(this.#leases.request(id, nowNs));
        return;
      case "release":
        this.#act(this.#leases.release(id, nowNs));
        return;
      case "status":
        vgpu.questions.get(message.sequence)?.(message.status);
        return;
      case "hello":
        vgpu.process.kill("SIGKILL");
        return;
    }
  }

  #gone(vgpu: Vgpu): void {
    vgpu.link?.destroy();
    vgpu.link = null;
    for (const answer of vgpu.questions.values()) {
      answer(null);
    }
    vgpu.questions.clear();
    this.#act(this.#leases.remove(vgpu.config.name, this.#options.nowNs()));
  }

  #act(actions: readonly LeaseAction[]): void {
    for (const action of actions) {
      const vgpu = this.#vgpus.get(action.id);
      if (vgpu === undefined) {
        continue;
      }
      if (action.kind === "expire") {
        this.#options.log.error(
          { id: action.id },
          "the instance does not give the GPU back; it is killed",
        );
        vgpu.process.kill("SIGKILL");
        continue;
      }
      if (action.kind === "grant") {
        vgpu.grants++;
      }
      if (vgpu.link !== null) {
        writeLine(vgpu.link, { type: action.kind });
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    const nextNs = this.#leases.nextNs();
    if (nextNs !== null && !this.#closed) {
      const delayMs = Math.max(0, (nextNs - this.#options.nowNs()) / 1e6);
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#act(this.#leases.advance(this.#options.nowNs()));
      }, delayMs);
    }
  }

  #control(socket: Socket): void {
    readLines(socket, controlRequest, {
      message: () => {
        void this.#status().then((reply) => {
          writeLine(socket, reply);
          socket.end();
        });
      },
      invalid: (error) => writeLine(socket, { ok: false, error }),
    });
  }

  async #status(): Promise<ControlReply> {
    const vgpus = await Promise.all([...this.#vgpus.values()].map((vgpu) => this.#statusOf(vgpu)));
    return { ok: true, version: this.#options.version, pid: process.pid, vgpus };
  }

  async #statusOf(vgpu: Vgpu): Promise<VgpuStatus> {
    const id = vgpu.config.name;
    const waiting = this.#leases.waiting.includes(id) ? "waiting" : "none";
    return {
      id,
      state: vgpu.link !== null ? "running" : vgpu.process.restarts > 0 ? "restarting" : "starting",
      socket: vgpu.config.socketPath,
      pid: vgpu.process.pid,
      restarts: vgpu.process.restarts,
      adapter: vgpu.adapter,
      executor: vgpu.executor,
      lease: this.#leases.holder === id ? "held" : waiting,
      grants: vgpu.grants,
      memoryLimitBytes: vgpu.config.memoryLimitBytes,
      device: await this.#ask(vgpu),
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
