// SPDX-License-Identifier: Apache-2.0
/**
 * WGSL functions for textures and surfaces, which are sampled by software. A handle is the address
 * of a description in device memory, 20 words:
 *
 *   0, 1   base address               7   bits of a channel | channels << 8 | kind << 12
 *   2 … 4  width, height, depth       8   address modes x | y << 2 | z << 4 | linear << 8 |
 *   5, 6   bytes of a row, a slice         normalised coordinates << 9 | values << 10
 *        | sRGB << 11              9 … 12  border's colour, as a texel is returned
 *   13     levels beside it | linear between levels << 8
 *   14 … 16  levels' bias, least and greatest, f32
 *
 * The descriptions of a texture's other levels follow its own, each half as large as that before.
 * Kinds of channel are 0 unsigned, 1 signed, 2 float; modes 0 wrap, 1 clamp, 2 mirror, 3 border.
 * libcuda writes descriptions (guest-driver/cuda/driver/texture.c), with what CUDA says of modes taken
 * into account. Texels come as the bits of what the instruction returns: f32, or integers of 32 bits.
 */

/** Bytes from one level's description to the next's. */
export const LEVEL_BYTES = 80;

interface Helper {
  readonly text: string;
  readonly needs: string;
}

/** What differs between one segment, whose addresses are u32, and several. */
interface Address {
  readonly type: "u32" | "vec2u";
  /** Prefix of the memory helpers. */
  readonly memory: "m0" | "g";
  readonly low: (a: string) => string;
  readonly plus: (a: string, bytes: string) => string;
  readonly from: (low: string, high: string) => string;
  readonly needs: string;
}

const PLAIN: Address = {
  type: "u32",
  memory: "m0",
  low: (a) => a,
  plus: (a, bytes) => `(${a} + ${bytes})`,
  from: (low) => low,
  needs: "",
};

const WIDE: Address = {
  type: "vec2u",
  memory: "g",
  low: (a) => `${a}.x`,
  plus: (a, bytes) => `add64(${a}, vec2u(${bytes}, 0u))`,
  from: (low, high) => `vec2u(${low}, ${high})`,
  needs: "add64 ",
};

const open = (a: Address): Helper => {
  const word = (n: number): string => `${a.memory}_ld(${a.plus("h", `${n * 4}u`)})`;
  const size = (n: number): string => `max(1i, bitcast<i32>(${word(n)}))`;
  return {
    needs: `${a.needs}${a.memory}_ld`,
    text: `struct Tx { base: ${a.type}, n: vec3i, pitch: u32, slice: u32, format: u32, modes: u32, border: vec4u }
fn tx_open(h: ${a.type}) -> Tx {
  return Tx(${a.from(word(0), word(1))}, vec3i(${size(2)}, ${size(3)}, ${size(4)}), ${word(5)}, ${word(6)}, ${word(7)}, ${word(8)}, vec4u(${[9, 10, 11, 12].map(word).join(", ")}));
}`,
  };
};

/** A texel that exists. */
const read = (a: Address): Helper => ({
  needs: `${a.needs}${a.memory}_ld h2f tx_open`,
  text: `fn tx_read(t: Tx, p: vec3i) -> vec4u {
  let bits = t.format & 255u;
  let count = min((t.format >> 8u) & 15u, 4u);
  let kind = t.format >> 12u;
  let at = u32(p.z) * t.slice + u32(p.y) * t.pitch + u32(p.x) * (bits * count / 8u);
  let a = ${a.plus("t.base", "at")};
  var word = 0u;
  var v = vec4u();
  for (var c = 0u; c < count; c += 1u) {
    let o = c * bits / 8u;
    let low = ${a.low("a")} + o;
    if (c == 0u || (low & 3u) == 0u) { word = ${a.memory}_ld(${a.plus("a", "o")}); }
    let raw = word >> ((low & 3u) * 8u);
    if (bits == 32u) { v[c] = raw; continue; }
    let number = extractBits(raw, 0u, bits);
    let signed = extractBits(bitcast<i32>(raw), 0u, bits);
    if (kind == 2u) { v[c] = bitcast<u32>(h2f(number)); }
    else if ((t.modes & 1024u) == 0u) { v[c] = select(number, bitcast<u32>(signed), kind == 1u); }
    else if (kind == 1u) { v[c] = bitcast<u32>(max(-1.0, f32(signed) / f32((1u << (bits - 1u)) - 1u))); }
    else {
      let x = f32(number) / f32((1u << bits) - 1u);
      let isDark = x <= 0.04045;
      let light = select(pow((x + 0.055) / 1.055, 2.4), x / 12.92, isDark);
      v[c] = bitcast<u32>(select(x, light, (t.modes & 2048u) != 0u && bits == 8u && c < 3u));
    }
  }
  return v;
}`,
});

