// SPDX-License-Identifier: Apache-2.0
/** PTX text to tokens, one at a time: a module can have millions, so none are kept. */
import { PtxError } from "./error.js";

export type TokenKind = "word" | "number" | "string" | "punct" | "end";

/** `.name`, `%name`, `$name`, `name`: instruction names and special registers keep their dots. */
const WORD = /[.%$_A-Za-z](?:[\w$.]|::)*/y;
const NUMBER = new RegExp(
  [
    "0[fF][0-9a-fA-F]{8}",
    "0[dD][0-9a-fA-F]{16}",
    "0[xX][0-9a-fA-F]+U?",
    "0[bB][01]+U?",
    "\\d+\\.\\d*(?:[eE][+-]?\\d+)?",
    "\\d+[eE][+-]?\\d+",
    "\\d+U?",
  ].join("|"),
  "y",
);
const SPACE = /[ \t\r\n\f\v\0]+/y;

/** Longest number; reading one takes time in proportion to the square of its length. */
const NUMBER_LENGTH_MAX = 128;
/** Longest word that is taken for a name. */
const WORD_LENGTH_MAX = 16 * 1024;

export class Lexer {
  kind: TokenKind = "end";
  /** The current token's text; a string's content without its quotes. */
  text = "";
  line = 1;
  private from = 0;
  /** The first newline that is not counted in `line` yet. */
  private newlineAt: number;

  constructor(private readonly source: string) {
    this.newlineAt = this.newlineFrom(0);
    this.next();
  }

  private newlineFrom(from: number): number {
    const found = this.source.indexOf("\n", from);
    return found < 0 ? Number.POSITIVE_INFINITY : found;
  }

  private skipSpace(): void {
    for (;;) {
      SPACE.lastIndex = this.from;
      if (SPACE.test(this.source)) {
        this.from = SPACE.lastIndex;
      } else if (this.source.startsWith("//", this.from)) {
        const end = this.source.indexOf("\n", this.from);
        this.from = end < 0 ? this.source.length : end;
      } else if (this.source.startsWith("/*", this.from)) {
        const end = this.source.indexOf("*/", this.from + 2);
        if (end < 0) throw new PtxError("a comment is not closed", this.line);
        this.from = end + 2;
      } else {
        break;
      }
    }
    while (this.newlineAt < this.from) {
      this.line += 1;
      this.newlineAt = this.newlineFrom(this.newlineAt + 1);
    }
  }

  private take(kind: TokenKind, end: number): void {
    this.kind = kind;
    this.text = this.source.slice(this.from, end);
    this.from = end;
  }

  next(): void {
    this.skipSpace();
    const first = this.source[this.from];
    if (first === undefined) {
      this.kind = "end";
      this.text = "";
      return;
    }
    WORD.lastIndex = this.from;
    if (WORD.test(this.source)) {
      if (WORD.lastIndex - this.from > WORD_LENGTH_MAX) {
        throw new PtxError(`a name is longer than ${WORD_LENGTH_MAX} characters`, this.line);
      }
      this.take("word", WORD.lastIndex);
      return;
    }
    NUMBER.lastIndex = this.from;
    if (NUMBER.test(this.source)) {
      if (NUMBER.lastIndex - this.from > NUMBER_LENGTH_MAX) {
        throw new PtxError(`a number is longer than ${NUMBER_LENGTH_MAX} characters`, this.line);
      }
      this.take("number", NUMBER.lastIndex);
      return;
    }
    if (first === '"') {
      const end = this.source.indexOf('"', this.from + 1);
      if (end < 0) throw new PtxError("a string is not closed", this.line);
      this.from += 1;
      this.take("string", end);
      this.from = end + 1;
      return;
    }
    this.take("punct", this.from + 1);
  }

  at(kind: TokenKind): boolean {
    return this.kind === kind;
  }

  /** Whether the current token is this punctuation or word. */
  is(text: string): boolean {
    return this.text === text && this.kind !== "string" && this.kind !== "end";
  }

  accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.next();
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) throw this.unexpected(`'${text}'`);
  }

  /** The current word, which is consumed. */
  word(what: string): string {
    if (this.kind !== "word") throw this.unexpected(what);
    const { text } = this;
    this.next();
    return text;
  }

  unexpected(wanted: string): PtxError {
    const found = this.kind === "end" ? "the end of the text" : `'${this.text.slice(0, 40)}'`;
    return new PtxError(`${wanted} is expected, not ${found}`, this.line);
  }
}
