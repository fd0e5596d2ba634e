// SPDX-License-Identifier: Apache-2.0
/** WGSL helper functions on f32 and the half formats. */
import type { Helper } from "./helpers-int.js";

/** f16 from f32: to nearest even, or cut; exact for every input. */
const toHalf = (name: string, round: string): string => `fn ${name}(x: f32) -> u32 {
  let b = bitcast<u32>(x); let s = (b >> 16u) & 0x8000u; let a = b & 0x7fffffffu;
  if (a > 0x7f800000u) { return 0x7fffu; }
  if (a == 0x7f800000u) { return s | 0x7c00u; }
  var e = i32(a >> 23u) - 112i;
  var m = (a & 0x7fffffu) | 0x800000u;
  var shift = 13u;
  if (e < 1i) { shift = u32(clamp(14i - e, 13i, 31i)); e = 0i; } else { m &= 0x7fffffu; }
  if ((a >> 23u) == 0u) { return s; }
  let cut = m >> shift; let rest = m & ((1u << shift) - 1u); let half = 1u << (shift - 1u);
  let r = (u32(e) << 10u) + cut;
  ${round}
}`;

const extremeOf = (op: string, joined: string): string =>
  `fn ${op}0(a: f32, b: f32) -> f32 {
  return select(${op}(a, b), bitcast<f32>(bitcast<u32>(a) ${joined} bitcast<u32>(b)), a == b);
}`;

/** The result where b is NaN, and where a is. */
const ofNumbers = (name: string, op: string, ifB: string, ifA: string): string =>
  `fn ${name}(a: f32, b: f32) -> f32 { return select(select(${op}(a, b), ${ifB}, isnan(b)), ${ifA}, isnan(a)); }`;

