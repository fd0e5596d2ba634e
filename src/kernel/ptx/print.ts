// SPDX-License-Identifier: Apache-2.0
/** The intermediate representation as text, for people: blocks, spaces, kept words, structure. */
import type { Analysis } from "./compile.js";
import type { Condition, FlatKernel, Inst, Value } from "./ir.js";
import { fullName } from "./ir.js";
import { GLOBAL, LOCAL, PARAM, SHARED } from "./spaces.js";
import type { Node } from "./structure.js";

class Printer {
  readonly lines: string[] = [];

  constructor(
    private readonly kernel: FlatKernel,
    private readonly analysis: Analysis,
  ) {}

  private reg(reg: number): string {
    const rep = this.analysis.reps[reg];
    const short = { bool: "p", u32: "u", f32: "f", wide: "w" }[rep ?? "u32"];
    return `r${reg}.${short}`;
  }

  private value(value: Value): string {
    switch (value.kind) {
      case "reg":
        return `${value.negated ? "!" : ""}${this.reg(value.reg)}`;
      case "imm":
        return value.float === 0
          ? `${value.value}`
          : `0x${value.value.toString(16)}:f${value.float}`;
      case "special":
        return value.name;
      case "addr": {
        const name = value.space === "global" ? this.kernel.globals[value.symbol] : "";
        const dynamic = value.space === "shared" && value.symbol === 0 ? "dynamic" : "";
        return `&${value.space}:${name ?? ""}${dynamic}+${value.offset}`;
      }
      case "mem":
        return `[${this.value(value.base)}${value.offset === 0 ? "" : `+${value.offset}`}]`;
      case "vec":
        return `{${value.items.map((item) => this.value(item)).join(", ")}}`;
      case "slot":
        return `slot${value.slot}+${value.offset}`;
      default:
        return "_";
    }
  }

  private spaces(value: Value): string {
    if (value.kind !== "mem" || value.base.kind !== "reg") return "";
    const mask = this.analysis.masks.registers[value.base.reg] ?? 0;
    const names = [
      [GLOBAL, "global"],
      [SHARED, "shared"],
      [LOCAL, "local"],
      [PARAM, "param"],
    ] as const;
    const found = names.filter(([bit]) => (mask & bit) !== 0).map(([, name]) => name);
    return found.length === 0 ? "" : ` ; ${found.join("|")}`;
  }

  private inst(inst: Inst, indent: string): void {
    const guard =
      inst.guard === null ? "" : `@${inst.guard.negated ? "!" : ""}${this.reg(inst.guard.reg)} `;
    const dst = inst.dst.map((value) => this.value(value)).join(", ");
    const src = inst.src.map((value) => this.value(value)).join(", ");
    const note = inst.src[0] === undefined ? "" : this.spaces(inst.src[0]);
    const left = dst === "" ? "" : `${dst} = `;
    this.lines.push(`${indent}${guard}${left}${fullName(inst)} ${src}${note}`.trimEnd());
  }

  private condition(condition: Condition): string {
    if (condition.kind === "equals") return `${this.value(condition.value)} == ${condition.index}`;
    return `${condition.negated ? "!" : ""}${this.reg(condition.reg)}`;
  }

  blocks(): void {
    const { graph } = this.analysis;
    for (const block of graph.blocks) {
      const loop = graph.loopOf[block.id] ?? -1;
      const notes = [`idom ${graph.idom[block.id] ?? 0}`];
      if (loop >= 0) notes.push(loop === block.id ? "loop header" : `in loop ${loop}`);
      this.lines.push(`block ${block.id}:  ; ${notes.join(", ")}`);
      for (const inst of block.insts) this.inst(inst, "  ");
      const { term } = block;
      if (term.kind === "jump") this.lines.push(`  jump ${term.to}`);
      else if (term.kind === "exit") this.lines.push("  exit");
      else {
        this.lines.push(`  if ${this.condition(term.condition)} jump ${term.yes} else ${term.no}`);
      }
    }
  }

  nodes(nodes: readonly Node[], indent: string): void {
    for (const node of nodes) {
      if (node.kind === "code") this.lines.push(`${indent}block ${node.block}`);
      else if (node.kind === "if") {
        this.lines.push(`${indent}if ${this.condition(node.condition)}`);
        this.nodes(node.yes, `${indent}  `);
        if (node.no.length > 0) {
          this.lines.push(`${indent}else`);
          this.nodes(node.no, `${indent}  `);
        }
      } else if (node.kind === "loop" || node.kind === "scope") {
        this.lines.push(`${indent}${node.kind}`);
        this.nodes(node.body, `${indent}  `);
      } else if (node.kind === "set") this.lines.push(`${indent}jump-number ${node.target}`);
      else if (node.kind === "ifset") {
        this.lines.push(`${indent}if jump-number ${node.target + 1}`);
        this.nodes(node.yes, `${indent}  `);
      } else this.lines.push(`${indent}${node.kind}`);
    }
  }
}

/** The kernel's blocks, then its structure, one thing a line. */
export function printKernel(kernel: FlatKernel, analysis: Analysis): string {
  const printer = new Printer(kernel, analysis);
  printer.lines.push(
    `kernel ${kernel.name}  ; ${kernel.paramBytes} bytes of parameters, ` +
      `${kernel.sharedBytes} shared, ${kernel.localBytes} local`,
    ...kernel.globals.map((name, i) => `global ${i} = ${name}`),
  );
  printer.blocks();
  if (analysis.nodes === null) printer.lines.push("structure: state machine");
  else {
    printer.lines.push("structure:");
    printer.nodes(analysis.nodes, "  ");
  }
  return `${printer.lines.join("\n")}\n`;
}
