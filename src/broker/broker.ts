// SPDX-License-Identifier: Apache-2.0
/**
 * The broker: one listening socket and one process per configured vGPU, the schedule of the GPU, and
 * the control socket for `vgpuctl`. It touches neither guests' memory nor the GPU, so nothing that
 * a guest does can end it.
 *
 *   front end ──▶ DIR/NAME.sock (kept open here) ──▶ vgpu-instance NAME ──▶ DIR/broker.sock
 *   vgpuctl   ──▶ DIR/control.sock
 */
import { mkdirSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { createPoller } from "../io/native.js";
import type { Timer } from "../io/timers.js";
import type { ArbiterEvent } from "../scheduler/index.js";
import type { Logger } from "../telemetry/log.js";
import { type Confinement, removePrivateFolders } from "./confinement.js";
import { Control } from "./control.js";
import { FrontEnds } from "./front-ends.js";
import { GpuMeter } from "./gpu-meter.js";
import { HEALTH_TURN_MS, Health } from "./health.js";
import { type FromInstance, fromInstance } from "./instance-messages.js";
import { InstanceProcess } from "./instance-process.js";
import { readLines, writeLine } from "./lines.js";
import { controlRequest } from "./messages.js";
import { type Peer, PrivateSocket } from "./private-socket.js";
import { type Activity, readActivity } from "./process-activity.js";
import type { RestartLimits } from "./restart-policy.js";
import { GpuSchedule } from "./schedule.js";
import type { Vgpu, VgpuConfig } from "./vgpu.js";

/** Turns of the health timer between two looks at the meters. */
const METER_TURNS = 8;

export interface BrokerOptions {
  readonly vgpus: readonly VgpuConfig[];
  readonly runtimeDir: string;
  readonly controlPath: string;
  readonly executor: string;
  /** Device memory that may be promised to all vGPUs together, bytes; null: not limited. */
  readonly gpuMemoryBytes: number | null;
  readonly logLevel: string;
  readonly version: string;
  readonly instanceCommand: readonly [string, ...string[]];
  readonly extraArguments: readonly string[];
  /** Where translations of PTX are kept, a folder for each vGPU; null: not on disk. */
  readonly translationCache: string | null;
  /** For tests: where the first process of a vGPU ends itself, its second one, and so on. */
  readonly crashAt: readonly string[];
  readonly restartLimits: RestartLimits;
  /** How long an instance may not answer before it is replaced, ms; 0 waits for ever. */
  readonly answerMs: number;
  /** Where processes' GPU time is read (`/proc`); null where no driver tells it. */
  readonly meterProc: string | null;
  /** How instances are confined, or null to start them with all that we may do. */
  readonly confinement: Confinement | null;
  readonly timer: Timer;
  readonly trace: ((event: ArbiterEvent) => void) | null;
  readonly log: Logger;
  readonly nowNs: () => number;
  /** Opens a listening socket; throws an error with code EADDRINUSE if someone listens there. */
  readonly listen: (path: string) => number;
  readonly close: (fd: number) => void;
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
  readonly #control: Control;
  readonly #vgpus = new Map<string, Vgpu>();
  readonly #schedule: GpuSchedule;
  readonly #servers: PrivateSocket[] = [];
  readonly #poller = createPoller();
  #healthTimer: NodeJS.Timeout | null = null;
  #turns = 0;
  /** Whether the runtime directory is ours, rather than another vgpud's: we listen in it. */
  #ownsFolder = false;
  readonly #uid = process.getuid?.() ?? 0;
  #closed = false;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#schedule = new GpuSchedule({
      nowNs: options.nowNs,
      timer: options.timer,
      gpuMemoryBytes: options.gpuMemoryBytes,
      observe: options.trace,
      kill: (id, reason) => {
        options.log.error({ id, reason }, "the instance is aborted");
        this.#vgpus.get(id)?.process.kill("SIGKILL");
      },
    });
    const { version, log } = options;
    this.#control = new Control({ vgpus: this.#vgpus, schedule: this.#schedule, version, log });
  }

  get #brokerPath(): string {
    return join(this.#options.runtimeDir, "broker.sock");
  }

  /** Returns when every vGPU's socket accepts connections; throws naming a path that is taken. */
  start(): void {
    const { runtimeDir, controlPath, vgpus } = this.#options;
    mkdirSync(runtimeDir, { recursive: true, mode: 0o755 });
    const { log } = this.#options;
    const user = this.#options.confinement?.user ?? null;
    this.#servers.push(
      new PrivateSocket({
        path: controlPath,
        owner: null,
        refuse: (peer) => this.#refuseControl(peer),
        connected: (socket) => this.#serveControl(socket),
        log,
      }),
    );
    this.#servers.push(
      new PrivateSocket({
        path: this.#brokerPath,
        owner: user,
        refuse: (peer) => this.#refuseInstance(peer),
        connected: (socket, peer) => this.#instance(socket, peer),
        log,
      }),
    );
    this.#ownsFolder = true;
    for (const config of vgpus) {
      this.#addVgpu(config);
    }
    for (const vgpu of this.#vgpus.values()) {
      vgpu.process.start();
    }
    this.#healthTimer = setInterval(() => this.#lookAfter(), HEALTH_TURN_MS);
  }

  /** Ends processes that do not do their work any more; they are replaced. */
  #lookAfter(): void {
    for (const { config, process, link, health, frontEnds } of this.#vgpus.values()) {
      const { message } = frontEnds;
      const { pid } = process;
      const activity = (): Activity | null => (pid === null ? null : readActivity(pid));
      const running = pid !== null;
      const verdict = health.turn({ running, greeted: link !== null, message, activity });
      if (verdict.kind === "ping" && link !== null) writeLine(link, { type: "ping" });
      if (verdict.kind !== "end") continue;
      this.#options.log.error({ id: config.name }, `the instance is ended: ${verdict.why}`);
      process.kill("SIGKILL");
    }
    if (++this.#turns % METER_TURNS === 0) this.#meter();
  }

  /** Compares what the GPU did for each process with the time that it was given. */
  #meter(): void {
    for (const vgpu of this.#vgpus.values()) {
      const { pid } = vgpu.process;
      if (vgpu.meter === null || pid === null || vgpu.link === null) continue;
      vgpu.meteredNs = vgpu.meter.read(pid);
      if (vgpu.meteredNs !== null) this.#schedule.audit(vgpu.config.name, vgpu.meteredNs);
    }
  }

  async stop(): Promise<void> {
    this.#closed = true;
    if (this.#healthTimer !== null) clearInterval(this.#healthTimer);
    await Promise.all([...this.#vgpus.values()].map((vgpu) => vgpu.process.stop()));
    for (const vgpu of this.#vgpus.values()) {
      vgpu.frontEnds.close();
      this.#options.close(vgpu.listenFd);
      rmSync(vgpu.config.socketPath, { force: true });
      vgpu.link?.destroy();
    }
    this.#schedule.close();
    this.#poller.close();
    for (const server of this.#servers) {
      server.close();
    }
    if (this.#ownsFolder) removePrivateFolders(this.#options.runtimeDir);
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
    const { name } = config;
    this.#schedule.add(name, config.settings);
    const listenFd = o.listen(config.socketPath);
    const frontEnds = this.#frontEnds(name, listenFd);
    const process = this.#process(config, frontEnds);
    const vgpu: Vgpu = {
      config,
      listenFd,
      process,
      frontEnds,
      health: new Health({ answerMs: o.answerMs }),
      meter: this.#newMeter(),
      meteredNs: null,
      link: null,
      greeted: false,
      adapter: null,
      executor: null,
      nextSequence: 0,
      questions: new Map(),
    };
    process.onExit = () => {
      this.#unlink(vgpu);
      vgpu.greeted = false;
      vgpu.health.reset();
      vgpu.meter = this.#newMeter();
      vgpu.meteredNs = null;
      frontEnds.processGone();
      this.#schedule.gone(name);
    };
    process.onGivenUp = () => frontEnds.giveUp();
    this.#vgpus.set(name, vgpu);
  }

  #newMeter(): GpuMeter | null {
    const { meterProc } = this.#options;
    return meterProc === null ? null : new GpuMeter(meterProc);
  }

  #frontEnds(id: string, listenFd: number): FrontEnds {
    const { log } = this.#options;
    const process = (): InstanceProcess | undefined => this.#vgpus.get(id)?.process;
    return new FrontEnds({
      id,
      listenFd,
      poller: this.#poller,
      log,
      misbehaved: (reason) => {
        log.error({ id, reason }, "the instance breaks the rules of the relay and is ended");
        process()?.kill("SIGKILL");
      },
      left: () => process()?.kill("SIGKILL"),
      wanted: () => process()?.revive() ?? false,
    });
  }

  #process(config: VgpuConfig, frontEnds: FrontEnds): InstanceProcess {
    const o = this.#options;
    const { name } = config;
    return new InstanceProcess({
      id: name,
      command: o.instanceCommand,
      brokerPath: this.#brokerPath,
      executor: o.executor,
      memoryLimitBytes: config.settings.memoryBytesMax,
      translationCache: o.translationCache,
      logLevel: o.logLevel,
      extraArguments: o.extraArguments,
      crashAt: o.crashAt,
      restartLimits: o.restartLimits,
      confinement: o.confinement,
      runtimeDir: o.runtimeDir,
      openChannel: () => frontEnds.openChannel(),
      prepare: () => this.#schedule.prepare(name),
      started: () => {
        frontEnds.started();
        this.#schedule.started(name);
      },
      log: o.log,
      nowMs: () => o.nowNs() / 1e6,
    });
  }

  /** Operators are our own user and root. An instance may run as our user, and is none. */
  #refuseControl({ pid, uid }: Peer): string | null {
    if (uid !== this.#uid && uid !== 0) {
      return `user ${uid} is neither ours (${this.#uid}) nor root`;
    }
    const id = this.#instanceOf(pid);
    return id === null ? null : `it is the instance of vGPU "${id}"`;
  }

  #refuseInstance({ pid, uid }: Peer): string | null {
    const expected = this.#options.confinement?.user?.uid ?? this.#uid;
    if (uid !== expected) {
      return `user ${uid} is not the instances' (${expected})`;
    }
    return this.#instanceOf(pid) === null ? `process ${pid} is no instance of ours` : null;
  }

  /** The vGPU whose process it is. */
  #instanceOf(pid: number): string | null {
    for (const vgpu of this.#vgpus.values()) {
      if (vgpu.process.pid === pid) return vgpu.config.name;
    }
    return null;
  }

  #instance(socket: Socket, peer: Peer): void {
    let vgpu: Vgpu | null = null;
    readLines(socket, fromInstance, {
      message: (message) => {
        if (vgpu === null) {
          vgpu = this.#hello(socket, peer, message);
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
        this.#unlink(vgpu);
      }
    });
  }

  #hello(socket: Socket, peer: Peer, message: FromInstance): Vgpu | null {
    const { log } = this.#options;
    if (message.type !== "hello") {
      log.warn("a connection to the broker did not begin with hello");
      socket.destroy();
      return null;
    }
    const vgpu = this.#vgpus.get(message.id);
    // The kernel's word counts, not the message's.
    if (vgpu === undefined || vgpu.process.pid !== peer.pid) {
      log.warn({ id: message.id, pid: peer.pid }, "an instance that is none of ours is refused");
      socket.destroy();
      return null;
    }
    if (vgpu.greeted) {
      log.error({ id: message.id, pid: peer.pid }, "an instance says hello twice and is ended");
      vgpu.process.kill("SIGKILL");
      socket.destroy();
      return null;
    }
    vgpu.greeted = true;
    vgpu.link = socket;
    vgpu.adapter = message.adapter;
    vgpu.executor = message.executor;
    const { adapter, vendorId } = message;
    const { pid } = peer;
    this.#schedule.attach(message.id, { pid, adapter, vendorId });
    writeLine(socket, { type: "attached" });
    log.info({ id: message.id, pid, adapter }, "the vGPU is ready");
    return vgpu;
  }

  #fromInstance(vgpu: Vgpu, message: FromInstance): void {
    switch (message.type) {
      case "pong":
        vgpu.health.answered();
        return;
      case "busy":
        vgpu.health.announced(message.ms);
        return;
      case "status":
        vgpu.questions.get(message.sequence)?.(message.status);
        return;
      case "hello":
        vgpu.process.kill("SIGKILL");
        return;
    }
  }

  /** The link is down, or its process has ended. */
  #unlink(vgpu: Vgpu): void {
    vgpu.link?.destroy();
    vgpu.link = null;
    for (const answer of vgpu.questions.values()) {
      answer(null);
    }
    vgpu.questions.clear();
  }

  #serveControl(socket: Socket): void {
    readLines(socket, controlRequest, {
      message: (request) => {
        void this.#control.answer(request).then((reply) => {
          writeLine(socket, reply);
          socket.end();
        });
      },
      invalid: (error) => writeLine(socket, { ok: false, error }),
    });
  }
}
