// SPDX-License-Identifier: Apache-2.0
/**
 * What an instance may reach: the arguments with which the broker starts it under `vgpu-launch`
 * (native/launcher.cc, the mechanism), and its environment. An instance works for a guest, and runs
 * that guest's kernels through a compiler and a driver that were not written for hostile input: so
 * it gets what Node, the addon and the Vulkan driver need, and one private folder to write to.
 *
 * All paths are looked up at each start, so that a driver that is installed later is found.
 */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { packageRoot } from "../io/package-root.js";

/** Descriptors that an instance inherits: socket 3, G-VMCS 4 to 7, the launcher's report. */
export const REPORT_FD = 8;
/** More than a memory table, its notifiers and the driver's own descriptors come to. */
const NOFILE_MAX = 65_536;
/** For all instances of a user together: 32 of them, with a software renderer's threads. */
const NPROC_MAX = 8_192;

/** Read by Node, libc, the loader and the drivers. */
const SYSTEM_READ = [
  ...["/usr", "/lib", "/lib32", "/lib64", "/opt/rocm", "/opt/amdgpu", "/sys"],
  ...["/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/ssl/openssl.cnf"],
  ...["/etc/vulkan", "/etc/drirc", "/etc/nvidia", "/etc/glvnd", "/run/nvidia-persistenced"],
  ...["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version"],
  ...["/proc/filesystems", "/proc/devices", "/proc/modules", "/proc/loadavg", "/proc/uptime"],
  ...["/proc/sys/kernel", "/proc/sys/vm", "/proc/driver"],
];
const SYSTEM_DEVICES = ["null", "zero", "full", "random", "urandom", "kfd", "udmabuf"];
/** Variables that hold paths of files or folders, which the instance is to read. */
const PATH_VARIABLES = [
  ...["LD_LIBRARY_PATH", "VK_LAYER_PATH", "VK_ADD_LAYER_PATH", "VGPU_ADDON"],
  ...["VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES", "VK_ICD_FILENAMES"],
];

const KEPT_VARIABLES = new Set([
  ...["LANG", "LC_ALL", "TZ", "TERM", "NO_COLOR", "FORCE_COLOR", "NODE_ENV", "LD_LIBRARY_PATH"],
  ...["CUDA_VISIBLE_DEVICES", "DRI_PRIME"],
]);
const KEPT_PREFIXES = [
  ...["VGPU_", "VK_", "DAWN_", "MESA_", "LP_", "GALLIUM_", "GALLIVM_", "LIBGL_"],
  ...["NVIDIA_", "__NV_", "RADV_", "AMD_", "INTEL_", "ANV_", "NVK_"],
];

/** The user whom instances run as, or the broker's own if null. */
export interface InstanceUser {
  readonly uid: number;
  readonly gid: number;
}

export interface Confinement {
  readonly launcher: string;
  readonly user: InstanceUser | null;
}

/** Confinement that was asked for and can't be had. */
export class ConfinementError extends Error {
  override readonly name = "ConfinementError";
}

const report = z.object({ applied: z.array(z.string()), missing: z.array(z.string()) });
/** What the launcher did, and what this kernel or this user can't. */
export type ConfinementReport = z.infer<typeof report>;
export const confinementReport = report;

const probed = z.object({
  landlockAbi: z.number(),
  uid: z.number().optional(),
  gid: z.number().optional(),
});

const root = fileURLToPath(packageRoot);

/** Beside the addon, which the same build makes. */
export function launcherPath(): string {
  return join(root, "build/Release/vgpu-launch");
}

/** Looks `user` up as the launcher does. Throws ConfinementError. */
export function openConfinement(launcher: string, user: string | null): Confinement {
  if (user === null) return { launcher, user: null };
  if (process.getuid?.() !== 0) {
    throw new ConfinementError(`--user ${user}: only root can run instances as another user`);
  }
  const { status, stdout, stderr } = spawnSync(launcher, ["--probe", `--user=${user}`], {
    encoding: "utf8",
  });
  if (status !== 0) {
    throw new ConfinementError(stderr.trim().replace(/^vgpu-launch: |; see .*$/g, ""));
  }
  const { uid = 0, gid = 0 } = probed.parse(JSON.parse(stdout));
  return { launcher, user: { uid, gid } };
}

