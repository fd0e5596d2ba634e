// SPDX-License-Identifier: Apache-2.0
// vgpu-instance with the mock vGPU, as a process of its own: for tests of the guest driver.
import { main } from "../../src/cli/vgpu-instance.js";
import { MockVgpu } from "./mock-vgpu.js";

process.exit(await main(process.argv, async () => new MockVgpu()));
