// SPDX-License-Identifier: Apache-2.0
/**
 * WGSL types as they lie in memory: size, alignment, member offsets and strides by the rules of
 * the WGSL specification, section "Memory layout". Only host-shareable types are laid out; all
 * others end as `opaque`, which is fine until one is needed in a storage or uniform variable.
 */
import { Status } from "../../protocol/generated/wire.js";
import type { ExpressionElem, Node, StructElem, StructMemberElem, TypeRefElem } from "./ast.js";
import { declarationName, identOf, stripParens } from "./ast.js";
import { Constants } from "./constant.js";
import { WGSL_TYPE_BYTES_MAX, WGSL_TYPE_DEPTH_MAX, WgslError } from "./error.js";
import type { ParsedModule } from "./parse.js";

export type ScalarName = "i32" | "u32" | "f32" | "f16";

interface Sized {
  /** Bytes; for a runtime-sized array or a struct that ends in one, with one element. */
  readonly size: number;
  readonly align: number;
  /** WGSL text at module scope, equal for equal types. */
  readonly text: string;
  readonly hasAtomics: boolean;
  readonly hasF16: boolean;
  readonly hasRuntimeArray: boolean;
}

export interface ScalarType extends Sized {
  readonly kind: "scalar";
  readonly name: ScalarName;
}
export interface VectorType extends Sized {
  readonly kind: "vector";
  readonly count: number;
  readonly element: ScalarType;
}
export interface MatrixType extends Sized {
  readonly kind: "matrix";
  readonly columns: number;
  readonly column: VectorType;
  readonly stride: number;
}
export interface AtomicType extends Sized {
  readonly kind: "atomic";
  readonly element: ScalarType;
}
export interface ArrayType extends Sized {
  readonly kind: "array";
  readonly element: Type;
  /** null for runtime-sized. */
  readonly count: number | null;
  readonly stride: number;
}
export interface StructMember {
  readonly name: string;
  readonly type: Type;
  readonly offset: number;
}
export interface StructType extends Sized {
  readonly kind: "struct";
  readonly members: readonly StructMember[];
}
export interface PointerType {
  readonly kind: "pointer";
  readonly space: string;
  readonly target: Type;
  readonly text: string;
}
/** bool, textures, samplers and all else without a memory layout here. */
export interface OpaqueType {
  readonly kind: "opaque";
  readonly text: string;
}
/** A type with a memory layout. */
export type LaidType = ScalarType | VectorType | MatrixType | AtomicType | ArrayType | StructType;
export type Type = LaidType | PointerType | OpaqueType;

