// SPDX-License-Identifier: Apache-2.0
/** The encoder that is made ahead: as the last batch began, once, and never given out twice. */
import { describe, expect, it } from "vitest";
import { SpareEncoder } from "../../../src/gpu/dawn/spare-encoder.js";

/** Counts what is made; encoders and passes are plain objects. */
function device(): { made: string[]; spare: SpareEncoder } {
  const made: string[] = [];
  const encoder = (): object => ({
    beginComputePass: (descriptor?: object) => {
      made.push("pass");
      return { descriptor };
    },
  });
  const fake = {
    createCommandEncoder: () => {
      made.push("encoder");
      return encoder();
    },
  };
  return { made, spare: new SpareEncoder(fake as unknown as GPUDevice) };
}

describe("spare encoder", () => {
  it("is made as the last batch began", () => {
    const { made, spare } = device();
    expect(spare.take(true).pass).toBeNull();
    spare.prepare();
    expect(made).toEqual(["encoder", "encoder", "pass"]);
    const launch = spare.take(false);
    expect(launch.pass).toEqual({ descriptor: undefined });
    spare.prepare();
    expect(spare.take(true).pass).toBeNull();
    expect(made).toEqual(["encoder", "encoder", "pass", "encoder"]);
  });

  it("is made once, however often it is asked for, and given out once", () => {
    const { made, spare } = device();
    spare.prepare();
    spare.prepare();
    expect(made).toEqual(["encoder"]);
    const first = spare.take(false);
    const second = spare.take(false);
    expect(first.encoder).not.toBe(second.encoder);
    expect(made).toEqual(["encoder", "encoder"]);
  });
});
