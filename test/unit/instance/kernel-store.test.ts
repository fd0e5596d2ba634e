// SPDX-License-Identifier: Apache-2.0
/** Modules that are unloaded before they were read: nothing of them stays, with a translator of ours. */
import { expect, it } from "vitest";
import type { ModuleLoadCommand } from "../../../src/command/types.js";
import { KernelStore } from "../../../src/instance/kernel-store.js";
import { DEFAULT_LIMITS } from "../../../src/instance/limits.js";
import type { TranslatedModule, Translator } from "../../../src/kernel/translator/index.js";
import { ModuleFormat, Status } from "../../../src/protocol/generated/wire.js";

const MODULE: TranslatedModule = {
  version: "8.0",
  target: "sm_75",
  kernels: [],
  variables: [],
  textLength: 0,
};

/** Reads a module when it is told to. */
class SlowTranslator implements Translator {
  /** Modules that it has. */
  readonly known = new Set<number>();
  readonly #reading: (() => void)[] = [];

  load(id: number): Promise<TranslatedModule> {
    return new Promise((resolve) => {
      this.#reading.push(() => {
        this.known.add(id);
        resolve(MODULE);
      });
    });
  }

  async finish(): Promise<void> {
    for (const read of this.#reading.splice(0)) read();
    for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  forget(id: number): void {
    this.known.delete(id);
  }

  describe = () => Promise.reject(new Error("not asked for here"));
  emit = () => Promise.reject(new Error("not asked for here"));
  close(): void {}
}

const BYTES = 2 ** 21;
let texts = 0;

function command(): ModuleLoadCommand {
  const code = String(texts++).padStart(BYTES, " ");
  const image = new Uint8Array();
  const format = ModuleFormat.PTX;
  return { kind: "moduleLoad", module: 1, format, codeBytes: BYTES, code, image, checked: false };
}

function storeOf(): { store: KernelStore; translator: SlowTranslator } {
  const translator = new SlowTranslator();
  const limits = { ...DEFAULT_LIMITS, compilesMax: 1, codeBytesTotalMax: 4 * BYTES };
  return { store: new KernelStore(limits, translator, () => 0), translator };
}

function load(store: KernelStore, ready: () => void = () => {}) {
  const code = store.load(command(), "module 1", ready);
  if (code.kind === "error") throw new Error(code.text);
  return code;
}

it("forgets a module that is unloaded while it is read, and one that waits for that", async () => {
  const { store, translator } = storeOf();
  let told = 0;
  const codes = [load(store, () => told++), load(store, () => told++)];
  for (const code of codes) store.release(code, BYTES);
  await translator.finish();
  await translator.finish();
  // Whoever waited goes on, and finds no module.
  expect(told).toBe(2);
  expect([...translator.known]).toEqual([]);
  expect(codes.map(({ valid }) => valid)).toEqual([true, false]);
  expect([store.compiling, store.codeBytes]).toEqual([0, 0]);
});

it("keeps one that is used", async () => {
  const { store, translator } = storeOf();
  const code = load(store);
  await translator.finish();
  expect(translator.known.size).toBe(1);
  store.release(code, BYTES);
  expect(translator.known.size).toBe(0);
});

it("bounds what waits to be read, also what was unloaded meanwhile", async () => {
  const { store, translator } = storeOf();
  for (let i = 0; i < 4; i++) store.release(load(store), BYTES);
  const refused = store.load(command(), "module 1", () => {});
  expect(refused).toMatchObject({ kind: "error", status: Status.QUOTA });
  for (let i = 0; i < 4; i++) await translator.finish();
  store.release(load(store), BYTES);
  await translator.finish();
  expect(store.compiling).toBe(0);
});
