// SPDX-License-Identifier: Apache-2.0
/** The vGPU device, as the programs use it. */
export { createDevice, type DeviceOptions } from "./create.js";
export { VgpuDevice } from "./device.js";
export type { DeviceLog } from "./host.js";
export { type Lease, localLease } from "./lease.js";
export { DEFAULT_LIMITS, DEFAULT_SCHEDULING, type InstanceLimits } from "./limits.js";
export type { ContextStatus, DeviceStatus, UsageStatus } from "./status.js";