/** Only what is named here reaches an instance: an operator's environment may hold secrets. */
export function instanceEnvironment(
  own: NodeJS.ProcessEnv,
  privateFolder: string | null,
): NodeJS.ProcessEnv {
  const kept = Object.entries(own).filter(
    ([name]) => KEPT_VARIABLES.has(name) || KEPT_PREFIXES.some((prefix) => name.startsWith(prefix)),
  );
  // A cache of compiled kernels would be a channel between guests: what one compiled, another loads.
  const noCache = {
    MESA_SHADER_CACHE_DISABLE: "true",
    MESA_GLSL_CACHE_DISABLE: "true",
    __GL_SHADER_DISK_CACHE: "0",
  };
  const folders =
    privateFolder === null
      ? { HOME: own.HOME, TMPDIR: own.TMPDIR }
      : { HOME: privateFolder, TMPDIR: privateFolder, XDG_CACHE_HOME: privateFolder };
  return { ...Object.fromEntries(kept), ...noCache, ...folders };
}

/** Arguments of the launcher up to and including `--`. */
export function launcherArguments(
  confinement: Confinement,
  environment: NodeJS.ProcessEnv,
  privateFolder: string,
  cacheFolder: string | null = null,
): string[] {
  const { user } = confinement;
  const read = [...SYSTEM_READ, ...ownFiles(), ...driverFiles(environment)];
  return [
    ...(user === null ? [] : [`--user=${user.uid}:${user.gid}`, `--limit=nproc=${NPROC_MAX}`]),
    `--parent=${process.pid}`,
    "--limit=core=0",
    `--limit=nofile=${NOFILE_MAX}`,
    ...[...new Set(read)].filter((path) => existsSync(path)).map((path) => `--read=${path}`),
    ...(existsSync("/dev/dri") ? ["--list=/dev/dri"] : []),
    ...devices().map((path) => `--device=${path}`),
    `--private=${privateFolder}`,
    ...(cacheFolder === null ? [] : [`--private=${cacheFolder}`]),
    `--last-fd=${REPORT_FD}`,
    `--report-fd=${REPORT_FD}`,
    "--",
  ];
}

/** Empties the private folder of a vGPU's previous process; the launcher makes it anew. */
export function freshPrivateFolder(runtimeDir: string, id: string): string {
  const all = privateFolders(runtimeDir);
  // Searchable by the instances' user, each of whose folders is its own.
  mkdirSync(all, { recursive: true, mode: 0o711 });
  const folder = join(all, id);
  rmSync(folder, { recursive: true, force: true });
  return folder;
}

/**
 * Where a vGPU's process keeps translations: in a folder of its own, for what it finds there is what
 * only its own guest can have had written. It outlives processes. Throws where it can't be had;
 * the launcher gives it to the instances' user.
 */
export function translationFolder(all: string, id: string): string {
  // Searchable by the instances' user, each of whose folders is its own.
  if (!existsSync(all)) mkdirSync(all, { mode: 0o711 });
  const folder = resolve(all, id);
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
  if (!lstatSync(folder).isDirectory()) throw new Error(`${folder} is no folder`);
  return folder;
}

export function removePrivateFolders(runtimeDir: string): void {
  rmSync(privateFolders(runtimeDir), { recursive: true, force: true });
}

function privateFolders(runtimeDir: string): string {
  return resolve(runtimeDir, "private");
}

/** This package, and every node_modules that it resolves from: npm may have put them higher up. */
function ownFiles(): string[] {
  const found = ["dist", "package.json", "build/Release"].map((name) => join(root, name));
  for (let folder = resolve(root); ; folder = dirname(folder)) {
    found.push(join(folder, "node_modules"));
    if (dirname(folder) === folder) return found;
  }
}

/** What the environment points the Vulkan loader to, and what is pointed to from there. */
function driverFiles(environment: NodeJS.ProcessEnv): string[] {
  const named = PATH_VARIABLES.flatMap((name) => (environment[name] ?? "").split(/[:;]/))
    .filter((path) => isAbsolute(path) && resolve(path) !== "/")
    .map((path) => resolve(path));
  return [...named, ...named.flatMap(libraryOfManifest)];
}

/** The folder of the driver that a manifest names with a path: its own libraries lie beside it. */
function libraryOfManifest(path: string): string[] {
  if (!path.endsWith(".json")) return [];
  try {
    const manifest = z
      .object({ ICD: z.object({ library_path: z.string() }) })
      .parse(JSON.parse(readFileSync(path, "utf8")));
    const { library_path: library } = manifest.ICD;
    const folder = dirname(resolve(dirname(path), library));
    return library.includes("/") && folder !== "/" ? [folder] : [];
  } catch {
    // The loader says what is wrong with it.
    return [];
  }
}

/** Render nodes, but not the cards, which could set modes; and NVIDIA's. */
function devices(): string[] {
  const fixed = SYSTEM_DEVICES.map((name) => join("/dev", name));
  const nvidia = named("/dev", /^nvidia/);
  const render = named("/dev/dri", /^renderD/);
  return [...fixed, ...nvidia, ...render].filter((path) => existsSync(path));
}

function named(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name));
}
