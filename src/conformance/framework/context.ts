// SPDX-License-Identifier: Apache-2.0
/** What a test gets: connections that end with it, and what is known of the back end. */
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { CapabilitiesResponse } from "../../protocol/generated/wire.js";
import { Device } from "../driver/device.js";
import { FrontEnd, type FrontEndOptions } from "../driver/front-end.js";
import { Violation } from "./check.js";
import type { Need } from "./registry.js";

/** What the program found out before the tests, or was told. */
export interface Environment {
  readonly path: string;
  readonly features: bigint;
  readonly protocol: bigint;
  readonly limits: CapabilitiesResponse;
  /** Kernels and copies compute. */
  readonly results: boolean;
  /** Capability PTX is offered. */
  readonly ptx: boolean;
  /** The back end's process, or null. */
  readonly pid: number | null;
  /** Needs that are not met, with the reason. */
  readonly unmet: ReadonlyMap<Need, string>;
}

export class TestContext {
  readonly environment: Environment;
  readonly #open: FrontEnd[] = [];

  constructor(environment: Environment) {
    this.environment = environment;
  }

  get limits(): CapabilitiesResponse {
    return this.environment.limits;
  }

  /** A connection on which nothing was sent. */
  connect(options: FrontEndOptions = {}): FrontEnd {
    const frontEnd = new FrontEnd(this.environment.path, options);
    this.#open.push(frontEnd);
    return frontEnd;
  }

  /** A driver with running rings, before INIT. */
  async driver(options: FrontEndOptions = {}): Promise<Device> {
    return new Device(await this.connect(options).start());
  }

  /** A driver after INIT. */
  async device(options: FrontEndOptions = {}): Promise<Device> {
    const device = await this.driver(options);
    await device.init();
    return device;
  }

  /** Gives the back end time for something that it must not do. */
  async pause(milliseconds = 20): Promise<void> {
    await sleep(milliseconds);
  }

  /** The back end takes a new connection, negotiates and answers: it has survived. */
  async survives(): Promise<void> {
    this.close();
    const device = await this.device();
    const context = await device.createContext();
    await context.destroy();
  }

  /** How many descriptors the back end has. */
  descriptors(): number {
    const { pid } = this.environment;
    if (pid === null) throw new Error("the back end's process is not known");
    return readdirSync(`/proc/${pid}/fd`).length;
  }

  /** Descriptors must come down to `expected` again, which takes a moment after a close. */
  async descriptorsBack(expected: number): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      if (this.descriptors() <= expected) return;
      await sleep(10);
    }
    const now = this.descriptors();
    throw new Violation(`the back end has ${now} descriptors, before it had ${expected}`);
  }

  /** Ends all connections of the test. */
  close(): void {
    for (const frontEnd of this.#open.splice(0)) frontEnd.close();
  }
}
