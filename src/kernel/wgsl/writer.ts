// SPDX-License-Identifier: Apache-2.0
/**
 * Writes functions anew, with storage variables reached through their bindings. Text between the
 * syntax nodes is copied, so that what needs no change stays as the guest wrote it.
 *
 * Three things are *virtual*: a variable in a words binding, a part of one, and a whole
 * runtime-sized array in a typed binding. They have no WGSL reference of their own. A pointer to
 * one becomes a u32 (the byte offset for words, 0 for a typed array), and a function that takes
 * such a pointer is copied for the argument that it points into. All else is a plain reference.
 */
import { Status } from "../../protocol/generated/wire.js";
import type {
  Declaration,
  ExpressionElem,
  FnElem,
  FnParamElem,
  FunctionCallExpression,
  Node,
} from "./ast.js";
import { children, declarationName, identOf, spanOf } from "./ast.js";
import { WGSL_INSTANCES_MAX, WGSL_REWRITTEN_LENGTH_MAX, WgslError } from "./error.js";
import type { ParsedModule } from "./parse.js";
import type { Root } from "./root.js";
import type { LaidType, Types } from "./types.js";
import { isLaid } from "./types.js";
import type { WordHelpers } from "./words.js";

/** A part of a storage variable that has no reference of its own. */
interface Place {
  readonly root: Root;
  readonly type: LaidType;
  /** Words: bytes from the binding's start are `dynamic` + `constant`. */
  readonly dynamic: string;
  readonly constant: number;
}

interface Resolved {
  readonly place: Place;
  /** The expression is a pointer to the place, not the place. */
  readonly isPointer: boolean;
}

interface Instance {
  readonly fn: FnElem;
  readonly name: string;
  /** By parameter: the variable that a virtual pointer leads into. */
  readonly roots: readonly (Root | null)[];
}

const ATOMICS = new Set([
  "atomicLoad",
  "atomicStore",
  "atomicAdd",
  "atomicSub",
  "atomicMax",
  "atomicMin",
  "atomicAnd",
  "atomicOr",
  "atomicXor",
  "atomicExchange",
  "atomicCompareExchangeWeak",
]);
const STAGE = new Set(["compute", "workgroup_size"]);
const COMPONENTS = ["xr", "yg", "zb", "wa"];

function offsetText(place: Place): string {
  if (place.constant === 0) return place.dynamic;
  return `${place.dynamic} + ${place.constant}u`;
}

export interface WriterOptions {
  readonly prefix: string;
  readonly parsed: ParsedModule;
  readonly types: Types;
  /** Storage variables that are not simply kept under their name. */
  readonly roots: ReadonlyMap<Declaration, Root>;
  /** Loads and stores of words bindings. */
  readonly words: WordHelpers;
}

export class Writer {
  private readonly instances = new Map<string, Instance>();
  private readonly queue: Instance[] = [];
  private readonly written = new Map<FnElem, string[]>();
  private length = 0;

  private pointers = new Map<Declaration, Place>();
  private texts = new Map<Node, string>();
  private resolved = new Map<Node, Resolved | null>();

  constructor(private readonly options: WriterOptions) {}

  /**
   * Writes `entry` and every function that it reaches. With a `functionName`, the entry point
   * becomes an ordinary function of that name.
   */
  writeAll(entry: FnElem, functionName: string | null): Map<FnElem, string[]> {
    this.addInstance(
      entry,
      entry.params.map(() => null),
    );
    for (let instance = this.queue.shift(); instance; instance = this.queue.shift()) {
      const isRenamed = instance.fn === entry && functionName !== null;
      const texts = this.written.get(instance.fn) ?? [];
      texts.push(this.writeInstance(instance, isRenamed ? functionName : null));
      this.written.set(instance.fn, texts);
    }
    return this.written;
  }

  /** A node of module scope, with pointer types made to fit. */
  writeGlobal(node: Node): string {
    return this.text(node);
  }

