// SPDX-License-Identifier: Apache-2.0
/**
 * Reflection: what an entry point needs from a launch. Arguments bind by the order of
 * (group, binding) of the storage and uniform variables that the entry point uses statically,
 * through any function it calls.
 */
import { Status } from "../../protocol/generated/wire.js";
import type { AttributeElem, ExpressionElem, FnElem, GlobalVarElem, OverrideElem } from "./ast.js";
import { declarationName, identOf, stripParens } from "./ast.js";
import { WGSL_ENTRIES_MAX, WgslError, withinStack } from "./error.js";
import type { ParsedModule } from "./parse.js";
import { parseModule, reachableFunctions } from "./parse.js";
import type { LaidType } from "./types.js";
import { isLaid, Types } from "./types.js";
import { UniformityFinder } from "./uniformity.js";

/** A workgroup dimension: fixed, or given by the launch through a pipeline constant. */
export type BlockDimension =
  | { readonly kind: "fixed"; readonly value: number }
  | { readonly kind: "override"; readonly name: string; readonly constant: string };

export interface ResourceInfo {
  readonly name: string;
  readonly group: number;
  readonly binding: number;
  readonly kind: "storage" | "uniform";
  /** As declared; the rewritten kernel binds all storage read_write. */
  readonly access: "read" | "read_write";
  readonly typeText: string;
  /** Least bytes of the argument: the type's size, a runtime-sized array counted as one element. */
  readonly minBytes: number;
  /** Required alignment of a pointer, bytes. */
  readonly alignBytes: number;
  readonly hasRuntimeArray: boolean;
  /** Stride of the runtime-sized array, 0 without one. */
  readonly elementStrideBytes: number;
  /** Where the runtime-sized array starts in the type, bytes; 0 without one. */
  readonly elementsOffsetBytes: number;
  readonly containsAtomics: boolean;
  readonly type: LaidType;
  /**
   * What an array over the whole argument would hold: the runtime-sized array's element, or the
   * type itself. null for a struct that ends in a runtime-sized array.
   */
  readonly element: LaidType | null;
  /** Stride of `element` in such an array, bytes. */
  readonly elementBytes: number;
  readonly node: GlobalVarElem;
}

export interface OverrideInfo {
  readonly name: string;
  /** Key of the pipeline constant: the @id's number, or the name. */
  readonly constant: string;
  readonly hasDefault: boolean;
}

export interface EntryInfo {
  readonly name: string;
  readonly module: ModuleInfo;
  readonly node: FnElem;
  /** x, y, z. */
  readonly block: readonly [BlockDimension, BlockDimension, BlockDimension];
  /** By (group, binding): the order of launch arguments. */
  readonly resources: readonly ResourceInfo[];
  /**
   * Functions take pointers to storage. The compiler refuses two such pointers into one binding,
   * so arguments that share a binding then need a form without pointers.
   */
  readonly hasStoragePointers: boolean;
  /** Arguments that must be uniform memory, where they are small enough (uniformity.ts). */
  readonly uniformReads: ReadonlySet<number>;
  /** Built-in inputs of the entry point, for example "workgroup_id". */
  readonly builtins: ReadonlySet<string>;
}

export interface ModuleInfo {
  readonly parsed: ParsedModule;
  readonly types: Types;
  /** Names of the compute entry points, in source order. */
  readonly entryNames: readonly string[];
  readonly overrides: readonly OverrideInfo[];
  /** Extensions of `enable` directives. */
  readonly enables: ReadonlySet<string>;
  /** Entry points by name, each an error if it cannot be launched. */
  readonly entries: ReadonlyMap<string, EntryInfo | WgslError>;
}

function findAttribute(
  attributes: readonly AttributeElem[] | undefined,
  name: string,
): ExpressionElem[] | null {
  for (const { attribute } of attributes ?? []) {
    if (attribute.kind === "@attribute" && attribute.name === name) {
      return (attribute.params ?? []).map((param) => param.expression);
    }
  }
  return null;
}

function hasAttribute(attributes: readonly AttributeElem[] | undefined, name: string): boolean {
  return findAttribute(attributes, name) !== null;
}

function invalid(parsed: ParsedModule, start: number, text: string): WgslError {
  return new WgslError(Status.MODULE_INVALID, text, parsed.lineAt(start));
}

class Reflector {
  readonly types: Types;
  private readonly resources = new Map<GlobalVarElem, ResourceInfo>();
  private readonly uniformity: UniformityFinder;

  constructor(private readonly parsed: ParsedModule) {
    this.types = new Types(parsed);
    this.uniformity = new UniformityFinder(parsed);
  }

