// SPDX-License-Identifier: Apache-2.0
/**
 * Bodies of functions: statements to instructions with their names resolved. Operands are parsed
 * by shape alone, so an instruction that is not known yet parses too, and only its kernel fails.
 */
import type { Guard, Instruction, Item, Operand, Register, Variable } from "./ast.js";
import { PtxError, type PtxLimits } from "./error.js";
import type { Lexer } from "./lex.js";
import {
  f64Bits,
  f64Value,
  numberBits,
  parseDeclared,
  parseInteger,
  parseNumber,
  parseVariables,
} from "./parse-variable.js";
import { Scope } from "./scope.js";
import { type Type, typeNamed } from "./types.js";

const VARIABLE_SPACES = {
  ".local": "local",
  ".shared": "shared",
  ".param": "param",
  ".global": "global",
  ".const": "const",
} as const;
type SpaceWord = keyof typeof VARIABLE_SPACES;
const isSpaceWord = (word: string): word is SpaceWord => word in VARIABLE_SPACES;

/** Most registers that one `.reg` directive declares. */
const FAMILY_MAX = 4_000_000;
/** Most operands of one instruction, in all its lists. */
const OPERANDS_MAX = 1024;

/** What the body sees of the module. */
export interface ModuleNames {
  variable(name: string): Variable | null;
  isFunction(name: string): boolean;
  /** Counts an instruction; throws past the module's limit. */
  count(line: number): void;
  readonly limits: PtxLimits;
}

interface PendingLabel {
  readonly name: string;
  readonly scope: Scope;
  readonly line: number;
  readonly resolve: (label: number) => void;
}

/** A label operand whose number is known when the function ends. */
class LabelOperand {
  readonly kind = "label";
  label = -1;
}

export class BodyParser {
  readonly registers: Register[] = [];
  readonly items: Item[] = [];
  readonly branchTargets = new Map<number, readonly number[]>();
  labels = 0;
  readonly root: Scope;
  private scope: Scope;
  private readonly pending: PendingLabel[] = [];
  private operandCount = 0;

  constructor(
    private readonly lexer: Lexer,
    private readonly module: ModuleNames,
  ) {
    this.root = new Scope(null, this.registers, 0);
    this.scope = this.root;
  }

  /** From `{` to its `}`. */
  parse(): void {
    const { lexer } = this;
    lexer.expect("{");
    for (;;) {
      if (lexer.accept("}")) {
        if (this.scope.parent === null) break;
        this.scope = this.scope.parent;
      } else if (lexer.accept("{")) {
        const depth = this.scope.depth + 1;
        if (depth > this.module.limits.scopeDepthMax) {
          throw new PtxError(
            `blocks nest deeper than ${this.module.limits.scopeDepthMax}`,
            lexer.line,
          );
        }
        this.scope = new Scope(this.scope, this.registers, depth);
      } else if (!lexer.accept(";")) this.statement();
    }
    for (const { name, scope, line, resolve } of this.pending) {
      const label = scope.label(name);
      if (label === null) throw new PtxError(`label '${name}' is not declared`, line);
      resolve(label);
    }
  }

  private statement(): void {
    const { lexer } = this;
    if (lexer.is("@")) {
      this.instruction();
      return;
    }
    const { line } = lexer;
    if (lexer.kind !== "word") throw lexer.unexpected("an instruction");
    const word = lexer.text;
    if (word.startsWith(".")) {
      this.directive(word);
      return;
    }
    lexer.next();
    if (!lexer.accept(":")) {
      this.operation(word, null, line);
      return;
    }
    const label = this.labels;
    this.labels += 1;
    this.scope.declareLabel(word, label, line);
    if (lexer.is(".branchtargets")) {
      this.targets(label);
      return;
    }
    if (lexer.is(".calltargets") || lexer.is(".callprototype")) {
      this.skipStatement();
      return;
    }
    this.items.push({ line, label });
  }

  private targets(label: number): void {
    const { lexer } = this;
    const { line } = lexer;
    lexer.next();
    const found: number[] = [];
    this.branchTargets.set(label, found);
    do {
      const name = lexer.word("a label");
      const at = found.push(-1) - 1;
      this.pending.push({
        name,
        scope: this.scope,
        line,
        resolve: (target) => {
          found[at] = target;
        },
      });
    } while (lexer.accept(","));
    lexer.expect(";");
  }

  private skipStatement(): void {
    while (!this.lexer.accept(";")) {
      if (this.lexer.kind === "end") throw this.lexer.unexpected("';'");
      this.lexer.next();
    }
  }

  private directive(word: string): void {
    const { lexer } = this;
    if (word === ".reg") {
      this.registerDirective();
      return;
    }
    if (word === ".loc" || word === ".file") {
      const { line } = lexer;
      while (lexer.kind !== "end" && lexer.line === line) lexer.next();
      return;
    }
    if (word === ".pragma") {
      this.skipStatement();
      return;
    }
    if (!isSpaceWord(word)) throw lexer.unexpected("an instruction or a directive");
    lexer.next();
    const declared = parseDeclared(lexer);
    for (const variable of parseVariables(lexer, VARIABLE_SPACES[word], declared, "")) {
      this.scope.declareVariable(variable);
    }
    lexer.expect(";");
  }

  private registerDirective(): void {
    const { lexer } = this;
    lexer.next();
    let type: Type | null = null;
    while (lexer.kind === "word" && lexer.text.startsWith(".")) {
      type = typeNamed(lexer.text.slice(1));
      if (type === null) throw lexer.unexpected("a register's type");
      lexer.next();
    }
    if (type === null) throw lexer.unexpected("a register's type");
    do {
      const name = lexer.word("the name of a register");
      if (lexer.accept("<")) {
        const count = Number(parseInteger(lexer.text, lexer.line));
        if (!(count <= FAMILY_MAX)) {
          throw new PtxError(`${count} registers '${name}' exceed ${FAMILY_MAX}`, lexer.line);
        }
        lexer.next();
        lexer.expect(">");
        this.scope.declareFamily(name, count, type);
      } else this.scope.declareRegister(name, type);
    } while (lexer.accept(","));
    lexer.expect(";");
  }

