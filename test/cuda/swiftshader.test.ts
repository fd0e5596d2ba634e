// SPDX-License-Identifier: Apache-2.0
/** Every CUDA kernel on SwiftShader: 256 threads a block at most, no f16, other arithmetic. */
import { testOnDriver } from "../support/cuda/on-driver.js";

const folder = process.env.VGPU_SWIFTSHADER ?? "";

testOnDriver(
  "SwiftShader",
  "SwiftShader",
  {
    VK_DRIVER_FILES: `${folder}/icd.json`,
    LD_LIBRARY_PATH: `${folder}/lib`,
    VGPU_SKIP_HEAVY: "1",
  },
  folder === "" ? "scripts/setup.sh has not found SwiftShader (VGPU_SWIFTSHADER)" : null,
);
