// SPDX-License-Identifier: Apache-2.0
/**
 * Loads and stores of any type on an array of 32-bit words: generated helper functions, made once
 * per (binding, type). Offsets are bytes from the binding's start, as u32. A binding whose
 * arguments use atomics, or 16-bit values that are written, has atomic words: two invocations may
 * then write the two halves of one word, so a half is replaced by an exclusive-or with the
 * difference to its old value, which leaves the other half alone.
 */
import { Status } from "../../protocol/generated/wire.js";
import { WgslError } from "./error.js";
import type { ArrayType, LaidType, ScalarType, StructType } from "./types.js";
import { isLaid, vector } from "./types.js";

/** Words of a storage buffer, plain or atomic, or of a uniform buffer that holds a copy. */
export type WordKind = "plain" | "atomic" | "copy";

/** Arrays up to this length are built by one constructor, longer ones by a loop. */
const UNROLL_MAX = 8;

function plus(offset: number): string {
  return offset === 0 ? "o" : `o + ${offset}u`;
}

export class WordHelpers {
  private readonly names = new Map<string, string>();
  private readonly texts: string[] = [];

  /** `kindOf` tells what the words of a binding are. */
  constructor(
    private readonly prefix: string,
    private readonly kindOf: (binding: number) => WordKind,
  ) {}

  /** The generated functions and structures. */
  text(): string {
    return this.texts.join("");
  }

  /** Makes a helper once; `make` gets its name and returns its text. */
  private once(key: string, kind: string, make: (name: string) => string): string {
    const known = this.names.get(key);
    if (known !== undefined) return known;
    const name = `${this.prefix}${kind}${this.names.size}`;
    this.names.set(key, name);
    this.texts.push(make(name));
    return name;
  }

  private buffer(binding: number): string {
    return `${this.prefix}b${binding}`;
  }

  /** fn(o: u32) -> u32: the word at byte o. */
  private loadWord(binding: number): string {
    const buffer = this.buffer(binding);
    const texts: Readonly<Record<WordKind, string>> = {
      plain: `${buffer}[o >> 2u]`,
      atomic: `atomicLoad(&${buffer}[o >> 2u])`,
      copy: `${buffer}[o >> 4u][(o >> 2u) & 3u]`,
    };
    const value = texts[this.kindOf(binding)];
    return this.once(
      `lw ${binding}`,
      "load",
      (n) => `fn ${n}(o: u32) -> u32 { return ${value}; }\n`,
    );
  }

  private storeWord(binding: number): string {
    const at = `${this.buffer(binding)}[o >> 2u]`;
    const body = this.kindOf(binding) === "atomic" ? `atomicStore(&${at}, v);` : `${at} = v;`;
    return this.once(`sw ${binding}`, "store", (n) => `fn ${n}(o: u32, v: u32) { ${body} }\n`);
  }

  /** Name of fn(o: u32) -> T. */
  load(binding: number, type: LaidType): string {
    return this.once(`ld ${binding} ${type.text}`, "load", (name) => {
      const body = this.loadBody(binding, type);
      return `fn ${name}(o: u32) -> ${type.text} { ${body} }\n`;
    });
  }

  private loadBody(binding: number, type: LaidType): string {
    const part = (t: LaidType, offset: number): string =>
      `${this.load(binding, t)}(${plus(offset)})`;
    switch (type.kind) {
      case "scalar":
        return this.loadScalar(binding, type);
      case "vector": {
        const size = type.element.size;
        const parts = Array.from({ length: type.count }, (_, i) => part(type.element, i * size));
        return `return ${type.text}(${parts.join(", ")});`;
      }
      case "matrix": {
        const columns = Array.from({ length: type.columns }, (_, i) =>
          part(type.column, i * type.stride),
        );
        return `return ${type.text}(${columns.join(", ")});`;
      }
      case "struct":
        return `return ${type.text}(${this.members(type, part).join(", ")});`;
      case "array":
        return this.loadArray(type, part);
      case "atomic":
        throw new WgslError(Status.ARGUMENT_ALIAS, "an atomic is read as a plain value");
    }
  }

  private members(type: StructType, part: (t: LaidType, offset: number) => string): string[] {
    return type.members.map((member) => part(laid(member.type), member.offset));
  }

  private loadArray(type: ArrayType, part: (t: LaidType, offset: number) => string): string {
    const element = laid(type.element);
    const count = type.count ?? 0;
    if (count <= UNROLL_MAX) {
      const parts = Array.from({ length: count }, (_, i) => part(element, i * type.stride));
      return `return ${type.text}(${parts.join(", ")});`;
    }
    const call = part(element, 0).replace("(o)", `(o + i * ${type.stride}u)`);
    const loop = `for (var i = 0u; i < ${count}u; i++) { r[i] = ${call}; }`;
    return `var r: ${type.text}; ${loop} return r;`;
  }

  private loadScalar(binding: number, type: ScalarType): string {
    const word = this.loadWord(binding);
    if (type.name === "u32") return `return ${word}(o);`;
    if (type.name !== "f16") return `return bitcast<${type.name}>(${word}(o));`;
    const pair = vector(2, type).text;
    return `return bitcast<${pair}>(${word}(o))[(o >> 1u) & 1u];`;
  }

