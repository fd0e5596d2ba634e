// SPDX-License-Identifier: Apache-2.0
/** A translator with a cache: what is asked once, what is told apart, and what is not believed. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CachedTranslator,
  type EmitRequest,
  InlineTranslator,
  type TranslationStore,
  type Translator,
} from "../../../src/kernel/translator/index.js";

const fatbin = new Uint8Array(readFileSync(new URL("./fatbin/zstd.fatbin", import.meta.url)));
const HEAD = ".version 8.0\n.target sm_75\n.address_size 64\n";
const PTX = `${HEAD}
.visible .global .align 4 .b8 table[8] = {1, 2, 3, 4};
.visible .global .align 8 .u64 where = table;
.visible .entry look(.param .u64 out) {
  .reg .b32 %r<2>; .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  mov.u64 %rd2, table;
  ld.global.u32 %r1, [%rd2];
  st.global.u32 [%rd1], %r1;
  ret;
}
.visible .entry nothing() { ret; }
`;
const REQUEST: EmitRequest = {
  segments: 1,
  block: [64, 1, 1],
  dynamicSharedBytes: 0,
  checked: false,
  f16: false,
  subgroups: false,
  subgroupSize: 4,
  blockThreadsMax: 1024,
  sharedBytesMax: 32768,
};

class MemoryStore implements TranslationStore {
  readonly kept = new Map<string, Uint8Array>();
  removed = 0;
  full = false;

  async get(name: string): Promise<Uint8Array | null> {
    return this.kept.get(name) ?? null;
  }
  async put(name: string, contents: Uint8Array): Promise<boolean> {
    if (!this.full) this.kept.set(name, contents);
    return !this.full;
  }
  async remove(name: string): Promise<void> {
    this.removed++;
    this.kept.delete(name);
  }
  texts(): string[] {
    return [...this.kept.values()].map((each) => Buffer.from(each).toString());
  }
}

/** The compiler, with a list of what it is asked. */
class Counting implements Translator {
  readonly asked: string[] = [];
  readonly #inner = new InlineTranslator();
  load(id: number, source: string | Uint8Array) {
    this.asked.push(`load ${id}`);
    return this.#inner.load(id, source);
  }
  describe(id: number, kernel: string) {
    this.asked.push(`describe ${kernel}`);
    return this.#inner.describe(id, kernel);
  }
  emit(id: number, kernel: string, request: EmitRequest) {
    this.asked.push(`emit ${kernel}`);
    return this.#inner.emit(id, kernel, request);
  }
  forget(id: number) {
    this.asked.push(`forget ${id}`);
    this.#inner.forget(id);
  }
  close() {
    this.asked.push("close");
  }
}

function open(store: TranslationStore, version = "1") {
  const inner = new Counting();
  return { inner, cached: new CachedTranslator(inner, store, version) };
}

async function all(translator: Translator, id = 1, source: string | Uint8Array = PTX) {
  const module = await translator.load(id, source);
  const kernels = [];
  for (const name of module.kernels) {
    const info = await translator.describe(id, name);
    const emitted = info.unsupported === null ? await translator.emit(id, name, REQUEST) : null;
    kernels.push([info, emitted]);
  }
  return { module, kernels };
}

