// SPDX-License-Identifier: Apache-2.0
/** WGSL helper functions on integers of 32 and 64 bits; a kernel gets those that it uses. */

/** `needs` names other helpers, separated by spaces. */
export interface Helper {
  readonly text: string;
  readonly needs?: string;
}

const mulHigh = `fn mulhi_u(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu; let ah = a >> 16u; let bl = b & 0xffffu; let bh = b >> 16u;
  let m = ah * bl + ((al * bl) >> 16u);
  let n = al * bh + (m & 0xffffu);
  return ah * bh + (m >> 16u) + (n >> 16u);
}`;

/** Shift and subtract, bounded by 64 steps; whole words first where both fit 32 bits. */
const divide64 = `fn divmod64(n: vec2u, d: vec2u) -> vec4u {
  if (d.y == 0u && n.y == 0u) {
    if (d.x == 0u) { return vec4u(0xffffffffu, 0xffffffffu, n.x, 0u); }
    return vec4u(n.x / d.x, 0u, n.x % d.x, 0u);
  }
  if (d.x == 0u && d.y == 0u) { return vec4u(0xffffffffu, 0xffffffffu, n.x, n.y); }
  var q = vec2u(); var r = vec2u();
  for (var i = 63i; i >= 0i; i--) {
    let bit = select(n.x >> (u32(i) & 31u), n.y >> (u32(i) & 31u), i > 31i) & 1u;
    let top = r.y >> 31u;
    r = vec2u((r.x << 1u) | bit, (r.y << 1u) | (r.x >> 31u));
    if (top == 1u || !lt_u64(r, d)) {
      r = sub64(r, d);
      if (i > 31i) { q.y |= 1u << (u32(i) & 31u); } else { q.x |= 1u << (u32(i) & 31u); }
    }
  }
  return vec4u(q, r);
}`;

function dot(op: "dp4a", first: string, second: string): string {
  const get = (name: string, kind: string, i: number): string =>
    kind === "s"
      ? `bitcast<u32>(bitcast<i32>(${name} << ${24 - 8 * i}u) >> 24u)`
      : `((${name} >> ${8 * i}u) & 0xffu)`;
  const sum = [0, 1, 2, 3].map((i) => `${get("a", first, i)} * ${get("b", second, i)}`);
  return `fn ${op}_${first}${second}(a: u32, b: u32, c: u32) -> u32 { return c + ${sum.join(" + ")}; }`;
}

function dot2(half: string, first: string, second: string): string {
  const from = half === "hi" ? 16 : 0;
  const word = (i: number): string =>
    first === "s"
      ? `bitcast<u32>(bitcast<i32>(a << ${16 - 16 * i}u) >> 16u)`
      : `((a >> ${16 * i}u) & 0xffffu)`;
  const byte = (i: number): string =>
    second === "s"
      ? `bitcast<u32>(bitcast<i32>(b << ${24 - from - 8 * i}u) >> 24u)`
      : `((b >> ${from + 8 * i}u) & 0xffu)`;
  const sum = `${word(0)} * ${byte(0)} + ${word(1)} * ${byte(1)}`;
  return `fn dp2a_${half}_${first}${second}(a: u32, b: u32, c: u32) -> u32 { return c + ${sum}; }`;
}

function dots(): Record<string, Helper> {
  const made: Record<string, Helper> = {};
  for (const first of ["s", "u"]) {
    for (const second of ["s", "u"]) {
      made[`dp4a_${first}${second}`] = { text: dot("dp4a", first, second) };
      for (const half of ["lo", "hi"]) {
        made[`dp2a_${half}_${first}${second}`] = { text: dot2(half, first, second) };
      }
    }
  }
  return made;
}

