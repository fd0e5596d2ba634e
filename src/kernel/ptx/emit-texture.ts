// SPDX-License-Identifier: Apache-2.0
/**
 * Textures and surfaces: calls of the functions in helpers-texture.ts. Sources are the handle, the
 * vector of coordinates and, for a store, the vector of values.
 */
import { arg, type Emit, type Handler, typeOf } from "./emit-context.js";
import { hasMod, type Inst, type Value } from "./ir.js";
import { widthOf } from "./types.js";

const ARRAYS = new Set(["a1d", "a2d", "acube"]);

/** Whether the first coordinate is a layer. */
export const isLayered = (inst: Inst): boolean => inst.mods.some((mod) => ARRAYS.has(mod));

const DIMENSIONS: Readonly<Record<string, number>> = {
  "1d": 1,
  a1d: 1,
  "2d": 2,
  a2d: 2,
  "3d": 3,
  cube: 3,
  acube: 3,
};

function dimensionsOf(e: Emit, inst: Inst): number {
  for (const mod of inst.mods) {
    const found = Object.hasOwn(DIMENSIONS, mod) ? DIMENSIONS[mod] : undefined;
    if (found !== undefined) return found;
  }
  throw e.fail();
}

const itemsOf = (value: Value): readonly Value[] => (value.kind === "vec" ? value.items : [value]);

function handleOf(e: Emit, inst: Inst): string {
  const given = arg(e, inst, 0);
  const value = given.kind === "mem" ? given.base : given;
  if (value.kind !== "reg") throw e.fail("names a texture by itself, not by a handle");
  return e.options.segments === 1 && !e.options.checked ? e.u(value) : e.w(value);
}

interface Coordinates {
  readonly axes: readonly Value[];
  readonly layer: string | null;
}

function coordinatesOf(e: Emit, inst: Inst, dimensions: number): Coordinates {
  const given = itemsOf(arg(e, inst, 1));
  const first = isLayered(inst) ? 1 : 0;
  const axes = given.slice(first, first + dimensions);
  const layer = given[0];
  if (axes.length < dimensions || layer === undefined) throw e.fail("lacks coordinates");
  return { axes, layer: first === 1 ? e.i(layer) : null };
}

const vector = (type: "f" | "i", parts: readonly string[]): string =>
  `vec3${type}(${[...parts, ...["0", "0", "0"].slice(parts.length)].join(", ")})`;

function result(e: Emit, inst: Inst, call: string): void {
  const type = typeOf(e, inst);
  if (type.bits !== 32 || type.lanes !== 1) throw e.fail();
  const texel = e.bind(call);
  itemsOf(inst.dst[0] ?? { kind: "none" }).forEach((item, i) => {
    const part = `${texel}.${"xyzw"[i] ?? "x"}`;
    if (item.kind === "none") return;
    if (type.kind === "f") e.setF(item, `bitcast<f32>(${part})`);
    else e.setU(item, part);
  });
}

/** How a texture's level is chosen: the base, by a number, by how far the next places are. */
type Detail = "base" | "level" | "grad";

const EXTRA: Readonly<Record<Detail, number>> = { base: 0, level: 1, grad: 2 };

/** Offsets, comparisons, residency and samples are missing. */
function detailOf(e: Emit, inst: Inst): Detail {
  const [kind = ""] = inst.mods;
  const detail = kind === "level" || kind === "grad" ? kind : "base";
  if (inst.dst.length > 1 || inst.src.length > 2 + EXTRA[detail]) throw e.fail();
  return detail;
}

const gradient = (e: Emit, inst: Inst, index: number, dimensions: number): string =>
  vector(
    "f",
    itemsOf(arg(e, inst, index))
      .slice(0, dimensions)
      .map((value) => e.f(value)),
  );

/** Where a texture with real coordinates is sampled: arguments of the helpers, without the handle. */
function sampledPlace(e: Emit, inst: Inst, axes: readonly Value[], layer: string | null): string {
  const at = vector(
    "f",
    axes.map((value) => e.f(value)),
  );
  if (!hasMod(inst, "cube") && !hasMod(inst, "acube")) {
    const lies = layer === null ? "-1i" : `max(0i, ${layer})`;
    return `${at}, ${axes.length}u, ${lies}`;
  }
  const face = e.bind(`${e.use("tx_face")}(${at})`);
  return `vec3f(${face}.xy, 0.0), 2u, (${layer ?? "0i"}) * 6i + i32(${face}.z)`;
}