/** A texel by its indices, which may lie outside; a layer from 0 on stands for z. */
const TEXEL: Helper = {
  needs: "tx_read",
  text: `fn tx_axis(i: i32, n: i32, mode: u32) -> i32 {
  if (i >= 0i && i < n) { return i; }
  if (mode == 3u) { return -1i; }
  if (mode != 0u) { return clamp(i, 0i, n - 1i); }
  let r = i % n;
  return select(r, r + n, r < 0i);
}
fn tx_texel(t: Tx, p: vec3i, layer: i32) -> vec4u {
  let x = tx_axis(p.x, t.n.x, t.modes & 3u);
  let y = tx_axis(p.y, t.n.y, (t.modes >> 2u) & 3u);
  var z = min(layer, t.n.z - 1i);
  if (layer < 0i) { z = tx_axis(p.z, t.n.z, (t.modes >> 4u) & 3u); }
  if (min(x, min(y, z)) < 0i) { return t.border; }
  return tx_read(t, vec3i(x, y, z));
}`,
};

const fetch = (a: Address): Helper => ({
  needs: "tx_texel",
  text: `fn tx_fetch(h: ${a.type}, p: vec3i, layer: i32) -> vec4u { return tx_texel(tx_open(h), p, layer); }`,
});

/** Coordinates in texels, with those axes set that there are. */
const PLACE: Helper = {
  needs: "tx_open",
  text: `fn tx_place(t: Tx, c: vec3f, axes: vec3f) -> vec3f {
  if ((t.modes & 512u) == 0u) { return c * axes; }
  var p = c;
  for (var k = 0u; k < 3u; k += 1u) {
    let mode = (t.modes >> (2u * k)) & 3u;
    if (mode == 0u) { p[k] -= floor(p[k]); }
    if (mode == 2u) { let r = p[k] - 2.0 * floor(p[k] * 0.5); p[k] = select(r, 2.0 - r, r > 1.0); }
  }
  return p * vec3f(t.n) * axes;
}`,
};

/** Weights of linear filtering have 8 bits behind the point. */
const sample = (a: Address): Helper => ({
  needs: "tx_texel tx_place",
  text: `fn tx_sample(h: ${a.type}, c: vec3f, dims: u32, layer: i32) -> vec4u {
  let t = tx_open(h);
  let axes = vec3f(1.0, f32(dims > 1u), f32(dims > 2u));
  let p = tx_place(t, c, axes);
  let real = (t.format >> 12u) == 2u || (t.modes & 1024u) != 0u;
  if ((t.modes & 256u) == 0u || !real) { return tx_texel(t, vec3i(floor(p)), layer); }
  let q = p - 0.5 * axes;
  let first = floor(q);
  let part = floor((q - first) * 256.0 + 0.5) / 256.0;
  var sum = vec4f();
  for (var k = 0u; k < (1u << dims); k += 1u) {
    let step = vec3u(k & 1u, (k >> 1u) & 1u, k >> 2u);
    let weight = select(vec3f(1.0) - part, part, step == vec3u(1u));
    let texel = bitcast<vec4f>(tx_texel(t, vec3i(first) + vec3i(step), layer));
    sum += weight.x * weight.y * weight.z * texel;
  }
  return bitcast<vec4u>(sum);
}`,
});

/** One channel of the four texels around, as textureGather() of other languages orders them. */
const gather = (a: Address): Helper => ({
  needs: "tx_texel tx_place",
  text: `fn tx_gather(h: ${a.type}, c: vec3f, channel: u32, layer: i32) -> vec4u {
  let t = tx_open(h);
  let i = vec3i(floor(tx_place(t, c, vec3f(1.0, 1.0, 0.0)) - vec3f(0.5, 0.5, 0.0)));
  return vec4u(
    tx_texel(t, i + vec3i(0, 1, 0), layer)[channel], tx_texel(t, i + vec3i(1, 1, 0), layer)[channel],
    tx_texel(t, i + vec3i(1, 0, 0), layer)[channel], tx_texel(t, i, layer)[channel]);
}`,
});

