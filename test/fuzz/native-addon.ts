// SPDX-License-Identifier: Apache-2.0
/**
 * The addon as a native fuzz target: its own objects over a model of Node-API and libuv
 * (test/fuzz/native/addon), and scripts to start from, which reach what chance does not.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(import.meta.url);
const MODEL = "test/fuzz/native/addon";

interface SourceLists {
  readonly variables: { readonly vgpu_sources: string[]; readonly vgpu_defines: string[] };
}

// ---- Building ----------------------------------------------------------------------------------

function compile(compiler: string, flags: readonly string[], sources: readonly string[]): string[] {
  const lists = JSON.parse(readFileSync(join(root, "native/sources.gypi"), "utf8")) as SourceLists;
  const folder = join(root, "build/fuzz", `addon-${compiler.replace(/\W/gu, "")}`);
  mkdirSync(folder, { recursive: true });
  const objects = sources.map((source) => join(folder, `${source.replace(/\W/gu, "-")}.o`));
  const commands = sources.map((source, i) => [
    ...[compiler, "-std=c++20", "-g", "-O1", "-Wall", "-Wextra", "-fno-strict-aliasing"],
    ...lists.variables.vgpu_defines.map((each) => `-D${each}`),
    ...["node-addon-api", "node-api-headers"].flatMap((name) => {
      const at = dirname(require.resolve(`${name}/package.json`));
      return ["-isystem", name === "node-addon-api" ? at : join(at, "include")];
    }),
    ...[...flags, "-c", join(root, source), "-o", objects[i] ?? ""],
  ]);
  // Each takes seconds: as many at once as there are cores.
  const words = commands[0]?.length ?? 0;
  execFileSync("xargs", ["-0", "-P", String(availableParallelism()), "-n", String(words), "env"], {
    input: commands.flat().join("\0"),
    stdio: ["pipe", "pipe", "inherit"],
  });
  return objects;
}

/**
 * Builds the target. Without libFuzzer the addon's objects are those of the sanitized build (see
 * test/native/run-sanitized.sh), which must be there.
 */
export function buildAddonTarget(compiler: string, libFuzzer: boolean, program: string): string {
  const model = readdirSync(join(root, MODEL)).filter((each) => each.endsWith(".cc"));
  const sources = model.map((each) => `${MODEL}/${each}`);
  const sanitizers = "address,undefined";
  // `vptr` reads memory through pipes, and so takes descriptors that a script has none left of.
  const checks = ["-fno-sanitize-recover=undefined", "-fno-sanitize=vptr"];
  const objects: string[] = [];
  if (libFuzzer) {
    const lists = JSON.parse(
      readFileSync(join(root, "native/sources.gypi"), "utf8"),
    ) as SourceLists;
    sources.push(...lists.variables.vgpu_sources);
  } else {
    const built = join(root, "build/asan/CMakeFiles/vgpu_native.dir/native");
    if (!existsSync(built))
      throw new Error("the sanitized addon is not built: node scripts/build-addon.mjs --sanitize");
    objects.push(...readdirSync(built).map((each) => join(built, each)));
    sources.push("test/fuzz/native/standalone.c");
  }
  const fuzzer = libFuzzer ? "fuzzer-no-link," : "";
  objects.push(...compile(compiler, [`-fsanitize=${fuzzer}${sanitizers}`, ...checks], sources));
  execFileSync(compiler, [
    `-fsanitize=${libFuzzer ? "fuzzer," : ""}${sanitizers}`,
    ...["-Wl,--wrap=mmap,--wrap=munmap", ...objects.filter((each) => each.endsWith(".o"))],
    ...["-o", program],
  ]);
  return program;
}

// ---- Seeds -------------------------------------------------------------------------------------

const Kind = { call: 0, member: 3, view: 5, act: 6 } as const;
const NONE_LESS = 0;
const MEMBERS = {
  Mapping: ["window", "unmap", "bytes", "mapped", "poisoned", "faults", "readonly"],
  RingWaiter: ["watch", "expect", "unwatch", "spin"],
  Poller: ["watch", "unwatch", "ref", "unref", "close", "size"],
  HrTimer: ["arm", "disarm", "ref", "unref", "close", "armed"],
} as const;

/** The functions that the addon exports, in the order in which a script numbers them. */
function exportNames(): string[] {
  const addon = require(join(root, "build/Release/vgpu_native.node")) as Record<string, unknown>;
  return Object.keys(addon)
    .filter((name) => typeof addon[name] === "function")
    .sort();
}

const le64 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, 0, 0, 0, 0, 0, 0];

/** Writes scripts: see script.cc for the form. */
class ScriptWriter {
  readonly #bytes: number[] = [];

  constructor(readonly names: readonly string[]) {}

  /** Arguments are choices, and numbers behind those that read more; `keep` is a slot. */
  call(name: string, args: readonly number[] = [], keep?: number): this {
    const index = this.names.indexOf(name);
    if (index < 0) throw new Error(`the addon exports no ${name}`);
    return this.#step([Kind.call, index], args, keep);
  }

  member<C extends keyof typeof MEMBERS>(
    slot: number,
    type: C,
    name: (typeof MEMBERS)[C][number],
    args: readonly number[] = [],
    keep?: number,
  ): this {
    const index = (MEMBERS[type] as readonly string[]).indexOf(name);
    return this.#step([Kind.member, slot, index], args, keep);
  }