function pairs(): Record<string, Helper> {
  const made: Record<string, Helper> = {};
  for (const [name, operator] of [
    ["add2", "+"],
    ["sub2", "-"],
  ] as const) {
    made[name] = {
      text: `fn ${name}(a: u32, b: u32) -> u32 { return ((a ${operator} b) & 0xffffu) | (((a >> 16u) ${operator} (b >> 16u)) << 16u); }`,
    };
  }
  for (const name of ["min", "max"]) {
    made[`${name}2_u`] = {
      text: `fn ${name}2_u(a: u32, b: u32) -> u32 { return ${name}(a & 0xffffu, b & 0xffffu) | (${name}(a >> 16u, b >> 16u) << 16u); }`,
    };
    made[`${name}2_s`] = {
      text: `fn ${name}2_s(a: u32, b: u32) -> u32 {
  let l = ${name}(bitcast<i32>(a << 16u), bitcast<i32>(b << 16u));
  let h = ${name}(bitcast<i32>(a & 0xffff0000u), bitcast<i32>(b & 0xffff0000u));
  return (bitcast<u32>(l) >> 16u) | bitcast<u32>(h);
}`,
    };
  }
  return made;
}

export const INT_HELPERS: Readonly<Record<string, Helper>> = {
  ...dots(),
  ...pairs(),
  carry: { text: "" },
  zero: { text: "" },
  mulhi_u: { text: mulHigh },
  mulhi_s: {
    text: `fn mulhi_s(a: u32, b: u32) -> u32 {
  return mulhi_u(a, b) - select(0u, b, a > 0x7fffffffu) - select(0u, a, b > 0x7fffffffu);
}`,
    needs: "mulhi_u",
  },
  mulw_u: {
    text: "fn mulw_u(a: u32, b: u32) -> vec2u { return vec2u(a * b, mulhi_u(a, b)); }",
    needs: "mulhi_u",
  },
  mulw_s: {
    text: "fn mulw_s(a: u32, b: u32) -> vec2u { return vec2u(a * b, mulhi_s(a, b)); }",
    needs: "mulhi_s",
  },
  addsat: {
    text: `fn addsat(a: i32, b: i32) -> i32 {
  let s = a + b;
  return select(s, select(0x7fffffffi, -0x7fffffffi - 1i, a < 0i),
    (a < 0i) == (b < 0i) && (s < 0i) != (a < 0i));
}`,
  },
  subsat: {
    text: `fn subsat(a: i32, b: i32) -> i32 {
  let s = a - b;
  return select(s, select(0x7fffffffi, -0x7fffffffi - 1i, a < 0i),
    (a < 0i) != (b < 0i) && (s < 0i) != (a < 0i));
}`,
  },
  shf_l: {
    text: "fn shf_l(a: u32, b: u32, n: u32) -> u32 { if (n == 0u) { return b; } if (n > 31u) { return a; } return (b << n) | (a >> (32u - n)); }",
  },
  shf_r: {
    text: "fn shf_r(a: u32, b: u32, n: u32) -> u32 { if (n == 0u) { return a; } if (n > 31u) { return b; } return (a >> n) | (b << (32u - n)); }",
  },
  bfe_u: {
    text: `fn bfe_u(a: u32, p: u32, l: u32) -> u32 {
  let pos = p & 255u; let len = l & 255u;
  if (pos > 31u) { return 0u; }
  return extractBits(a, pos, min(len, 32u - pos));
}`,
  },
  bfe_s: {
    text: `fn bfe_s(a: u32, p: u32, l: u32) -> u32 {
  let pos = min(p & 255u, 32u); let len = l & 255u;
  if (len == 0u) { return 0u; }
  if (pos > 31u) { return bitcast<u32>(bitcast<i32>(a) >> 31u); }
  return bitcast<u32>(extractBits(bitcast<i32>(a), pos, min(len, 32u - pos)));
}`,
  },
  bfi: {
    text: `fn bfi(a: u32, b: u32, p: u32, l: u32) -> u32 {
  let pos = min(p & 255u, 32u);
  return insertBits(b, a, pos, min(l & 255u, 32u - pos));
}`,
  },
  vabsdiff4_add: {
    text: `fn vabsdiff4_add(a: u32, b: u32, c: u32) -> u32 {
  let x = (vec4u(a) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
  let y = (vec4u(b) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
  let d = max(x, y) - min(x, y);
  return c + d.x + d.y + d.z + d.w;
}`,
  },
  bmsk_c: {
    text: `fn bmsk_c(p: u32, l: u32) -> u32 {
  if (p > 31u || l == 0u) { return 0u; }
  return insertBits(0u, 0xffffffffu, p, min(l, 32u - p));
}`,
  },
  bmsk_w: {
    text: `fn bmsk_w(p: u32, l: u32) -> u32 {
  let pos = p & 31u;
  return insertBits(0u, 0xffffffffu, pos, min(l & 31u, 32u - pos));
}`,
  },
  prmt: {
    text: `fn prmt(a: u32, b: u32, s: u32) -> u32 {
  var r = 0u;
  for (var i = 0u; i < 4u; i++) {
    let n = (s >> (4u * i)) & 15u;
    var v = (select(a, b, (n & 4u) != 0u) >> ((n & 3u) * 8u)) & 0xffu;
    if ((n & 8u) != 0u) { v = select(0u, 0xffu, v > 127u); }
    r |= v << (8u * i);
  }
  return r;
}`,
  },
  // The other modes of prmt, as a selector for it: 0 f4e, 1 b4e, 2 rc8, 3 ecl, 4 ecr, 5 rc16.
  prmt_selector: {
    text: `fn prmt_selector(s0: u32, mode: u32) -> u32 {
  let s = s0 & 3u;
  var r = 0u;
  for (var i = 0u; i < 4u; i++) {
    var n = s;
    switch mode {
      case 0u: { n = s + i; }
      case 1u: { n = (s - i) & 7u; }
      case 3u: { n = max(i, s); }
      case 4u: { n = min(i, s); }
      case 5u: { n = (s & 1u) * 2u + (i & 1u); }
      default: {}
    }
    r |= n << (4u * i);
  }
  return r;
}`,
  },
  mulhi24_u: {
    text: "fn mulhi24_u(a: u32, b: u32) -> u32 { return (mulhi_u(a, b) << 16u) | ((a * b) >> 16u); }",
    needs: "mulhi_u",
  },
  mulhi24_s: {
    text: "fn mulhi24_s(a: u32, b: u32) -> u32 { return (mulhi_s(a, b) << 16u) | ((a * b) >> 16u); }",
    needs: "mulhi_s",
  },
  fns: {
    text: `fn fns(mask: u32, base: u32, offset: u32) -> u32 {
  var n = bitcast<i32>(offset);
  var i = base;
  if (n == 0i) { return select(0xffffffffu, base, base < 32u && ((mask >> (base & 31u)) & 1u) == 1u); }
  loop {
    if (i > 31u) { return 0xffffffffu; }
    if (((mask >> i) & 1u) == 1u) {
      if (n > 0i) { n--; } else { n++; }
      if (n == 0i) { return i; }
    }
    if (n > 0i) { i++; } else { i--; }
  }
}`,
  },
  sx: { text: "fn sx(a: i32) -> vec2u { return vec2u(bitcast<u32>(a), bitcast<u32>(a >> 31u)); }" },
  add64: {
    text: "fn add64(a: vec2u, b: vec2u) -> vec2u { let l = a.x + b.x; return vec2u(l, a.y + b.y + select(0u, 1u, l < a.x)); }",
  },
  sub64: {
    text: "fn sub64(a: vec2u, b: vec2u) -> vec2u { return vec2u(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }",
  },
  addc64: {
    text: `fn addc64(a: vec2u, b: vec2u, c: u32) -> vec3u {
  let l = a.x + b.x; let l2 = l + c;
  let cl = select(0u, 1u, l < a.x || l2 < l);
  let h = a.y + b.y; let h2 = h + cl;
  return vec3u(l2, h2, select(0u, 1u, h < a.y || h2 < h));
}`,
  },
  subc64: {
    text: `fn subc64(a: vec2u, b: vec2u, c: u32) -> vec3u {
  let l = a.x - b.x; let bl = select(0u, 1u, a.x < b.x || l < c);
  let h = a.y - b.y;
  return vec3u(l - c, h - bl, select(0u, 1u, a.y < b.y || h < bl));
}`,
  },
  mul64: {
    text: "fn mul64(a: vec2u, b: vec2u) -> vec2u { return vec2u(a.x * b.x, mulhi_u(a.x, b.x) + a.x * b.y + a.y * b.x); }",
    needs: "mulhi_u",
  },
  mulhi_u64: {
    text: `fn mulhi_u64(a: vec2u, b: vec2u) -> vec2u {
  let p0 = mulhi_u(a.x, b.x);
  let p1 = vec2u(a.x * b.y, mulhi_u(a.x, b.y));
  let p2 = vec2u(a.y * b.x, mulhi_u(a.y, b.x));
  let m = add64(p1, vec2u(p0, 0u));
  let n = addc64(m, p2, 0u);
  return add64(vec2u(a.y * b.y, mulhi_u(a.y, b.y)), vec2u(n.y, n.z));
}`,
    needs: "mulhi_u add64 addc64",
  },
  mulhi_s64: {
    text: `fn mulhi_s64(a: vec2u, b: vec2u) -> vec2u {
  var r = mulhi_u64(a, b);
  if (a.y > 0x7fffffffu) { r = sub64(r, b); }
  if (b.y > 0x7fffffffu) { r = sub64(r, a); }
  return r;
}`,
    needs: "mulhi_u64 sub64",
  },
  lt_u64: {
    text: "fn lt_u64(a: vec2u, b: vec2u) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }",
  },
  lt_s64: {
    text: "fn lt_s64(a: vec2u, b: vec2u) -> bool { return bitcast<i32>(a.y) < bitcast<i32>(b.y) || (a.y == b.y && a.x < b.x); }",
  },
  min_u64: {
    text: "fn min_u64(a: vec2u, b: vec2u) -> vec2u { return select(b, a, lt_u64(a, b)); }",
    needs: "lt_u64",
  },
  max_u64: {
    text: "fn max_u64(a: vec2u, b: vec2u) -> vec2u { return select(a, b, lt_u64(a, b)); }",
    needs: "lt_u64",
  },
  min_s64: {
    text: "fn min_s64(a: vec2u, b: vec2u) -> vec2u { return select(b, a, lt_s64(a, b)); }",
    needs: "lt_s64",
  },
  max_s64: {
    text: "fn max_s64(a: vec2u, b: vec2u) -> vec2u { return select(a, b, lt_s64(a, b)); }",
    needs: "lt_s64",
  },
  sat_s64: {
    text: "fn sat_s64(a: vec2u, h: vec2u, l: vec2u) -> u32 { return max_s64(min_s64(a, h), l).x; }",
    needs: "min_s64 max_s64",
  },
  sat_u64: {
    text: "fn sat_u64(a: vec2u, h: vec2u, l: vec2u) -> u32 { return min_u64(a, h).x; }",
    needs: "min_u64",
  },
  abs64: {
    text: "fn abs64(a: vec2u) -> vec2u { return select(a, sub64(vec2u(), a), a.y > 0x7fffffffu); }",
    needs: "sub64",
  },
  divmod64: { text: divide64, needs: "lt_u64 sub64" },
  div_u64: {
    text: "fn div_u64(a: vec2u, b: vec2u) -> vec2u { return divmod64(a, b).xy; }",
    needs: "divmod64",
  },
  rem_u64: {
    text: "fn rem_u64(a: vec2u, b: vec2u) -> vec2u { return divmod64(a, b).zw; }",
    needs: "divmod64",
  },
  div_s64: {
    text: `fn div_s64(a: vec2u, b: vec2u) -> vec2u {
  let q = divmod64(abs64(a), abs64(b)).xy;
  return select(q, sub64(vec2u(), q), ((a.y ^ b.y) >> 31u) == 1u);
}`,
    needs: "divmod64 abs64 sub64",
  },
  rem_s64: {
    text: `fn rem_s64(a: vec2u, b: vec2u) -> vec2u {
  let r = divmod64(abs64(a), abs64(b)).zw;
  return select(r, sub64(vec2u(), r), a.y > 0x7fffffffu);
}`,
    needs: "divmod64 abs64 sub64",
  },
  shl64: {
    text: `fn shl64(a: vec2u, n: u32) -> vec2u {
  if (n > 63u) { return vec2u(); }
  if (n > 31u) { return vec2u(0u, a.x << (n & 31u)); }
  if (n == 0u) { return a; }
  return vec2u(a.x << n, (a.y << n) | (a.x >> (32u - n)));
}`,
  },
  shr_u64: {
    text: `fn shr_u64(a: vec2u, n: u32) -> vec2u {
  if (n > 63u) { return vec2u(); }
  if (n > 31u) { return vec2u(a.y >> (n & 31u), 0u); }
  if (n == 0u) { return a; }
  return vec2u((a.x >> n) | (a.y << (32u - n)), a.y >> n);
}`,
  },
  shr_s64: {
    text: `fn shr_s64(a: vec2u, n: u32) -> vec2u {
  let h = bitcast<i32>(a.y);
  if (n > 31u) { return vec2u(bitcast<u32>(h >> min(n - 32u, 31u)), bitcast<u32>(h >> 31u)); }
  if (n == 0u) { return a; }
  return vec2u((a.x >> n) | (a.y << (32u - n)), bitcast<u32>(h >> n));
}`,
  },
  popc64: {
    text: "fn popc64(a: vec2u) -> u32 { return countOneBits(a.x) + countOneBits(a.y); }",
  },
  clz64: {
    text: "fn clz64(a: vec2u) -> u32 { return select(countLeadingZeros(a.y), 32u + countLeadingZeros(a.x), a.y == 0u); }",
  },
  bfind_u64: {
    text: "fn bfind_u64(a: vec2u) -> u32 { return select(firstLeadingBit(a.y) + 32u, firstLeadingBit(a.x), a.y == 0u); }",
  },
  bfind_s64: {
    text: "fn bfind_s64(a: vec2u) -> u32 { return bfind_u64(select(a, ~a, a.y > 0x7fffffffu)); }",
    needs: "bfind_u64",
  },
  bfe_u64: {
    text: `fn bfe_u64(a: vec2u, p: u32, l: u32) -> vec2u {
  let len = l & 255u;
  let s = shr_u64(a, p & 255u);
  if (len > 63u) { return s; }
  return s & vec2u(shl64(vec2u(1u, 0u), len) - vec2u(1u, select(1u, 0u, len < 32u)));
}`,
    needs: "shr_u64 shl64",
  },
  bfe_s64: {
    text: `fn bfe_s64(a: vec2u, p: u32, l: u32) -> vec2u {
  let pos = min(p & 255u, 63u); let len = min(l & 255u, 64u - pos);
  if (len == 0u) { return vec2u(); }
  return shr_s64(shl64(a, 64u - pos - len), 64u - len);
}`,
    needs: "shr_s64 shl64",
  },
  bfi64: {
    text: `fn bfi64(a: vec2u, b: vec2u, p: u32, l: u32) -> vec2u {
  let pos = p & 255u; let len = min(l & 255u, 64u);
  if (pos > 63u || len == 0u) { return b; }
  let m = shl64(shr_u64(vec2u(0xffffffffu), 64u - len), pos);
  return (b & ~m) | (shl64(a, pos) & m);
}`,
    needs: "shl64 shr_u64",
  },
};
