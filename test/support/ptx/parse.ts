// SPDX-License-Identifier: Apache-2.0
/**
 * A small parser of PTX for the reference interpreter. It shares nothing with the compiler's, so
 * that a mistake in one shows as a difference. It trusts its input: tests and nvcc write it.
 */
export interface Variable {
  readonly name: string;
  readonly space: string;
  readonly type: string;
  readonly align: number;
  /** Elements; null for an array without a size (dynamic shared memory). */
  readonly count: number | null;
  readonly initial: readonly string[];
  readonly bytes: number;
}

export interface Instruction {
  readonly line: number;
  readonly text: string;
  readonly guard: { readonly register: string; readonly negated: boolean } | null;
  /** The first part of the opcode, such as "ld". */
  readonly op: string;
  /** The parts after it, such as ["global", "f32"]. */
  readonly mods: readonly string[];
  readonly operands: readonly string[];
  readonly scope: Scope;
}

/** Names of a pair of braces: registers and variables that it declares. */
export interface Scope {
  readonly parent: Scope | null;
  readonly registers: Map<string, { slot: number; type: string }>;
  readonly variables: Map<string, Variable>;
}

export interface PtxFunction {
  readonly name: string;
  readonly entry: boolean;
  readonly params: readonly Variable[];
  readonly returns: readonly Variable[];
  readonly body: readonly Instruction[];
  readonly labels: ReadonlyMap<string, number>;
  /** Lists of labels, of `.branchtargets`. */
  readonly tables: ReadonlyMap<string, readonly string[]>;
  readonly registers: number;
  readonly scope: Scope;
  readonly locals: readonly Variable[];
  readonly declared: boolean;
}

export interface Program {
  readonly functions: ReadonlyMap<string, PtxFunction>;
  readonly variables: readonly Variable[];
}

const WIDTH = /(\d+)(x2)?$/;

export function widthOf(type: string): number {
  if (type === "pred") return 4;
  if (type.endsWith("x2")) return 4;
  const match = WIDTH.exec(type);
  return match === null ? 4 : Number(match[1]) / 8;
}

/** Comments become blanks of the same number of lines; strings stay. */
function withoutComments(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (match) =>
    match.startsWith('"') ? match : match.replace(/[^\n]/g, " "),
  );
}

interface Token {
  readonly text: string;
  readonly line: number;
  readonly end: ";" | "{" | "}" | ":";
}

/** A function's first words; any other text before a brace is a statement that goes on. */
const HEAD = /^(\.(visible|weak|extern)\s+)*\.(entry|func)\b/;

/** Splits at ; { } and labels. Braces inside a statement (vectors, initialisers) stay in it. */
function* statements(source: string): Generator<Token> {
  let start = 0;
  let line = 1;
  let startLine = 1;
  let parens = 0;
  let inner = 0;
  let text = "";
  const flush = (end: Token["end"]): Token => ({ text: text.trim(), line: startLine, end });
  for (let i = 0; i < source.length; i++) {
    const c = source[i] ?? "";
    if (c === "\n") line += 1;
    if (text === "" && c.trim() === "") continue;
    if (text === "") {
      startLine = line;
      start = i;
    }
    if (c === '"') {
      const end = source.indexOf('"', i + 1);
      text += source.slice(i, end + 1);
      i = end;
      continue;
    }
    if (c === "(") parens += 1;
    if (c === ")") parens -= 1;
    if (c === "{" && text !== "" && !HEAD.test(text)) {
      inner += 1;
    } else if (c === "{") {
      yield flush("{");
      text = "";
      continue;
    } else if (c === "}" && inner > 0) {
      inner -= 1;
    } else if (c === "}") {
      yield flush("}");
      text = "";
      continue;
    }
    if (inner === 0 && parens === 0 && c === ";") {
      yield flush(";");
      text = "";
      continue;
    }
    if (c === ":" && inner === 0 && /^[\w$%]+$/.test(source.slice(start, i))) {
      yield flush(":");
      text = "";
      continue;
    }
    text += c;
  }
}

