// SPDX-License-Identifier: Apache-2.0
/** PTX modules for the device: see types.ts. */

export * from "./types.js";
export { TranslateError } from "./types.js";
