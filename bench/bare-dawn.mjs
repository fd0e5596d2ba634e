// SPDX-License-Identifier: Apache-2.0
// The bare reference of a start: a Node process that opens the GPU with Dawn, launches an empty
// kernel, says so, and stays with the device open. Plain JavaScript, so that nothing is compiled.
import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
const gpu = create(["backend=vulkan"]);
const adapter = await gpu.requestAdapter();
if (adapter === null) {
  throw new Error("there is no adapter");
}
const device = await adapter.requestDevice();
const pipeline = device.createComputePipeline({
  layout: "auto",
  compute: {
    module: device.createShaderModule({ code: "@compute @workgroup_size(1) fn main() {}" }),
    entryPoint: "main",
  },
});
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.dispatchWorkgroups(1);
pass.end();
device.queue.submit([encoder.finish()]);
await device.queue.onSubmittedWorkDone();
const { description, device: name } = adapter.info;
process.stdout.write(`${JSON.stringify({ ready: true, adapter: description || name })}\n`);
process.stdin.on("data", () => {});
process.stdin.on("end", () => process.exit(0));
// The object that create() returns must not be collected.
globalThis.keptGpu = gpu;
