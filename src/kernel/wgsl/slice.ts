// SPDX-License-Identifier: Apache-2.0
/**
 * Slicing: a large dispatch run as several smaller ones. The guest's entry point becomes an ordinary
 * function, and a new entry point of its name calls it with the built-in values that it would have
 * in the whole dispatch, from the offset of this slice and the true grid:
 *
 *   immediates, 32 bytes:  0 [offset: 3 × u32, workgroups]  16 [grid: 3 × u32, workgroups]
 */
import { Status } from "../../protocol/generated/wire.js";
import type { AttributeElem, Declaration, FnParamElem, StructElem } from "./ast.js";
import { declarationName } from "./ast.js";
import { WgslError, withinStack } from "./error.js";
import type { EntryInfo } from "./reflect.js";
import { findWaiting } from "./waiting.js";

export interface SliceLayout {
  /** Bytes of immediates. */
  readonly bytes: number;
  /** Offset of the slice's first workgroup (x, y, z as u32), bytes. */
  readonly offsetAt: number;
  /** Offset of the whole grid (x, y, z as u32), bytes. */
  readonly gridAt: number;
}

export const SLICE_LAYOUT: SliceLayout = { bytes: 32, offsetAt: 0, gridAt: 16 };

/** Built-in values that are the same in a slice and in the whole. */
const UNCHANGED = new Set([
  "local_invocation_id",
  "local_invocation_index",
  "subgroup_invocation_id",
  "subgroup_size",
  "subgroup_id",
  "num_subgroups",
]);

/** Why an entry point cannot be sliced, for people; null if it can be. */
export function whyUnsliceable(entry: EntryInfo): string | null {
  for (const builtin of entry.builtins) {
    const isAdjusted =
      builtin === "workgroup_id" ||
      builtin === "global_invocation_id" ||
      builtin === "num_workgroups";
    if (!isAdjusted && !UNCHANGED.has(builtin)) return `it uses the built-in value '${builtin}'`;
  }
  const waiting = withinStack(() => findWaiting(entry));
  if (waiting === null) return null;
  return `line ${waiting.line} waits for another workgroup to change '${waiting.polled}'`;
}

function builtinOf(attributes: readonly AttributeElem[] | undefined): string | null {
  for (const { attribute } of attributes ?? []) {
    if (attribute.kind === "@builtin") return attribute.param.name;
  }
  return null;
}

/** Writes the new entry point, and what changes in the old one. */
export class Slicer {
  constructor(
    private readonly entry: EntryInfo,
    private readonly prefix: string,
  ) {
    const reason = whyUnsliceable(entry);
    if (reason === null) return;
    const line = entry.module.parsed.lineAt(entry.node.start);
    throw new WgslError(Status.NOT_SUPPORTED, `'${entry.name}' can't be sliced: ${reason}`, line);
  }

  /** The name that the guest's entry point gets as a function. */
  get functionName(): string {
    return `${this.prefix}main`;
  }

  private textOf(node: { start: number; end: number }): string {
    return this.entry.module.parsed.source.slice(node.start, node.end);
  }

  /** Workgroup size as three WGSL expressions. */
  private sizes(): string[] {
    for (const { attribute } of this.entry.node.attributes ?? []) {
      if (attribute.kind !== "@attribute" || attribute.name !== "workgroup_size") continue;
      const given = (attribute.params ?? []).map((param) => this.textOf(param.expression));
      return [...given, "1", "1"].slice(0, 3);
    }
    return ["1", "1", "1"];
  }

  private adjusted(builtin: string | null, value: string): string {
    const slice = `${this.prefix}slice`;
    switch (builtin) {
      case "workgroup_id":
        return `${value} + ${slice}.offset`;
      case "global_invocation_id": {
        const size = this.sizes().map((e) => `u32(${e})`);
        return `${value} + ${slice}.offset * vec3<u32>(${size.join(", ")})`;
      }
      case "num_workgroups":
        return `${slice}.grid`;
      default:
        return value;
    }
  }

  private structOf(param: FnParamElem): StructElem | null {
    const { refs } = this.entry.module.parsed;
    let declaration: Declaration | undefined;
    let type = param.name.typeRef;
    // Aliases of aliases; a chain that goes round is refused by reflection of the type.
    for (let i = 0; i < 16 && type !== undefined; i += 1) {
      declaration = refs.get(type.name);
      if (declaration?.kind !== "alias") break;
      type = declaration.typeRef;
    }
    return declaration?.kind === "struct" ? declaration : null;
  }

  /** The immediates and the new entry point; `typeText` writes a type as the writer does. */
  text(typeText: (param: FnParamElem) => string): string {
    const { prefix } = this;
    const parameters: string[] = [];
    const statements: string[] = [];
    const passed: string[] = [];
    this.entry.node.params.forEach((param, i) => {
      const name = `${prefix}a${i}`;
      const attributes = (param.attributes ?? []).map((a) => this.textOf(a)).join(" ");
      parameters.push(`${attributes} ${name}: ${typeText(param)}`.trim());
      const struct = this.structOf(param);
      if (struct === null) {
        passed.push(this.adjusted(builtinOf(param.attributes), name));
        return;
      }
      const copy = `${prefix}v${i}`;
      statements.push(`var ${copy} = ${name};`);
      for (const member of struct.members) {
        const place = `${copy}.${member.name.name}`;
        const value = this.adjusted(builtinOf(member.attributes), place);
        if (value !== place) statements.push(`${place} = ${value};`);
      }
      passed.push(copy);
    });
    const call = `${this.functionName}(${passed.join(", ")});`;
    const name = declarationName(this.entry.node);
    return (
      `struct ${prefix}Slice { offset: vec3<u32>, grid: vec3<u32> }\n` +
      `var<immediate> ${prefix}slice: ${prefix}Slice;\n` +
      `@compute @workgroup_size(${this.sizes().join(", ")})\n` +
      `fn ${name}(${parameters.join(", ")}) { ${[...statements, call].join(" ")} }\n`
    );
  }
}