/** Splits at commas outside brackets. */
export function splitOperands(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = "";
  for (const c of text) {
    if ("[{(".includes(c)) depth += 1;
    if ("]})".includes(c)) depth -= 1;
    if (c === "," && depth === 0) {
      parts.push(current.trim());
      current = "";
    } else {
      current += c;
    }
  }
  if (current.trim() !== "") parts.push(current.trim());
  return parts;
}

const DECLARATION =
  /^(?:\.(?:visible|extern|weak|common)\s+)*\.(global|const|shared|local|param)\s+(.*)$/s;

export function parseVariable(text: string): Variable | null {
  const match = DECLARATION.exec(text);
  if (match === null) return null;
  const space = match[1] ?? "";
  const [whole = "", init] = splitOnce(match[2] ?? "", "=");
  // The alignment after .ptr is that of what it points to.
  const head = whole.replace(/\.ptr(\s*\.(global|const|shared|local))?(\s*\.align\s+\d+)?/g, " ");
  const align = /\.align\s+(\d+)/.exec(head);
  const rest = head.replace(/\.align\s+\d+/g, " ").replace(/\.attribute\([^)]*\)/g, " ");
  const vector = /\.v([24])\b/.exec(rest);
  const type = /\.((?:[busf]|bf)\d+(?:x2)?|pred)\b/.exec(rest)?.[1] ?? "b32";
  const named = /([A-Za-z_$%][\w$]*)\s*((?:\[[^\]]*\]\s*)*)$/.exec(rest.trim());
  const dimensions = [...(named?.[2] ?? "").matchAll(/\[\s*(\d*)\s*\]/g)].map((d) => d[1] ?? "");
  const unsized = dimensions.includes("");
  const count =
    dimensions.filter((d) => d !== "").reduce((n, d) => n * Number(d), 1) *
    (vector === null ? 1 : Number(vector[1]));
  const width = widthOf(type);
  return {
    name: named?.[1] ?? "",
    space,
    type,
    align: align === null ? width * (vector === null ? 1 : Number(vector[1])) : Number(align[1]),
    count: unsized ? null : count,
    initial: init === undefined ? [] : splitOperands(init.trim().replace(/^\{([\s\S]*)\}$/, "$1")),
    bytes: unsized ? 0 : count * width,
  };
}

function splitOnce(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at);
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}

interface Building {
  name: string;
  entry: boolean;
  params: Variable[];
  returns: Variable[];
  body: Instruction[];
  labels: Map<string, number>;
  tables: Map<string, readonly string[]>;
  registers: number;
  scope: Scope;
  locals: Variable[];
  declared: boolean;
}

const newScope = (parent: Scope | null): Scope => ({
  parent,
  registers: new Map(),
  variables: new Map(),
});

/** `.visible .entry name(params)` or `.func (returns) name(params)`. */
function parseHead(text: string): Building | null {
  const head = /\.(entry|func)\b\s*(\([^)]*\))?\s*([\w$]+)\s*(\(([\s\S]*?)\))?/.exec(text);
  if (head === null) return null;
  const list = (params: string): Variable[] =>
    splitOperands(params.replace(/^\(|\)$/g, "")).flatMap((p) => {
      const variable = parseVariable(p);
      return variable === null ? [] : [variable];
    });
  return {
    name: head[3] ?? "",
    entry: head[1] === "entry",
    params: list(head[5] ?? ""),
    returns: list(head[2] ?? ""),
    body: [],
    labels: new Map(),
    tables: new Map(),
    registers: 0,
    scope: newScope(null),
    locals: [],
    declared: true,
  };
}

function declareRegisters(text: string, scope: Scope, at: Building): void {
  const match = /^\.reg\s+(?:\.v[24]\s+)?\.(\w+)\s+(.*)$/s.exec(text);
  for (const name of splitOperands(match?.[2] ?? "")) {
    const range = /^([\w$%]+)<(\d+)>$/.exec(name);
    const type = match?.[1] ?? "b32";
    if (range === null) {
      scope.registers.set(name, { slot: at.registers++, type });
      continue;
    }
    for (let i = 0; i < Number(range[2]); i++) {
      scope.registers.set(`${range[1]}${i}`, { slot: at.registers++, type });
    }
  }
}

