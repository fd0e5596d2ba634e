// SPDX-License-Identifier: Apache-2.0
/** The module: version and target, variables, functions. */
import type { ParsedModule, PtxFunction, Space, Variable } from "./ast.js";
import { PtxError, type PtxLimits } from "./error.js";
import { Lexer } from "./lex.js";
import { BodyParser, type ModuleNames } from "./parse-body.js";
import { parseDeclared, parseInteger, parseVariables } from "./parse-variable.js";

const LINKAGE = new Set([".extern", ".visible", ".weak", ".common"]);
const SPACES: Readonly<Record<string, Space>> = {
  ".global": "global",
  ".const": "const",
  ".shared": "shared",
  ".tex": "global",
};
/** Most threads of a block where the kernel says nothing. */
const THREADS_MAX = 1024;

interface Directives {
  maxThreads: number;
  required: [number, number, number] | null;
}

class ModuleParser implements ModuleNames {
  private readonly lexer: Lexer;
  private readonly functions = new Map<string, PtxFunction>();
  private readonly variables = new Map<string, Variable>();
  private version = "";
  private target = "";
  private instructions = 0;
  private initialBytes = 0;

  constructor(
    text: string,
    readonly limits: PtxLimits,
  ) {
    if (text.length > limits.sourceLengthMax) {
      throw new PtxError(`the text's ${text.length} characters exceed ${limits.sourceLengthMax}`);
    }
    // Drivers take text that ends with zeros.
    const zero = text.indexOf("\0");
    this.lexer = new Lexer(zero < 0 ? text : text.slice(0, zero));
  }

  variable(name: string): Variable | null {
    return this.variables.get(name) ?? null;
  }

  isFunction(name: string): boolean {
    return this.functions.has(name);
  }

  count(line: number): void {
    this.instructions += 1;
    if (this.instructions > this.limits.instructionsMax) {
      throw new PtxError(`the module exceeds ${this.limits.instructionsMax} instructions`, line);
    }
  }

  parse(): ParsedModule {
    const { lexer } = this;
    if (!lexer.is(".version")) throw lexer.unexpected("'.version'");
    while (lexer.kind !== "end") this.directive();
    if (this.version === "" || this.target === "") {
      throw new PtxError("the module has no .version or no .target", lexer.line);
    }
    return {
      version: this.version,
      target: this.target,
      functions: this.functions,
      variables: this.variables,
    };
  }

  private skipLine(): void {
    const { line } = this.lexer;
    while (this.lexer.kind !== "end" && this.lexer.line === line) this.lexer.next();
  }

  private directive(): void {
    const { lexer } = this;
    if (lexer.accept(";") || lexer.accept("@")) return;
    const word = lexer.word("a directive");
    switch (word) {
      case ".version":
        this.versionDirective();
        return;
      case ".target":
        this.target = lexer.word("a target");
        while (lexer.accept(",")) lexer.word("a target option");
        return;
      case ".address_size":
        if (lexer.text !== "64") {
          throw new PtxError(`address size ${lexer.text.slice(0, 8)} is not 64`, lexer.line);
        }
        lexer.next();
        return;
      case ".file":
      case ".loc":
        this.skipLine();
        return;
      case ".section":
        this.skipSection();
        return;
      case ".pragma":
      case ".alias":
        while (lexer.kind !== "end" && !lexer.accept(";")) lexer.next();
        return;
      default:
        this.declaration(word);
        return;
    }
  }

  private versionDirective(): void {
    const { lexer } = this;
    this.version = lexer.text;
    const major = Number(this.version.split(".")[0]);
    if (!(major >= 1 && major <= 9)) {
      throw new PtxError(`PTX version ${this.version.slice(0, 16)} is not 1 to 9`, lexer.line);
    }
    lexer.next();
  }

  /** Debug data; `{ … }` without nesting. */
  private skipSection(): void {
    while (!this.lexer.accept("}")) {
      if (this.lexer.kind === "end") throw this.lexer.unexpected("'}'");
      this.lexer.next();
    }
  }

