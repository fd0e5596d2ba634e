// SPDX-License-Identifier: Apache-2.0
/**
 * Logging, always to stderr: stdout belongs to what a program was asked to print. JSON lines for
 * machines, one plain line each for a person at a terminal. Written synchronously, so that the
 * last line before an end of the process is not lost.
 */
import { fstatSync } from "node:fs";
import { isatty } from "node:tty";
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Program name, in each line. */
  readonly name: string;
  readonly level?: LogLevel;
  /** Plain lines instead of JSON; default: whether stderr is a terminal. */
  readonly plain?: boolean;
  /** Where lines go instead of stderr (tests). */
  readonly write?: (line: string) => void;
}

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};

export function isLogLevel(text: string): text is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(text);
}

/** One JSON line of pino as `HH:MM:SS level name: message key=value …`. */
export function plainLine(json: string): string {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const { level, time, pid: _pid, hostname: _hostname, name, msg, ...rest } = fields;
  const clock = typeof time === "number" ? new Date(time).toISOString().slice(11, 19) : "";
  const label = LEVEL_NAMES[Number(level)] ?? String(level);
  const extra = Object.entries(rest).map(([key, value]) => ` ${key}=${plainValue(value)}`);
  return `${clock} ${label.padEnd(5)} ${String(name)}: ${String(msg ?? "")}${extra.join("")}\n`;
}

function plainValue(value: unknown): string {
  if (typeof value === "string") return value.includes(" ") ? JSON.stringify(value) : value;
  if (value !== null && typeof value === "object" && "message" in value)
    return JSON.stringify((value as { message: unknown }).message);
  return JSON.stringify(value) ?? String(value);
}

/** What is no character device is none, and costs no loading of `tty`. */
function isTerminal(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice() && isatty(fd);
  } catch {
    return false;
  }
}

/** Creates the logger of a program. */
export function createLogger(options: LogOptions): Logger {
  const plain = options.plain ?? isTerminal(2);
  const settings = { name: options.name, level: options.level ?? "info" };
  const stderr = options.write === undefined ? pino.destination({ fd: 2, sync: true }) : null;
  const write = options.write ?? ((line: string): void => void stderr?.write(line));
  if (!plain && stderr !== null) return pino(settings, stderr);
  const stream: DestinationStream = { write: (line) => write(plain ? plainLine(line) : line) };
  return pino(settings, stream);
}
