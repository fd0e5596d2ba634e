// SPDX-License-Identifier: Apache-2.0
/** `vgpud`: the broker. Arguments and environment only; the work is in src/broker. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { Broker, StartError } from "../broker/broker.js";
import {
  type Confinement,
  ConfinementError,
  launcherPath,
  openConfinement,
} from "../broker/confinement.js";
import { controlPathIn, defaultRuntimeDir } from "../broker/paths.js";
import { DEFAULT_RESTARTS } from "../broker/restart-policy.js";
import { SETTING_KEYS } from "../broker/settings-text.js";
import { realClock } from "../io/clock.js";
import { close, listen } from "../io/native.js";
import { realTimers } from "../io/timers.js";
import { SettingsError } from "../scheduler/index.js";
import { createLogger, LOG_LEVELS, type Logger, type LogLevel } from "../telemetry/log.js";
import { TraceFile } from "../telemetry/trace.js";
import { packageVersion, UsageError } from "./common.js";
import { checkVgpus, parseGpuMemory, parseVgpu, readConfig } from "./vgpud-options.js";

const READY_MS = 60_000;

interface Options {
  readonly config?: string;
  readonly vgpu: string[];
  readonly runtimeDir: string;
  readonly control?: string;
  readonly executor?: string;
  readonly gpuMemory?: string;
  readonly trace?: string;
  readonly translationCache?: string;
  readonly user?: string;
  readonly confine: boolean;
  readonly restarts: number;
  readonly answer: number;
  readonly crashAt?: string;
  readonly logLevel: LogLevel;
}

function parseCount(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

function program(): Command {
  const collect = (value: string, previous: string[]): string[] => [...previous, value];
  return new Command("vgpud")
    .description(
      "Shares one GPU among virtual GPUs, each a vhost-user socket for a VM or a process.",
    )
    .version(packageVersion())
    .option(
      "--config <file>",
      'JSON: {"vgpus": [{"name": …, "socket": …, "memory": "1G"}], "executor": …}',
    )
    .option(
      "--vgpu <name[,key=value]...>",
      `a vGPU, may be given several times; keys: socket, ${SETTING_KEYS}`,
      collect,
      [],
    )
    .option(
      "--runtime-dir <dir>",
      "where sockets are made",
      defaultRuntimeDir(process.env, process.getuid?.() ?? 0),
    )
    .option("--control <path>", "control socket for vgpuctl (default: RUNTIME-DIR/control.sock)")
    .addOption(
      new Option("--executor <kind>", "what runs the work (default: dawn)").choices([
        "dawn",
        "null",
        "faulty",
      ]),
    )
    .option(
      "--gpu-memory <size>",
      "device memory to give out: what vGPUs are promised beyond it is refused (default: no limit)",
    )
    .option(
      "--translation-cache <dir>",
      "keep translations of PTX there, in a folder for each vGPU (default: not on disk)",
    )
    .option(
      "--user <name>",
      "run instances as this user: NAME, NAME:GROUP or UID:GID (only as root; default: vgpud's own)",
    )
    .option("--no-confine", "start instances with all rights that vgpud has (for debugging)")
    .option(
      "--restarts <count>",
      "give an instance up that ended more often than this within a minute",
      parseCount,
      DEFAULT_RESTARTS.max,
    )
    .option(
      "--answer <seconds>",
      "replace an instance that does not answer for so long; 0: never",
      parseCount,
      10,
    )
    .addOption(
      new Option("--crash-at <points>", "for tests: where successive instances end").hideHelp(),
    )
    .option("--trace <file>", "write the schedule there, for Perfetto (Chrome JSON)")
    .addOption(
      new Option("--log-level <level>", "least level logged")
        .choices([...LOG_LEVELS])
        .default("info"),
    )
    .allowExcessArguments(false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
}

/** How instances are to be confined; null, with a warning, where that is off or not to be had. */
function confinementOf(options: Options, log: Logger): Confinement | null {
  const user = options.user ?? null;
  if (!options.confine) {
    if (user !== null) throw new UsageError("--user and --no-confine exclude each other");
    log.warn("instances are not confined: --no-confine");
    return null;
  }
  const launcher = launcherPath();
  if (!existsSync(launcher)) {
    const what = `${launcher} is not built; run: npm run setup`;
    if (user !== null) throw new UsageError(`--user ${user}: ${what}`);
    log.warn(`instances are not confined: ${what}`);
    return null;
  }
  return openConfinement(launcher, user);
}

async function main(): Promise<void> {
  const options = program().parse().opts<Options>();
  const { runtimeDir } = options;
  const file = options.config === undefined ? null : readConfig(options.config, runtimeDir);
  const vgpus = [
    ...(file?.vgpus ?? []),
    ...options.vgpu.map((text) => parseVgpu(text, runtimeDir)),
  ];
  checkVgpus(vgpus);
  const log = createLogger({ name: "vgpud", level: options.logLevel });
  const trace = options.trace === undefined ? null : new TraceFile(options.trace);
  const controlPath = options.control ?? controlPathIn(runtimeDir);
  const broker = new Broker({
    vgpus,
    runtimeDir,
    controlPath,
    executor: options.executor ?? file?.executor ?? "dawn",
    gpuMemoryBytes:
      options.gpuMemory === undefined
        ? (file?.gpuMemoryBytes ?? null)
        : parseGpuMemory(options.gpuMemory, "--gpu-memory"),
    logLevel: options.logLevel,
    version: packageVersion(),
    instanceCommand: [
      process.execPath,
      fileURLToPath(new URL("./vgpu-instance.js", import.meta.url)),
    ],
    extraArguments: [],
    translationCache:
      options.translationCache === undefined ? null : resolve(options.translationCache),
    crashAt: options.crashAt?.split(",") ?? [],
    restartLimits: { ...DEFAULT_RESTARTS, max: options.restarts },
    answerMs: options.answer * 1000,
    meterProc: existsSync("/dev/dri") ? "/proc" : null,
    confinement: confinementOf(options, log),
    timer: realTimers.create(),
    trace: trace === null ? null : (event) => trace.event(event),
    log,
    nowNs: () => realClock.nowNs(),
    listen: (path) => listen(path, { mode: 0o660 }),
    close,
  });
  const stop = (): void => {
    void broker.stop().then(() => {
      trace?.close();
      process.exit(0);
    });
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  try {
    broker.start();
    await broker.ready(READY_MS);
  } catch (error) {
    await broker.stop();
    throw error;
  }
  const sockets = vgpus.map((vgpu) => `${vgpu.name}=${vgpu.socketPath}`).join(" ");
  process.stdout.write(`vgpud ready: ${sockets} control=${controlPath}\n`);
}

main().catch((error: unknown) => {
  const usage =
    error instanceof UsageError ||
    error instanceof ConfinementError ||
    error instanceof SettingsError;
  const known =
    usage || error instanceof StartError || (error as NodeJS.ErrnoException).code !== undefined;
  const text =
    error instanceof Error
      ? known
        ? error.message
        : (error.stack ?? error.message)
      : String(error);
  process.stderr.write(`vgpud: ${text}\n`);
  process.exit(usage ? 2 : 1);
});
