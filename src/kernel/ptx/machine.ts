// SPDX-License-Identifier: Apache-2.0
import type { Graph } from "./cfg.js";
import type { Emit } from "./emit-context.js";
import { PtxError } from "./error.js";

export function emitMachine(e: Emit, _graph: Graph): Uint8Array {
  throw new PtxError("divergent barriers are not supported yet", e.kernel.line);
}
