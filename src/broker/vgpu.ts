// SPDX-License-Identifier: Apache-2.0
/** What the broker holds of one vGPU, whichever process serves it at the time. */
import type { Socket } from "node:net";
import type { VgpuSettings } from "../scheduler/index.js";
import type { FrontEnds } from "./front-ends.js";
import type { GpuMeter } from "./gpu-meter.js";
import type { Health } from "./health.js";
import type { InstanceProcess } from "./instance-process.js";

export interface VgpuConfig {
  readonly name: string;
  readonly socketPath: string;
  /** Its memory, and scheduling settings that differ from the defaults. */
  readonly settings: Partial<VgpuSettings> & Pick<VgpuSettings, "memoryBytesMax">;
}

export interface Vgpu {
  readonly config: VgpuConfig;
  readonly listenFd: number;
  readonly process: InstanceProcess;
  readonly frontEnds: FrontEnds;
  readonly health: Health;
  /** Of the process that runs; null where GPUs are not metered. */
  meter: GpuMeter | null;
  /** GPU time of the process by its driver's count, ns; null: not known. */
  meteredNs: number | null;
  link: Socket | null;
  /** Whether the process that runs has said hello, which it does once. */
  greeted: boolean;
  adapter: string | null;
  executor: string | null;
  nextSequence: number;
  readonly questions: Map<number, (status: Record<string, unknown> | null) => void>;
}