const texture: Handler = (e, inst) => {
  const dimensions = dimensionsOf(e, inst);
  const detail = detailOf(e, inst);
  const handle = handleOf(e, inst);
  const { axes, layer } = coordinatesOf(e, inst, dimensions);
  const isCube = hasMod(inst, "cube") || hasMod(inst, "acube");
  if (typeOf(e, inst, 1).kind === "f") {
    const place = sampledPlace(e, inst, axes, layer);
    if (detail === "base") result(e, inst, `${e.use("tx_sample")}(${handle}, ${place})`);
    else if (detail === "level") {
      const level = e.f(arg(e, inst, 2));
      result(e, inst, `${e.use("tx_level")}(${handle}, ${place}, ${level})`);
    } else {
      // How a direction's change moves the place on a face is left out.
      if (isCube) throw e.fail();
      const [x, y] = [gradient(e, inst, 2, dimensions), gradient(e, inst, 3, dimensions)];
      result(e, inst, `${e.use("tx_grad")}(${handle}, ${place}, ${x}, ${y})`);
    }
    return;
  }
  if (isCube || detail === "grad") throw e.fail();
  const at = vector(
    "i",
    axes.map((value) => e.i(value)),
  );
  const lies = layer === null ? "-1i" : `max(0i, ${layer})`;
  const from = detail === "base" ? handle : `${e.use("tx_at")}(${handle}, ${e.i(arg(e, inst, 2))})`;
  result(e, inst, `${e.use("tx_fetch")}(${from}, ${at}, ${lies})`);
};

const gather: Handler = (e, inst) => {
  if (detailOf(e, inst) !== "base") throw e.fail();
  if (dimensionsOf(e, inst) !== 2 || typeOf(e, inst, 1).kind !== "f") throw e.fail();
  const channel = "rgba".indexOf(inst.mods[0] ?? "");
  if (channel < 0) throw e.fail();
  const { axes, layer } = coordinatesOf(e, inst, 2);
  const at = vector(
    "f",
    axes.map((value) => e.f(value)),
  );
  const lies = layer === null ? "-1i" : `max(0i, ${layer})`;
  result(e, inst, `${e.use("tx_gather")}(${handleOf(e, inst)}, ${at}, ${channel}u, ${lies})`);
};

/** The words of a description that queries ask for. */
const QUERIES: Readonly<Record<string, number>> = { width: 2, height: 3, depth: 4, array_size: 4 };

const query: Handler = (e, inst) => {
  const isLevel = inst.mods[0] === "level";
  const name = inst.mods[isLevel ? 1 : 0] ?? "";
  const handle = handleOf(e, inst);
  if (name === "num_mipmap_levels") {
    e.setU(inst.dst[0], `(${e.use("tx_word")}(${handle}, 13u) & 255u) + 1u`);
    return;
  }
  const word = Object.hasOwn(QUERIES, name) ? QUERIES[name] : undefined;
  if (word === undefined) throw e.fail();
  const of = isLevel ? `${e.use("tx_at")}(${handle}, ${e.i(arg(e, inst, 1))})` : handle;
  e.setU(inst.dst[0], `${e.use("tx_word")}(${of}, ${word}u)`);
};

/** What an instruction does with a place outside: 0 faults, 1 takes the nearest, 2 does nothing. */
const modeOf = (inst: Inst): number => (hasMod(inst, "clamp") ? 1 : hasMod(inst, "zero") ? 2 : 0);

/** Whether the kernel may fault by it. */
export const surfaceTraps = (inst: Inst): boolean =>
  (inst.op === "suld" || inst.op === "sust" || inst.op === "sured") && modeOf(inst) === 0;

