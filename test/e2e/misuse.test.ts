// SPDX-License-Identifier: Apache-2.0
/** What guest programs get wrong: a clear error, and nothing else is lost. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

let broker: Broker;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-misuse-"));
  broker = await startBroker({ vgpus: ["a"], logPath: join(folder, "vgpud.log") });
});

afterAll(async () => {
  await broker.stop();
});

/** Case, the result's name, and what the text must contain: the value, and the limit. */
const cases: readonly (readonly [string, string, readonly RegExp[]])[] = [
  ["copy-out-of-range", "OUT_OF_RANGE", [/4000|200/, /4096/]],
  ["copy-wild", "POINTER_INVALID", [/1234000/]],
  ["zero-launch", "SIZE_ZERO|LAUNCH_SIZE", [/0/]],
  ["huge-launch", "LAUNCH_SIZE", [/4000000000/, /2147483647/]],
  ["wrong-block", "LAUNCH_BLOCK", [/65/, /64/]],
  ["wrong-count", "ARGUMENT_COUNT", [/3/, /2/]],
  ["wild-pointer", "POINTER_INVALID|OUT_OF_RANGE", [/./]],
  ["unknown-function", "HANDLE_UNKNOWN", [/./]],
  ["double-free", "POINTER_INVALID", [/./]],
  ["out-of-memory", "OUT_OF_MEMORY", [/16777216/, /1073741824|free|left/]],
  ["too-large", "ALLOCATION_TOO_LARGE", [/1099511627776/, /./]],
  ["compile-error", "MODULE_INVALID", [/2:11/, /missing/]],
  ["no-such-function", "FUNCTION_NOT_FOUND", [/nothing/]],
];

describe("misuse", () => {
  it.each(cases)("%s gives %s, and the program goes on", async (name, result, words) => {
    const program = new Watched(
      testProgram("misuse"),
      [name],
      guestEnvironment(broker.socketOf("a")),
    );
    const end = await program.exit;
    expect({ ...end, stderr: program.stderr }).toEqual({ code: 0, signal: null, stderr: "" });
    const answer = JSON.parse(program.lines[0] ?? "") as Record<string, unknown>;
    expect(String(answer.result)).toMatch(new RegExp(`^(${result})$`));
    for (const word of words) {
      expect(String(answer.text)).toMatch(word);
    }
    expect(answer.works).toBe(true);
  });
});
