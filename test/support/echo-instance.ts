// SPDX-License-Identifier: Apache-2.0
// vgpu-instance with the echo device, as a process of its own: for tests of the program and of
// front ends such as QEMU that need no GPU.
import { main } from "../../src/cli/vgpu-instance.js";
import { EchoDevice } from "./echo-device.js";

process.exit(await main(process.argv, async () => new EchoDevice()));