  private line(node: Node): number {
    return this.options.parsed.lineAt(spanOf(node)[0]);
  }

  private cannot(root: Root, node: Node, reason: string): never {
    const text = `the arguments ${root.sharers} cannot be bound together: ${reason}`;
    throw new WgslError(Status.ARGUMENT_ALIAS, text, this.line(node)).forArgument(root.argument);
  }

  private addInstance(fn: FnElem, roots: readonly (Root | null)[]): string {
    const index = this.options.parsed.decls.indexOf(fn);
    const key = `${index}:${roots.map((root) => root?.argument ?? "").join()}`;
    const known = this.instances.get(key);
    if (known !== undefined) return known.name;
    const isPlain = roots.every((root) => root === null);
    if (this.instances.size >= WGSL_INSTANCES_MAX) {
      const text = `more than ${WGSL_INSTANCES_MAX} copies of functions are needed for the arguments`;
      throw new WgslError(Status.ARGUMENT_ALIAS, text, this.line(fn));
    }
    const original = declarationName(fn);
    const name = isPlain ? original : `${this.options.prefix}f${this.instances.size}_${original}`;
    const instance = { fn, name, roots };
    this.instances.set(key, instance);
    this.queue.push(instance);
    return name;
  }

  /** `functionName` is set for an entry point that becomes an ordinary function. */
  private writeInstance(instance: Instance, functionName: string | null): string {
    const { fn, name, roots } = instance;
    this.pointers = new Map();
    this.texts = new Map();
    this.resolved = new Map();
    const { source } = this.options.parsed;
    const pieces = [this.functionHead(fn, functionName !== null), functionName ?? name];
    let at = fn.name.end;
    fn.params.forEach((param, i) => {
      // Only entry points have attributes on parameters.
      const from = functionName === null ? param : param.name;
      pieces.push(source.slice(at, param.start), this.parameter(from, param, roots[i] ?? null));
      at = param.end;
    });
    for (const part of [fn.returnType, fn.body]) {
      if (part === undefined) continue;
      pieces.push(source.slice(at, part.start), this.text(part));
      at = part.end;
    }
    const text = pieces.join("");
    this.length += text.length;
    if (this.length > WGSL_REWRITTEN_LENGTH_MAX) {
      const message = `the rewritten module is longer than ${WGSL_REWRITTEN_LENGTH_MAX} characters`;
      throw new WgslError(Status.ARGUMENT_ALIAS, message);
    }
    return text;
  }

  /** Attributes and `fn`, perhaps without what makes an entry point of it. */
  private functionHead(fn: FnElem, isStripped: boolean): string {
    const { source } = this.options.parsed;
    if (!isStripped) return source.slice(fn.start, fn.name.start);
    let text = "";
    let at = fn.start;
    for (const { attribute, start, end } of fn.attributes ?? []) {
      const isStage = attribute.kind === "@attribute" && STAGE.has(attribute.name);
      if (!isStage) continue;
      text += source.slice(at, start);
      at = end;
    }
    return text + source.slice(at, fn.name.start);
  }

  private parameter(from: Node, param: FnParamElem, root: Root | null): string {
    if (root === null) return this.text(from);
    const name = declarationName(param);
    const type = param.name.typeRef && this.options.types.resolve(param.name.typeRef);
    if (type?.kind !== "pointer" || !isLaid(type.target)) {
      this.cannot(root, param, `the type of the parameter '${name}' is not understood`);
    }
    this.pointers.set(param, { root, type: type.target, dynamic: name, constant: 0 });
    return `${name}: u32`;
  }

  /** The node's text, with its parts rewritten. Remembered: places are looked at repeatedly. */
  private text(node: Node): string {
    const known = this.texts.get(node);
    if (known !== undefined) return known;
    const text = this.make(node);
    this.texts.set(node, text);
    return text;
  }