describe("a translator with a cache", () => {
  it("answers as the compiler does, from the cache without asking it", async () => {
    const store = new MemoryStore();
    for (const source of [PTX, fatbin]) {
      const expected = await all(new InlineTranslator(), 1, source);
      const first = open(store);
      expect(await all(first.cached, 1, source)).toEqual(expected);
      expect(first.cached.cache.hits).toBe(0);
      const second = open(store);
      expect(await all(second.cached, 7, source)).toEqual(expected);
      expect(second.inner.asked).toEqual([]);
      expect(second.cached.cache).toEqual({ hits: first.cached.cache.misses, misses: 0 });
      second.cached.forget(7);
      second.cached.close();
      expect(second.inner.asked).toEqual(["close"]);
    }
  });

  it("gives the compiler the module when it is asked something new, once", async () => {
    const store = new MemoryStore();
    await all(open(store).cached);
    const { inner, cached } = open(store);
    await cached.load(1, PTX);
    await cached.describe(1, "look");
    const requests = [2, 3].map((segments) => ({ ...REQUEST, segments }));
    await Promise.all(requests.map((request) => cached.emit(1, "look", request)));
    expect(inner.asked).toEqual(["load 1", "emit look", "emit look"]);
    cached.forget(1);
    expect(inner.asked.at(-1)).toBe("forget 1");
    await expect(cached.emit(1, "look", REQUEST)).rejects.toThrow(/not loaded/);
  });

  it("tells apart modules, kernels, each part of a request, compilers, text and bytes", async () => {
    const store = new MemoryStore();
    const missed = async (
      change: { source?: string | Uint8Array; request?: Partial<EmitRequest>; version?: string },
      kernel = "look",
    ): Promise<number> => {
      const { cached } = open(store, change.version);
      await cached.load(1, change.source ?? PTX);
      await cached.describe(1, kernel);
      await cached.emit(1, kernel, { ...REQUEST, ...change.request });
      return cached.cache.misses;
    };
    expect(await missed({})).toBe(3);
    expect(await missed({})).toBe(0);
    expect(await missed({ source: `${PTX} ` })).toBe(3);
    expect(await missed({ version: "2" })).toBe(3);
    expect(await missed({}, "nothing")).toBe(2);
    const changes: Partial<EmitRequest>[] = [
      { segments: 2 },
      { block: [32, 2, 1] },
      { dynamicSharedBytes: 16 },
      { checked: true },
      { f16: true },
      { subgroups: true },
      { subgroupSize: 8 },
      { blockThreadsMax: 512 },
      { sharedBytesMax: 16384 },
    ];
    expect(changes.length).toBe(Object.keys(REQUEST).length);
    for (const request of changes) expect(await missed({ request })).toBe(1);
    const { cached } = open(store);
    // The same bytes are no fat binary.
    await expect(cached.load(1, new TextEncoder().encode(PTX))).rejects.toThrow();
  });

  it("keeps no errors", async () => {
    const store = new MemoryStore();
    const { inner, cached } = open(store);
    for (let i = 0; i < 2; i++) await expect(cached.load(i, "nonsense")).rejects.toThrow();
    expect(inner.asked).toEqual(["load 0", "load 1"]);
    await cached.load(1, PTX);
    const request = { ...REQUEST, blockThreadsMax: 32 };
    for (let i = 0; i < 2; i++) await expect(cached.emit(1, "look", request)).rejects.toThrow();
    await expect(cached.describe(1, "absent")).rejects.toThrow();
    expect(store.kept.size).toBe(1);
  });

  it("works with a store that keeps nothing", async () => {
    const store = new MemoryStore();
    store.full = true;
    const expected = await all(new InlineTranslator());
    for (let i = 0; i < 2; i++) expect(await all(open(store).cached)).toEqual(expected);
  });
});

describe("what the store says", () => {
  /** Changes the one answer that has such a text in it. */
  async function poisoned(has: string, change: (json: Record<string, unknown>) => unknown) {
    const store = new MemoryStore();
    await all(open(store).cached);
    for (const [name, contents] of store.kept) {
      const text = Buffer.from(contents).toString();
      if (text.includes(has))
        store.kept.set(name, Buffer.from(JSON.stringify(change(JSON.parse(text)))));
    }
    return store;
  }

  it.each<[string, string, (json: Record<string, unknown>) => unknown]>([
    ["no object", '"textLength"', () => 3],
    ["something more", '"textLength"', (json) => ({ ...json, more: 1 })],
    ["a length below 0", '"textLength"', (json) => ({ ...json, textLength: -1 })],
    [
      "more initial bytes than the variable has",
      '"textLength"',
      (json) => ({ ...json, variables: [{ ...variable, init: "AAAAAAAAAAAA", bytes: 4 }] }),
    ],
    [
      "an alignment that is no power of two",
      '"textLength"',
      (json) => ({ ...json, variables: [{ ...variable, align: 3 }] }),
    ],
    ["another kernel", '"name":"look"', (json) => ({ ...json, name: "nothing" })],
    [
      "a parameter behind the parameters",
      '"name":"look"',
      (json) => ({ ...json, params: [{ offset: 8, bytes: 8, align: 8 }] }),
    ],
    ["half a workgroup", '"name":"look"', (json) => ({ ...json, block: [0.5, 1, 1] })],
    ["a variable that is not there", '"globals":["', (json) => ({ ...json, globals: ["other"] })],
    ["a uniform that is too small", '"globals":["', (json) => ({ ...json, uniformBytes: 16 })],
    ["a uniform without an end", '"globals":["', (json) => ({ ...json, uniformBytes: 2 ** 40 })],
  ])("is not believed if it is %s, and is replaced", async (_, has, change) => {
    const expected = await all(new InlineTranslator());
    const store = await poisoned(has, change);
    const { cached } = open(store);
    expect(await all(cached)).toEqual(expected);
    expect(store.removed).toBe(1);
    expect(cached.cache.misses).toBe(1);
    expect((await all(open(store).cached)).module).toEqual(expected.module);
    expect(store.removed).toBe(1);
  });

  const variable = {
    name: "v",
    bytes: 4,
    align: 4,
    init: null,
    relocations: [],
    managed: false,
  };

  it("is never taken for anything but an answer of its form, whatever it is", async () => {
    const expected = await all(new InlineTranslator());
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (contents) => {
        const store: TranslationStore = {
          get: async () => contents,
          put: async () => false,
          remove: async () => {},
        };
        expect(await all(open(store).cached)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });
});