  private declaration(first: string): void {
    const { lexer } = this;
    let linkage = "";
    let word = first;
    while (LINKAGE.has(word)) {
      linkage = word;
      word = lexer.word("a declaration");
    }
    if (word === ".entry" || word === ".func") {
      this.functionDeclaration(word === ".entry");
      return;
    }
    const space = SPACES[word];
    if (space === undefined) {
      throw new PtxError(`'${word.slice(0, 40)}' is not a directive`, lexer.line);
    }
    const declared = parseDeclared(lexer);
    for (const variable of parseVariables(lexer, space, declared, linkage)) {
      this.initialBytes += variable.init?.length ?? 0;
      if (this.initialBytes > this.limits.initialBytesMax) {
        throw new PtxError(
          `initial values exceed ${this.limits.initialBytesMax} bytes`,
          variable.line,
        );
      }
      const known = this.variables.get(variable.name);
      if (known === undefined || linkage !== ".extern") this.variables.set(variable.name, variable);
    }
    lexer.expect(";");
  }

  private formals(body: BodyParser): (Variable | number)[] {
    const { lexer } = this;
    const found: (Variable | number)[] = [];
    if (!lexer.accept("(")) return found;
    while (!lexer.accept(")")) {
      const word = lexer.word("a parameter");
      if (word !== ".param" && word !== ".reg") throw lexer.unexpected("'.param'");
      const declared = parseDeclared(lexer);
      if (word === ".reg") {
        found.push(body.root.declareRegister(lexer.word("a register"), declared.type));
      } else {
        // One declaration only: the comma belongs to the list.
        const [variable] = parseVariables(lexer, "param", declared, "", true);
        if (variable === undefined) throw lexer.unexpected("a parameter");
        body.root.declareVariable(variable);
        found.push(variable);
      }
      if (!lexer.is(")")) lexer.expect(",");
    }
    return found;
  }

  private functionDeclaration(isEntry: boolean): void {
    const { lexer } = this;
    const { line } = lexer;
    const body = new BodyParser(lexer, this);
    const results = isEntry ? [] : this.formals(body);
    while (lexer.is(".attribute")) this.skipParenthesis();
    const name = lexer.word("the name of a function");
    const params = this.formals(body);
    const directives = this.directives();
    const isDeclaration = !lexer.is("{");
    if (isDeclaration) lexer.accept(";");
    // So that a function may name itself; refused when expanded.
    const base = {
      name,
      line,
      isEntry,
      params,
      results,
      maxThreads: directives.maxThreads,
      requiredBlock: directives.required,
      branchTargets: body.branchTargets,
      unsupported: null,
    };
    const known = this.functions.get(name);
    if (known?.body !== undefined && known.body !== null) {
      if (isDeclaration) return;
      throw new PtxError(`function '${name}' is defined twice`, line);
    }
    this.functions.set(name, { ...base, registers: [], labels: 0, body: null });
    if (isDeclaration) return;
    body.parse();
    this.functions.set(name, {
      ...base,
      registers: body.registers,
      labels: body.labels,
      body: body.items,
    });
  }

  private skipParenthesis(): void {
    while (!this.lexer.accept(")")) {
      if (this.lexer.kind === "end") throw this.lexer.unexpected("')'");
      this.lexer.next();
    }
  }

  private skipPragma(): void {
    while (!this.lexer.accept(";")) {
      if (this.lexer.kind === "end") throw this.lexer.unexpected("';'");
      this.lexer.next();
    }
  }

  private numbers(): number[] {
    const { lexer } = this;
    const found: number[] = [];
    do {
      found.push(Number(parseInteger(lexer.text, lexer.line)));
      lexer.next();
    } while (lexer.accept(","));
    return found;
  }

  private directives(): Directives {
    const { lexer } = this;
    const made: Directives = { maxThreads: THREADS_MAX, required: null };
    while (lexer.kind === "word" && lexer.text.startsWith(".")) {
      const word = lexer.word("a directive");
      if (word === ".attribute") this.skipParenthesis();
      else if (word === ".pragma") this.skipPragma();
      else if (lexer.at("number")) {
        const [x = 1, y = 1, z = 1] = this.numbers();
        if (word === ".maxntid") made.maxThreads = Math.min(x * y * z, THREADS_MAX);
        if (word === ".reqntid") {
          made.required = [x, y, z];
          made.maxThreads = Math.min(x * y * z, THREADS_MAX);
        }
      }
    }
    return made;
  }
}

export function parseModule(text: string, limits: PtxLimits): ParsedModule {
  return new ModuleParser(text, limits).parse();
}