  private instruction(): void {
    const { lexer } = this;
    lexer.expect("@");
    const negated = lexer.accept("!");
    const { line } = lexer;
    const name = lexer.word("a predicate");
    const reg = this.scope.register(name);
    if (reg === null) throw new PtxError(`register '${name}' is not declared`, line);
    this.operation(lexer.word("an instruction"), { reg, negated }, line);
  }

  private operation(word: string, guard: Guard | null, line: number): void {
    const { lexer } = this;
    const [op = "", ...mods] = word.split(".");
    this.module.count(line);
    this.operandCount = 0;
    const operands: Operand[] = [];
    this.mayName = op === "call" || op.startsWith("tcgen") || op === "alloca";
    const isBranch = op === "bra" || op === "brx";
    while (!lexer.is(";")) {
      if (operands.length > 0) lexer.expect(",");
      operands.push(
        isBranch && !lexer.text.startsWith("%") ? this.labelOperand() : this.operand(0),
      );
    }
    lexer.expect(";");
    const instruction: Instruction = { line, op, mods, guard, operands };
    this.items.push(instruction);
  }

  private labelOperand(): Operand {
    const { line } = this.lexer;
    const made = new LabelOperand();
    this.pending.push({
      name: this.lexer.word("a label"),
      scope: this.scope,
      line,
      resolve: (label) => {
        made.label = label;
      },
    });
    return made;
  }

  private list(close: string, depth: number): Operand[] {
    const { lexer } = this;
    const items: Operand[] = [];
    while (!lexer.accept(close)) {
      items.push(this.operand(depth + 1));
      if (!lexer.is(close)) lexer.expect(",");
    }
    return items;
  }

  private operand(depth: number): Operand {
    const { lexer } = this;
    this.operandCount += 1;
    if (depth > 4 || this.operandCount > OPERANDS_MAX) {
      throw new PtxError("an instruction has too many operands", lexer.line);
    }
    if (lexer.accept("{")) return { kind: "vec", items: this.list("}", depth) };
    if (lexer.accept("(")) return { kind: "list", items: this.list(")", depth) };
    if (lexer.accept("[")) return this.memory(depth);
    if (lexer.accept("!")) {
      const inner = this.operand(depth + 1);
      if (inner.kind !== "reg") throw lexer.unexpected("a predicate");
      return { ...inner, negated: true };
    }
    const first = this.primary();
    if (!lexer.accept("|")) return first;
    return { kind: "pair", first, second: this.primary() };
  }

  private memory(depth: number): Operand {
    const { lexer } = this;
    const base = this.operand(depth + 1);
    if (lexer.accept(",")) {
      return { kind: "list", items: [base, ...this.list("]", depth)] };
    }
    lexer.expect("]");
    if (base.kind === "var") return { kind: "mem", base, offset: 0 };
    return { kind: "mem", base, offset: this.addend };
  }

  /** What was added to the last register, which only addresses may do. */
  private addend = 0;

  private offset(): number {
    const { lexer } = this;
    let sum = 0;
    while (lexer.is("+") || (lexer.is("-") && lexer.kind === "punct")) {
      let sign = 1;
      while (lexer.is("+") || lexer.is("-")) {
        if (lexer.is("-")) sign = -sign;
        lexer.next();
      }
      sum += sign * Number(BigInt.asIntN(64, parseInteger(lexer.text, lexer.line)));
      lexer.next();
    }
    if (!Number.isSafeInteger(sum)) throw new PtxError(`offset ${sum} is too large`, lexer.line);
    return sum;
  }

  private primary(): Operand {
    const { lexer } = this;
    const { line } = lexer;
    this.addend = 0;
    if (lexer.kind === "number" || lexer.is("-") || lexer.is("~")) return this.constant();
    const name = lexer.word("an operand");
    if (name === "_") return { kind: "none" };
    const reg = this.scope.register(name);
    if (reg !== null) {
      this.addend = this.offset();
      return { kind: "reg", reg, negated: false };
    }
    const variable = this.scope.variable(name) ?? this.module.variable(name);
    if (variable !== null) return { kind: "var", variable, offset: this.offset() };
    if (name.startsWith("%") || name === "WARP_SZ") return { kind: "special", name };
    if (this.module.isFunction(name) || this.mayName) return { kind: "func", name };
    throw new PtxError(`'${name.slice(0, 60)}' is not declared`, line);
  }

  /** Whether names that are not declared may occur: in calls, as lists of targets. */
  private mayName = false;

  private constant(): Operand {
    const { lexer } = this;
    let negative = false;
    let inverted = false;
    while (lexer.is("-") || lexer.is("~")) {
      if (lexer.is("-")) negative = !negative;
      else inverted = !inverted;
      lexer.next();
    }
    if (lexer.kind !== "number") throw lexer.unexpected("a constant");
    const number = parseNumber(lexer.text, lexer.line);
    lexer.next();
    if (number.float !== 0 && negative) {
      const type = typeNamed("f64");
      const bits = type === null ? 0n : numberBits(number, type);
      return { kind: "imm", value: f64Bits(-f64Value(bits)), float: 64 };
    }
    let value = negative ? -number.value : number.value;
    if (inverted) value = ~value;
    return { kind: "imm", value: BigInt.asIntN(64, value), float: number.float };
  }
}