/** A direction's place on its face, and the face: +x, -x, +y, -y, +z, -z. Filtering ends at its edge. */
const FACE: Helper = {
  needs: "",
  text: `fn tx_face(d: vec3f) -> vec3f {
  let m = abs(d);
  var face = 4.0;
  var p = vec3f(d.x, -d.y, m.z);
  if (d.z < 0.0) { face = 5.0; p.x = -d.x; }
  if (m.x >= m.y && m.x >= m.z) {
    face = select(0.0, 1.0, d.x < 0.0);
    p = vec3f(select(-d.z, d.z, d.x < 0.0), -d.y, m.x);
  } else if (m.y >= m.z) {
    face = select(2.0, 3.0, d.y < 0.0);
    p = vec3f(d.x, select(d.z, -d.z, d.y < 0.0), m.y);
  }
  return vec3f((p.xy / p.z + 1.0) * 0.5, face);
}`,
};

/** The description of a level, the nearest there is. */
const levelAt = (a: Address): Helper => ({
  needs: `${a.needs}${a.memory}_ld`,
  text: `fn tx_at(h: ${a.type}, level: i32) -> ${a.type} {
  let last = i32(${a.memory}_ld(${a.plus("h", "52u")}) & 255u);
  let n = u32(clamp(level, 0i, last)) * ${LEVEL_BYTES}u;
  return ${a.plus("h", "n")};
}`,
});

/** By a level of detail; between two levels' weights have 8 bits behind the point too. */
const level = (a: Address): Helper => {
  const word = (n: number): string => `${a.memory}_ld(${a.plus("h", `${n * 4}u`)})`;
  return {
    needs: `${a.needs}${a.memory}_ld tx_at tx_sample`,
    text: `fn tx_level(h: ${a.type}, c: vec3f, dims: u32, layer: i32, lod: f32) -> vec4u {
  let mips = ${word(13)};
  let biased = lod + bitcast<f32>(${word(14)});
  let given = min(max(biased, bitcast<f32>(${word(15)})), bitcast<f32>(${word(16)}));
  let l = min(max(given, 0.0), f32(mips & 255u));
  let real = ((${word(7)} >> 12u) & 3u) == 2u || (${word(8)} & 1024u) != 0u;
  if ((mips & 256u) == 0u || !real) {
    return tx_sample(tx_at(h, i32(floor(l + 0.5))), c, dims, layer);
  }
  let part = floor((l - floor(l)) * 256.0 + 0.5) / 256.0;
  let first = tx_sample(tx_at(h, i32(floor(l))), c, dims, layer);
  if (part == 0.0) { return first; }
  let second = bitcast<vec4f>(tx_sample(tx_at(h, i32(floor(l)) + 1i), c, dims, layer));
  return bitcast<vec4u>(bitcast<vec4f>(first) * (1.0 - part) + second * part);
}`,
  };
};

/** The level at which the longer step to a next place is one texel. */
const gradients = (a: Address): Helper => ({
  needs: "tx_open tx_level",
  text: `fn tx_grad(h: ${a.type}, c: vec3f, dims: u32, layer: i32, dx: vec3f, dy: vec3f) -> vec4u {
  let t = tx_open(h);
  let n = select(vec3f(1.0), vec3f(t.n), (t.modes & 512u) != 0u);
  let step = max(length(dx * n), length(dy * n));
  return tx_level(h, c, dims, layer, log2(max(step, 1e-30)));
}`,
});

/**
 * Where n bytes of a surface lie; x counts bytes. Outside, by mode: 0 (trap) faults and gives null,
 * 1 gives the nearest place, 2 gives null, where nothing is read and nothing is written.
 */
const place = (a: Address, traps: boolean): Helper => ({
  needs: `${a.needs}tx_open${traps ? " fault" : ""}`,
  text: `fn ${traps ? "sf_trap" : "sf_place"}(h: ${a.type}, p: vec3i, n: i32, mode: u32, line: u32) -> ${a.type} {
  let t = tx_open(h);
  let element = i32((t.format & 255u) * ((t.format >> 8u) & 15u) / 8u);
  let last = vec3i(t.n.x * element - n, t.n.y - 1i, t.n.z - 1i);
  var q = p;
  if (any(p < vec3i()) || any(p > last)) {
    if (mode != 1u) { ${traps ? "fault(3u, line); " : ""}return ${a.type === "u32" ? "0u" : "vec2u()"}; }
    q = clamp(p, vec3i(), max(last, vec3i()));
  }
  return ${a.plus("t.base", "u32(q.z) * t.slice + u32(q.y) * t.pitch + u32(q.x)")};
}`,
});

