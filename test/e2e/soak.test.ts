// SPDX-License-Identifier: Apache-2.0
/** The soak in short; `npm run soak -- --seconds 3600` runs it long. */
import { expect, it } from "vitest";
import { systemRandom } from "../../src/io/random.js";
import { problems, soak } from "../soak/soak.js";

const SECONDS = 8;
const seed = Number(process.env.SEED ?? systemRandom.u32());

it(
  `leaves nothing behind after ${SECONDS} s of guests that come and crash, seed ${seed}`,
  async () => {
    const report = (line: string): void => console.log(line);
    const result = await soak({ seconds: SECONDS, seed, checkpointMs: 4000, report });
    expect(problems(result)).toEqual([]);
  },
  SECONDS * 1000 + 180_000,
);
