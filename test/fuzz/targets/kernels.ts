// SPDX-License-Identifier: Apache-2.0
/** What compiles guest code: WGSL reflection, rewriting and slicing, PTX, and fat binaries. */
import { readdirSync, readFileSync } from "node:fs";
import {
  FATBIN_ENTRIES_MAX,
  FatbinError,
  loadZstd,
  ptxOf,
  rankPtx,
  readFatbin,
} from "../../../src/kernel/fatbin/index.js";
import {
  type EmitOptions,
  emitKernel,
  PTX_LIMITS,
  PtxError,
  parsePtx,
} from "../../../src/kernel/ptx/index.js";
import {
  type EntryInfo,
  type LaunchArgument,
  planLaunch,
  reflectModule,
  rewriteKernel,
  WGSL_REWRITTEN_LENGTH_MAX,
  WgslError,
  whyUnsliceable,
} from "../../../src/kernel/wgsl/index.js";
import { expectThat, type FuzzTarget, kindOf, textBytes, textPieces } from "../target.js";

await loadZstd();

const root = new URL("../../../", import.meta.url);

function filesIn(folder: string, ending: string): Uint8Array[] {
  const url = new URL(folder, root);
  return readdirSync(url)
    .filter((file) => file.endsWith(ending))
    .sort()
    .map((file) => new Uint8Array(readFileSync(new URL(file, url))));
}

/** Modules arrive as UTF-8, and what is none is refused before; here it is made into text. */
const utf8 = new TextDecoder();

/** Runs `work`; one of its typed errors is a fine end, anything else is a finding. */
function ends<T>(
  types: readonly (new (...args: never[]) => Error)[],
  work: () => T,
): T | { readonly refused: string } {
  try {
    return work();
  } catch (error) {
    const typed = types.some((type) => error instanceof type);
    if (!typed || !(error instanceof Error)) throw error;
    return { refused: refusalOf(error) };
  }
}

/** Words that the parsers' own sources have: of the others, an input's, there is no end. */
const OWN_WORDS = new Set(
  ["src/kernel/ptx/", "src/kernel/wgsl/", "node_modules/wesl/dist/"]
    .flatMap((folder) => [...filesIn(folder, ".ts"), ...filesIn(folder, ".js")])
    .flatMap((bytes) => utf8.decode(bytes).match(/[A-Za-z]+/gu) ?? []),
);

/** What a refusal says, without the input's own names. */
function refusalOf(error: Error): string {
  return inOwnWords(error instanceof PtxError ? error.text : error.message);
}

