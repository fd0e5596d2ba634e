// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/linked.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import {
  type AddressOf,
  floats,
  i32,
  ints,
  type KernelCase,
  ptr,
  Random,
} from "../../support/cuda/lab.js";

const module = "linked";
const NODE = 16n;

function listSum(): KernelCase {
  const [lists, nodes] = [40, 300];
  const random = new Random(81);
  const list = Array.from({ length: nodes }, () => random.below(lists));
  const order = Array.from({ length: nodes }, (_, i) => i).sort(
    (a, b) => ((a * 7) % 31) - ((b * 7) % 31),
  );
  const sums = new Int32Array(lists);
  const build = (at: AddressOf, what: "heads" | "nodes"): BigUint64Array => {
    const heads = new BigUint64Array(lists);
    const words = new BigUint64Array(nodes * 2);
    sums.fill(0);
    for (const i of order) {
      const l = list[i] ?? 0;
      words[i * 2] = BigInt(i * 3);
      words[i * 2 + 1] = heads[l] ?? 0n;
      heads[l] = at("nodes") + BigInt(i) * NODE;
      sums[l] = (sums[l] ?? 0) + i * 3;
    }
    return what === "heads" ? heads : words;
  };
  build(() => 0n, "heads");
  return caseOf(module, launch("list_sum", 2, 32, [ptr("heads"), ptr("sums"), i32(lists)]), {
    buffers: {
      nodes: (at) => build(at, "nodes"),
      heads: (at) => build(at, "heads"),
      sums: new Int32Array(lists),
    },
    expect: { sums: sums.slice() },
  });
}

function listPush(): KernelCase {
  const [n, buckets] = [250, 9];
  const bucket = ints(n, 82, 0, buckets);
  const args = [ptr("nodes"), ptr("heads"), ptr("bucket"), i32(n)];
  return caseOf(module, launch("list_push", 2, 128, args), {
    buffers: {
      nodes: new BigUint64Array(2 * n),
      heads: new BigUint64Array(buckets),
      bucket,
    },
    check: (result, at) => {
      const [nodes, heads] = [result("nodes"), result("heads")];
      const seen = new Set<number>();
      for (let b = 0; b < buckets; b++) {
        for (let p = BigInt(heads[b] ?? 0); p !== 0n; ) {
          const i = Number((p - at("nodes")) / NODE);
          const value = Number(BigInt(nodes[2 * i] ?? 0) & 0xffffffffn);
          if (value !== i || bucket[i] !== b || seen.has(i)) return `list ${b} has node ${i}`;
          seen.add(i);
          p = BigInt(nodes[2 * i + 1] ?? 0);
        }
      }
      return seen.size === n ? null : `${seen.size} nodes are in the lists, not ${n}`;
    },
  });
}

function hash(): KernelCase {
  const [n, slots] = [180, 512];
  const keys = ints(n, 83, 0, 1000);
  const wanted = ints(n, 84, 0, 1000);
  const set = new Set(keys);
  return caseOf(
    module,
    [
      launch("hash_insert", 2, 128, [ptr("keys"), ptr("table"), i32(slots), i32(n)]),
      launch("hash_find", 2, 128, [ptr("wanted"), ptr("table"), ptr("found"), i32(slots), i32(n)]),
    ],
    {
      buffers: { keys, wanted, table: new Int32Array(slots).fill(-1), found: new Int32Array(n) },
      expect: { found: wanted.map((k) => Number(set.has(k))) },
    },
  );
}

function tree(): KernelCase {
  const keys = floats(60, 85);
  const nodes = new Int32Array(60 * 4).fill(-1);
  const asFloat = new Float32Array(nodes.buffer);
  keys.forEach((key, i) => {
    asFloat[i * 4] = key;
    nodes[i * 4 + 3] = i * 10;
    if (i === 0) return;
    for (let at = 0; ; ) {
      const side = key < (keys[at] ?? 0) ? 1 : 2;
      const next = nodes[at * 4 + side] ?? -1;
      if (next < 0) {
        nodes[at * 4 + side] = i;
        break;
      }
      at = next;
    }
  });
  const wanted = Float32Array.from({ length: 90 }, (_, i) => keys[(i * 7) % 75] ?? 5);
  const values = Int32Array.from({ length: 90 }, (_, i) =>
    (i * 7) % 75 < 60 ? ((i * 7) % 75) * 10 : -1,
  );
  const args = [ptr("nodes"), ptr("wanted"), ptr("values"), i32(90)];
  return caseOf(module, launch("tree_search", 3, 32, args), {
    buffers: { nodes, wanted, values: new Int32Array(90) },
    expect: { values },
  });
}

function jump(): KernelCase {
  const from = ints(100, 86, 0, 100);
  return caseOf(module, launch("pointer_jump", 1, 128, [ptr("from"), ptr("to"), i32(100)]), {
    buffers: { from, to: new Int32Array(100) },
    expect: { to: from.map((v) => from[v] ?? 0) },
  });
}

function bfs(): KernelCase {
  const n = 120;
  const random = new Random(87);
  const rows = new Int32Array(n + 1);
  const list: number[] = [];
  for (let v = 0; v < n; v++) {
    for (let e = 1 + random.below(3); e > 0; e--) list.push(random.below(n));
    rows[v + 1] = list.length;
  }
  const edges = Int32Array.from(list);
  const want = new Int32Array(n).fill(-1);
  want[0] = 0;
  for (let level = 0; level < 8; level++) {
    for (let v = 0; v < n; v++) {
      if (want[v] !== level) continue;
      for (const to of edges.subarray(rows[v], rows[v + 1])) {
        if (want[to] === -1) want[to] = level + 1;
      }
    }
  }
  const depth = new Int32Array(n).fill(-1);
  depth[0] = 0;
  const launches = Array.from({ length: 8 }, (_, level) =>
    launch("bfs_step", 2, 64, [
      ptr("rows"),
      ptr("edges"),
      ptr("depth"),
      ptr("changed"),
      i32(level),
      i32(n),
    ]),
  );
  return caseOf(module, launches, {
    buffers: { rows, edges, depth, changed: new Int32Array(1) },
    expect: { depth: want, changed: Int32Array.of(1) },
  });
}

function spmv(): KernelCase {
  const n = 70;
  const random = new Random(88);
  const rows = new Int32Array(n + 1);
  const list: number[] = [];
  for (let r = 0; r < n; r++) {
    for (let e = random.below(6); e > 0; e--) list.push(random.below(n));
    rows[r + 1] = list.length;
  }
  const [cols, values, x] = [Int32Array.from(list), floats(list.length, 89), floats(n, 90)];
  const want = Float32Array.from({ length: n }, (_, r) => {
    let sum = 0;
    for (let e = rows[r] ?? 0; e < (rows[r + 1] ?? 0); e++) {
      sum += (values[e] ?? 0) * (x[cols[e] ?? 0] ?? 0);
    }
    return sum;
  });
  const args = [ptr("rows"), ptr("cols"), ptr("values"), ptr("x"), ptr("y"), i32(n)];
  return caseOf(module, launch("spmv", 3, 32, args), {
    buffers: { rows, cols, values, x, y: new Float32Array(n) },
    expect: { y: { data: want, tolerance: { abs: 1e-6, rel: 1e-6 } } },
  });
}

export const LINKED: readonly KernelCase[] = [
  listSum(),
  listPush(),
  hash(),
  tree(),
  jump(),
  bfs(),
  spmv(),
];
