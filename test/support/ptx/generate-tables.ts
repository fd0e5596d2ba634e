// SPDX-License-Identifier: Apache-2.0
/** Of what random PTX programs are made: instructions of one shape each, and constants. */

export type Pick = readonly string[];

export const INT2: Pick = [
  "add.s32",
  "sub.s32",
  "mul.lo.s32",
  "mul.hi.s32",
  "mul.hi.u32",
  "and.b32",
  "or.b32",
  "xor.b32",
  "min.s32",
  "max.s32",
  "min.u32",
  "max.u32",
  "shl.b32",
  "shr.u32",
  "shr.s32",
  "add.sat.s32",
  "sub.sat.s32",
  "mul24.lo.u32",
  "mul24.lo.s32",
];
export const INT1: Pick = [
  "not.b32",
  "neg.s32",
  "abs.s32",
  "popc.b32",
  "clz.b32",
  "brev.b32",
  "bfind.u32",
  "bfind.s32",
  "bfind.shiftamt.u32",
  "cnot.b32",
];
export const INT3: Pick = [
  "mad.lo.s32",
  "mad.hi.u32",
  "mad.hi.s32",
  "sad.s32",
  "sad.u32",
  "bfe.u32",
  "bfe.s32",
  "shf.l.wrap.b32",
  "shf.r.wrap.b32",
  "shf.l.clamp.b32",
  "shf.r.clamp.b32",
  "prmt.b32",
  "dp4a.u32.u32",
  "dp4a.s32.s32",
  "dp4a.s32.u32",
];
export const WIDE2: Pick = [
  "add.s64",
  "sub.s64",
  "mul.lo.s64",
  "mul.hi.s64",
  "mul.hi.u64",
  "and.b64",
  "or.b64",
  "xor.b64",
  "min.s64",
  "max.s64",
  "min.u64",
  "max.u64",
];
export const WIDE1: Pick = ["not.b64", "neg.s64", "abs.s64", "brev.b64"];
export const HALF2: Pick = [
  "add.s16",
  "sub.s16",
  "mul.lo.s16",
  "and.b16",
  "or.b16",
  "xor.b16",
  "min.s16",
  "max.u16",
  "shl.b16",
  "shr.s16",
  "shr.u16",
];
export const FLOAT2: Pick = ["add.f32", "sub.f32", "mul.f32", "min.f32", "max.f32"];
export const FLOAT1: Pick = [
  "neg.f32",
  "abs.f32",
  "cvt.rni.f32.f32",
  "cvt.rzi.f32.f32",
  "cvt.sat.f32.f32",
];
export const DOUBLE2: Pick = [
  "add.f64",
  "sub.rn.f64",
  "mul.f64",
  "div.rn.f64",
  "min.f64",
  "max.f64",
  "add.rn.f64",
  "mul.rn.f64",
];
export const DOUBLE1: Pick = ["sqrt.rn.f64", "rcp.rn.f64", "neg.f64", "abs.f64"];
export const DOUBLE_ROUND: Pick = ["rni", "rzi", "rmi", "rpi"];
/** Bits of f64: zeros, infinities, NaN, subnormals and what borders on them, ones, the largest. */
export const DOUBLES: Pick = [
  "0d0000000000000000",
  "0d8000000000000000",
  "0d7FF0000000000000",
  "0dFFF0000000000000",
  "0d7FF8000000000000",
  "0d0000000000000001",
  "0d800FFFFFFFFFFFFF",
  "0d0010000000000000",
  "0d3FF0000000000000",
  "0d3FF0000000000001",
  "0dBFEFFFFFFFFFFFFF",
  "0d7FEFFFFFFFFFFFFF",
  "0d4340000000000000",
  "0d41DFFFFFFFC00000",
  "0d3CA0000000000000",
];
export const COMPARE: Pick = ["eq", "ne", "lt", "le", "gt", "ge"];
export const NARROW: Pick = ["u8", "s8", "u16", "s16"];
export const CONSTANTS = [0, 1, 2, 3, 7, 31, 32, 33, 255, 65535, 0x7fffffff, -1, -2, -2147483648];