  private make(node: Node): string {
    switch (node.kind) {
      case "let":
        return this.letStatement(node) ?? this.copy(node);
      case "assign":
      case "increment":
      case "decrement":
        return this.storing(node) ?? this.copy(node);
      case "type":
        return this.pointerType(node) ?? this.copy(node);
      case "ref":
      case "parenthesized-expression":
      case "unary-expression":
      case "component-expression":
      case "component-member-expression":
        return this.reference(node) ?? this.copy(node);
      case "call-expression":
        return this.call(node) ?? this.copy(node);
      default:
        return this.copy(node);
    }
  }

  /** Source text with the children's texts in place. */
  private copy(node: Node): string {
    const { source } = this.options.parsed;
    const [start, end] = spanOf(node);
    const parts = children(node);
    if (parts.length === 0) return source.slice(start, end);
    let text = "";
    let at = start;
    for (const child of parts) {
      const [childStart, childEnd] = spanOf(child);
      text += source.slice(at, childStart) + this.text(child);
      at = childEnd;
    }
    return text + source.slice(at, end);
  }

  /** `ptr<storage, T>` reads by default; the variables behind it are read_write now. */
  private pointerType(node: Node & { kind: "type" }): string | null {
    if (node.name.originalName !== "ptr") return null;
    const [space, target] = node.templateParams ?? [];
    if (space === undefined || target === undefined) return null;
    if (this.options.parsed.refs.has(node.name)) return null;
    if (identOf(space)?.originalName !== "storage") return null;
    return `ptr<storage, ${this.text(target)}, read_write>`;
  }

  /** What a virtual place or pointer becomes as a value; null for all that is not virtual. */
  private reference(e: ExpressionElem): string | null {
    const resolved = this.resolve(e);
    if (resolved !== null) return this.value(resolved, e);
    if (e.kind === "ref") return this.variable(e);
    if (e.kind !== "component-expression") return null;
    const base = this.resolve(e.base);
    if (base === null || base.place.root.mode !== "typed") return null;
    return this.element(base.place.root, this.text(e.access));
  }

  private value(resolved: Resolved, e: ExpressionElem): string {
    const { place, isPointer } = resolved;
    const { root, type } = place;
    if (isPointer) return root.mode === "typed" ? "0u" : offsetText(place);
    if (type.hasRuntimeArray) this.cannot(root, e, "a runtime-sized array is used as a whole");
    if (type.hasAtomics) this.cannot(root, e, "an atomic is used as a whole");
    return `${this.options.words.load(root.binding, type)}(${offsetText(place)})`;
  }

  /** A variable that is not virtual but has another name now, or is an element of an array. */
  private variable(e: ExpressionElem & { kind: "ref" }): string | null {
    const declaration = this.options.parsed.refs.get(e.ident);
    const root = declaration === undefined ? undefined : this.options.roots.get(declaration);
    if (root === undefined) return null;
    return root.mode === "plain" ? root.buffer : this.element(root, null);
  }

  /** An element of a typed binding; null is the only one. */
  private element(root: Root, index: string | null): string {
    const at = `${this.options.prefix}at${root.slot}`;
    return `${root.buffer}[${at}(${index === null ? "0u" : `u32(${index})`})]`;
  }

  private resolve(e: ExpressionElem): Resolved | null {
    const known = this.resolved.get(e);
    if (known !== undefined) return known;
    const made = this.makeResolved(e);
    this.resolved.set(e, made);
    return made;
  }

  private makeResolved(e: ExpressionElem): Resolved | null {
    switch (e.kind) {
      case "ref":
        return this.resolveName(e);
      case "parenthesized-expression":
        return this.resolve(e.expression);
      case "unary-expression": {
        const operator = e.operator.value;
        if (operator !== "&" && operator !== "*") return null;
        const inner = this.resolve(e.expression);
        if (inner === null || inner.isPointer === (operator === "&")) return null;
        return { place: inner.place, isPointer: operator === "&" };
      }
      case "component-expression": {
        const base = this.resolve(e.base);
        return base === null ? null : this.resolveIndex(base.place, e.access);
      }
      case "component-member-expression": {
        const base = this.resolve(e.base);
        return base === null ? null : this.resolveMember(base.place, e.access.name);
      }
      default:
        return null;
    }
  }

