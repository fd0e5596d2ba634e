// SPDX-License-Identifier: Apache-2.0
/** What the device and its translator's thread say to each other. */
import type { EmitRequest, TranslateReason } from "./types.js";

export type WorkerRequest =
  | { readonly kind: "load"; readonly id: number; readonly source: string | Uint8Array }
  | { readonly kind: "describe"; readonly id: number; readonly kernel: string }
  | {
      readonly kind: "emit";
      readonly id: number;
      readonly kernel: string;
      readonly request: EmitRequest;
    }
  | { readonly kind: "forget"; readonly id: number };

export type WorkerAnswer =
  | { readonly ok: true; readonly result: unknown }
  /** Without a reason it is our own error. */
  | { readonly ok: false; readonly reason: TranslateReason | null; readonly message: string };
