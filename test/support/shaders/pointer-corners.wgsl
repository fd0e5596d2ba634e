// SPDX-License-Identifier: Apache-2.0
alias Words = array<u32>;
alias Reader = ptr<storage, Words>;
alias Writer = ptr<storage, Words, read_write>;
struct Inner { weights: array<vec3<u32>, 2>, count: atomic<u32>, level: atomic<i32> }
struct Outer { head: u32, inner: array<Inner, 2>, tail: array<u32> }
@group(0) @binding(0) var<storage, read> a: Words;
@group(0) @binding(1) var<storage, read_write> b: Words;
@group(0) @binding(2) var<storage, read_write> o: Outer;

fn first(p: Reader) -> u32 { return p[0]; }
fn last(p: Reader) -> u32 { let q = p; return (*q)[arrayLength(q) - 1u]; }
@must_use fn fetch(p: Writer, i: i32) -> u32 { let cell = &(*p)[i]; return *cell; }
fn store(p: Writer, i: u32, v: u32) { (*p)[i] = v; p[i] += 1; (*(p))[i]++; }
fn note(c: ptr<storage, atomic<u32>, read_write>, by: u32) -> u32 { return atomicAdd(c, by); }
fn lower(c: ptr<storage, atomic<i32>, read_write>, v: i32) -> bool {
  _ = atomicMin(c, v);
  let swap = atomicCompareExchangeWeak(c, v, v - 1);
  return swap.exchanged || swap.old_value == v;
}
fn deep(p: ptr<storage, Inner, read_write>, n: u32) {
  let w = &(*p).weights[n % 2u];
  (*w).y = n;
  w.z = n + w[1];
  (*w)[0] -= 1;
  _ = note(&p.count, n);
  if (lower(&(*p).level, -3)) { _ = note(&(*p).count, 1); }
}
fn tail_of(p: ptr<storage, Outer, read_write>, i: u32) -> u32 {
  let t = &(*p).tail;
  t[i] = arrayLength(t) + arrayLength(&p.tail) + arrayLength(&(*p).tail);
  return (*t)[i];
}

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) wid: vec3u) {
  if (wid.x > 0) { return; }
  let all = &b;
  let again = all;
  store(again, 2u, first(&a) + last(&a));
  store(&b, 3u, fetch(all, 1) + fetch(&(*again), 2));
  (&b)[5] = 7;
  (*(&b))[6] = (*&b)[5];
  *(&b[7]) = 9;
  (b[8]) |= 3u;
  for (let p = &b[9]; *p < 20u; *p += 7u) { b[10] += *p; }
  let inner = &o.inner;
  deep(&(*inner)[0], 4u);
  deep(&inner[1], b[10] % 4u);
  o.head = tail_of(&o, 1u);
  _ = &o;
  _ = &b;
  _ = b[0];
  _ = &(*inner)[1].weights;
}
