// SPDX-License-Identifier: Apache-2.0
/** Declarations of variables, with initialisers. */
import type { Space, Variable } from "./ast.js";
import { PtxError } from "./error.js";
import type { Lexer } from "./lex.js";
import { B64, type Type, typeNamed } from "./types.js";

const BYTES_MAX = 2 ** 32;
/** Deepest braces of an initialiser. */
const INITIALISER_DEPTH_MAX = 8;
const OPAQUE = new Set([".texref", ".samplerref", ".surfref"]);

export function parseInteger(text: string, line: number): bigint {
  const digits = text.endsWith("U") ? text.slice(0, -1) : text;
  if (/^0[0-7]+$/.test(digits)) return BigInt(`0o${digits.slice(1)}`);
  try {
    return BigInt(digits);
  } catch {
    throw new PtxError(`'${text.slice(0, 40)}' is not an integer`, line);
  }
}

export interface Number_ {
  readonly value: bigint;
  readonly float: 0 | 32 | 64;
}

const scratch = new DataView(new ArrayBuffer(8));

export function f64Bits(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

export function f64Value(bits: bigint): number {
  scratch.setBigUint64(0, BigInt.asUintN(64, bits));
  return scratch.getFloat64(0);
}

export function f32Bits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** A number as written; decimals with a point are f64. */
export function parseNumber(text: string, line: number): Number_ {
  const second = text[1]?.toLowerCase();
  if (text[0] === "0" && second === "f") return { value: BigInt(`0x${text.slice(2)}`), float: 32 };
  if (text[0] === "0" && second === "d") return { value: BigInt(`0x${text.slice(2)}`), float: 64 };
  const isHex = second === "x";
  if (!isHex && /[.eE]/.test(text)) return { value: f64Bits(Number(text)), float: 64 };
  return { value: parseInteger(text, line), float: 0 };
}

/** The number's bits as a value of the type. */
export function numberBits(number: Number_, type: Type): bigint {
  if (number.float === 0) {
    if (type.kind === "f" && type.bits === 32) return number.value;
    return BigInt.asUintN(64, number.value);
  }
  if (number.float === 32 && type.bits === 64 && type.kind === "f") {
    scratch.setUint32(0, Number(number.value));
    return f64Bits(scratch.getFloat32(0));
  }
  if (number.float === 64 && type.bits === 32) return BigInt(f32Bits(f64Value(number.value)));
  return number.value;
}

interface Declared {
  align: number;
  type: Type;
  vector: number;
  managed: boolean;
}

class Initialiser {
  private bytes: number[] = [];
  readonly relocations: { at: number; target: string; addend: number }[] = [];

  constructor(
    private readonly lexer: Lexer,
    private readonly type: Type,
    private readonly bytesMax: number,
  ) {}

  get data(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }

  private put(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    for (let i = 0; i < this.type.bits / 8; i += 1) {
      this.bytes.push(Number(rest & 255n));
      rest >>= 8n;
    }
    if (this.bytes.length > this.bytesMax) {
      throw new PtxError(`the initialiser exceeds ${this.bytesMax} bytes`, this.lexer.line);
    }
  }

  private address(target: string): void {
    const { lexer } = this;
    let addend = 0n;
    if (lexer.is("+") || lexer.is("-")) {
      const sign = lexer.text === "-" ? -1n : 1n;
      lexer.next();
      addend = sign * parseInteger(lexer.text, lexer.line);
      lexer.next();
    }
    if (this.type.bits !== 64) {
      throw new PtxError(`the address of '${target}' needs a 64-bit element`, lexer.line);
    }
    this.relocations.push({ at: this.bytes.length, target, addend: Number(addend) });
    this.put(0n);
  }

  private scalar(): void {
    const { lexer } = this;
    const negative = lexer.accept("-");
    if (lexer.kind === "word") {
      const name = lexer.word("a name");
      if (name !== "generic") {
        this.address(name);
        return;
      }
      lexer.expect("(");
      const target = lexer.word("the name of a variable");
      lexer.expect(")");
      this.address(target);
      return;
    }
    if (lexer.kind === "string") {
      for (const byte of new TextEncoder().encode(lexer.text)) this.put(BigInt(byte));
      lexer.next();
      return;
    }
    if (lexer.kind !== "number") throw lexer.unexpected("a constant");
    const number = parseNumber(lexer.text, lexer.line);
    lexer.next();
    if (lexer.is("(")) throw new PtxError("a masked address is not supported", lexer.line);
    const value =
      negative && number.float !== 0
        ? { value: f64Bits(-f64Value(numberBits(number, F64ish))), float: 64 as const }
        : { value: negative ? -number.value : number.value, float: number.float };
    this.put(numberBits(value, this.type));
  }

  parse(depth = 0): void {
    const { lexer } = this;
    if (depth > INITIALISER_DEPTH_MAX) {
      throw new PtxError(`an initialiser nests deeper than ${INITIALISER_DEPTH_MAX}`, lexer.line);
    }
    if (!lexer.accept("{")) {
      this.scalar();
      return;
    }
    while (!lexer.accept("}")) {
      this.parse(depth + 1);
      if (!lexer.is("}")) lexer.expect(",");
    }
  }
}

const F64ish = typeNamed("f64") ?? B64;

/** `.align N`, vector and type words, in any order; stops at the name. */
export function parseDeclared(lexer: Lexer): Declared {
  const declared: Declared = { align: 0, type: B64, vector: 1, managed: false };
  let isPointer = false;
  while (lexer.kind === "word" && lexer.text.startsWith(".")) {
    const word = lexer.word("a type");
    const type = typeNamed(word.slice(1));
    if (word === ".ptr") isPointer = true;
    if (word === ".align") {
      const align = Number(parseInteger(lexer.text, lexer.line));
      lexer.next();
      if (align < 1 || align > 65536 || (align & (align - 1)) !== 0) {
        throw new PtxError(`alignment ${align} is not a power of two up to 65536`, lexer.line);
      }
      // Behind `.ptr` it is said of what the parameter points to.
      if (!isPointer) declared.align = Math.max(declared.align, align);
    } else if (word === ".attribute") {
      while (!lexer.accept(")")) {
        if (lexer.at("end")) throw lexer.unexpected("')'");
        if (lexer.is(".managed")) declared.managed = true;
        lexer.next();
      }
    } else if (type !== null) declared.type = type;
    else if (word === ".v2" || word === ".v4") declared.vector = Number(word[2]);
    else if (!OPAQUE.has(word) && !POINTER_WORDS.has(word)) {
      throw new PtxError(`'${word.slice(0, 40)}' is not a type`, lexer.line);
    }
  }
  if (declared.align === 0) declared.align = (declared.type.bits / 8) * declared.vector || 1;
  return declared;
}

/** Words about what a pointer parameter points to. */
const POINTER_WORDS = new Set([".ptr", ".global", ".const", ".shared", ".local", ".param"]);

/** `name[dims] = init, name2 …` after the types; the caller expects what ends it. */
export function parseVariables(
  lexer: Lexer,
  space: Space,
  declared: Declared,
  linkage: string,
  /** Of a list of parameters: the comma does not belong to the declaration. */
  isSingle = false,
): Variable[] {
  const made: Variable[] = [];
  do {
    const { line } = lexer;
    const name = lexer.word("the name of a variable");
    let elements = 1;
    let unsized = false;
    while (lexer.accept("[")) {
      if (lexer.accept("]")) {
        unsized = true;
        continue;
      }
      elements *= Number(parseInteger(lexer.text, lexer.line));
      lexer.next();
      lexer.expect("]");
    }
    const each = (declared.type.bits / 8) * declared.vector;
    let bytes = unsized ? 0 : elements * each;
    if (!(bytes <= BYTES_MAX)) {
      throw new PtxError(`variable '${name}' exceeds ${BYTES_MAX} bytes`, line);
    }
    let init: Initialiser | null = null;
    if (lexer.accept("=")) {
      init = new Initialiser(lexer, declared.type, unsized ? BYTES_MAX : bytes);
      init.parse();
      if (unsized) {
        bytes = init.data.length;
        unsized = false;
      }
    }
    made.push({
      name,
      space,
      bytes,
      align: declared.align,
      unsized,
      init: init === null || init.data.every((byte) => byte === 0) ? null : init.data,
      relocations: init?.relocations ?? [],
      exported: linkage !== "",
      managed: declared.managed,
      line,
    });
  } while (!isSingle && lexer.accept(","));
  return made;
}