  /** Name of fn(o: u32, v: T). */
  store(binding: number, type: LaidType): string {
    return this.once(`st ${binding} ${type.text}`, "store", (name) => {
      const body = this.storeBody(binding, type);
      return `fn ${name}(o: u32, v: ${type.text}) { ${body} }\n`;
    });
  }

  private storeBody(binding: number, type: LaidType): string {
    const part = (t: LaidType, offset: number, value: string): string =>
      `${this.store(binding, t)}(${plus(offset)}, ${value});`;
    switch (type.kind) {
      case "scalar":
        return this.storeScalar(binding, type);
      case "vector": {
        const size = type.element.size;
        const each = Array.from({ length: type.count }, (_, i) =>
          part(type.element, i * size, `v[${i}]`),
        );
        return each.join(" ");
      }
      case "matrix": {
        const each = Array.from({ length: type.columns }, (_, i) =>
          part(type.column, i * type.stride, `v[${i}]`),
        );
        return each.join(" ");
      }
      case "struct": {
        const each = type.members.map((m) => part(laid(m.type), m.offset, `v.${m.name}`));
        return each.join(" ");
      }
      case "array": {
        const element = laid(type.element);
        const helper = this.store(binding, element);
        // A variable: an array value may not be indexed dynamically everywhere.
        const loop = `for (var i = 0u; i < ${type.count ?? 0}u; i++)`;
        return `var a = v; ${loop} { ${helper}(o + i * ${type.stride}u, a[i]); }`;
      }
      case "atomic":
        throw new WgslError(Status.ARGUMENT_ALIAS, "an atomic is written as a plain value");
    }
  }

  private storeScalar(binding: number, type: ScalarType): string {
    if (type.name !== "f16") {
      const value = type.name === "u32" ? "v" : "bitcast<u32>(v)";
      return `${this.storeWord(binding)}(o, ${value});`;
    }
    const at = `${this.buffer(binding)}[o >> 2u]`;
    const bits = `bitcast<u32>(${vector(2, type).text}(v, 0h))`;
    const shift = "let s = (o & 2u) << 3u;";
    const old = `(atomicLoad(&${at}) >> s)`;
    return `${shift} atomicXor(&${at}, ((${old} ^ ${bits}) & 0xffffu) << s);`;
  }

  /** Name of a function with the meaning of the atomic builtin, on a byte offset. */
  atomic(binding: number, builtin: string, type: ScalarType): string {
    const isSigned = type.name === "i32";
    return this.once(`at ${binding} ${builtin} ${type.name}`, "atomic", (name) => {
      const at = `&${this.buffer(binding)}[o >> 2u]`;
      const to = (value: string): string => (isSigned ? `bitcast<u32>(${value})` : value);
      const from = (value: string): string => (isSigned ? `bitcast<i32>(${value})` : value);
      const t = type.text;
      if (builtin === "atomicLoad") {
        return `fn ${name}(o: u32) -> ${t} { return ${from(`atomicLoad(${at})`)}; }\n`;
      }
      if (builtin === "atomicStore") {
        return `fn ${name}(o: u32, v: ${t}) { atomicStore(${at}, ${to("v")}); }\n`;
      }
      if (builtin === "atomicCompareExchangeWeak") return this.compareExchange(name, at, type);
      if (isSigned && (builtin === "atomicMin" || builtin === "atomicMax")) {
        return this.signedExtreme(name, at, builtin);
      }
      const call = from(`${builtin}(${at}, ${to("v")})`);
      return `fn ${name}(o: u32, v: ${t}) -> ${t} { return ${call}; }\n`;
    });
  }

  private compareExchange(name: string, at: string, type: ScalarType): string {
    const t = type.text;
    const result = this.once(`cas ${t}`, "Exchange", (struct) => {
      return `struct ${struct} { old_value: ${t}, exchanged: bool }\n`;
    });
    const call = `atomicCompareExchangeWeak(${at}, bitcast<u32>(c), bitcast<u32>(v))`;
    const body = `let r = ${call}; return ${result}(bitcast<${t}>(r.old_value), r.exchanged);`;
    return `fn ${name}(o: u32, c: ${t}, v: ${t}) -> ${result} { ${body} }\n`;
  }

  /** Words are unsigned, so the order of signed values needs a compare-and-swap loop. */
  private signedExtreme(name: string, at: string, builtin: string): string {
    const pick = builtin === "atomicMin" ? "min" : "max";
    const next = `bitcast<u32>(${pick}(bitcast<i32>(old), v))`;
    const swap = `let r = atomicCompareExchangeWeak(${at}, old, ${next});`;
    const loop = `loop { ${swap} if r.exchanged { break; } old = r.old_value; }`;
    return (
      `fn ${name}(o: u32, v: i32) -> i32 { ` +
      `var old = atomicLoad(${at}); ${loop} return bitcast<i32>(old); }\n`
    );
  }
}

function laid(type: StructType["members"][number]["type"]): LaidType {
  if (isLaid(type)) return type;
  throw new WgslError(Status.ARGUMENT_ALIAS, `'${type.text}' has no memory layout`);
}