  overrideInfo(node: OverrideElem): OverrideInfo {
    const name = declarationName(node);
    const id = findAttribute(node.attributes, "id")?.[0];
    const value = id === undefined ? null : this.types.constants.integer(id);
    const constant = value === null ? name : String(value);
    return { name, constant, hasDefault: node.init !== undefined };
  }

  entry(node: FnElem, module: ModuleInfo): EntryInfo {
    const resources: ResourceInfo[] = [];
    let hasStoragePointers = false;
    for (const fn of reachableFunctions(this.parsed, node)) {
      hasStoragePointers ||= this.takesStoragePointer(fn);
      for (const variable of this.parsed.uses.get(fn)?.variables ?? []) {
        const info = this.resource(variable);
        if (info !== null && !resources.includes(info)) resources.push(info);
      }
    }
    resources.sort((a, b) => a.group - b.group || a.binding - b.binding);
    this.checkSlots(resources);
    const name = declarationName(node);
    const builtins = this.builtins(node);
    const block = this.block(node);
    const uniformReads = this.uniformReads(node, resources);
    return { name, module, node, block, resources, hasStoragePointers, uniformReads, builtins };
  }

  private uniformReads(node: FnElem, resources: readonly ResourceInfo[]): Set<number> {
    const found = new Set<number>();
    const canBe = (r: ResourceInfo): boolean => r.kind === "storage" && r.access === "read";
    if (!resources.some(canBe)) return found;
    const variables = this.uniformity.find(node);
    resources.forEach((resource, index) => {
      if (canBe(resource) && variables.has(resource.node)) found.add(index);
    });
    return found;
  }

  private takesStoragePointer(fn: FnElem): boolean {
    return fn.params.some(({ name }) => {
      const type = name.typeRef === undefined ? null : this.types.resolve(name.typeRef);
      return type?.kind === "pointer" && type.space === "storage";
    });
  }

  private checkSlots(resources: readonly ResourceInfo[]): void {
    for (let i = 1; i < resources.length; i += 1) {
      const [a, b] = [resources[i - 1], resources[i]];
      if (a === undefined || b === undefined) continue;
      if (a.group !== b.group || a.binding !== b.binding) continue;
      const text = `'${a.name}' and '${b.name}' have the same group and binding`;
      throw invalid(this.parsed, b.node.start, text);
    }
  }

  private block(node: FnElem): [BlockDimension, BlockDimension, BlockDimension] {
    const sizes = findAttribute(node.attributes, "workgroup_size");
    if (sizes === null || sizes.length === 0) {
      throw invalid(this.parsed, node.start, "the entry point has no @workgroup_size");
    }
    const dimension = (e: ExpressionElem | undefined): BlockDimension => {
      if (e === undefined) return { kind: "fixed", value: 1 };
      const ident = identOf(stripParens(e));
      const declaration = ident === null ? undefined : this.parsed.refs.get(ident);
      if (declaration?.kind === "override") {
        return { kind: "override", ...this.overrideInfo(declaration) };
      }
      const value = this.types.constants.integer(e);
      if (value !== null && value >= 1) return { kind: "fixed", value };
      const text = "a workgroup dimension is neither a known positive integer nor an override";
      throw invalid(this.parsed, e.start, text);
    };
    return [dimension(sizes[0]), dimension(sizes[1]), dimension(sizes[2])];
  }

  private builtins(node: FnElem): Set<string> {
    const found = new Set<string>();
    const add = (attributes: readonly AttributeElem[] | undefined): void => {
      for (const { attribute } of attributes ?? []) {
        if (attribute.kind === "@builtin") found.add(attribute.param.name);
      }
    };
    for (const param of node.params) {
      add(param.attributes);
      const type = param.name.typeRef;
      const declaration = type === undefined ? undefined : this.parsed.refs.get(type.name);
      const struct =
        declaration?.kind === "alias"
          ? this.parsed.refs.get(declaration.typeRef.name)
          : declaration;
      if (struct?.kind !== "struct") continue;
      for (const member of struct.members) add(member.attributes);
    }
    return found;
  }

