// SPDX-License-Identifier: Apache-2.0
//
// Prints the adapter that Dawn offers in this environment, as one line of JSON, and fails with a
// reason when there is none. It is a program of its own because a Vulkan driver that crashes must
// not take set-up with it, and because the driver is chosen by the environment.

import { create } from "webgpu";

const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter === null) {
  console.error("Dawn finds no adapter: there is no Vulkan driver here that it accepts");
  process.exit(1);
}
const { vendor, architecture, device, description } = adapter.info;
const device0 = await adapter.requestDevice();
console.log(JSON.stringify({ vendor, architecture, device, description }));
device0.destroy();
process.exit(0);
