// SPDX-License-Identifier: Apache-2.0
/** Who gets the GPU when: policies, accounts, and their link to the G-VMCS. */
export * from "./admission.js";
export * from "./arbiter.js";
export { type Account, type ExitKind, exitKinds } from "./entity.js";
export * from "./scheduler.js";
export * from "./settings.js";
export * from "./types.js";
