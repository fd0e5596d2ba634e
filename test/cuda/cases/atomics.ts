// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/atomics.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "atomics";

function histogram(bytes: Uint8Array): Uint32Array {
  const bins = new Uint32Array(256);
  for (const b of bytes) bins[b] = (bins[b] ?? 0) + 1;
  return bins;
}

function histGlobal(): KernelCase {
  const input = Uint8Array.from(ints(2000, 71, 0, 256), (v) => (v * v) >> 8);
  return caseOf(module, launch("hist_global", 8, 256, [ptr("input"), ptr("bins"), i32(2000)]), {
    buffers: { input, bins: new Uint32Array(256) },
    expect: { bins: histogram(input) },
  });
}

function histShared(): KernelCase {
  const input = Uint8Array.from(ints(4000, 72, 0, 256), (v) => v & 0x3f);
  return caseOf(module, launch("hist_shared", 3, 128, [ptr("input"), ptr("bins"), i32(1000)]), {
    buffers: { input, bins: new Uint32Array(256) },
    expect: { bins: histogram(input) },
  });
}

function kinds(): KernelCase {
  const n = 300;
  const u = Uint32Array.of(5, 100000, 2000, 7, 0xffffffff, 0x10000, 0, 0, 0, 1);
  const want = u.slice();
  let [xor, inc, dec] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    xor ^= Math.imul(i, 0x9e3779b9);
    inc = inc >= 99 ? 0 : inc + 1;
    dec = dec === 0 || dec > 99 ? 99 : dec - 1;
  }
  const sum = (n * (n - 1)) / 2;
  want.set([5 + sum, 100000 - sum, 701, 897, 0, 0x1ffff, xor, inc, dec, 5]);
  return caseOf(module, launch("atomic_kinds", 3, 128, [ptr("u"), ptr("s"), i32(n)]), {
    buffers: { u, s: new Int32Array(2) },
    expect: { u: want, s: Int32Array.of(-249, 249) },
  });
}

function float(): KernelCase {
  const input = Float32Array.from(floats(400, 73), (v) => Math.round(v * 1000) / 8);
  const sum = input.reduce((a, b) => a + b, 0);
  return caseOf(module, launch("atomic_float", 4, 128, [ptr("input"), ptr("out"), i32(400)]), {
    buffers: { input, out: new Float32Array(2) },
    expect: { out: { data: Float32Array.of(sum, Math.max(...input)), tolerance: { abs: 0 } } },
  });
}

function wide(): KernelCase {
  const n = 200;
  const sum = BigInt((n * (n - 1)) / 2);
  return caseOf(module, launch("atomic_wide", 2, 128, [ptr("out"), i32(n)]), {
    buffers: { out: BigUint64Array.of(0xffffffffn, 5n) },
    expect: { out: BigUint64Array.of(0xffffffffn + 0x100000001n * sum, 199n << 33n) },
  });
}

function tickets(): KernelCase {
  const n = 500;
  const args = [ptr("next"), ptr("order"), ptr("place"), i32(n)];
  return caseOf(module, launch("tickets", 4, 128, args), {
    buffers: { next: new Uint32Array(1), order: new Uint32Array(n), place: new Uint32Array(n) },
    expect: { next: Uint32Array.of(n) },
    check: (result) => {
      const [order, place] = [result("order"), result("place")];
      for (let i = 0; i < n; i++) {
        const at = Number(place[i]);
        if (at >= n || order[at] !== i) return `thread ${i} is not at its place ${at}`;
      }
      return null;
    },
  });
}

function aggregated(): KernelCase {
  const n = 600;
  const input = ints(n, 74, 0, 10000);
  const kept = [...input].filter((v) => v % 3 === 0).sort((a, b) => a - b);
  const args = [ptr("input"), ptr("count"), ptr("out"), i32(n)];
  return caseOf(module, launch("aggregated", 5, 128, args), {
    buffers: { input, count: new Int32Array(1), out: new Int32Array(n) },
    expect: { count: Int32Array.of(kept.length) },
    check: (result) => {
      const got = Int32Array.from(result("out"), Number).subarray(0, kept.length).sort();
      return got.every((v, i) => v === kept[i]) ? null : "the kept numbers are not those";
    },
  });
}

function locked(): KernelCase {
  const args = [ptr("lock"), ptr("cell"), i32(5)];
  return caseOf(module, launch("locked", 8, 32, args), {
    buffers: { lock: new Int32Array(1), cell: new Int32Array(1) },
    expect: { lock: Int32Array.of(0), cell: Int32Array.of(40) },
  });
}

export const ATOMICS: readonly KernelCase[] = [
  histGlobal(),
  histShared(),
  kinds(),
  float(),
  wide(),
  tickets(),
  aggregated(),
  locked(),
];
