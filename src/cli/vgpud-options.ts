// SPDX-License-Identifier: Apache-2.0
/**
 * What an operator may say about vGPUs: on the command line (`--vgpu NAME,socket=PATH,memory=SIZE,weight=4`)
 * or in a JSON file of the same terms. Errors name what is wrong and what would be right.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { parseBytes, parseSettings } from "../broker/settings-text.js";
import type { VgpuConfig } from "../broker/vgpu.js";
import { defaultMemoryBytes, SettingsError } from "../scheduler/index.js";
import { UsageError } from "./common.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** Longest path that fits into a unix socket address. */
const SOCKET_PATH_BYTES_MAX = 107;

/** One --vgpu argument. */
export function parseVgpu(text: string, runtimeDir: string): VgpuConfig {
  const [name = "", ...settings] = text.split(",");
  const isSocket = (setting: string): boolean => setting.startsWith("socket=");
  const socket = settings.find(isSocket)?.slice("socket=".length);
  return finish(
    name,
    socket,
    settings.filter((setting) => !isSocket(setting)),
    runtimeDir,
  );
}

const configFile = z.strictObject({
  vgpus: z
    .array(
      z.strictObject({
        name: z.string(),
        socket: z.string().optional(),
        memory: z.union([z.string(), z.number()]).optional(),
        policy: z.string().optional(),
        weight: z.number().optional(),
        slice: z.union([z.string(), z.number()]).optional(),
        min: z.union([z.string(), z.number()]).optional(),
        max: z.union([z.string(), z.number()]).optional(),
        watchdog: z.union([z.string(), z.number()]).optional(),
        tail: z.union([z.string(), z.number()]).optional(),
        features: z.string().optional(),
      }),
    )
    .min(1),
  executor: z.enum(["dawn", "null", "faulty"]).optional(),
  gpuMemory: z.union([z.string(), z.number()]).optional(),
});

export interface ConfigFile {
  readonly vgpus: readonly VgpuConfig[];
  readonly executor: string | undefined;
  /** Device memory that may be promised in all, bytes; null: not known. */
  readonly gpuMemoryBytes: number | null;
}

export function readConfig(path: string, runtimeDir: string): ConfigFile {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`the configuration ${path} can't be read: ${(error as Error).message}`);
  }
  const parsed = configFile.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new UsageError(
      `the configuration ${path} is not valid at "${issue?.path.join(".")}": ${issue?.message}`,
    );
  }
  const vgpus = parsed.data.vgpus.map(({ name, socket, ...settings }) => {
    const texts = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
    return finish(name, socket, texts, runtimeDir);
  });
  const { executor, gpuMemory } = parsed.data;
  const gpuMemoryBytes =
    gpuMemory === undefined ? null : parseGpuMemory(`${gpuMemory}`, `${path}: "gpuMemory"`);
  return { vgpus, executor, gpuMemoryBytes };
}

/** The GPU's memory as an operator writes it, bytes. Throws UsageError naming where it stands. */
export function parseGpuMemory(text: string, where: string): number {
  try {
    const bytes = parseBytes(where, text);
    if (bytes > 0) return bytes;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
  }
  throw new UsageError(`${where}: "${text}" is no size such as 8G`);
}

/** Names and sockets must differ; there must be at least one vGPU. */
export function checkVgpus(vgpus: readonly VgpuConfig[]): void {
  if (vgpus.length === 0) {
    throw new UsageError("no vGPU is configured: give --vgpu NAME, or --config FILE");
  }
  for (const [index, vgpu] of vgpus.entries()) {
    for (const other of vgpus.slice(0, index)) {
      if (other.name === vgpu.name) {
        throw new UsageError(`two vGPUs are called "${vgpu.name}"`);
      }
      if (other.socketPath === vgpu.socketPath) {
        throw new UsageError(
          `vGPUs "${other.name}" and "${vgpu.name}" have one socket: ${vgpu.socketPath}`,
        );
      }
    }
  }
}

function finish(
  name: string,
  socket: string | undefined,
  texts: readonly string[],
  runtimeDir: string,
): VgpuConfig {
  if (!NAME.test(name)) {
    throw new UsageError(
      `"${name}" is no vGPU name: use 1 to 63 letters, digits, ".", "_" and "-", beginning with a letter or digit`,
    );
  }
  const socketPath = socket ?? join(runtimeDir, `${name}.sock`);
  const pathBytes = Buffer.byteLength(socketPath);
  if (pathBytes === 0 || pathBytes > SOCKET_PATH_BYTES_MAX) {
    throw new UsageError(
      `the socket path of vGPU "${name}" has ${pathBytes} bytes; a path has 1 to ${SOCKET_PATH_BYTES_MAX}: ${socketPath}`,
    );
  }
  try {
    const settings = parseSettings(texts);
    const memoryBytesMax = settings.memoryBytesMax ?? defaultMemoryBytes;
    return { name, socketPath, settings: { ...settings, memoryBytesMax } };
  } catch (error) {
    if (error instanceof SettingsError) {
      throw new UsageError(`vGPU "${name}": ${error.message}`);
    }
    throw error;
  }
}