/** Where `bytes` lie; formatted accesses (.p) count elements, the others bytes. */
function surfacePlace(e: Emit, inst: Inst, bytes: string): string {
  const { axes, layer } = coordinatesOf(e, inst, dimensionsOf(e, inst));
  const parts = [...axes.map((value) => e.i(value))];
  if (layer !== null) {
    while (parts.length < 2) parts.push("0i");
    parts.push(layer);
  }
  const mode = modeOf(inst);
  const place = e.use(mode === 0 ? "sf_trap" : "sf_place");
  const handle = handleOf(e, inst);
  const given = vector("i", parts);
  const at = inst.mods[0] === "p" ? `${e.use("sf_bytes")}(${handle}, ${given})` : given;
  return e.bind(`${place}(${handle}, ${at}, ${bytes}, ${mode}u, ${inst.line}u)`);
}

const surfaceLoad: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const each = widthOf(type) / 8;
  const items = itemsOf(inst.dst[0] ?? { kind: "none" });
  if (each > 8 || inst.mods[0] !== "b") throw e.fail();
  const place = surfacePlace(e, inst, `${each * items.length}i`);
  const get = e.use("sf_get");
  items.forEach((item, i) => {
    const low = `${get}(${place}, ${i * each}u)`;
    if (each === 8) e.setW(item, `vec2u(${low}, ${get}(${place}, ${i * each + 4}u))`);
    else e.setU(item, each === 4 ? low : `${low} & ${each === 1 ? "0xffu" : "0xffffu"}`);
  });
};

/** Values of 32 bits become what the surface's channels are. */
function formattedStore(e: Emit, inst: Inst, items: readonly Value[]): void {
  const type = typeOf(e, inst);
  if (inst.mods[0] !== "p" || widthOf(type) !== 32) throw e.fail();
  const handle = handleOf(e, inst);
  const place = surfacePlace(e, inst, `${e.use("sf_element")}(${handle})`);
  const values = items.map((item) => e.u(item));
  const four = [...values, "0u", "0u", "0u"].slice(0, 4).join(", ");
  e.line(`${e.use("sf_store")}(${handle}, ${place}, vec4u(${four}));`);
}

const REDUCTIONS = ["add", "min", "max", "and", "or"];

/** Without a result, so that a place outside has none to make up. */
const surfaceReduction: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const op = REDUCTIONS.find((name) => hasMod(inst, name));
  if (op === undefined || widthOf(type) !== 32) throw e.fail();
  const sign = op === "min" || op === "max" ? (type.kind === "s" ? "s" : "u") : "";
  const place = surfacePlace(e, inst, "4i");
  e.line(`${e.use(`sf_${op}${sign}`)}(${place}, ${e.unsigned(arg(e, inst, 2), type)});`);
};

const surfaceStore: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const each = widthOf(type) / 8;
  const items = itemsOf(arg(e, inst, 2));
  const bytes = each * items.length;
  if (each > 8) throw e.fail();
  if (inst.mods[0] !== "b") {
    formattedStore(e, inst, items);
    return;
  }
  const place = surfacePlace(e, inst, `${bytes}i`);
  const values = items.map((item) => (each < 8 ? e.unsigned(item, type) : e.w(item)));
  if (each >= 4) {
    const put = e.use("sf_put");
    values.forEach((value, i) => {
      const wide = each === 8 ? e.bind(value) : value;
      e.line(`${put}(${place}, ${i * each}u, ${each === 8 ? `${wide}.x` : value});`);
      if (each === 8) e.line(`${put}(${place}, ${i * each + 4}u, ${wide}.y);`);
    });
    return;
  }
  const mask = each === 1 ? "0xffu" : "0xffffu";
  const joined = (from: number, count: number): string =>
    values
      .slice(from, from + count)
      .map((value, i) => `((${value} & ${mask}) << ${i * each * 8}u)`)
      .join(" | ");
  if (bytes < 4)
    e.line(`${e.use(`sf_put${bytes * 8}`)}(${place}, 0u, ${joined(0, values.length)});`);
  else {
    const perWord = 4 / each;
    for (let i = 0; i < values.length; i += perWord)
      e.line(`${e.use("sf_put")}(${place}, ${i * each}u, ${joined(i, perWord)});`);
  }
};

export const TEXTURE_HANDLERS: Readonly<Record<string, Handler>> = {
  tex: texture,
  tld4: gather,
  txq: query,
  suq: query,
  suld: surfaceLoad,
  sust: surfaceStore,
  sured: surfaceReduction,
};
