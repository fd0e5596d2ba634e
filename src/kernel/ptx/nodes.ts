// SPDX-License-Identifier: Apache-2.0
/** The structured program as WGSL statements, where control flow is as WGSL wants it. */
import { emitInsts } from "./emit-block.js";
import type { Emit } from "./emit-context.js";
import type { Condition } from "./ir.js";
import type { Node } from "./structure.js";

function conditionText(e: Emit, condition: Condition, isInverted: boolean): string {
  if (condition.kind === "equals") {
    return `${e.u(condition.value)} ${isInverted ? "!=" : "=="} ${condition.index}u`;
  }
  return e.p({ kind: "reg", reg: condition.reg, negated: condition.negated !== isInverted });
}

/** Whether a jump leaves the innermost loop from the list, as WGSL wants of every loop. */
function leaves(nodes: readonly Node[]): boolean {
  return nodes.some((node) => {
    if (node.kind === "break" || node.kind === "return") return true;
    if (node.kind === "if") return leaves(node.yes) || leaves(node.no);
    if (node.kind === "ifset") return leaves(node.yes);
    return node.kind === "scope" && returns(node.body);
  });
}

function returns(nodes: readonly Node[]): boolean {
  return nodes.some((node) => {
    if (node.kind === "return") return true;
    if (node.kind === "if") return returns(node.yes) || returns(node.no);
    if (node.kind === "ifset") return returns(node.yes);
    return (node.kind === "scope" || node.kind === "loop") && returns(node.body);
  });
}

export class NodeEmitter {
  usesFlag = false;
  constructor(private readonly e: Emit) {}

  list(nodes: readonly Node[]): void {
    for (const node of nodes) this.node(node);
  }

  private inner(nodes: readonly Node[]): void {
    const outer = this.e.indent;
    this.e.indent = `${outer}  `;
    this.list(nodes);
    this.e.indent = outer;
  }

  condition(condition: Condition): string {
    return conditionText(this.e, condition, false);
  }

  /** A loop whose body `work` emits. */
  loop(body: readonly Node[], work: () => void): void {
    const { e } = this;
    e.line("loop {");
    const outer = e.indent;
    e.indent = `${outer}  `;
    work();
    e.indent = outer;
    if (!leaves(body)) e.line(`  if (${e.zero()} != 0u) { break; }`);
    e.line("}");
  }

  private node(node: Node): void {
    const { e } = this;
    switch (node.kind) {
      case "code":
        emitInsts(e, node.insts);
        return;
      case "if": {
        if (node.yes.length === 0 && node.no.length === 0) return;
        const isInverted = node.yes.length === 0;
        e.line(`if (${conditionText(e, node.condition, isInverted)}) {`);
        this.inner(isInverted ? node.no : node.yes);
        if (!isInverted && node.no.length > 0) {
          e.line("} else {");
          this.inner(node.no);
        }
        e.line("}");
        return;
      }
      case "loop":
        this.loop(node.body, () => this.list(node.body));
        return;
      case "scope":
        e.line("switch 0u { default: {");
        this.inner(node.body);
        e.line("} }");
        return;
      case "set":
        this.usesFlag = true;
        e.line(`jt = ${node.target}u;`);
        return;
      case "ifset":
        e.line(`if (jt == ${node.target + 1}u) {`);
        this.inner(node.yes);
        e.line("}");
        return;
      default:
        e.line(`${node.kind};`);
    }
  }
}
