// SPDX-License-Identifier: Apache-2.0
/** Counts descriptors. */
import { readdirSync, readlinkSync } from "node:fs";

/** Open ones of this process, without those of pollers, which end when they are collected. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return !readlinkSync(`/proc/self/fd/${fd}`).includes("eventpoll");
    } catch {
      // The descriptor that lists the folder is closed by now.
      return false;
    }
  }).length;
}
