// SPDX-License-Identifier: Apache-2.0
/** What tests of vhost-user sessions share. */
import { readdirSync, readlinkSync } from "node:fs";
import { afterEach } from "vitest";
import { EchoDevice } from "./echo-device.js";
import { type InProcessOptions, MockDriver } from "./mock-driver.js";

export const ALL_FEATURES = (1n << 64n) - 1n;

export interface TestSession {
  readonly driver: MockDriver;
  readonly device: EchoDevice;
}

/** Makes sessions that are closed after each test. To be called at the top of a test file. */
export function testSessions(): {
  /** Connected, nothing sent. */
  open(options?: InProcessOptions): TestSession;
  /** Negotiated, memory shared, rings running. */
  start(options?: InProcessOptions): Promise<TestSession>;
} {
  const drivers: MockDriver[] = [];
  afterEach(() => {
    for (const driver of drivers.splice(0)) driver.close();
  });
  const open = (options: InProcessOptions = {}): TestSession => {
    const device = new EchoDevice();
    const driver = MockDriver.inProcess(device, options);
    drivers.push(driver);
    return { driver, device };
  };
  return {
    open,
    start: async (options) => {
      const session = open(options);
      await session.driver.start();
      return session;
    },
  };
}

/** Open descriptors of this process, less those of pollers, which end when they are collected. */
export function openFds(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return !readlinkSync(`/proc/self/fd/${fd}`).includes("eventpoll");
    } catch {
      // The descriptor that lists the folder is closed by now.
      return false;
    }
  }).length;
}

export function pattern(count: number, seed = 1): Uint8Array {
  return new Uint8Array(count).map((_, i) => (i * 31 + seed) & 0xff);
}
