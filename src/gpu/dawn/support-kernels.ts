// SPDX-License-Identifier: Apache-2.0
/**
 * The executor's own kernels, for what WebGPU's copy commands refuse: offsets and sizes that are
 * no multiple of 4, and fills with a pattern. Both work on 32-bit words; the first and the last
 * word are merged under a mask, so that neighbouring bytes survive. All work of a queue is
 * ordered, so no other writer can slip between the read and the write of such a word.
 *
 * Parameters (uniform, 32 bytes), positions in bytes relative to the bindings:
 *   word  0            1            2       3        4..7
 *   copy  targetByte   sourceByte   bytes   -        -
 *   fill  targetByte   -            bytes   pattern  -       pattern already repeated to 32 bits
 */
export const SUPPORT_WORKGROUP = 256;
export const SUPPORT_PARAMETER_BYTES = 32;

const COMMON = `
struct Parameters { target_byte: u32, source_byte: u32, bytes: u32, pattern: u32, unused: vec4u }
@group(0) @binding(0) var<storage, read_write> destination: array<u32>;
@group(0) @binding(1) var<uniform> p: Parameters;

fn mask_of(word: u32) -> u32 {
  var mask = 0xffffffffu;
  let first = p.target_byte;
  let end = p.target_byte + p.bytes;
  let begin_byte = word * 4u;
  if (begin_byte < first) { mask = mask << ((first - begin_byte) * 8u); }
  if (begin_byte + 4u > end) { mask = mask & (0xffffffffu >> ((begin_byte + 4u - end) * 8u)); }
  return mask;
}

fn merge(word: u32, value: u32) {
  let mask = mask_of(word);
  if (mask == 0xffffffffu) { destination[word] = value; }
  else { destination[word] = (destination[word] & ~mask) | (value & mask); }
}
`;

export const FILL_KERNEL = `${COMMON}
@compute @workgroup_size(${SUPPORT_WORKGROUP})
fn fill(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let end = (p.target_byte + p.bytes + 3u) / 4u;
  for (var word = p.target_byte / 4u + id.x; word < end; word += groups.x * ${SUPPORT_WORKGROUP}u) {
    merge(word, p.pattern);
  }
}
`;

export const COPY_KERNEL = `${COMMON}
@group(0) @binding(2) var<storage, read> source: array<u32>;

// Four bytes from any byte position. What lies before the start is dropped by the mask.
fn bytes_at(position: i32) -> u32 {
  let word = position >> 2u;
  let shift = u32(position & 3) * 8u;
  var low = 0u;
  if (word >= 0) { low = source[word]; }
  if (shift == 0u) { return low; }
  return (low >> shift) | (source[word + 1] << (32u - shift));
}

@compute @workgroup_size(${SUPPORT_WORKGROUP})
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let end = (p.target_byte + p.bytes + 3u) / 4u;
  for (var word = p.target_byte / 4u + id.x; word < end; word += groups.x * ${SUPPORT_WORKGROUP}u) {
    merge(word, bytes_at(i32(word * 4u) - i32(p.target_byte) + i32(p.source_byte)));
  }
}
`;
