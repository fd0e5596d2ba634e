// SPDX-License-Identifier: Apache-2.0
/**
 * Rewrites a module for one entry point and one shape of its arguments (see plan.ts).
 *
 * The rewritten module has the chosen entry point, the functions that it reaches and all
 * declarations that they may need, in the guest's order and on the guest's lines, so that the
 * compiler's messages still fit. All bindings are in group 0: storage first, in the order of the
 * shape, then uniform arguments in order, then copies in the order of LaunchPlan.copies, then the
 * hidden uniform, if there is one.
 */
import type { Declaration, FnElem, FnParamElem, Node } from "./ast.js";
import { declarationName, spanOf } from "./ast.js";
import { withinStack } from "./error.js";
import type { ShapeBinding } from "./plan.js";
import { shapeOfKey } from "./plan.js";
import type { EntryInfo, ResourceInfo } from "./reflect.js";
import type { Root } from "./root.js";
import { checkShadowing, freshPrefix, quoted } from "./root.js";
import type { SliceLayout } from "./slice.js";
import { SLICE_LAYOUT, Slicer } from "./slice.js";
import type { WordKind } from "./words.js";
import { WordHelpers } from "./words.js";
import { Writer } from "./writer.js";

export interface RewrittenBinding {
  /** @binding number in group 0. */
  readonly binding: number;
  readonly kind: "storage" | "uniform";
  /** Bytes of a uniform's data; 0 for storage. */
  readonly bytes: number;
  /** Least bytes that must be bound. */
  readonly minBytes: number;
  /** Arguments behind it; none for the hidden uniform. */
  readonly arguments: readonly number[];
}

export interface RewriteOptions {
  /** Make the entry point sliceable: see slice.ts. Throws NOT_SUPPORTED where it can't be. */
  readonly sliceEntry?: boolean;
}

export interface RewrittenKernel {
  readonly wgsl: string;
  readonly entryPoint: string;
  readonly bindings: readonly RewrittenBinding[];
  /** The hidden uniform takes LaunchPlan.params; it is the last of `bindings`. */
  readonly hasParams: boolean;
  /** Pipeline constants for x, y, z of the block; null where the dimension is fixed. */
  readonly blockConstants: readonly [string | null, string | null, string | null];
  /** Where the immediates of a sliced entry point lie; null without slicing. */
  readonly slice: SliceLayout | null;
}

function makeRoots(
  entry: EntryInfo,
  shape: readonly ShapeBinding[],
  prefix: string,
): Map<Declaration, Root> {
  const made: Root[] = [];
  shape.forEach((binding, number) => {
    const sharers = binding.arguments.map((i) => entry.resources[i]?.name ?? "");
    for (const argument of binding.arguments) {
      const resource = entry.resources[argument];
      if (resource === undefined) continue;
      if (binding.mode === "plain" && binding.arguments.length === 1) continue;
      const buffer = `${prefix}b${number}`;
      const mode = binding.mode;
      const common = { argument, resource, mode, binding: number, buffer };
      made.push({ ...common, slot: -1, sharers: quoted(sharers) });
    }
  });
  // The hidden uniform is in argument order, whatever binding the arguments are in.
  made.sort((a, b) => a.argument - b.argument);
  let slot = 0;
  const roots = new Map<Declaration, Root>();
  for (const root of made) {
    const own = root.mode === "plain" ? root : { ...root, slot: slot++ };
    roots.set(root.resource.node, own);
  }
  return roots;
}

function resourcesOf(entry: EntryInfo, binding: ShapeBinding): ResourceInfo[] {
  return binding.arguments.flatMap((i) => entry.resources[i] ?? []);
}

function wordKind(entry: EntryInfo, binding: ShapeBinding): WordKind {
  if (binding.mode === "copy") return "copy";
  const isAtomic = resourcesOf(entry, binding).some(
    (r) => r.containsAtomics || (r.type.hasF16 && r.access === "read_write"),
  );
  return isAtomic ? "atomic" : "plain";
}