function inOwnWords(text: string): string {
  return kindOf(text).replace(/[^\s'":;,()]+/gu, (word) =>
    /^[A-Za-z]+$/u.test(word) && OWN_WORDS.has(word) ? word : "?",
  );
}

const isRefused = (value: unknown): value is { readonly refused: string } =>
  typeof value === "object" && value !== null && "refused" in value;

const PLAN_LIMITS = {
  storageOffsetAlign: 256,
  storageBindingsMax: 8,
  uniformBindingsMax: 8,
  uniformBytesMax: 65536,
};

/** Arguments as a guest would pass them: all pointers into one segment, some of one allocation. */
function launchArguments(entry: EntryInfo): LaunchArgument[] {
  return entry.resources.map((resource, index): LaunchArgument => {
    if (resource.kind !== "storage")
      return { kind: "value", bytes: new Uint8Array(Math.min(resource.minBytes, 65536)) };
    const start = (index >> 1) * 65536;
    const offset = start + (index & 1) * 256;
    return {
      kind: "pointer",
      segment: 1,
      allocationStart: start,
      allocationBytes: 65536,
      offset,
    };
  });
}

function exerciseEntry(entry: EntryInfo): string[] {
  const storage = entry.resources.filter((each) => each.kind === "storage").length;
  const unsliceable = ends([WgslError], () => whyUnsliceable(entry));
  const plan = ends([WgslError], () => planLaunch(entry, launchArguments(entry), PLAN_LIMITS));
  const keys = ["", "2".repeat(storage)];
  if (!isRefused(plan)) {
    keys.push(plan.key);
    for (const range of [...plan.storage, ...plan.copies]) {
      const inside = range.offset >= 0 && range.bytes > 0 && range.offset % 256 === 0;
      expectThat(inside, `a range has ${range.bytes} bytes at ${range.offset}`);
    }
  }
  const slices = isRefused(unsliceable) ? unsliceable.refused : kindOf(unsliceable ?? "yes");
  const kinds = [`slices: ${slices}`, `bindings: ${Math.min(storage, 9)}`];
  for (const key of new Set(keys)) {
    const sliceEntry = unsliceable === null;
    const kernel = ends([WgslError], () => rewriteKernel(entry, key, { sliceEntry }));
    if (isRefused(kernel)) kinds.push(`rewritten: ${kernel.refused}`);
    else
      expectThat(
        kernel.wgsl.length < 2 * WGSL_REWRITTEN_LENGTH_MAX,
        `a kernel has ${kernel.wgsl.length} characters`,
      );
  }
  if (isRefused(plan)) kinds.push(`plan: ${plan.refused}`);
  else kinds.push(`plan: ${plan.storage.length} bindings, ${plan.copies.length} copies`);
  return kinds;
}

const WGSL_WORDS =
  "fn var let const struct alias override enable f16; @group(0) @binding(0) @compute " +
  "@workgroup_size(1) <storage,read_write> <workgroup> <uniform> array atomic ptr vec4 mat4x4 " +
  "u32 i32 f32 bool if else for while loop switch case return continuing break workgroupBarrier() " +
  "atomicAdd arrayLength &x *p [0] .x ( ) { } < > ; , + - ++ += == && 0x7fffffff 4294967295u 1e38 " +
  "@size(16) @align(8) bitcast select dot";

export const wgslTarget: FuzzTarget = {
  name: "wgsl",
  parses: "WGSL: reflection, plans, binding rewrite, slicer",
  bytesMax: 65536,
  cpuLimitMs: 5000,
  seeds: () => [
    ...filesIn("test/support/shaders/", ".wgsl"),
    ...filesIn("guest-driver/examples/", ".wgsl"),
  ],
  dictionary: () => WGSL_WORDS.split(" ").map((word) => textBytes(` ${word} `)),
  pieces: textPieces,
  run: (bytes) => {
    const source = utf8.decode(bytes);
    const module = ends([WgslError], () => reflectModule(source));
    if (isRefused(module)) return module.refused;
    const kinds = [`entries: ${Math.min(module.entries.size, 4)}`];
    for (const entry of [...module.entries.values()].slice(0, 4))
      kinds.push(...(entry instanceof WgslError ? [refusalOf(entry)] : exerciseEntry(entry)));
    return kinds;
  },
};

const EMIT: EmitOptions = {
  segments: 2,
  block: [32, 1, 1],
  dynamicSharedBytes: 1024,
  f16: false,
  subgroups: false,
  subgroupSize: 4,
  checked: false,
  blockThreadsMax: 1024,
  sharedBytesMax: 49152,
};

/** Those of the device's translator thread, made smaller in proportion to the inputs. */
const LIMITS = {
  ...PTX_LIMITS,
  instructionsMax: 20_000,
  kernelInstructionsMax: 20_000,
  registersMax: 40_000,
  initialBytesMax: 2 ** 20,
  emittedLengthMax: 2 ** 20,
};
const KERNELS_MAX = 3;

/** A whole file of PTX is slow: its head with each entry point by itself. */
function ptxPieces(): Uint8Array[] {
  const files = ["test/support/ptx/", "test/unit/instance/ptx/", "guest-driver/examples/"];
  const texts = files.flatMap((folder) => filesIn(folder, ".ptx")).map((each) => utf8.decode(each));
  return texts.flatMap((text) => {
    const parts = text.split(/^(?=(?:\.visible |\.weak )?\.entry )/mu);
    const [head = "", ...entries] = parts;
    return entries.map((entry) => textBytes(head + entry));
  });
}

const PTX_WORDS =
  ".reg .b32 .b64 .f32 .f64 .pred .u8 .s16 .v2 .v4 .shared .global .local .const .param .entry " +
  ".func .align 8 .maxntid ld. st. add. mul.wide. mad.lo. setp. selp @%p1 @!%p1 bra bra.uni call " +
  "ret; exit; bar.sync 0; atom.add. red. shfl.sync. vote. cvt.rn. %r1 %rd1 %f1 %fd1 [%rd1+4] { } ( ) " +
  "; , = 0f3F800000 0d7FF0000000000000 0xFFFFFFFFFFFFFFFF -1 %tid.x %ntid.y .extern .visible trap; " +
  "tex. .version 8.4 .target sm_90 .address_size 64 ex2.approx. div.rn. sqrt. bfe. prmt. lop3.";

/** What emitted WGSL calls: an input that leads to a helper that none has led to is worth keeping. */
function callsIn(wgsl: string): string[] {
  return wgsl.match(/\b[a-z]\w*(?=\()/gu) ?? [];
}

export const ptxTarget: FuzzTarget = {
  name: "ptx",
  parses: "PTX: parser and WGSL emitter",
  bytesMax: 65536,
  cpuLimitMs: 5000,
  seeds: ptxPieces,
  dictionary: () => PTX_WORDS.split(" ").map((word) => textBytes(`${word} `)),
  pieces: textPieces,
  run: (bytes) => {
    const text = utf8.decode(bytes);
    // Too deep for the stack is an error that the translator turns into its own.
    const types = [PtxError, RangeError];
    const module = ends(types, () => parsePtx(text, LIMITS));
    if (isRefused(module)) return module.refused;
    const kinds = [`kernels: ${Math.min(module.kernels.length, KERNELS_MAX)}`];
    for (const kernel of module.kernels.slice(0, KERNELS_MAX)) {
      kinds.push(kernel.unsupported === null ? "supported" : "unsupported");
      kinds.push(`slices: ${inOwnWords(kernel.unsliceable?.replace(kernel.name, "") ?? "yes")}`);
      expectThat(kernel.paramBytes >= 0 && kernel.sharedBytes >= 0, "a size is negative");
      for (const checked of [false, true]) {
        const block = kernel.block ?? EMIT.block;
        const emitted = ends(types, () =>
          emitKernel(module, kernel.name, { ...EMIT, block, checked }),
        );
        if (isRefused(emitted)) kinds.push(`emitted: ${emitted.refused}`);
        else kinds.push(...new Set([emitted.mode, ...callsIn(emitted.wgsl)]));
      }
    }
    return kinds;
  },
};

const FATBIN_PTX_MAX = 2 ** 20;

export const fatbinTarget: FuzzTarget = {
  name: "fatbin",
  parses: "fat binaries: container, LZ4, zstd",
  bytesMax: 65536,
  cpuLimitMs: 5000,
  seeds: () => filesIn("test/unit/kernel/fatbin/", ".fatbin"),
  run: (bytes) => {
    const limits = { entriesMax: FATBIN_ENTRIES_MAX, ptxBytesMax: FATBIN_PTX_MAX };
    const entries = ends([FatbinError], () => readFatbin(bytes, limits));
    if (isRefused(entries)) return entries.refused;
    const kinds = [`${Math.min(entries.length, 4)}`];
    for (const entry of rankPtx(entries).slice(0, 2)) {
      const text = ends([FatbinError], () => ptxOf(entry, limits));
      if (typeof text === "string")
        expectThat(text.length <= FATBIN_PTX_MAX, `PTX of ${text.length} characters comes out`);
      kinds.push(isRefused(text) ? text.refused : entry.compression);
    }
    return kinds.join("|");
  },
};
