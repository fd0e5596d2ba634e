// SPDX-License-Identifier: Apache-2.0
/**
 * The options of `vgpu-instance`, after the conventions for vhost-user back-end programs:
 * `--socket-path` or `--fd`, `--print-capabilities`, never a daemon of its own.
 */
import { resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { VGPU } from "../protocol/generated/wire.js";
import { LOG_LEVELS, type LogLevel } from "../telemetry/log.js";
import type { PollingOptions } from "../vhost-user/ring-loop.js";
import { ExitCode, packageVersion, parseSize, UsageError } from "./common.js";

export const EXECUTORS = ["dawn", "null", "faulty"] as const;
export type ExecutorKind = (typeof EXECUTORS)[number];

export type SocketOption =
  | { readonly path: string }
  | { readonly fd: number }
  | { readonly relay: number };

export interface InstanceOptions {
  /**
   * Where front ends come from: a path to listen at, a socket that the parent opened, or a channel
   * over which a broker hands them on.
   */
  readonly socket: SocketOption;
  readonly executor: ExecutorKind;
  /** The broker's socket, or null to run alone. */
  readonly brokerPath: string | null;
  /** Its G-VMCS: controls page, state page, our doorbell, the broker's; null to run alone. */
  readonly gvmcsFds: readonly [number, number, number, number] | null;
  /** Name of this vGPU in logs and reports. */
  readonly id: string;
  /** Device memory that the guest may use, bytes; null for the executor's own limit. */
  readonly memoryLimitBytes: number | null;
  /** Folder in which translations of PTX are kept, or null for none. */
  readonly translationCache: string | null;
  readonly logLevel: LogLevel;
  /** How rings are polled after activity; null for the default. */
  readonly polling: PollingOptions | null;
  /** Where this process ends itself, for tests; null for nowhere. */
  readonly crashAt: string | null;
}

export type ParsedOptions =
  | { readonly kind: "run"; readonly options: InstanceOptions }
  | { readonly kind: "print-capabilities" }
  | { readonly kind: "exit"; readonly code: number };

interface RawOptions {
  readonly socketPath?: string;
  readonly fd?: number;
  readonly relay?: number;
  readonly crashAt?: string;
  readonly printCapabilities?: true;
  readonly executor: ExecutorKind;
  readonly broker?: string;
  readonly gvmcs?: readonly [number, number, number, number];
  readonly id?: string;
  readonly memoryLimit?: string;
  readonly translationCache?: string;
  readonly polling?: PollingOptions;
  readonly logLevel: LogLevel;
}

/** A window of a second is busy waiting in all but name. */
const POLL_US_MAX = 1_000_000;
const FD_MAX = 2 ** 20;
const SOCKET_PATH_BYTES_MAX = 107;
const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function parseFd(text: string): number {
  const fd = /^\d+$/.test(text) ? Number(text) : -1;
  if (fd < 3 || fd > FD_MAX)
    throw new InvalidArgumentError("It must be the number of an inherited socket, 3 or above.");
  return fd;
}

/** `WINDOW[,BUSY[,SPIN]]` in microseconds; what is left out is WINDOW, and at most 2 for SPIN. */
function parsePolling(text: string): PollingOptions {
  const parts = text.split(",").map((part) => (/^\d+$/.test(part) ? Number(part) : -1));
  const [window = -1, busy = window, spin = Math.min(window, 2)] = parts;
  if (parts.length > 3 || parts.some((part) => part < 0 || part > POLL_US_MAX))
    throw new InvalidArgumentError(`It must be 1 to 3 whole numbers up to ${POLL_US_MAX}.`);
  return { windowNs: window * 1000, busyWindowNs: busy * 1000, spinNs: spin * 1000 };
}

function parseGvmcsFds(text: string): readonly [number, number, number, number] {
  const [controls, state, ownBell, brokerBell, ...more] = text.split(",").map(parseFd);
  if (
    controls === undefined ||
    state === undefined ||
    ownBell === undefined ||
    brokerBell === undefined ||
    more.length > 0
  )
    throw new InvalidArgumentError("Four descriptor numbers are needed, as 4,5,6,7.");
  return [controls, state, ownBell, brokerBell];
}

function command(): Command {
  return new Command("vgpu-instance")
    .description("One virtual GPU as a vhost-user back end (virtio-vgpu), on its own socket.")
    .version(packageVersion())
    .option("--socket-path <path>", "listen for front ends at this path")
    .option("--fd <number>", "use this inherited socket, listening or connected", parseFd)
    .option("--relay <number>", "take front ends from vgpud over this inherited socket", parseFd)
    .addOption(new Option("--crash-at <point>", "for tests: kill -9 at POINT[:COUNT]").hideHelp())
    .option("--print-capabilities", "print what this back end can do, as JSON, and exit")
    .addOption(
      new Option("--executor <kind>", "what runs the work").choices([...EXECUTORS]).default("dawn"),
    )
    .option("--broker <path>", "the broker's socket, which lends the GPU (default: run alone)")
    .option(
      "--gvmcs <numbers>",
      "inherited descriptors of the G-VMCS: controls, state, our doorbell, the broker's",
      parseGvmcsFds,
    )
    .option("--id <name>", "name of this vGPU in logs and reports")
    .option("--memory-limit <size>", "device memory that the guest may use, e.g. 4GiB")
    .option(
      "--translation-cache <dir>",
      "keep translations of PTX there, a folder for this vGPU alone (default: in this process only)",
    )
    .option(
      "--polling <us>",
      "poll rings for so many microseconds after activity: WINDOW[,BUSY[,SPIN]]; 0: never",
      parsePolling,
    )
    .addOption(
      new Option("--log-level <level>", "least level logged")
        .choices([...LOG_LEVELS])
        .default("info"),
    )
    .addHelpText("after", "\nExactly one of --socket-path, --fd and --relay is needed.")
    .allowExcessArguments(true)
    .exitOverride();
}

/** Parses `process.argv`. Throws UsageError; what commander reports itself it has printed. */
export function parseInstanceOptions(argv: readonly string[]): ParsedOptions {
  const program = command();
  try {
    program.parse(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: "exit", code: error.exitCode === 0 ? ExitCode.ok : ExitCode.usage };
  }
  const raw = program.opts<RawOptions>();
  const [extra] = program.args;
  if (extra !== undefined) throw new UsageError(`'${extra}' is no option; there are only options`);
  if (raw.printCapabilities) return { kind: "print-capabilities" };
  const id = raw.id ?? `vgpu-${process.pid}`;
  if (!ID_PATTERN.test(id))
    throw new UsageError(`--id: '${id}' is no name of 1 to 64 letters, digits, '.', '_' and '-'`);
  return {
    kind: "run",
    options: {
      socket: socketOf(raw),
      executor: raw.executor,
      brokerPath: raw.broker ?? null,
      gvmcsFds: raw.gvmcs ?? null,
      id,
      memoryLimitBytes:
        raw.memoryLimit === undefined ? null : parseSize(raw.memoryLimit, "--memory-limit"),
      translationCache: cacheFolder(raw.translationCache),
      logLevel: raw.logLevel,
      polling: raw.polling ?? null,
      crashAt: raw.crashAt ?? null,
    },
  };
}

function cacheFolder(path: string | undefined): string | null {
  if (path === undefined) return null;
  if (path === "") throw new UsageError("--translation-cache needs the path of a folder");
  return resolve(path);
}

function socketOf(raw: RawOptions): InstanceOptions["socket"] {
  const { socketPath, fd, relay } = raw;
  if (relay !== undefined) {
    if (socketPath !== undefined || fd !== undefined)
      throw new UsageError("--relay excludes --socket-path and --fd");
    return { relay };
  }
  if (socketPath !== undefined && fd !== undefined)
    throw new UsageError("--socket-path and --fd are both given; one is needed");
  if (fd !== undefined) return { fd };
  if (socketPath === undefined)
    throw new UsageError("neither --socket-path nor --fd is given; one is needed");
  const bytes = Buffer.byteLength(socketPath);
  if (bytes === 0 || bytes > SOCKET_PATH_BYTES_MAX)
    throw new UsageError(
      `--socket-path: the path has ${bytes} bytes, a socket's path has 1 to ${SOCKET_PATH_BYTES_MAX}`,
    );
  return { path: socketPath };
}

/**
 * Answer to --print-capabilities. The schema's list of device types has none for this device, and
 * a wrong one would make a manager configure it as such: `type` is therefore absent.
 */
export function capabilities(): object {
  return {
    name: "para-vgpu",
    version: packageVersion(),
    "virtio-id": VGPU.VIRTIO_ID,
    "num-vqs": VGPU.QUEUE_COUNT,
    "vq-size-max": VGPU.QUEUE_SIZE_MAX,
    "config-size": VGPU.CONFIG_SPACE_BYTES,
    executors: EXECUTORS,
    features: ["socket-path", "fd", "broker", "memory-limit", "translation-cache"],
  };
}
