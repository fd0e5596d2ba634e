// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";

/** Where this package lies: two levels above src/io, and above dist/programs, where bundles are. */
export const packageRoot = new URL("../../", import.meta.url);

/** Where the native addon lies; VGPU_ADDON names another one. */
export function addonPath(): string {
  return (
    process.env.VGPU_ADDON ?? fileURLToPath(new URL("build/Release/vgpu_native.node", packageRoot))
  );
}
