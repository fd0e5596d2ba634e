// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/sort.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "sort";

/** Each run of `width` elements sorted by itself. */
function sortedRuns<T extends Int32Array | Uint32Array | Float32Array>(data: T, width: number): T {
  const copy = data.slice() as T;
  for (let i = 0; i < copy.length; i += width) copy.subarray(i, i + width).sort();
  return copy;
}

function bitonicBlock(): KernelCase {
  const data = ints(768, 41, -1000000, 1000000);
  return caseOf(module, launch("bitonic_block", 3, 256, [ptr("data")]), {
    buffers: { data },
    expect: { data: sortedRuns(data, 256) },
  });
}

function bitonicSteps(): KernelCase {
  const data = Uint32Array.from(ints(512, 42, 0, 2 ** 31), (v) => v * 2 + (v & 1));
  const launches = [];
  for (let k = 2; k <= 512; k *= 2) {
    for (let j = k / 2; j >= 1; j /= 2) {
      launches.push(launch("bitonic_step", 4, 128, [ptr("data"), i32(j), i32(k)]));
    }
  }
  return caseOf(module, launches, { buffers: { data }, expect: { data: sortedRuns(data, 512) } });
}

function insertion(): KernelCase {
  const data = floats(16 * 70, 43);
  return caseOf(module, launch("insertion_sort", 3, 32, [ptr("data"), i32(70)]), {
    buffers: { data },
    expect: { data: sortedRuns(data, 16) },
  });
}

function radix(): KernelCase {
  const data = Uint32Array.from(ints(384, 44, 0, 256));
  return caseOf(module, launch("radix_block", 3, 128, [ptr("data")]), {
    buffers: { data },
    expect: { data: sortedRuns(data, 128) },
  });
}

function rank(): KernelCase {
  const input = Int16Array.from(ints(150, 45, -30000, 30000));
  return caseOf(module, launch("rank_sort", 2, 96, [ptr("input"), ptr("out"), i32(150)]), {
    buffers: { input, out: new Int16Array(150) },
    expect: { out: input.slice().sort() },
  });
}

export const SORT: readonly KernelCase[] = [
  bitonicBlock(),
  bitonicSteps(),
  insertion(),
  radix(),
  rank(),
];
