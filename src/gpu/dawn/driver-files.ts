// SPDX-License-Identifier: Apache-2.0
/**
 * Which libraries the Vulkan loader opens, as far as the environment tells: the drivers that its manifests
 * name. Loading one takes tens of milliseconds, which a start may spend on another thread.
 *
 * Source: LoaderDriverInterface.md of Vulkan-Loader, "Driver Discovery" on Linux.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

const MANIFEST_BYTES_MAX = 64 * 1024;
const LIBRARIES_MAX = 32;

/** Manifests: those that the environment names, or all of the system's. */
function manifests(environment: Environment): string[] {
  const named = environment.VK_DRIVER_FILES ?? environment.VK_ICD_FILENAMES;
  if (named !== undefined && named !== "") return named.split(":").filter((path) => path !== "");
  const listed = (name: string, otherwise: string): string[] =>
    (environment[name] || otherwise).split(":").filter((path) => isAbsolute(path));
  const folders = [
    ...listed("XDG_CONFIG_DIRS", "/etc/xdg"),
    ...["/usr/local/etc", "/etc"],
    ...listed("XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
  ].map((folder) => join(folder, "vulkan/icd.d"));
  return folders.flatMap((folder) => {
    try {
      return readdirSync(folder)
        .filter((file) => file.endsWith(".json"))
        .map((file) => join(folder, file));
    } catch {
      return [];
    }
  });
}

/** The library that a manifest names, or null: the loader says what is wrong with it. */
function libraryOf(manifest: string): string | null {
  try {
    const text = readFileSync(manifest, "utf8");
    if (text.length > MANIFEST_BYTES_MAX) return null;
    const { ICD } = JSON.parse(text) as { ICD?: { library_path?: unknown } };
    const path = ICD?.library_path;
    if (typeof path !== "string" || path === "") return null;
    // A mere name is looked for where the system has its libraries.
    return isAbsolute(path) || !path.includes("/") ? path : resolve(dirname(manifest), path);
  } catch {
    return null;
  }
}

/** Paths or names for `dlopen`. None where the environment chooses among drivers by other means. */
export function driverLibraries(environment: Environment): string[] {
  const { VK_LOADER_DRIVERS_SELECT: select, VK_LOADER_DRIVERS_DISABLE: disable } = environment;
  if (select !== undefined || disable !== undefined) return [];
  const libraries = manifests(environment).map(libraryOf);
  return [...new Set(libraries)].filter((path) => path !== null).slice(0, LIBRARIES_MAX);
}
