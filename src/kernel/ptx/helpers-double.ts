// SPDX-License-Identifier: Apache-2.0
/**
 * f64 in software, on the bits as vec2u: every operation rounds exactly, to nearest even, with
 * subnormals. Significands are kept with their top bit at bit 62 and a sticky bit at the bottom
 * until they are packed.
 */
import type { Helper } from "./helpers-int.js";

export const DOUBLE_HELPERS: Readonly<Record<string, Helper>> = {
  srj64: {
    text: `fn srj64(a: vec2u, n: u32) -> vec2u {
  if (n == 0u) { return a; }
  if (n > 63u) { return vec2u(select(0u, 1u, any(a != vec2u())), 0u); }
  let r = shr_u64(a, n);
  return vec2u(r.x | select(0u, 1u, any(shl64(a, 64u - n) != vec2u())), r.y);
}`,
    needs: "shr_u64 shl64",
  },
  // s: the sign in place; e: the exponent less one; m: top bit at 62, ten bits to round away.
  d_pack: {
    text: `fn d_pack(s: u32, e0: i32, m0_: vec2u) -> vec2u {
  var e = e0; var m = m0_;
  if (e < 0i) { m = srj64(m, u32(min(-e, 100i))); e = 0i; }
  else if (e > 2045i || (e == 2045i && m.y > 0x7fffffffu)) { return vec2u(0u, s | 0x7ff00000u); }
  let cut = m.x & 0x3ffu;
  m = shr_u64(add64(m, vec2u(0x200u, 0u)), 10u);
  if (cut == 0x200u) { m.x &= ~1u; }
  if (e == 2045i && m.y > 0x1fffffu) { return vec2u(0u, s | 0x7ff00000u); }
  if (all(m == vec2u())) { e = 0i; }
  return vec2u(m.x, s + (u32(e) << 20u) + m.y);
}`,
    needs: "srj64 shr_u64 add64",
  },
  d_norm: {
    text: `fn d_norm(s: u32, e: i32, m: vec2u) -> vec2u {
  if (all(m == vec2u())) { return vec2u(0u, s); }
  let n = clz64(m);
  if (n == 0u) { return d_pack(s, e + 1i, srj64(m, 1u)); }
  return d_pack(s, e - i32(n - 1u), shl64(m, n - 1u));
}`,
    needs: "d_pack clz64 srj64 shl64",
  },
  d_isnan: {
    text: `fn d_isnan(a: vec2u) -> bool {
  let h = a.y & 0x7fffffffu;
  return h > 0x7ff00000u || (h == 0x7ff00000u && a.x != 0u);
}`,
  },
  // Significand with its hidden bit at 52, and the exponent that goes with it; not for zeros.
  d_split: {
    text: `fn d_split(a: vec2u) -> vec3u {
  let e = (a.y >> 20u) & 0x7ffu; let h = a.y & 0xfffffu;
  if (e != 0u) { return vec3u(a.x, h | 0x100000u, e); }
  let n = clz64(vec2u(a.x, h)) - 11u;
  return vec3u(shl64(vec2u(a.x, h), n), bitcast<u32>(1i - i32(n)));
}`,
    needs: "clz64 shl64",
  },
  dadd: {
    text: `fn dadd(a: vec2u, b: vec2u) -> vec2u {
  var x = a; var y = b;
  if (lt_u64(vec2u(a.x, a.y & 0x7fffffffu), vec2u(b.x, b.y & 0x7fffffffu))) { x = b; y = a; }
  let s = x.y & 0x80000000u;
  let isSub = ((x.y ^ y.y) >> 31u) == 1u;
  let ex = (x.y >> 20u) & 0x7ffu; let ey = (y.y >> 20u) & 0x7ffu;
  if (ex == 0x7ffu) {
    let bad = d_isnan(x) || d_isnan(y) || (ey == 0x7ffu && isSub);
    return select(x, vec2u(0u, 0x7ff80000u), bad);
  }
  var mx = vec2u(x.x, x.y & 0xfffffu); var my = vec2u(y.x, y.y & 0xfffffu);
  if (ex != 0u) { mx.y |= 0x100000u; }
  if (ey != 0u) { my.y |= 0x100000u; }
  mx = shl64(mx, 9u); my = srj64(shl64(my, 9u), max(ex, 1u) - max(ey, 1u));
  if (isSub) {
    let m = sub64(mx, my);
    if (all(m == vec2u())) { return vec2u(); }
    return d_norm(s, i32(max(ex, 1u)), m);
  }
  let m = add64(mx, my);
  if (all(m == vec2u())) { return vec2u(0u, s); }
  return d_norm(s, i32(max(ex, 1u)), m);
}`,
    needs: "d_norm d_isnan lt_u64 shl64 srj64 sub64 add64",
  },
  // High and low halves of the 128-bit product.
  mul128: {
    text: `fn mul128(a: vec2u, b: vec2u) -> vec4u { return vec4u(mul64(a, b), mulhi_u64(a, b)); }`,
    needs: "mul64 mulhi_u64",
  },
  d_special: {
    text: `fn d_special(a: vec2u) -> bool { return (a.y & 0x7ff00000u) == 0x7ff00000u; }`,
  },
  d_zero: {
    text: `fn d_zero(a: vec2u) -> bool { return (a.y & 0x7fffffffu) == 0u && a.x == 0u; }`,
  },
  dmul: {
    text: `fn dmul(a: vec2u, b: vec2u) -> vec2u {
  let s = (a.y ^ b.y) & 0x80000000u;
  if (d_special(a) || d_special(b)) {
    let bad = d_isnan(a) || d_isnan(b) || d_zero(a) || d_zero(b);
    return select(vec2u(0u, s | 0x7ff00000u), vec2u(0u, 0x7ff80000u), bad);
  }
  if (d_zero(a) || d_zero(b)) { return vec2u(0u, s); }
  let x = d_split(a); let y = d_split(b);
  let p = mul128(shl64(x.xy, 10u), shl64(y.xy, 11u));
  let m = vec2u(p.z | select(0u, 1u, (p.x | p.y) != 0u), p.w);
  return d_norm(s, bitcast<i32>(x.z) + bitcast<i32>(y.z) - 1023i, m);
}`,
    needs: "d_special d_isnan d_zero d_split mul128 shl64 d_norm",
  },
  dfma: {
    text: `fn dfma(a: vec2u, b: vec2u, c: vec2u) -> vec2u {
  let sp = (a.y ^ b.y) & 0x80000000u; let sc = c.y & 0x80000000u;
  if (d_special(a) || d_special(b)) {
    let bad = d_isnan(a) || d_isnan(b) || d_isnan(c) || d_zero(a) || d_zero(b)
      || (d_special(c) && sp != sc);
    return select(vec2u(0u, sp | 0x7ff00000u), vec2u(0u, 0x7ff80000u), bad);
  }
  if (d_special(c)) { return select(c, vec2u(0u, 0x7ff80000u), d_isnan(c)); }
  if (d_zero(a) || d_zero(b)) { return dadd(vec2u(0u, sp), c); }
  let x = d_split(a); let y = d_split(b);
  let ep = bitcast<i32>(x.z) + bitcast<i32>(y.z) - 1023i;
  var p = shl128(mul128(x.xy, y.xy), 20u);
  if (d_zero(c)) { return d_norm128(sp, ep, p); }
  let z = d_split(c);
  var ec = bitcast<i32>(z.z);
  var q = shl128(vec4u(z.xy, 0u, 0u), 72u);
  var e = ep;
  if (ep > ec) { q = srj128(q, u32(ep - ec)); } else { p = srj128(p, u32(ec - ep)); e = ec; }
  if (sp == sc) { return d_norm128(sp, e, add128(p, q)); }
  let d = sub128(p, q);
  if (all(d == vec4u())) { return vec2u(); }
  if (d.w > 0x7fffffffu) { return d_norm128(sc, e, sub128(vec4u(), d)); }
  return d_norm128(sp, e, d);
}`,
    needs: "d_special d_isnan d_zero dadd d_split mul128 shl128 srj128 add128 sub128 d_norm128",
  },
  shl128: {
    text: `fn shl128(a: vec4u, n: u32) -> vec4u {
  if (n == 0u) { return a; }
  if (n > 63u) { return vec4u(0u, 0u, shl64(a.xy, n - 64u)); }
  return vec4u(shl64(a.xy, n), shl64(a.zw, n) | shr_u64(a.xy, 64u - n));
}`,
    needs: "shl64 shr_u64",
  },
  srj128: {
    text: `fn srj128(a: vec4u, n: u32) -> vec4u {
  if (n == 0u) { return a; }
  if (n > 127u) { return vec4u(select(0u, 1u, any(a != vec4u())), 0u, 0u, 0u); }
  let lost = any(shl128(a, 128u - n) != vec4u());
  var r: vec4u;
  if (n > 63u) { r = vec4u(shr_u64(a.zw, n - 64u), 0u, 0u); }
  else { r = vec4u(shr_u64(a.xy, n) | shl64(a.zw, 64u - n), shr_u64(a.zw, n)); }
  r.x |= select(0u, 1u, lost);
  return r;
}`,
    needs: "shl128 shr_u64 shl64",
  },
  add128: {
    text: `fn add128(a: vec4u, b: vec4u) -> vec4u {
  let l = addc64(a.xy, b.xy, 0u);
  return vec4u(l.xy, addc64(a.zw, b.zw, l.z).xy);
}`,
    needs: "addc64",
  },
  sub128: {
    text: `fn sub128(a: vec4u, b: vec4u) -> vec4u {
  let l = subc64(a.xy, b.xy, 0u);
  return vec4u(l.xy, subc64(a.zw, b.zw, l.z).xy);
}`,
    needs: "subc64",
  },
  // e: the exponent that a top bit at 124 has.
  d_norm128: {
    text: `fn d_norm128(s: u32, e: i32, m: vec4u) -> vec2u {
  var n = clz64(m.zw);
  if (n == 64u) { n = 64u + clz64(m.xy); }
  var r: vec4u;
  if (n == 0u) { r = srj128(m, 1u); } else { r = shl128(m, n - 1u); }
  let top = vec2u(r.z | select(0u, 1u, (r.x | r.y) != 0u), r.w);
  return d_pack(s, e + 2i - i32(n), top);
}`,
    needs: "clz64 srj128 shl128 d_pack",
  },
  ddiv: {
    text: `fn ddiv(a: vec2u, b: vec2u) -> vec2u {
  let s = (a.y ^ b.y) & 0x80000000u;
  if (d_isnan(a) || d_isnan(b) || (d_special(a) && d_special(b)) || (d_zero(a) && d_zero(b))) {
    return vec2u(0u, 0x7ff80000u);
  }
  if (d_special(a) || d_zero(b)) { return vec2u(0u, s | 0x7ff00000u); }
  if (d_zero(a) || d_special(b)) { return vec2u(0u, s); }
  let x = d_split(a); let y = d_split(b);
  var r = x.xy; var q = vec2u();
  for (var i = 0u; i < 58u; i++) {
    q = shl64(q, 1u);
    if (!lt_u64(r, y.xy)) { r = sub64(r, y.xy); q.x |= 1u; }
    r = shl64(r, 1u);
  }
  q.x |= select(0u, 1u, any(r != vec2u()));
  return d_norm(s, bitcast<i32>(x.z) - bitcast<i32>(y.z) + 1027i, q);
}`,
    needs: "d_isnan d_special d_zero d_split shl64 lt_u64 sub64 d_norm",
  },
  dsqrt: {
    text: `fn dsqrt(a: vec2u) -> vec2u {
  if (d_isnan(a)) { return a; }
  if (d_zero(a)) { return a; }
  if (a.y > 0x7fffffffu) { return vec2u(0u, 0x7ff80000u); }
  if (d_special(a)) { return a; }
  let x = d_split(a);
  let e = bitcast<i32>(x.z) - 1023i;
  // Two bits of the radicand a step, from the top: 54 bits of it are not zero.
  var m = shl64(x.xy, select(10u, 11u, (e & 1i) != 0i));
  var r = vec2u(); var q = vec2u();
  for (var i = 0u; i < 57u; i++) {
    r = vec2u((r.x << 2u) | (m.y >> 30u), (r.y << 2u) | (r.x >> 30u));
    m = shl64(m, 2u);
    let t = vec2u((q.x << 2u) | 1u, (q.y << 2u) | (q.x >> 30u));
    q = shl64(q, 1u);
    if (!lt_u64(r, t)) { r = sub64(r, t); q.x |= 1u; }
  }
  q.x |= select(0u, 1u, any(r != vec2u()));
  return d_norm(0u, (e >> 1u) + 1022i + 6i, q);
}`,
    needs: "d_isnan d_zero d_special d_split shl64 lt_u64 sub64 d_norm",
  },
  d_lt: {
    text: `fn d_lt(a: vec2u, b: vec2u) -> bool {
  if (d_isnan(a) || d_isnan(b)) { return false; }
  if (d_zero(a) && d_zero(b)) { return false; }
  if (a.y > 0x7fffffffu) { return b.y <= 0x7fffffffu || lt_u64(b, a); }
  return b.y <= 0x7fffffffu && lt_u64(a, b);
}`,
    needs: "d_isnan d_zero lt_u64",
  },
  d_eq: {
    text: `fn d_eq(a: vec2u, b: vec2u) -> bool {
  return !d_isnan(a) && !d_isnan(b) && (all(a == b) || (d_zero(a) && d_zero(b)));
}`,
    needs: "d_isnan d_zero",
  },
  d_min: {
    text: `fn d_min(a: vec2u, b: vec2u) -> vec2u {
  if (d_isnan(a)) { return b; }
  if (d_zero(a) && d_zero(b)) { return vec2u(0u, a.y | b.y); }
  return select(a, b, d_lt(b, a));
}`,
    needs: "d_isnan d_zero d_lt",
  },
  d_max: {
    text: `fn d_max(a: vec2u, b: vec2u) -> vec2u {
  if (d_isnan(a)) { return b; }
  if (d_zero(a) && d_zero(b)) { return vec2u(0u, a.y & b.y); }
  return select(a, b, d_lt(a, b));
}`,
    needs: "d_isnan d_zero d_lt",
  },
  f2d: {
    text: `fn f2d(x: f32) -> vec2u {
  let b = bitcast<u32>(x); let s = b & 0x80000000u; let e = (b >> 23u) & 255u; let m = b & 0x7fffffu;
  if (e == 255u) { return select(vec2u(0u, s | 0x7ff00000u), vec2u(0u, 0x7ff80000u), m != 0u); }
  if (e == 0u) { return d_norm(s, 896i, vec2u(0u, m << 7u)); }
  return vec2u(m << 29u, s | ((e + 896u) << 20u) | (m >> 3u));
}`,
    needs: "d_norm",
  },
  d2f: {
    text: `fn d2f(a: vec2u) -> f32 {
  let s = a.y & 0x80000000u; let e = i32((a.y >> 20u) & 0x7ffu) - 896i;
  if (d_special(a)) {
    return bitcast<f32>(select(s | 0x7f800000u, 0x7fffffffu, d_isnan(a)));
  }
  if (e < -30i) { return bitcast<f32>(s); }
  let rest = select(0u, 1u, (a.x & 0x3fffffu) != 0u);
  var m = ((a.y & 0xfffffu) << 10u) | (a.x >> 22u) | rest | 0x40000000u;
  var x = e - 1i;
  if (x < 0i) {
    let n = u32(-x);
    m = (m >> n) | select(0u, 1u, (m << (32u - n)) != 0u);
    x = 0i;
  }
  if (x > 253i) { return bitcast<f32>(s | 0x7f800000u); }
  let cut = m & 0x7fu;
  m = (m + 0x40u) >> 7u;
  if (cut == 0x40u) { m &= ~1u; }
  return bitcast<f32>(s + (u32(x) << 23u) + m);
}`,
    needs: "d_special d_isnan",
  },
  u2d: {
    text: "fn u2d(a: vec2u) -> vec2u { return d_norm(0u, 1084i, a); }",
    needs: "d_norm",
  },
  s2d: {
    text: `fn s2d(a: vec2u) -> vec2u {
  if (a.y > 0x7fffffffu) { return d_norm(0x80000000u, 1084i, sub64(vec2u(), a)); }
  return d_norm(0u, 1084i, a);
}`,
    needs: "d_norm sub64",
  },
  // Mode 0: nearest even, 1: toward zero, 2: down, 3: up. The magnitude, of at most 64 bits.
  d_round: {
    text: `fn d_round(a: vec2u, mode: u32) -> vec2u {
  let e = i32((a.y >> 20u) & 0x7ffu);
  if (e > 1074i) { return a; }
  let s = a.y & 0x80000000u;
  if (d_zero(a)) { return a; }
  let isUp = (mode == 2u && s != 0u) || (mode == 3u && s == 0u);
  if (e < 1023i) {
    let half = e == 1022i && (mode == 0u) && ((a.y & 0xfffffu) != 0u || a.x != 0u);
    return vec2u(0u, s | select(0u, 0x3ff00000u, isUp || half));
  }
  let n = u32(1075i - e);
  let mask = sub64(shl64(vec2u(1u, 0u), n), vec2u(1u, 0u));
  let rest = a & mask;
  if (all(rest == vec2u())) { return a; }
  let down = a & ~mask;
  let half = shl64(vec2u(1u, 0u), n - 1u);
  let odd = any((down & shl64(vec2u(1u, 0u), n)) != vec2u()) || (n == 52u);
  let up = select(isUp, lt_u64(half, rest) || (all(half == rest) && odd), mode == 0u);
  return select(down, add64(down, add64(mask, vec2u(1u, 0u))), up);
}`,
    needs: "d_zero sub64 shl64 lt_u64 add64",
  },
  d2u: {
    text: `fn d2u(a: vec2u, mode: u32) -> vec2u {
  if (d_isnan(a)) { return vec2u(0u, 0x80000000u); }
  let r = d_round(a, mode);
  if (r.y > 0x7fffffffu || d_zero(r)) { return vec2u(); }
  let e = (r.y >> 20u) & 0x7ffu;
  if (e > 1086u) { return vec2u(0xffffffffu); }
  let m = vec2u(r.x, (r.y & 0xfffffu) | 0x100000u);
  if (e < 1075u) { return shr_u64(m, 1075u - e); }
  return shl64(m, e - 1075u);
}`,
    needs: "d_isnan d_round d_zero shr_u64 shl64",
  },
  d2s: {
    text: `fn d2s(a: vec2u, mode: u32) -> vec2u {
  if (d_isnan(a)) { return vec2u(0u, 0x80000000u); }
  let r = d_round(a, mode);
  let m = d2u(vec2u(r.x, r.y & 0x7fffffffu), 1u);
  if (r.y > 0x7fffffffu) {
    if (m.y > 0x7fffffffu) { return vec2u(0u, 0x80000000u); }
    return sub64(vec2u(), m);
  }
  return select(m, vec2u(0xffffffffu, 0x7fffffffu), m.y > 0x7fffffffu);
}`,
    needs: "d_isnan d_round d2u sub64",
  },
};