function parseInstruction(text: string, line: number, scope: Scope): Instruction {
  const match = /^(?:@(!?)([\w$%]+)\s+)?([a-z]\w*)((?:\.\w+(?:::\w+)*)*)\s*([\s\S]*)$/.exec(text);
  if (match === null) throw new Error(`line ${line}: the interpreter cannot read "${text}"`);
  const [, negated, register, op = "", mods = "", rest = ""] = match;
  return {
    line,
    text: text.replace(/\s+/g, " "),
    guard: register === undefined ? null : { register, negated: negated === "!" },
    op,
    mods: mods.split(".").slice(1),
    operands: splitOperands(rest.replace(/\s+/g, " ")),
    scope,
  };
}

class Parser {
  readonly functions = new Map<string, PtxFunction>();
  readonly variables: Variable[] = [];
  #at: Building | null = null;
  #scope: Scope = newScope(null);
  #label: string | null = null;

  statement(token: Token): void {
    const at = this.#at;
    if (token.end === "{") {
      this.#open(token.text);
    } else if (token.end === "}") {
      this.#close();
    } else if (at === null) {
      this.#outside(token.text);
    } else if (token.end === ":") {
      at.labels.set(token.text, at.body.length);
      this.#label = token.text;
    } else {
      this.#inside(token, at);
    }
  }

  #open(text: string): void {
    if (this.#at !== null) {
      this.#scope = newScope(this.#scope);
      return;
    }
    const head = parseHead(text);
    if (head === null) throw new Error(`the interpreter cannot read "${text}"`);
    head.declared = false;
    this.#at = head;
    this.#scope = head.scope;
    for (const variable of [...head.params, ...head.returns]) this.#declare(variable, head);
  }

  #declare(variable: Variable, at: Building): void {
    if (variable.space === "param" || variable.space === "local") {
      // They live beside the registers: a frame holds both.
      const slot = at.registers;
      at.registers += Math.max(1, Math.ceil(variable.bytes / 8));
      this.#scope.registers.set(`&${variable.name}`, { slot, type: "b64" });
    }
    this.#scope.variables.set(variable.name, variable);
    at.locals.push(variable);
  }

  #close(): void {
    const at = this.#at;
    if (at === null) return;
    if (this.#scope.parent !== null) {
      this.#scope = this.#scope.parent;
      return;
    }
    this.functions.set(at.name, at);
    this.#at = null;
    this.#scope = newScope(null);
  }

  #outside(text: string): void {
    const variable = parseVariable(text);
    if (variable !== null) {
      this.variables.push(variable);
      return;
    }
    const head = parseHead(text);
    if (head !== null && !this.functions.has(head.name)) this.functions.set(head.name, head);
  }

  #inside(token: Token, at: Building): void {
    const { text, line } = token;
    if (text === "" || /^\.(loc|file|pragma|callprototype|section)\b/.test(text)) return;
    if (text.startsWith(".branchtargets")) {
      const labels = splitOperands(text.slice(".branchtargets".length));
      at.tables.set(this.#label ?? "", labels);
      return;
    }
    if (text.startsWith(".reg")) {
      declareRegisters(text, this.#scope, at);
      return;
    }
    const variable = parseVariable(text);
    if (variable !== null) {
      this.#declare(variable, at);
      return;
    }
    at.body.push(parseInstruction(text, line, this.#scope));
  }
}

/** Lines that end without a semicolon, and performance directives, mean nothing here. */
function withoutDirectives(text: string): string {
  return text
    .replace(/^\s*\.(version|target|address_size|file|loc)\b[^\n]*$/gm, "")
    .replace(/^\s*\.section[^{]*\{[^}]*\}/gm, (m) => m.replace(/[^\n]/g, " "))
    .replace(
      /^\s*\.(maxntid|reqntid|minnctapersm|maxnreg|noreturn|blocksareclusters|explicitcluster)\b[^\n{;]*/gm,
      "",
    );
}

export function parseProgram(text: string): Program {
  const parser = new Parser();
  for (const token of statements(withoutDirectives(withoutComments(text)))) {
    parser.statement(token);
  }
  return { functions: parser.functions, variables: parser.variables };
}
