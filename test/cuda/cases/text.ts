// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/text.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "text";

function printLines(): KernelCase {
  const n = 20;
  const input = floats(n, 171, -5, 5);
  const printed = Array.from(input, (v, i) =>
    i % 2
      ? `${i}: ${v.toFixed(3)} ${v < 0 ? "below" : "above"}\n`
      : `even ${String(i).padStart(5)}|${String(i).padEnd(4)}|0x${(i + 200).toString(16)}|` +
        `${String.fromCharCode(97 + i)}|${-5000000000 * i}%\n`,
  );
  return caseOf(module, launch("print_lines", 1, 32, [ptr("input"), i32(n)]), {
    buffers: { input },
    printed: printed.map((line) => line.replace("|-0%", "|0%")),
  });
}

function printPlain(): KernelCase {
  const printed = Array.from({ length: 12 }, (_, i) => `block ${Math.floor(i / 3)}\n`);
  return caseOf(module, launch("print_plain", 4, 3, []), { buffers: {}, printed });
}

function asserts(): KernelCase {
  const input = ints(100, 172, 0, 100);
  return caseOf(module, launch("asserts", 1, 128, [ptr("input"), i32(100)]), {
    buffers: { input },
  });
}

function assertsFail(): KernelCase {
  const input = ints(100, 173, 0, 100);
  input[60] = 100;
  const one = caseOf(module, launch("asserts", 1, 128, [ptr("input"), i32(100)]), {
    buffers: { input },
    fault: "assert",
  });
  return { ...one, name: "asserts_fail" };
}

function traps(): KernelCase {
  const input = ints(50, 174, 14, 99);
  return caseOf(module, launch("traps", 1, 64, [ptr("input"), ptr("out"), i32(50)]), {
    buffers: { input, out: new Int32Array(50) },
    expect: { out: input.map((v) => v + 1) },
  });
}

function trapsFail(): KernelCase {
  const input = ints(50, 175, 14, 99);
  input[33] = 13;
  const one = caseOf(module, launch("traps", 1, 64, [ptr("input"), ptr("out"), i32(50)]), {
    buffers: { input, out: new Int32Array(50) },
    fault: "trap",
  });
  return { ...one, name: "traps_fail" };
}

function caesar(): KernelCase {
  const text = "Hal, Zebra! xyz 123";
  const bytes = Uint8Array.from(Buffer.from(text));
  const want = bytes.map((c) => {
    const base = c >= 97 && c <= 122 ? 97 : c >= 65 && c <= 90 ? 65 : 0;
    return base === 0 ? c : base + ((c - base + 5) % 26);
  });
  const args = [ptr("input"), ptr("out"), i32(5), i32(bytes.length)];
  return caseOf(module, launch("caesar", 1, 32, args), {
    buffers: { input: bytes, out: new Uint8Array(bytes.length) },
    expect: { out: want },
  });
}

export const TEXT: readonly KernelCase[] = [
  printLines(),
  printPlain(),
  asserts(),
  assertsFail(),
  traps(),
  trapsFail(),
  caesar(),
];