const get = (a: Address): Helper => ({
  needs: `${a.needs}${a.memory}_ld`,
  text: `fn sf_get(a: ${a.type}, n: u32) -> u32 {
  if (${a.low("a")} == 0u) { return 0u; }
  return ${a.memory}_ld(${a.plus("a", "n")}) >> (((${a.low("a")} + n) & 3u) * 8u);
}`,
});

const put = (a: Address, bits: string): Helper => ({
  needs: `${a.needs}${a.memory}_st${bits}`,
  text: `fn sf_put${bits}(a: ${a.type}, n: u32, v: u32) {
  if (${a.low("a")} != 0u) { ${a.memory}_st${bits}(${a.plus("a", "n")}, v); }
}`,
});

const element = (a: Address): Helper => ({
  needs: "tx_word",
  text: `fn sf_element(h: ${a.type}) -> i32 {
  let format = tx_word(h, 7u);
  return i32((format & 255u) * ((format >> 8u) & 15u) / 8u);
}`,
});

/** A place in elements as one in bytes; one outside stays outside. */
const inBytes = (a: Address): Helper => ({
  needs: "sf_element tx_word",
  text: `fn sf_bytes(h: ${a.type}, p: vec3i) -> vec3i {
  return vec3i(clamp(p.x, -1i, bitcast<i32>(tx_word(h, 2u))) * sf_element(h), p.yz);
}`,
});

/** Values beyond a channel's range become its nearest. */
const formatted = (a: Address): Helper => ({
  needs: "tx_word f2h sf_put sf_put8 sf_put16",
  text: `fn sf_store(h: ${a.type}, a: ${a.type}, v: vec4u) {
  let format = tx_word(h, 7u);
  let bits = format & 255u;
  let kind = format >> 12u;
  for (var c = 0u; c < min((format >> 8u) & 15u, 4u); c += 1u) {
    var n = v[c];
    if (bits == 32u) { sf_put(a, c * 4u, n); continue; }
    let most = (1u << (bits - select(0u, 1u, kind == 1u))) - 1u;
    if (kind == 2u) { n = f2h(bitcast<f32>(n)); }
    else if (kind == 1u) { n = bitcast<u32>(clamp(bitcast<i32>(n), -1i - i32(most), i32(most))); }
    else { n = min(n, most); }
    if (bits == 16u) { sf_put16(a, c * 2u, n); } else { sf_put8(a, c, n); }
  }
}`,
});

const reduction = (a: Address, op: string): Helper => ({
  needs: `${a.needs}${a.memory}_${op}`,
  text: `fn sf_${op}(a: ${a.type}, v: u32) { if (${a.low("a")} != 0u) { _ = ${a.memory}_${op}(a, v); } }`,
});

const query = (a: Address): Helper => ({
  needs: `${a.needs}${a.memory}_ld`,
  text: `fn tx_word(h: ${a.type}, n: u32) -> u32 { return ${a.memory}_ld(${a.plus("h", "n * 4u")}); }`,
});

const MAKERS: Readonly<Record<string, (a: Address) => Helper>> = {
  tx_open: open,
  tx_read: read,
  tx_texel: () => TEXEL,
  tx_place: () => PLACE,
  tx_fetch: fetch,
  tx_sample: sample,
  tx_gather: gather,
  tx_face: () => FACE,
  tx_at: levelAt,
  tx_level: level,
  tx_grad: gradients,
  tx_word: query,
  sf_place: (a) => place(a, false),
  sf_trap: (a) => place(a, true),
  sf_get: get,
  sf_put: (a) => put(a, ""),
  sf_put8: (a) => put(a, "8"),
  sf_put16: (a) => put(a, "16"),
  sf_element: element,
  sf_bytes: inBytes,
  sf_store: formatted,
  ...Object.fromEntries(
    ["add", "and", "or", "minu", "mins", "maxu", "maxs"].map((op) => [
      `sf_${op}`,
      (a: Address) => reduction(a, op),
    ]),
  ),
};

/** The helper of that name, null if it is none of these. Plain: one segment, addresses are u32. */
export function textureHelper(name: string, isPlain: boolean): Helper | null {
  const make = Object.hasOwn(MAKERS, name) ? MAKERS[name] : undefined;
  return make?.(isPlain ? PLAIN : WIDE) ?? null;
}
