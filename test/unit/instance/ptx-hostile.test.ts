// SPDX-License-Identifier: Apache-2.0
/**
 * Modules in PTX that no compiler made, through the device and the real translator: each ends in a
 * state and a status, never in an error of ours, and leaves nothing behind.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadZstd } from "../../../src/kernel/fatbin/index.js";
import { InlineTranslator } from "../../../src/kernel/translator/index.js";
import {
  FunctionQueryResponse,
  ModuleFormat,
  ObjectState,
  Status,
  statusName,
} from "../../../src/protocol/generated/wire.js";
import { Harness, ok } from "./harness.js";

// Else the first fat binary waits for it.
await loadZstd();

const PTX = readFileSync(new URL("./ptx/kernels.ptx", import.meta.url), "utf8");
const FATBIN = new Uint8Array(
  readFileSync(new URL("../kernel/fatbin/lz4.fatbin", import.meta.url)),
);
const NAMES = ["axpy", "chase", "visit", "sum", "stop", "insist", "store", "scale"];

/** Loads a module, looks for all kernels, launches them, unloads; says what became of it. */
async function play(code: string | Uint8Array, flags: number): Promise<string[]> {
  const harness = new Harness({ translator: new InlineTranslator() }).ready(1);
  // Kernels are not executed: what matters is that they are compiled.
  harness.gpu.refuse = () => true;
  const format = typeof code === "string" ? ModuleFormat.PTX : ModuleFormat.FATBIN;
  ok(harness.submit(0, 0, (w) => w.moduleLoad(0, code, format, flags)));
  await harness.settle();
  harness.gpu.finishAll();
  const { state, status, log } = harness.moduleQuery(0, 0);
  expect([ObjectState.READY, ObjectState.FAILED]).toContain(state);
  expect(status === Status.OK).toBe(state === ObjectState.READY);
  const seen = [`${statusName(status)} ${log.slice(0, 200)}`];
  for (const [id, name] of NAMES.entries()) {
    ok(harness.submit(0, 0, (w) => w.functionCreate(id, 0, name)));
    await harness.settle();
    const { payload } = ok(harness.functionQuery(0, id));
    const view = new DataView(payload.buffer, payload.byteOffset);
    seen.push(statusName(FunctionQueryResponse.decode(view, 0).status));
  }
  const launch = { function: 0, grid: [1, 1, 1], block: [32, 1, 1] } as const;
  ok(harness.submit(0, 0, (w) => w.launch({ ...launch, arguments: [new Uint8Array(24)] })));
  await harness.settle();
  harness.gpu.finishAll();
  seen.push(harness.error(0).name);
  expect(harness.device.audit().problems).toEqual([]);
  ok(harness.destroyContext(0));
  harness.gpu.finishAll();
  expect(harness.device.audit().holdings).toMatchObject({ modules: 0, reserved_bytes: 0 });
  expect(harness.gpu.liveBytes).toBe(0);
  return seen;
}

const notOurs = (seen: readonly string[]): void => {
  expect(seen.filter((each) => each.startsWith("INTERNAL"))).toEqual([]);
};

describe("hostile modules in PTX", () => {
  it("are told from good ones", async () => {
    const seen = await play(PTX, 0);
    expect(seen.filter((each) => each.startsWith("OK")).length).toBe(8);
    expect((await play(FATBIN, 1))[8]).toBe("OK");
  });

  const lines = PTX.split("\n");
  const words = [...new Set(PTX.match(/[\w.%$]+/gu) ?? [])];

  it("with lines removed, doubled and exchanged", async () => {
    const at = fc.nat({ max: lines.length - 1 });
    const edit = fc.record({ kind: fc.constantFrom("drop", "twice", "swap"), a: at, b: at });
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.nat(1),
        async (edits, flags) => {
          const text = [...lines];
          for (const { kind, a, b } of edits) {
            if (kind === "drop") text[a] = "";
            else if (kind === "twice") text[a] = `${text[a]}\n${text[a]}`;
            else [text[a], text[b]] = [text[b] ?? "", text[a] ?? ""];
          }
          notOurs(await play(text.join("\n"), flags));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("with words exchanged for others", async () => {
    const edit = fc.record({
      at: fc.nat({ max: 2000 }),
      word: fc.oneof(
        fc.constantFrom(...words),
        fc.constantFrom("-1", "0xffffffffffffffff", "99999999999", "{", "}", ";", ".b128", "%rd0"),
      ),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { minLength: 1, maxLength: 5 }),
        fc.nat(1),
        async (edits, flags) => {
          let index = 0;
          const chosen = new Map(edits.map(({ at, word }) => [at, word]));
          const text = PTX.replace(/[\w.%$]+/gu, (word) => chosen.get(index++) ?? word);
          notOurs(await play(text, flags));
        },
      ),
      { numRuns: 100 },
    );
  });

  it("cut off anywhere", async () => {
    for (let length = 1; length < PTX.length; length += 211)
      notOurs(await play(PTX.slice(0, length), 0));
    for (let length = 1; length < FATBIN.length; length += 401)
      notOurs(await play(FATBIN.subarray(0, length), 0));
  });

  it.each([
    ["a variable of 2^40 bytes", ".global .b8 v[1099511627776];"],
    ["a variable of 2^64 bytes", ".global .b8 v[18446744073709551616];"],
    ["variables of 4 GiB in all", ".global .b8 a[2147483648];.global .b8 b[2147483648];"],
    ["a variable of itself", ".global .u64 v = v;"],
    ["the address of nothing", ".global .u64 v = absent;"],
    ["a huge alignment", ".global .align 1073741824 .b8 v[4];"],
    ["no alignment", ".global .align 0 .b8 v[4];"],
    ["deep braces", `.visible .entry axpy() ${"{".repeat(10_000)}${"}".repeat(10_000)}`],
    [
      "a function that calls itself",
      ".func f() { call f; ret; } .visible .entry axpy() { call f; ret; }",
    ],
    ["a jump to nowhere", ".visible .entry axpy() { bra nowhere; }"],
    ["workgroup memory of 4 GiB", ".visible .entry axpy() { .shared .b8 s[4294967295]; ret; }"],
    ["local memory of 4 GiB", ".visible .entry axpy() { .local .b8 s[4294967295]; ret; }"],
    ["registers without end", ".visible .entry axpy() { .reg .b32 %r<4294967295>; ret; }"],
    ["parameters of 64 KiB", ".visible .entry axpy(.param .b8 p[65536]) { ret; }"],
  ])("%s", async (_, body) => {
    const seen = await play(`.version 8.0\n.target sm_75\n.address_size 64\n${body}\n`, 0);
    notOurs(seen);
  });
});
