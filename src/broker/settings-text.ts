// SPDX-License-Identifier: Apache-2.0
/**
 * Scheduling settings as an operator writes them, `key=value`, on vgpud's command line, in its
 * configuration file and after `vgpuctl set`. What the values mean together is the scheduler's to
 * check (src/scheduler/settings.ts).
 */
import { Features, FeaturesNames } from "../gvmcs/index.js";
import {
  type Policy,
  policies,
  SettingsError,
  settingLimits,
  type VgpuSettings,
} from "../scheduler/index.js";

type Changes = { -readonly [key in keyof VgpuSettings]?: VgpuSettings[key] };

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

export const SETTING_KEYS = "policy, weight, slice, min, max, memory, watchdog, tail, features";

function number(key: string, text: string, unit: RegExp, form: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(.*)$/.exec(text);
  if (match === null || !unit.test(match[2] ?? "")) {
    throw new SettingsError(`${key}: "${text}" is not of the form ${form}`);
  }
  return Number(match[1]);
}

function share(key: string, text: string): number {
  const value = number(key, text, /^%?$/, "0.3 or 30%");
  return text.trim().endsWith("%") ? value / 100 : value;
}

function bytes(key: string, text: string): number {
  const match = /^(\d+)\s*([KMG]?)(?:i?B)?$/i.exec(text);
  if (match === null) throw new SettingsError(`${key}: "${text}" is no size such as 512M`);
  return Number(match[1]) * (UNITS[(match[2] ?? "").toUpperCase()] ?? 1);
}

/** A vGPU's limit: there is no way to say "no limit", since all that is promised has to fit. */
function memory(key: string, text: string): number {
  const value = bytes(key, text);
  if (value >= settingLimits.memoryMinBytes) return value;
  throw new SettingsError(`${key}: "${text}" is less than ${settingLimits.memoryMinBytes} bytes`);
}

/** Names of the G-VMCS's feature bits joined by "+", in lower case; or all, or none. */
function featureBits(text: string): number {
  if (text === "all") return Features.ALL;
  if (text === "none") return 0;
  const names = [...FeaturesNames].map(([bit, name]) => [name.toLowerCase(), bit] as const);
  const bits = new Map(names);
  let value = 0;
  for (const name of text.split("+")) {
    const bit = bits.get(name);
    if (bit === undefined) {
      const known = [...bits.keys(), "all", "none"].join(", ");
      throw new SettingsError(`features: "${name}" is none of ${known}, joined by "+"`);
    }
    value |= bit;
  }
  return value;
}

/** Reads a size such as 512M or 8GiB. Throws SettingsError naming the key. */
export function parseBytes(key: string, text: string): number {
  return bytes(key, text);
}

/** Reads `key=value` settings. Throws SettingsError naming the setting and what would be right. */
export function parseSettings(settings: readonly string[]): Partial<VgpuSettings> {
  const changes: Changes = {};
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    const key = equals < 0 ? setting : setting.slice(0, equals);
    const text = equals < 0 ? "" : setting.slice(equals + 1).trim();
    if (text === "") throw new SettingsError(`"${setting}" is no setting of the form key=value`);
    switch (key) {
      case "policy":
        if (!(policies as readonly string[]).includes(text)) {
          throw new SettingsError(`policy "${text}" is none of ${policies.join(", ")}`);
        }
        changes.policy = text as Policy;
        break;
      case "weight":
        changes.weight = number(key, text, /^$/, "4");
        break;
      case "slice":
        changes.sliceNs = Math.round(number(key, text, /^(ms)?$/, "2ms") * 1e6);
        break;
      case "watchdog":
        changes.watchdogNs = Math.round(number(key, text, /^s?$/, "2s") * 1e9);
        break;
      case "tail":
        changes.tailNs =
          text === "auto" ? null : Math.round(number(key, text, /^(ms)?$/, "0.5ms or auto") * 1e6);
        break;
      case "min":
        changes.minShare = share(key, text);
        break;
      case "max":
        changes.maxShare = share(key, text);
        break;
      case "features":
        changes.features = featureBits(text);
        break;
      case "memory":
        changes.memoryBytesMax = memory(key, text);
        break;
      default:
        throw new SettingsError(`"${key}" is no setting; there are ${SETTING_KEYS}`);
    }
  }
  return changes;
}
