// SPDX-License-Identifier: Apache-2.0
/** The command decoders: control requests and submits, from the golden vectors. */
import { decodeSubmit, submitTarget as fenceOf } from "../../../src/command/decode.js";
import { decodeControl } from "../../../src/command/decode-control.js";
import type { DecodeError } from "../../../src/command/types.js";
import { Status, statusName } from "../../../src/protocol/generated/wire.js";
import { controlVectors, submitVectors, vectorBytes } from "../../support/vectors.js";
import { expectThat, type FuzzTarget, kindOf } from "../target.js";

function checkError(error: DecodeError, bytes: Uint8Array): string {
  expectThat(error.status > Status.OK, `an error has status ${error.status}`);
  const name = statusName(error.status);
  expectThat(!name.startsWith("STATUS_"), `status ${error.status} has no name`);
  expectThat(error.text !== "", "an error has no text");
  expectThat(error.subject <= bytes.length, `subject ${error.subject} of ${bytes.length} bytes`);
  return kindOf(`${name} ${error.text}`);
}

/** A view that a command keeps lies inside the request. */
function checkView(view: Uint8Array, bytes: Uint8Array): void {
  if (view.length === 0) return;
  const inside =
    view.buffer === bytes.buffer &&
    view.byteOffset >= bytes.byteOffset &&
    view.byteOffset + view.length <= bytes.byteOffset + bytes.length;
  expectThat(inside, `a command has ${view.length} bytes outside the request`);
}

export const controlTarget: FuzzTarget = {
  name: "control",
  parses: "control requests",
  bytesMax: 8192,
  cpuLimitMs: 1000,
  seeds: () => controlVectors().map((each) => vectorBytes(each.hex)),
  run: (bytes) => {
    const result = decodeControl(bytes);
    if (result.kind === "error") return checkError(result, bytes);
    if (result.kind === "hostmemRegister") {
      expectThat(result.ranges.length * 16 <= bytes.length, "more ranges than bytes");
      for (const each of result.ranges)
        expectThat(Number.isSafeInteger(each.address + each.bytes), "a range is not exact");
    }
    return result.kind;
  },
};

export const submitTarget: FuzzTarget = {
  name: "submit",
  parses: "submits: all device commands",
  bytesMax: 65536,
  cpuLimitMs: 1000,
  seeds: () => submitVectors().map((each) => vectorBytes(each.hex)),
  run: (bytes) => {
    fenceOf(bytes);
    const result = decodeSubmit(bytes);
    if (result.kind === "error") return checkError(result, bytes);
    expectThat(result.commands.length * 8 <= bytes.length, "more commands than bytes");
    for (const each of result.commands) {
      if (each.kind === "writeInline") checkView(each.data, bytes);
      if (each.kind === "moduleLoad") checkView(each.image, bytes);
      if (each.kind !== "launch") continue;
      for (const argument of each.arguments)
        if (argument.kind === "value") checkView(argument.data, bytes);
    }
    return result.commands
      .slice(0, 3)
      .map((each) => each.kind)
      .join();
  },
};
