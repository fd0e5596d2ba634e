// SPDX-License-Identifier: Apache-2.0
/** vgpu-instance with the fault that VGPU_MUTANT names (see mutants.ts); "none" for the control. */
import { openExecutor } from "../../src/cli/create-device.js";
import { main } from "../../src/cli/vgpu-instance.js";
import { createDevice } from "../../src/instance/index.js";
import { MUTANTS } from "./mutants.js";

const name = process.env.VGPU_MUTANT ?? "";
const mutant = MUTANTS.find((each) => each.name === name);
if (mutant === undefined && name !== "none") throw new Error(`there is no mutant '${name}'`);
mutant?.apply?.();

process.exit(
  await main(process.argv, (options) =>
    createDevice({
      executor: async () => {
        const executor = await openExecutor(options.executor);
        mutant?.wrap?.(executor);
        return executor;
      },
    }),
  ),
);
