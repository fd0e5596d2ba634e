// SPDX-License-Identifier: Apache-2.0
/**
 * The names that a rewrite generates, and how each storage variable is reached in the rewritten
 * module. All generated names share a prefix that occurs nowhere in the guest's source.
 */
import { Status } from "../../protocol/generated/wire.js";
import { WgslError } from "./error.js";
import type { BindingMode } from "./plan.js";
import type { EntryInfo, ResourceInfo } from "./reflect.js";

/** A storage argument and the binding that it lies in. */
export interface Root {
  readonly argument: number;
  readonly resource: ResourceInfo;
  readonly mode: BindingMode;
  /** Number of its binding, and of the words helpers that go with it. */
  readonly binding: number;
  /** Variable of the binding in the rewritten module. */
  readonly buffer: string;
  /** Position in the hidden uniform; -1 for plain. */
  readonly slot: number;
  /** The names of all arguments in the binding, for messages. */
  readonly sharers: string;
}

/** Predeclared names that generated code relies on; a module that redeclares one is refused. */
const RELIED_ON = [
  ..."array,atomic,bitcast,min,max,select,f16,f32,i32,u32,vec2,vec3,vec4,ptr,storage,read_write".split(
    ",",
  ),
  ..."mat2x2,mat2x3,mat2x4,mat3x2,mat3x3,mat3x4,mat4x2,mat4x3,mat4x4,bool,uniform".split(","),
  ..."atomicLoad,atomicStore,atomicAdd,atomicSub,atomicMax,atomicMin,atomicAnd,atomicOr".split(","),
  ..."atomicXor,atomicExchange,atomicCompareExchangeWeak".split(","),
];

/** A prefix for generated names that occurs nowhere in the source. */
export function freshPrefix(source: string): string {
  const taken = new Set(source.match(/vgpu\d*_/g) ?? []);
  let prefix = "vgpu_";
  // Ends after as many steps as the source has matches at most.
  for (let n = 1; taken.has(prefix); n += 1) prefix = `vgpu${n}_`;
  return prefix;
}

/** Refuses modules in which generated code would not mean what it says. */
export function checkShadowing(entry: EntryInfo): void {
  const { globals, declaredNames } = entry.module.parsed;
  const clash = RELIED_ON.find((n) => globals.has(n)) ?? (declaredNames.has("u32") ? "u32" : null);
  if (clash === null) return;
  const text = `'${entry.name}' cannot be bound to these arguments: the module redeclares '${clash}'`;
  throw new WgslError(Status.ARGUMENT_ALIAS, text);
}

/** "x", "y" and "z" as 'x', 'y', 'z'. */
export function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}
