// SPDX-License-Identifier: Apache-2.0
/** How the time of an empty launch grows with the guests under one vgpud: idle ones, and busy ones. */
import { median } from "simple-statistics";
import { Rig } from "./sharing-rig.js";

const COUNTS = [1, 2, 4, 8, 16, 32];
const LAUNCHES = 200;

export interface GuestsPoint {
  readonly guests: number;
  /** Microseconds of a launch that is waited for, while all other guests are idle. */
  readonly aloneUs: number;
  /** The same while all launch, as a guest sees it. */
  readonly togetherUs: number;
}

export async function growthGuests(executor: string, quick: boolean): Promise<GuestsPoint[]> {
  const points: GuestsPoint[] = [];
  for (const guests of quick ? COUNTS.slice(0, 3) : COUNTS) {
    const vgpus = Array.from({ length: guests }, (_, index) => ({
      name: `g${index}`,
      settings: ["memory=64M", "policy=equal"],
    }));
    const rig = await Rig.start({ vgpus, executor });
    try {
      for (const guest of rig.guests) {
        await guest.kernel(0, { groups: 1, loops: 1 });
        await guest.time(0, 20);
      }
      const alone = await rig.guest(0).time(0, LAUNCHES);
      const together = await Promise.all(rig.guests.map((guest) => guest.time(0, LAUNCHES)));
      const aloneUs = median(alone) / 1e3;
      points.push({ guests, aloneUs, togetherUs: median(together.flat()) / 1e3 });
    } finally {
      await rig.stop();
    }
    process.stderr.write(`${guests} guests\n`);
  }
  return points;
}