  private resolveName(e: ExpressionElem & { kind: "ref" }): Resolved | null {
    const declaration = this.options.parsed.refs.get(e.ident);
    if (declaration === undefined) return null;
    const pointer = this.pointers.get(declaration);
    if (pointer !== undefined) return { place: pointer, isPointer: true };
    const root = this.options.roots.get(declaration);
    if (root === undefined || root.mode === "plain") return null;
    const { type } = root.resource;
    if (root.mode === "typed") {
      if (type.kind !== "array" || type.count !== null) return null;
      return { place: { root, type, dynamic: "0u", constant: 0 }, isPointer: false };
    }
    const dynamic = `${this.options.prefix}base${root.slot}()`;
    return { place: { root, type, dynamic, constant: 0 }, isPointer: false };
  }

  private resolveIndex(place: Place, access: ExpressionElem): Resolved | null {
    const { root, type } = place;
    if (root.mode === "typed") return null;
    const [element, stride, count] = this.elements(type);
    if (element === null) return null;
    const constant = this.options.types.constants.integer(access);
    if (constant !== null && count !== null && constant >= 0 && constant < count) {
      const next = { root, type: element, dynamic: place.dynamic };
      return { place: { ...next, constant: place.constant + constant * stride }, isPointer: false };
    }
    const { prefix } = this.options;
    const index = `u32(${this.text(access)})`;
    const next = { root, type: element, constant: 0 };
    if (count === null) {
      const dynamic = `${prefix}el${root.slot}(${offsetText(place)}, ${index}, ${stride}u)`;
      return { place: { ...next, dynamic }, isPointer: false };
    }
    // The index of a fixed-size part is clamped: it must not leave its element.
    const safe = `${prefix}min(${index}, ${count - 1}u)`;
    const dynamic = `${place.dynamic} + ${safe} * ${stride}u`;
    return { place: { ...next, dynamic, constant: place.constant }, isPointer: false };
  }

  /** Element type, stride, and count (null: runtime-sized) of what can be indexed. */
  private elements(type: LaidType): [LaidType | null, number, number | null] {
    switch (type.kind) {
      case "array":
        return [isLaid(type.element) ? type.element : null, type.stride, type.count];
      case "vector":
        return [type.element, type.element.size, type.count];
      case "matrix":
        return [type.column, type.stride, type.columns];
      default:
        return [null, 0, 0];
    }
  }

  private resolveMember(place: Place, name: string): Resolved | null {
    const { type } = place;
    if (place.root.mode === "typed") return null;
    if (type.kind === "struct") {
      const member = type.members.find((m) => m.name === name);
      if (member === undefined || !isLaid(member.type)) return null;
      const constant = place.constant + member.offset;
      return { place: { ...place, type: member.type, constant }, isPointer: false };
    }
    if (type.kind !== "vector" || name.length !== 1) return null;
    const index = COMPONENTS.findIndex((letters) => letters.includes(name));
    if (index < 0 || index >= type.count) return null;
    const constant = place.constant + index * type.element.size;
    return { place: { ...place, type: type.element, constant }, isPointer: false };
  }

  /** `let p = &x[i];` keeps its name; its value is an offset now. */
  private letStatement(node: Node & { kind: "let" }): string | null {
    if (node.init === undefined) return null;
    const resolved = this.resolve(node.init);
    if (resolved === null || !resolved.isPointer) return null;
    const name = declarationName(node);
    this.pointers.set(node, { ...resolved.place, dynamic: name, constant: 0 });
    return `let ${name} = ${this.value(resolved, node.init)}${this.semicolon(node)}`;
  }

  private semicolon(node: Node): string {
    const [start, end] = spanOf(node);
    return this.options.parsed.source.slice(start, end).trimEnd().endsWith(";") ? ";" : "";
  }

