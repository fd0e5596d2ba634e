// SPDX-License-Identifier: Apache-2.0
/** Special registers, fences, traps, printf. */
import { arg, type Emit, type Handler, num } from "./emit-context.js";
import { existing, threadsOf } from "./emit-warp.js";
import { PtxError } from "./error.js";
import { alignUp } from "./lower.js";

/** The expression of a special register. */
export function specialRegister(e: Emit, name: string): string {
  const [x, y, z] = e.options.block;
  const vector = /^(%\w+)\.([xyz])$/.exec(name);
  if (vector !== null) {
    const axis = vector[2] ?? "x";
    const size = axis === "x" ? x : axis === "y" ? y : z;
    switch (vector[1]) {
      case "%tid":
        return size === 1 ? "0u" : `tid.${axis}`;
      case "%ntid":
        return `${size}u`;
      case "%ctaid":
      case "%clusterid":
        return `cta.${axis}`;
      case "%nctaid":
      case "%nclusterid":
        return `sl.grid.${axis}`;
      case "%cluster_ctaid":
        return "0u";
      case "%cluster_nctaid":
        return "1u";
      default:
        throw new PtxError(`${name} is not supported`, e.inst?.line ?? 0, null, name);
    }
  }
  const known = scalarRegister(e, name);
  if (known === null) throw new PtxError(`${name} is not supported`, e.inst?.line ?? 0, null, name);
  return known;
}

function scalarRegister(e: Emit, name: string): string | null {
  const lane = "(lix & 31u)";
  switch (name) {
    case "%laneid":
      return lane;
    case "%warpid":
      return "(lix >> 5u)";
    case "%nwarpid":
      return `${Math.ceil(threadsOf(e) / 32)}u`;
    case "WARP_SZ":
      return "32u";
    case "%lanemask_eq":
      return `(1u << ${lane})`;
    case "%lanemask_lt":
      return `((1u << ${lane}) - 1u)`;
    case "%lanemask_le":
      return `(0xffffffffu >> (31u - ${lane}))`;
    case "%lanemask_gt":
      return `~(0xffffffffu >> (31u - ${lane}))`;
    case "%lanemask_ge":
      return `~((1u << ${lane}) - 1u)`;
    case "%smid":
    case "%gridid":
    case "%cluster_ctarank":
    case "%is_explicit_cluster":
      return "0u";
    case "%nsmid":
    case "%cluster_nctarank":
      return "1u";
    case "%dynamic_smem_size":
      return `${e.options.dynamicSharedBytes}u`;
    case "%total_smem_size":
      return `${e.kernel.sharedBytes + e.options.dynamicSharedBytes}u`;
    case "%clock":
    case "%clock_hi":
    case "%clock64":
    case "%globaltimer":
    case "%globaltimer_lo":
      // WGSL has no clock: a number that grows with each reading.
      return `${e.use("clock")}()`;
    default:
      return null;
  }
}

const nothing: Handler = () => {};

/** Fences order memory among threads that synchronise otherwise; WGSL has none beyond barriers. */
const fence: Handler = (e, inst) => {
  if (inst.mods.some((mod) => mod.startsWith("proxy") || mod === "mbarrier_init")) throw e.fail();
};

function faulting(code: number): Handler {
  return (e, inst) => {
    e.line(`${e.use("fault")}(${code}u, ${inst.line}u);`);
  };
}

/** Bytes of the arguments that a format takes, 4 or 8 each; null if it has something unknown. */
export function formatArgumentBytes(format: Uint8Array): number {
  let bytes = 0;
  const text = String.fromCharCode(...format.subarray(0, 4096));
  const end = text.indexOf("\0");
  const used = end < 0 ? text : text.slice(0, end);
  for (const match of used.matchAll(/%([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?(hh|h|ll|l|j|z|t|L)?(.)/g)) {
    const [, , width, precision, length, kind = ""] = match;
    if (kind === "%") continue;
    if (width === "*") bytes = alignUp(bytes, 4) + 4;
    if (precision === "*") bytes = alignUp(bytes, 4) + 4;
    const isWide = "aAeEfFgGsp".includes(kind) || ["l", "ll", "j", "z", "t"].includes(length ?? "");
    const size = isWide ? 8 : 4;
    bytes = alignUp(bytes, size) + size;
  }
  return alignUp(bytes, 8);
}

/** Most bytes of arguments of one printf: CUDA takes 32 arguments. */
const PRINTF_BYTES_MAX = 256;

const printf: Handler = (e, inst) => {
  const [format, args] = [arg(e, inst, 0), arg(e, inst, 1)];
  const known = e.formatOf(format);
  const room = Math.max(0, Math.min(PRINTF_BYTES_MAX, e.kernel.localBytes));
  const bytes = known === null ? room & ~7 : Math.min(formatArgumentBytes(known), PRINTF_BYTES_MAX);
  const record = 16 + bytes;
  const format2 = e.bind(e.w(format));
  const at = e.bind(`${e.use("printf_reserve")}(${record}u)`);
  e.line(`if (${at} != 0u) {`);
  const put = (offset: number, text: string): void =>
    e.line(`  printf_put(${at} + ${offset}u, ${text});`);
  put(0, `${record}u`);
  put(4, `${format2}.x`);
  put(8, `${format2}.y`);
  put(12, `${bytes}u`);
  for (let i = 0; i < bytes; i += 4) put(16 + i, `lo[(${e.u(args)} + ${num(i)}) >> 2u]`);
  e.line("}");
  e.setU(inst.dst[0], `select(0xffffffffu, 1u, ${at} != 0u)`);
};

export const MISC_HANDLERS: Readonly<Record<string, Handler>> = {
  membar: fence,
  fence,
  nanosleep: nothing,
  pmevent: nothing,
  griddepcontrol: nothing,
  setmaxnreg: nothing,
  trap: faulting(1),
  $assert: faulting(2),
  $printf: printf,
  elect: (e, inst) => {
    const lanes = e.bind(`${e.u(arg(e, inst, 0))} & ${existing(e)}`);
    e.setU(inst.dst[0], `firstTrailingBit(${lanes})`);
    if (inst.dst[1] !== undefined) {
      e.setP(inst.dst[1], `firstTrailingBit(${lanes}) == (lix & 31u)`);
    }
  },
};
