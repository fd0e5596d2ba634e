// SPDX-License-Identifier: Apache-2.0
/** Instruction forms as a case: the interpreter's results, and differences by form and operands. */
import { LoadedModule } from "../ptx/interpreter.js";
import { caseOf, launch } from "./case-builder.js";
import { type Form, formsInput, formsProgram, KINDS } from "./instructions.js";
import { Image, type KernelCase, ptr, SEGMENT } from "./lab.js";

const BLOCKS = 3;
const COUNT = BLOCKS * 64;

/** Whether two results are the same: any NaN is any other. */
function same(kind: keyof typeof KINDS, got: bigint, want: bigint): boolean {
  if (got === want) return true;
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, got, true);
  view.setBigUint64(8, want, true);
  if (kind === "f") {
    const [a, b] = [view.getFloat32(0, true), view.getFloat32(8, true)];
    // A denormal result may be flushed; a zero has its sign.
    const tiny = (v: number): boolean => Math.abs(v) < 2 ** -126;
    const isFlushed = tiny(a) && tiny(b) && (a !== 0 || b !== 0);
    return (Number.isNaN(a) && Number.isNaN(b)) || isFlushed;
  }
  if (kind === "fd") {
    return Number.isNaN(view.getFloat64(0, true)) && Number.isNaN(view.getFloat64(8, true));
  }
  return false;
}

export function formsCase(
  name: string,
  list: readonly Form[],
  seed = 7,
): { ptx: string; testCase: KernelCase } {
  const ptx = formsProgram(list, COUNT);
  const input = formsInput(list, COUNT, seed);
  const launches = launch("forms", BLOCKS, 64, [ptr("input"), ptr("out")]);
  const buffers = { input, out: new BigUint64Array(COUNT * list.length) };
  const blank = caseOf("forms", launches, { buffers });
  const image = new Image(blank, SEGMENT);
  const memory = new Map([[SEGMENT, new DataView(image.bytes.buffer)]]);
  const params = image.params(launches);
  const { kernel, grid, block } = launches;
  new LoadedModule(ptx, memory, SEGMENT, 256).run({ kernel, grid, block, params });
  const want = BigUint64Array.from(image.read("out", image.bytes), BigInt);
  const kinds = [...new Set(list.map((f) => f.kind))];
  const operands = (form: Form, thread: number): string => {
    const { bytes } = KINDS[form.kind];
    const at = kinds.indexOf(form.kind) * COUNT * 24 + thread * 3 * bytes;
    const hex = [0, 1, 2].map((o) =>
      Buffer.from(input.subarray(at + o * bytes, at + o * bytes + bytes))
        .reverse()
        .toString("hex"),
    );
    return hex.join(" ");
  };
  return {
    ptx,
    testCase: {
      ...blank,
      name,
      check: (result) => {
        const got = BigUint64Array.from(result("out"), BigInt);
        const wrong: string[] = [];
        list.forEach((form, f) => {
          for (let t = 0; t < COUNT; t++) {
            const [g = 0n, w = 0n] = [got[t * list.length + f], want[t * list.length + f]];
            if (same(form.result ?? form.kind, g, w)) continue;
            const hex = `is ${g.toString(16)}, not ${w.toString(16)}`;
            wrong.push(`${form.text} [${operands(form, t)}, odd ${t % 2}] ${hex}`);
            return;
          }
        });
        return wrong.length === 0 ? null : wrong.join("\n");
      },
    },
  };
}
