// SPDX-License-Identifier: Apache-2.0
// GPU time of a process as kernel drivers tell it, over files such as they have.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GpuMeter } from "../../../src/broker/gpu-meter.js";

const PID = 77;
let proc = "";

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "vgpu-proc-"));
  mkdirSync(join(proc, String(PID), "fdinfo"), { recursive: true });
  writeFileSync(join(proc, String(PID), "fdinfo", "0"), "pos:\t0\nflags:\t0100000\n");
});
afterEach(() => rmSync(proc, { recursive: true }));

/** What one descriptor says; engines by name, in ns. */
function says(fd: number, client: number, engines: Record<string, number>, more = ""): void {
  const lines = Object.entries(engines).map(([name, ns]) => `drm-engine-${name}:\t${ns} ns\n`);
  const head = `pos:\t0\ndrm-driver:\ti915\ndrm-client-id:\t${client}\ndrm-pdev:\t0000:00:02.0\n`;
  writeFileSync(
    join(proc, String(PID), "fdinfo", String(fd)),
    `${head}drm-memory-vram:\t16 MiB\n${lines.join("")}${more}`,
  );
}

describe("the meter of a process", () => {
  it("has nothing to say of a process that is gone or has no GPU open", () => {
    expect(new GpuMeter(proc).read(PID)).toBeNull();
    expect(new GpuMeter(proc).read(PID + 1)).toBeNull();
    // Drivers that count cycles only, or nothing.
    says(3, 1, {}, "drm-cycles-rcs:\t5\n");
    expect(new GpuMeter(proc).read(PID)).toBeNull();
  });

  it("counts what was done between two looks, by the busiest engine", () => {
    const meter = new GpuMeter(proc);
    says(3, 1, { render: 5000, copy: 3000 });
    expect(meter.read(PID)).toBe(5000);
    says(3, 1, { render: 5100, copy: 5000 });
    expect(meter.read(PID)).toBe(7000);
    expect(meter.read(PID)).toBe(7000);
  });

  it("counts an open file once, however many descriptors name it, and all files together", () => {
    const meter = new GpuMeter(proc);
    says(3, 1, { compute: 1000 });
    says(4, 1, { compute: 1000 });
    says(5, 2, { compute: 500 });
    expect(meter.read(PID)).toBe(1500);
  });

  it("takes a part that can't be read for no evidence, then and later", () => {
    const meter = new GpuMeter(proc);
    says(3, 1, { compute: 1000 });
    says(4, 2, { compute: 500 });
    expect(meter.read(PID)).toBe(1500);
    const unreadable = join(proc, String(PID), "fdinfo", "4");
    rmSync(unreadable);
    mkdirSync(unreadable);
    expect(meter.read(PID)).toBeNull();
    rmSync(unreadable, { recursive: true });
    says(4, 2, { compute: 600 });
    expect(meter.read(PID)).toBe(1600);
  });

  it("divides by the number of like engines", () => {
    says(3, 1, { video: 4000, render: 1000 }, "drm-engine-capacity-video:\t2\n");
    expect(new GpuMeter(proc).read(PID)).toBe(2000);
  });

  it("gives nothing for a counter that begins anew, nor for a file that is closed", () => {
    const meter = new GpuMeter(proc);
    says(3, 1, { render: 9000 });
    says(4, 2, { render: 1000 });
    expect(meter.read(PID)).toBe(10_000);
    says(3, 1, { render: 10 });
    rmSync(join(proc, String(PID), "fdinfo", "4"));
    expect(meter.read(PID)).toBe(10_000);
    says(3, 1, { render: 110 });
    expect(meter.read(PID)).toBe(10_100);
  });
});
