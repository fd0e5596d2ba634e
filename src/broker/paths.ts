// SPDX-License-Identifier: Apache-2.0
/** Where `vgpud` keeps its sockets, so that `vgpuctl` finds it without being told. */
import { join } from "node:path";

export function defaultRuntimeDir(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) {
    return "/run/para-vgpu";
  }
  const base = env.XDG_RUNTIME_DIR ?? `/tmp/para-vgpu-${uid}`;
  return join(base, "para-vgpu");
}

export function controlPathIn(runtimeDir: string): string {
  return join(runtimeDir, "control.sock");
}