  /** Assignment to a words place; null for all others. */
  private storing(node: Node & { kind: "assign" | "increment" | "decrement" }): string | null {
    const target = node.kind === "assign" ? node.lhs : node.target;
    if (target.kind === "phony") return null;
    const resolved = this.resolve(target);
    if (resolved === null || resolved.isPointer) {
      this.checkSwizzle(target);
      return null;
    }
    const { place } = resolved;
    const { root, type } = place;
    if (root.mode === "typed" || type.hasRuntimeArray || type.hasAtomics) {
      this.cannot(root, node, "an array or atomic is assigned as a whole");
    }
    const store = this.options.words.store(root.binding, type);
    const offset = offsetText(place);
    if (node.kind === "assign" && node.op.value === "=") {
      return `${store}(${offset}, ${this.text(node.rhs)})${this.semicolon(node)}`;
    }
    const load = this.options.words.load(root.binding, type);
    const isAssign = node.kind === "assign";
    const value = isAssign ? `(${this.text(node.rhs)})` : "1";
    const step = node.kind === "increment" ? "+" : "-";
    const operator = isAssign ? node.op.value.slice(0, -1) : step;
    if (this.semicolon(node) !== "") {
      const o = `${this.options.prefix}o`;
      return `{ let ${o} = ${offset}; ${store}(${o}, ${load}(${o}) ${operator} ${value}); }`;
    }
    // The header of a `for` has no room for a block, so the offset is evaluated twice there.
    if (this.callsFunction(target)) {
      this.cannot(root, node, "a 'for' header updates an element whose index calls a function");
    }
    return `${store}(${offset}, ${load}(${offset}) ${operator} ${value})`;
  }

  private callsFunction(node: Node): boolean {
    if (node.kind === "call-expression") {
      const ident = identOf(node.function);
      if (ident !== null && this.options.parsed.refs.get(ident)?.kind === "fn") return true;
    }
    return children(node).some((child) => this.callsFunction(child));
  }

  private checkSwizzle(target: ExpressionElem): void {
    if (target.kind === "parenthesized-expression") {
      this.checkSwizzle(target.expression);
      return;
    }
    if (target.kind !== "component-member-expression") return;
    const base = this.resolve(target.base);
    if (base === null) return;
    if (base.place.root.mode === "typed") return;
    this.cannot(base.place.root, target, `'.${target.access.name}' is assigned as a whole`);
  }

  private call(e: FunctionCallExpression): string | null {
    const ident = identOf(e.function);
    if (ident === null) return null;
    const declaration = this.options.parsed.refs.get(ident);
    if (declaration?.kind === "fn") return this.callUser(e, declaration);
    if (declaration !== undefined) return null;
    const places = e.arguments.map((argument) => this.resolve(argument));
    const pointer = places.find((place) => place?.isPointer);
    if (!pointer) return null;
    const { root } = pointer.place;
    const name = ident.originalName;
    if (name === "arrayLength") {
      return `${this.options.prefix}len${root.slot}()`;
    }
    if (!ATOMICS.has(name) || pointer.place.type.kind !== "atomic" || places[0] !== pointer) {
      this.cannot(root, e, `'${name}' takes a pointer into one of them`);
    }
    const helper = this.options.words.atomic(root.binding, name, pointer.place.type.element);
    const rest = e.arguments.slice(1).map((argument) => this.text(argument));
    return `${helper}(${[offsetText(pointer.place), ...rest].join(", ")})`;
  }

  private callUser(e: FunctionCallExpression, fn: FnElem): string {
    const roots = fn.params.map((_, i) => {
      const argument = e.arguments[i];
      const resolved = argument === undefined ? null : this.resolve(argument);
      return resolved?.isPointer ? resolved.place.root : null;
    });
    const name = this.addInstance(fn, roots);
    const { source } = this.options.parsed;
    let text = name;
    let at = e.function.end;
    for (const argument of e.arguments) {
      text += source.slice(at, argument.start) + this.text(argument);
      at = argument.end;
    }
    return text + source.slice(at, e.end);
  }
}