function bufferType(entry: EntryInfo, binding: ShapeBinding): string {
  const [first] = resourcesOf(entry, binding);
  switch (binding.mode) {
    case "plain":
      return first?.type.text ?? "";
    case "typed":
      return `array<${first?.element?.text ?? ""}>`;
    case "words":
      return wordKind(entry, binding) === "atomic" ? "array<atomic<u32>>" : "array<u32>";
    case "copy":
      return `array<vec4<u32>, ${binding.bytes / 16}>`;
  }
}

/** Declarations of the bindings that are not a guest's own variable. */
function bufferTexts(
  entry: EntryInfo,
  shape: readonly ShapeBinding[],
  prefix: string,
  bindings: readonly RewrittenBinding[],
): string {
  let text = "";
  shape.forEach((binding, number) => {
    if (binding.mode === "plain" && binding.arguments.length === 1) return;
    const [first] = binding.arguments;
    const own = bindings.find((b) => first !== undefined && b.arguments.includes(first));
    const space = binding.mode === "copy" ? "uniform" : "storage, read_write";
    const head = `@group(0) @binding(${own?.binding ?? 0}) var<${space}>`;
    text += `${head} ${prefix}b${number}: ${bufferType(entry, binding)};\n`;
  });
  return text;
}

/** The hidden uniform and the functions that read it. */
function paramTexts(roots: Iterable<Root>, prefix: string, binding: number): string {
  const slots = [...roots].filter((root) => root.slot >= 0);
  if (slots.length === 0) return "";
  const vectors = Math.ceil(slots.length / 2);
  const head = `@group(0) @binding(${binding}) var<uniform>`;
  let text = `${head} ${prefix}p: array<vec4<u32>, ${vectors}>;\n`;
  for (const { slot, mode } of slots) {
    const vector = `${prefix}p[${slot >> 1}]`;
    const [base, count] = slot % 2 === 0 ? ["x", "y"] : ["z", "w"];
    text += `fn ${prefix}len${slot}() -> u32 { return ${vector}.${count}; }\n`;
    // An index that is out of range leaves the binding, as it would leave the guest's own array:
    // what then happens is up to the compiler (nothing, or the last element), as for plain ones.
    const inside = `i < ${vector}.${count}`;
    if (mode === "typed") {
      const value = `select(0xffffffffu, i + ${vector}.${base}, ${inside})`;
      text += `fn ${prefix}at${slot}(i: u32) -> u32 { return ${value}; }\n`;
    } else {
      // The parts of an element outside do not wrap round to the binding's start.
      const value = `select(0xffffffffu - s, o + i * s, ${inside})`;
      text += `fn ${prefix}base${slot}() -> u32 { return ${vector}.${base}; }\n`;
      text += `fn ${prefix}el${slot}(o: u32, i: u32, s: u32) -> u32 { return ${value}; }\n`;
    }
  }
  return `${text}fn ${prefix}min(i: u32, last: u32) -> u32 { return min(i, last); }\n`;
}

/** Blank text with as many lines, so that those after it keep their numbers. */
function blank(text: string): string {
  return "\n".repeat(text.split("\n").length - 1);
}

function describeBindings(entry: EntryInfo, shape: readonly ShapeBinding[]): RewrittenBinding[] {
  const bindings: RewrittenBinding[] = [];
  const add = (kind: "storage" | "uniform", bytes: number, of: readonly number[]): void => {
    const least = of.map((index) => entry.resources[index]?.minBytes ?? 0);
    const minBytes = kind === "uniform" ? bytes : Math.ceil(Math.max(4, ...least) / 4) * 4;
    bindings.push({ binding: bindings.length, kind, bytes, minBytes, arguments: of });
  };
  for (const { mode, arguments: of } of shape) if (mode !== "copy") add("storage", 0, of);
  entry.resources.forEach((resource, index) => {
    if (resource.kind === "uniform") add("uniform", resource.minBytes, [index]);
  });
  for (const { mode, bytes, arguments: of } of shape)
    if (mode === "copy") add("uniform", bytes, of);
  return bindings;
}

class Assembler {
  private readonly prefix: string;
  private readonly shape: readonly ShapeBinding[];
  private readonly roots: Map<Declaration, Root>;
  private readonly words: WordHelpers;
  private readonly bindings: RewrittenBinding[];
  private readonly writer: Writer;

