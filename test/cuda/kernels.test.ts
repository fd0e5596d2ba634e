// SPDX-License-Identifier: Apache-2.0
/** Every CUDA kernel, translated to WGSL, on the set-up's Vulkan driver. */
import { testOnDriver } from "../support/cuda/on-driver.js";

testOnDriver("the machine's driver", ".", {}, null);