export const FLOAT_HELPERS: Readonly<Record<string, Helper>> = {
  isnan: {
    text: "fn isnan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }",
  },
  satf: {
    text: "fn satf(x: f32) -> f32 { return select(clamp(x, 0.0f, 1.0f), 0.0f, isnan(x)); }",
    needs: "isnan",
  },
  // Equal operands differ at most in the sign of a zero, and the one with more bits set is the lesser:
  // WGSL's min() and max() may give either.
  min0: { text: extremeOf("min", "|") },
  max0: { text: extremeOf("max", "&") },
  minf: { text: ofNumbers("minf", "min0", "a", "b"), needs: "isnan min0" },
  maxf: { text: ofNumbers("maxf", "max0", "a", "b"), needs: "isnan max0" },
  minf_nan: { text: ofNumbers("minf_nan", "min0", "b", "a"), needs: "isnan min0" },
  maxf_nan: { text: ofNumbers("maxf_nan", "max0", "b", "a"), needs: "isnan max0" },
  div_rn: { text: "fn div_rn(a: f32, b: f32) -> f32 { return a / b; }" },
  sqrt_rn: { text: "fn sqrt_rn(a: f32) -> f32 { return sqrt(a); }" },
  // tanh() overflows on some drivers for large arguments.
  tanhf: {
    text: "fn tanhf(x: f32) -> f32 { return select(tanh(clamp(x, -15.0f, 15.0f)), x, isnan(x)); }",
    needs: "isnan",
  },
  f2s: {
    text: `fn f2s(x: f32) -> i32 {
  if (isnan(x)) { return 0i; }
  if (x >= 2147483648.0f) { return 2147483647i; }
  if (x <= -2147483648.0f) { return -2147483647i - 1i; }
  return i32(x);
}`,
    needs: "isnan",
  },
  f2u: {
    text: `fn f2u(x: f32) -> u32 {
  if (isnan(x) || x <= 0.0f) { return 0u; }
  if (x >= 4294967296.0f) { return 0xffffffffu; }
  return u32(x);
}`,
    needs: "isnan",
  },
  // Mode 0: toward zero, 1: down, 2: up.
  u64tof_mode: {
    text: `fn u64tof_mode(a: vec2u, mode: u32) -> f32 {
  let n = clz64(a);
  if (n > 39u) { return f32(a.x); }
  let keep = 40u - n;
  let cut = shl64(shr_u64(a, keep), keep);
  let f = u64tof(cut);
  return select(f, bitcast<f32>(bitcast<u32>(f) + 1u), mode == 2u && any(cut != a));
}`,
    needs: "clz64 shl64 shr_u64 u64tof",
  },
  s64tof_mode: {
    text: `fn s64tof_mode(a: vec2u, mode: u32) -> f32 {
  if (a.y > 0x7fffffffu) { return -u64tof_mode(abs64(a), select(mode, 3u - mode, mode != 0u)); }
  return u64tof_mode(a, mode);
}`,
    needs: "u64tof_mode abs64",
  },
  // In integers: drivers do not agree on the rounding of conversions from large ones.
  u64tof: {
    text: `fn u64tof(a: vec2u) -> f32 {
  if (a.y == 0u) {
    let even = f32(bitcast<i32>((a.x >> 1u) | (a.x & 1u))) * 2.0f;
    return select(even, f32(bitcast<i32>(a.x)), a.x < 0x80000000u);
  }
  let n = countLeadingZeros(a.y);
  let m = shl64(a, n);
  let q = m.y >> 8u; let cut = m.y & 255u;
  let up = cut > 128u || (cut == 128u && (m.x != 0u || (q & 1u) == 1u));
  return bitcast<f32>(((190u - n) << 23u) + (q & 0x7fffffu) + select(0u, 1u, up));
}`,
    needs: "shl64",
  },
  s64tof: {
    text: `fn s64tof(a: vec2u) -> f32 {
  let f = u64tof(abs64(a));
  return select(f, -f, a.y > 0x7fffffffu);
}`,
    needs: "u64tof abs64",
  },
  f2u64: {
    text: `fn f2u64(x: f32) -> vec2u {
  if (isnan(x)) { return vec2u(0u, 0x80000000u); }
  if (x < 1.0f) { return vec2u(); }
  if (x >= 18446744073709551616.0f) { return vec2u(0xffffffffu); }
  let b = bitcast<u32>(x); let e = (b >> 23u) - 127u; let m = (b & 0x7fffffu) | 0x800000u;
  if (e < 24u) { return vec2u(m >> (23u - e), 0u); }
  return shl64(vec2u(m, 0u), e - 23u);
}`,
    needs: "isnan shl64",
  },
  f2s64: {
    text: `fn f2s64(x: f32) -> vec2u {
  if (isnan(x)) { return vec2u(0u, 0x80000000u); }
  if (x >= 9223372036854775808.0f) { return vec2u(0xffffffffu, 0x7fffffffu); }
  if (x <= -9223372036854775808.0f) { return vec2u(0u, 0x80000000u); }
  let r = f2u64(abs(x));
  return select(r, sub64(vec2u(), r), x < 0.0f);
}`,
    needs: "isnan f2u64 sub64",
  },
  f2h: {
    text: toHalf(
      "f2h",
      "return s | min(r + select(0u, 1u, rest > half || (rest == half && (cut & 1u) == 1u)), 0x7c00u);",
    ),
  },
  f2h_rz: { text: toHalf("f2h_rz", "return s | select(min(r, 0x7bffu), 0x7bffu, e > 30i);") },
  h2f: {
    text: `fn h2f(h: u32) -> f32 {
  let s = (h & 0x8000u) << 16u; let e = (h >> 10u) & 31u; let m = h & 0x3ffu;
  if (e == 0u) {
    let f = f32(m) * 5.9604644775390625e-8f;
    return bitcast<f32>(bitcast<u32>(f) | s);
  }
  return bitcast<f32>(s | (select(e + 112u, 255u, e == 31u) << 23u) | (m << 13u));
}`,
  },
  f2bf: {
    text: `fn f2bf(x: f32) -> u32 {
  let b = bitcast<u32>(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) { return 0x7fffu; }
  return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u;
}`,
  },
  f2bf_rz: { text: "fn f2bf_rz(x: f32) -> u32 { return bitcast<u32>(x) >> 16u; }" },
};