  constructor(
    private readonly entry: EntryInfo,
    key: string,
    private readonly options: RewriteOptions,
  ) {
    const { parsed, types } = entry.module;
    this.prefix = freshPrefix(parsed.source);
    this.shape = shapeOfKey(entry, key);
    this.roots = makeRoots(entry, this.shape, this.prefix);
    const kinds = this.shape.map((binding) => wordKind(entry, binding));
    this.words = new WordHelpers(this.prefix, (binding) => kinds[binding] ?? "plain");
    this.bindings = describeBindings(entry, this.shape);
    if (this.roots.size > 0 || options.sliceEntry === true) checkShadowing(entry);
    this.writer = new Writer({
      prefix: this.prefix,
      parsed,
      types,
      roots: this.roots,
      words: this.words,
    });
  }

  assemble(): RewrittenKernel {
    const { entry, prefix, writer } = this;
    const { parsed } = entry.module;
    const slicer = this.options.sliceEntry === true ? new Slicer(entry, prefix) : null;
    const functions = writer.writeAll(entry.node, slicer?.functionName ?? null);
    let wgsl = "";
    let at = 0;
    for (const node of parsed.decls) {
      const [start, end] = spanOf(node);
      wgsl += parsed.source.slice(at, start) + this.declaration(node, functions);
      at = end;
    }
    wgsl += `${parsed.source.slice(at)}\n`;
    const paramSlots = [...this.roots.values()].filter((root) => root.slot >= 0).length;
    const hasParams = paramSlots > 0;
    const binding = this.bindings.length;
    wgsl += bufferTexts(entry, this.shape, prefix, this.bindings);
    wgsl += paramTexts(this.roots.values(), prefix, binding);
    wgsl += this.words.text();
    wgsl += slicer?.text((param) => this.typeText(param)) ?? "";
    const bytes = Math.ceil(paramSlots / 2) * 16;
    const hidden = { binding, kind: "uniform", bytes, minBytes: bytes, arguments: [] } as const;
    const block = entry.block.map((d) => (d.kind === "override" ? d.constant : null));
    return {
      wgsl,
      entryPoint: entry.name,
      bindings: hasParams ? [...this.bindings, hidden] : this.bindings,
      hasParams,
      blockConstants: [block[0] ?? null, block[1] ?? null, block[2] ?? null],
      slice: slicer === null ? null : SLICE_LAYOUT,
    };
  }

  private typeText(param: FnParamElem): string {
    return param.name.typeRef === undefined ? "" : this.writer.writeGlobal(param.name.typeRef);
  }

  private declaration(node: Node, functions: ReadonlyMap<FnElem, string[]>): string {
    const [start, end] = spanOf(node);
    const source = this.entry.module.parsed.source.slice(start, end);
    if (node.kind === "fn") return functions.get(node)?.join("\n") ?? blank(source);
    if (node.kind !== "gvar") return this.writer.writeGlobal(node);
    const index = this.entry.resources.findIndex((resource) => resource.node === node);
    if (index < 0) return this.isResource(node) ? blank(source) : source;
    if (this.roots.has(node)) return blank(source);
    const binding = this.bindings.find((b) => b.arguments.includes(index));
    const resource = this.entry.resources[index];
    const type = node.name.typeRef;
    if (binding === undefined || resource === undefined || type === undefined) return source;
    const space = resource.kind === "uniform" ? "uniform" : "storage, read_write";
    const name = declarationName(node);
    const head = `@group(0) @binding(${binding.binding}) var<${space}>`;
    const text = `${head} ${name}: ${this.writer.writeGlobal(type)};`;
    return text + blank(source.slice(0, type.start - start) + source.slice(type.end - start));
  }

  /** Variables that another entry point binds must go: their slots are ours. */
  private isResource(node: Node & { kind: "gvar" }): boolean {
    const space = node.template?.[0]?.name;
    return space !== "workgroup" && space !== "private";
  }
}

/**
 * Rewrites `entry` for the shape that `key` (of planLaunch) stands for. Throws WgslError:
 * ARGUMENT_ALIAS names the arguments that cannot share a binding and why.
 */
export function rewriteKernel(
  entry: EntryInfo,
  key: string,
  options: RewriteOptions = {},
): RewrittenKernel {
  return withinStack(() => new Assembler(entry, key, options).assemble());
}
