// SPDX-License-Identifier: Apache-2.0
//
// package-lock.json must name every optional package, also those of other platforms: `npm ci`
// refuses the whole file otherwise. A registry that lacks one of them, or an npm that finds
// node_modules there already, leaves them out silently when it rewrites the file.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { projectRoot } from "../../../scripts/lib/programs.js";

const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({
      version: z.string().optional(),
      optionalDependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

test("every optional dependency has an entry in package-lock.json", () => {
  const text = readFileSync(join(projectRoot, "package-lock.json"), "utf8");
  const { packages } = lockFile.parse(JSON.parse(text));
  const missing = Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter(
      (name) =>
        packages[`node_modules/${name}`] === undefined &&
        packages[`${path}/node_modules/${name}`] === undefined,
    ),
  );
  expect(missing).toEqual([]);
});
