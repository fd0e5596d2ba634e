// SPDX-License-Identifier: Apache-2.0
/** The G-VMCS: the control structure of one vGPU. See spec/g-vmcs.md. */
export * from "./broker-side.js";
export * from "./decode.js";
export * from "./generated/layout.js";
export * from "./instance-side.js";
export * from "./page.js";
export * from "./state-machine.js";