  #step(head: readonly number[], args: readonly number[], keep: number | undefined): this {
    this.#bytes.push(...head, ...args);
    if (args.length > 0) this.#bytes.push(NONE_LESS);
    if (keep !== undefined) this.#bytes.push(keep);
    return this;
  }

  /** A turn of the loop; what the callbacks do follows, as raw bytes. */
  turn(...callbacks: readonly number[]): this {
    this.#bytes.push(Kind.act, 0, ...callbacks);
    return this;
  }

  collect(): this {
    this.#bytes.push(Kind.act, 1);
    return this;
  }

  touch(slot: number, at: number): this {
    this.#bytes.push(Kind.act, 2, slot, ...le64(at));
    return this;
  }

  closeElsewhere(descriptor: number): this {
    this.#bytes.push(Kind.act, 4, descriptor);
    return this;
  }

  /** A buffer of so many bytes, a multiple of three below 96 times three. */
  buffer(slot: number, bytes: number): this {
    this.#bytes.push(Kind.view, (Math.floor(bytes / 12) << 2) | 3, slot);
    return this;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** Length 8192 as an argument of kind `o`, and as one of kind `z`. */
const TWO_PAGES_O = [196, 0];
const TWO_PAGES_Z = 16;

/** A file of two pages, mapped into object 0 with a window in slot 0. */
function mapped(names: readonly string[], readonly: number): ScriptWriter {
  return new ScriptWriter(names)
    .call("memfdCreate", [0, 0, TWO_PAGES_Z, 1])
    .call("Mapping", [0, 0, TWO_PAGES_Z, readonly], 0)
    .member(0, "Mapping", "window", [0, ...TWO_PAGES_O], 0);
}

export function addonSeeds(): Uint8Array[] {
  const names = exportNames();
  const word = [0, ...le64(7)];
  const shrunk = mapped(names, 0)
    .touch(0, 5000)
    .call("ftruncate", [0, 8])
    .touch(0, 4096)
    .member(0, "Mapping", "faults")
    .call("RingWords", [0], 1)
    .member(0, "Mapping", "unmap")
    .touch(0, 0)
    .collect();
  const sealed = mapped(names, 1)
    .call("addSeals", [0, 2])
    .call("storeRelease32", [0, 8, ...word])
    .call("copy", [0, 0, 0, 64, 32])
    .call("RingWords", [0], 1)
    .member(0, "Mapping", "unmap");
  const waiting = mapped(names, 0)
    .call("RingWaiter", [], 2)
    .member(2, "RingWaiter", "watch", [3, 0, 16, ...word])
    .member(2, "RingWaiter", "expect", [3, ...word, 32])
    .member(2, "RingWaiter", "spin", [100])
    .call("spinUntilChanged16", [0, 64, ...word, 100])
    .member(0, "Mapping", "unmap")
    .member(2, "RingWaiter", "spin", [100])
    .member(2, "RingWaiter", "unwatch", [3]);
  const passing = new ScriptWriter(names)
    .call("socketpair")
    .call("eventfd", [1])
    .buffer(0, 96)
    .call("sendmsg", [0, 0, 0, 12, 3])
    .call("recvmsg", [1, 0, 0, 96, 8, 1])
    .call("recvmsg", [1, 0, 0, 96, 8, 0])
    .call("recvmsg", [1, 0, 0, 96, 1, 0]);
  const polling = new ScriptWriter(names)
    .call("eventfd", [1])
    .call("Poller", [], 0)
    .member(0, "Poller", "watch", [0, 1, 0, 0])
    .turn(0, 0)
    .call("dup", [0])
    .call("eventfdRead", [0])
    .call("signal", [1])
    // Its duplicate lives, so that the event comes under a key that is gone.
    .closeElsewhere(0)
    .turn(0, 0)
    .turn()
    .member(0, "Poller", "watch", [1, 17, 0, 0])
    .turn(1, Kind.member, 0, 4, 0xf0)
    .turn();
  const stale = new ScriptWriter(names)
    .call("socketpair")
    .call("Poller", [], 0)
    .member(0, "Poller", "watch", [0, 3, 0, 0])
    .member(0, "Poller", "watch", [1, 3, 0, 0])
    .turn(1, Kind.member, 0, 1, 1, NONE_LESS, 0, 0)
    .call("shutdown", [1])
    .turn(0, 0, 0, 0)
    .collect();
  const timers = new ScriptWriter(names)
    .buffer(0, 96)
    .call("HrTimer", [], 0)
    .member(0, "HrTimer", "arm", [0, 0, 0])
    .call("spinUntilChanged16", [0, 0, 0, ...le64(0), 200])
    .turn(1, Kind.member, 0, 4, 0)
    .member(0, "HrTimer", "disarm")
    .member(0, "HrTimer", "close")
    .turn();
  const listening = new ScriptWriter(names)
    .call("listen", [0, 0, 8, 128])
    .call("connect", [0, 0])
    .call("accept", [0])
    .call("peerCredentials", [1])
    .call("isListening", [0])
    .call("close", [0])
    .call("listen", [0, 0, 8, 128]);
  return [shrunk, sealed, waiting, passing, polling, stale, timers, listening].map(
    (each) => each.bytes,
  );
}
