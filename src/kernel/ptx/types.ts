// SPDX-License-Identifier: Apache-2.0
/** PTX's fundamental types, as instructions name them. Declarations of registers lie (CUDA 13's
 * compiler declares f32 registers as .b32), so types are taken from instructions alone. */

export type TypeKind = "u" | "s" | "b" | "f" | "bf" | "pred";

export interface Type {
  readonly name: string;
  readonly kind: TypeKind;
  /** Bits of one element; 1 for predicates. */
  readonly bits: number;
  /** 2 for the packed pairs f16x2, bf16x2, u16x2 and s16x2. */
  readonly lanes: 1 | 2;
}

const make = (name: string, kind: TypeKind, bits: number, lanes: 1 | 2 = 1): [string, Type] => [
  name,
  { name, kind, bits, lanes },
];

const TYPES: ReadonlyMap<string, Type> = new Map([
  make("pred", "pred", 1),
  make("b8", "b", 8),
  make("b16", "b", 16),
  make("b32", "b", 32),
  make("b64", "b", 64),
  make("b128", "b", 128),
  make("u8", "u", 8),
  make("u16", "u", 16),
  make("u32", "u", 32),
  make("u64", "u", 64),
  make("s8", "s", 8),
  make("s16", "s", 16),
  make("s32", "s", 32),
  make("s64", "s", 64),
  make("f16", "f", 16),
  make("f32", "f", 32),
  make("f64", "f", 64),
  make("bf16", "bf", 16),
  make("f16x2", "f", 16, 2),
  make("bf16x2", "bf", 16, 2),
  make("u16x2", "u", 16, 2),
  make("s16x2", "s", 16, 2),
]);

export function typeNamed(name: string): Type | null {
  return TYPES.get(name) ?? null;
}

export const PRED = TYPES.get("pred") as Type;
export const U32 = TYPES.get("u32") as Type;
export const B32 = TYPES.get("b32") as Type;
export const B64 = TYPES.get("b64") as Type;
export const F64 = TYPES.get("f64") as Type;
export const B8 = TYPES.get("b8") as Type;

/** Bits of the whole value, both lanes of a pair together. */
export const widthOf = (type: Type): number => type.bits * type.lanes;