export function isLaid(type: Type): type is LaidType {
  return type.kind !== "pointer" && type.kind !== "opaque";
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

function scalar(name: ScalarName): ScalarType {
  const size = name === "f16" ? 2 : 4;
  const hasF16 = name === "f16";
  const flags = { hasAtomics: false, hasF16, hasRuntimeArray: false };
  return { kind: "scalar", name, size, align: size, text: name, ...flags };
}

export const U32 = scalar("u32");
export const I32 = scalar("i32");
export const F32 = scalar("f32");
export const F16 = scalar("f16");
const SCALARS: Readonly<Record<string, ScalarType>> = { u32: U32, i32: I32, f32: F32, f16: F16 };
const SUFFIXES: Readonly<Record<string, ScalarType>> = { u: U32, i: I32, f: F32, h: F16 };

export function vector(count: number, element: ScalarType): VectorType {
  const size = count * element.size;
  const align = (count === 2 ? 2 : 4) * element.size;
  const text = `vec${count}<${element.text}>`;
  const flags = { hasAtomics: false, hasF16: element.hasF16, hasRuntimeArray: false };
  return { kind: "vector", count, element, size, align, text, ...flags };
}

function matrix(columns: number, rows: number, element: ScalarType): MatrixType {
  const column = vector(rows, element);
  const stride = roundUp(column.size, column.align);
  const text = `mat${columns}x${rows}<${element.text}>`;
  const { align } = column;
  const flags = { hasAtomics: false, hasF16: element.hasF16, hasRuntimeArray: false };
  return { kind: "matrix", columns, column, stride, size: columns * stride, align, text, ...flags };
}

function opaque(text: string): OpaqueType {
  return { kind: "opaque", text: text.length > 64 ? `${text.slice(0, 61)}...` : text };
}

const VECTOR = /^vec([234])([iufh]?)$/;
const MATRIX = /^mat([234])x([234])([fh]?)$/;

/** Resolves and lays out the types of one module. Throws WgslError (MODULE_INVALID). */
export class Types {
  readonly constants: Constants;
  private readonly structs = new Map<StructElem, StructType | OpaqueType>();
  private readonly aliases = new Map<Node, Type>();
  private readonly open = new Set<Node>();
  private depth = 0;

  constructor(private readonly module: ParsedModule) {
    this.constants = new Constants(module);
  }

  /** The type that a type expression names. */
  resolve(expression: ExpressionElem | TypeRefElem): Type {
    const e = stripParens(expression);
    const ident = identOf(e);
    if (ident === null) return opaque(this.textOf(e));
    if (this.depth >= WGSL_TYPE_DEPTH_MAX) {
      const text = `types are nested deeper than the limit of ${WGSL_TYPE_DEPTH_MAX}`;
      throw new WgslError(Status.MODULE_INVALID, text, this.module.lineAt(e.start));
    }
    this.depth += 1;
    try {
      const declaration = this.module.refs.get(ident);
      if (declaration === undefined) return this.predeclared(ident.originalName, e);
      if (declaration.kind === "struct") return this.struct(declaration);
      if (declaration.kind === "alias") {
        return this.guarded(declaration, this.aliases, () => this.resolve(declaration.typeRef));
      }
      return opaque(ident.originalName);
    } finally {
      this.depth -= 1;
    }
  }

  private textOf(node: Node): string {
    return "start" in node ? this.module.source.slice(node.start, node.end).trim() : "";
  }

  private guarded<N extends Node, T>(node: N, known: Map<N, T>, make: () => T): T {
    const found = known.get(node);
    if (found !== undefined) return found;
    if (this.open.has(node)) {
      const line = this.module.lineAt("start" in node ? node.start : 0);
      throw new WgslError(Status.MODULE_INVALID, "a type contains itself", line);
    }
    this.open.add(node);
    const made = make();
    this.open.delete(node);
    known.set(node, made);
    return made;
  }

  private predeclared(name: string, e: Node): Type {
    const params = (e.kind === "type" ? e.templateParams : undefined) ?? [];
    const plain = SCALARS[name];
    if (plain !== undefined) return plain;
    const first = params[0];
    const vec = VECTOR.exec(name);
    if (vec !== null) {
      const element = vec[2] ? SUFFIXES[vec[2]] : this.scalarParam(first);
      return element === undefined ? opaque(this.textOf(e)) : vector(Number(vec[1]), element);
    }
    const mat = MATRIX.exec(name);
    if (mat !== null) {
      const element = mat[3] ? SUFFIXES[mat[3]] : this.scalarParam(first);
      if (element !== F32 && element !== F16) return opaque(this.textOf(e));
      return matrix(Number(mat[1]), Number(mat[2]), element);
    }
    if (name === "atomic") {
      const element = this.scalarParam(first);
      if (element !== I32 && element !== U32) return opaque(this.textOf(e));
      const text = `atomic<${element.text}>`;
      const flags = { hasAtomics: true, hasF16: false, hasRuntimeArray: false };
      return { kind: "atomic", element, size: 4, align: 4, text, ...flags };
    }
    if (name === "array" && first !== undefined) return this.array(first, params[1], e);
    if (name === "ptr" && first !== undefined && params[1] !== undefined) {
      const space = identOf(first)?.originalName ?? "";
      const text = this.textOf(e);
      return { kind: "pointer", space, target: this.resolve(params[1]), text };
    }
    return opaque(this.textOf(e));
  }

  private scalarParam(param: ExpressionElem | undefined): ScalarType | undefined {
    if (param === undefined) return undefined;
    const type = this.resolve(param);
    return type.kind === "scalar" ? type : undefined;
  }

  private array(param: ExpressionElem, size: ExpressionElem | undefined, e: Node): Type {
    const element = this.resolve(param);
    if (!isLaid(element) || element.hasRuntimeArray) return opaque(this.textOf(e));
    const stride = roundUp(element.size, element.align);
    const { align, hasAtomics, hasF16 } = element;
    const common = { kind: "array", element, stride, align, hasAtomics, hasF16 } as const;
    if (size === undefined) {
      const text = `array<${element.text}>`;
      return { ...common, count: null, size: stride, text, hasRuntimeArray: true };
    }
    const count = this.constants.integer(size);
    if (count === null || count < 1) return opaque(this.textOf(e));
    const bytes = count * stride;
    this.checkBytes(bytes, e);
    const text = `array<${element.text}, ${count}>`;
    return { ...common, count, size: bytes, text, hasRuntimeArray: false };
  }

  private checkBytes(bytes: number, e: Node): void {
    if (bytes <= WGSL_TYPE_BYTES_MAX) return;
    const text = `a type of ${bytes} bytes is larger than the limit of ${WGSL_TYPE_BYTES_MAX}`;
    throw new WgslError(
      Status.MODULE_INVALID,
      text,
      this.module.lineAt("start" in e ? e.start : 0),
    );
  }

  private struct(declaration: StructElem): StructType | OpaqueType {
    return this.guarded(declaration, this.structs, () => this.layStruct(declaration));
  }

  private layStruct(declaration: StructElem): StructType | OpaqueType {
    const name = declarationName(declaration);
    const members: StructMember[] = [];
    let [offset, structAlign] = [0, 1];
    let [hasAtomics, hasF16, hasRuntimeArray] = [false, false, false];
    for (const member of declaration.members) {
      const type = this.resolve(member.typeRef);
      if (!isLaid(type) || hasRuntimeArray) return opaque(name);
      if (type.kind === "struct" && type.hasRuntimeArray) return opaque(name);
      const align = this.attribute(member, "align") ?? type.align;
      const size = this.attribute(member, "size") ?? type.size;
      if (align < type.align || align % type.align !== 0 || size < type.size) {
        const text = `@size or @align of '${name}.${member.name.name}' is invalid`;
        throw new WgslError(Status.MODULE_INVALID, text, this.module.lineAt(member.start));
      }
      offset = roundUp(offset, align);
      members.push({ name: member.name.name, type, offset });
      offset += size;
      this.checkBytes(offset, member);
      structAlign = Math.max(structAlign, align);
      hasAtomics ||= type.hasAtomics;
      hasF16 ||= type.hasF16;
      hasRuntimeArray ||= type.hasRuntimeArray;
    }
    const size = roundUp(offset, structAlign);
    const flags = { hasAtomics, hasF16, hasRuntimeArray };
    return { kind: "struct", members, size, align: structAlign, text: name, ...flags };
  }

  private attribute(member: StructMemberElem, name: string): number | undefined {
    for (const { attribute } of member.attributes ?? []) {
      if (attribute.kind !== "@attribute" || attribute.name !== name) continue;
      const param = attribute.params?.[0];
      const value = param === undefined ? null : this.constants.integer(param.expression);
      if (value !== null && value >= 1 && value <= WGSL_TYPE_BYTES_MAX) return value;
      const text = `@${name} of '${member.name.name}' is not a known positive integer`;
      throw new WgslError(Status.MODULE_INVALID, text, this.module.lineAt(member.start));
    }
    return undefined;
  }
}