  /** null for variables that a launch does not bind (workgroup, private). */
  private resource(node: GlobalVarElem): ResourceInfo | null {
    const known = this.resources.get(node);
    if (known !== undefined) return known;
    const name = declarationName(node);
    const line = this.parsed.lineAt(node.start);
    const space = node.template?.[0]?.name;
    if (space === "workgroup" || space === "private") return null;
    const type = node.name.typeRef === undefined ? null : this.types.resolve(node.name.typeRef);
    if (space !== "storage" && space !== "uniform") {
      const kind = space === undefined ? (type?.text ?? "no type") : `address space ${space}`;
      const text = `'${name}' (${kind}) is not supported: only storage and uniform buffers are`;
      throw new WgslError(Status.NOT_SUPPORTED, text, line);
    }
    if (type === null || !isLaid(type)) {
      const text = `'${name}' has a type that cannot be bound: ${type?.text ?? "none"}`;
      throw new WgslError(Status.NOT_SUPPORTED, text, line);
    }
    const info = this.makeResource(node, name, space, type);
    this.resources.set(node, info);
    return info;
  }

  private makeResource(
    node: GlobalVarElem,
    name: string,
    kind: "storage" | "uniform",
    type: LaidType,
  ): ResourceInfo {
    const access = node.template?.[1]?.name ?? "read";
    if (access !== "read" && access !== "read_write") {
      throw invalid(this.parsed, node.start, `'${name}' has the access mode '${access}'`);
    }
    const last = type.kind === "struct" ? type.members[type.members.length - 1] : undefined;
    const array = type.kind === "array" ? type : last?.type.kind === "array" ? last.type : null;
    const runtime = type.hasRuntimeArray ? array : null;
    const whole = type.kind === "array" && type.count === null ? type.element : type;
    const element = isLaid(whole) && !whole.hasRuntimeArray ? whole : null;
    return {
      name,
      group: this.slot(node, name, "group"),
      binding: this.slot(node, name, "binding"),
      kind,
      access,
      typeText: type.text,
      minBytes: type.size,
      alignBytes: type.align,
      hasRuntimeArray: type.hasRuntimeArray,
      elementStrideBytes: runtime?.stride ?? 0,
      elementsOffsetBytes: runtime !== null && type.kind === "struct" ? (last?.offset ?? 0) : 0,
      containsAtomics: type.hasAtomics,
      type,
      element,
      elementBytes: element === null ? 0 : Math.ceil(element.size / element.align) * element.align,
      node,
    };
  }

  private slot(node: GlobalVarElem, name: string, attribute: string): number {
    const e = findAttribute(node.attributes, attribute)?.[0];
    const value = e === undefined ? null : this.types.constants.integer(e);
    if (value !== null && value >= 0) return value;
    throw invalid(this.parsed, node.start, `'${name}' has no known @${attribute}`);
  }
}

/**
 * Reads a WGSL module. Throws WgslError (MODULE_INVALID) if it cannot be parsed; problems of one
 * entry point (a texture, a missing size) are kept for `findEntry`.
 */
export function reflectModule(source: string): ModuleInfo {
  return withinStack(() => reflect(source));
}

function reflect(source: string): ModuleInfo {
  const parsed = parseModule(source);
  const reflector = new Reflector(parsed);
  const enables = new Set<string>();
  const overrides: OverrideInfo[] = [];
  const entries = new Map<string, EntryInfo | WgslError>();
  const entryNames: string[] = [];
  const module = { parsed, types: reflector.types, entryNames, overrides, enables, entries };
  for (const node of parsed.decls) {
    if (node.kind === "directive" && node.directive.kind === "enable") {
      for (const extension of node.directive.extensions) enables.add(extension.name);
    }
    if (node.kind === "override") overrides.push(reflector.overrideInfo(node));
    if (node.kind !== "fn" || !hasAttribute(node.attributes, "compute")) continue;
    const name = declarationName(node);
    if (entryNames.length >= WGSL_ENTRIES_MAX) {
      const text = `the module has more than ${WGSL_ENTRIES_MAX} compute entry points`;
      throw invalid(parsed, node.start, text);
    }
    entryNames.push(name);
    try {
      entries.set(name, reflector.entry(node, module));
    } catch (error) {
      if (!(error instanceof WgslError)) throw error;
      entries.set(name, error);
    }
  }
  return module;
}

/** The entry point of that name. Throws WgslError (FUNCTION_NOT_FOUND, or what ails it). */
export function findEntry(module: ModuleInfo, name: string): EntryInfo {
  const entry = module.entries.get(name);
  if (entry === undefined) {
    const known = module.entryNames
      .slice(0, 8)
      .map((n) => `'${n}'`)
      .join(", ");
    const text = `the module has no compute entry point '${name}' (it has: ${known || "none"})`;
    throw new WgslError(Status.FUNCTION_NOT_FOUND, text);
  }
  if (entry instanceof WgslError) throw entry;
  return entry;
}
