// SPDX-License-Identifier: Apache-2.0
/**
 * Parameters of expanded calls. A parameter is bytes in PTX; where all its accesses agree on their
 * offsets and sizes each piece is a register, which costs nothing. Otherwise, and where its
 * address is taken, it lives in local memory.
 */
import type { Inst, Value } from "./ir.js";
import { type Type, typeNamed, widthOf } from "./types.js";

export interface Slot {
  readonly bytes: number;
  readonly align: number;
}

interface Access {
  readonly slot: number;
  readonly offset: number;
  /** Bytes of one element, and how many there are. */
  readonly each: number;
  readonly items: readonly Value[];
}

type NewRegister = (name: string, type: Type) => number;

function accessOf(inst: Inst): Access | null {
  if (inst.op !== "ld" && inst.op !== "st") return null;
  const mem = inst.src[0];
  if (mem?.kind !== "mem" || mem.base.kind !== "slot") return null;
  const type = inst.types.at(-1);
  const data = inst.op === "ld" ? inst.dst[0] : inst.src[1];
  if (type === undefined || data === undefined) return null;
  return {
    slot: mem.base.slot,
    offset: mem.base.offset + mem.offset,
    each: widthOf(type) / 8,
    items: data.kind === "vec" ? data.items : [data],
  };
}

const hasSlot = (value: Value | undefined): number => {
  if (value === undefined) return -1;
  if (value.kind === "slot") return value.slot;
  return value.kind === "mem" ? hasSlot(value.base) : -1;
};

/** Slots whose pieces can't be registers. */
function spilled(code: readonly (Inst | number)[], slots: readonly Slot[]): Set<number> {
  const bad = new Set<number>();
  const pieces = slots.map(() => new Map<number, number>());
  for (const inst of code) {
    if (typeof inst === "number") continue;
    const access = accessOf(inst);
    if (access === null) {
      for (const value of inst.src) {
        const slot = hasSlot(value);
        if (slot >= 0) bad.add(slot);
      }
      continue;
    }
    const known = pieces[access.slot];
    access.items.forEach((_, i) => {
      const at = access.offset + i * access.each;
      const size = known?.get(at);
      if (size !== undefined && size !== access.each) bad.add(access.slot);
      known?.set(at, access.each);
    });
  }
  pieces.forEach((known, slot) => {
    let end = 0;
    for (const [at, size] of [...known].sort((a, b) => a[0] - b[0])) {
      if (at < end) bad.add(slot);
      end = at + size;
    }
  });
  return bad;
}

class Resolver {
  private readonly places = new Map<number, number>();
  private readonly registers = new Map<string, number>();

  constructor(
    private readonly slots: readonly Slot[],
    private readonly bad: ReadonlySet<number>,
    public localBytes: number,
    private readonly newRegister: NewRegister,
  ) {}

  private placeOf(slot: number): number {
    let at = this.places.get(slot);
    if (at === undefined) {
      const { bytes, align } = this.slots[slot] ?? { bytes: 0, align: 1 };
      at = Math.ceil(this.localBytes / align) * align;
      this.localBytes = at + bytes;
      this.places.set(slot, at);
    }
    return at;
  }

  private local(value: Value): Value {
    if (value.kind === "slot") {
      const offset = this.placeOf(value.slot) + value.offset;
      return { kind: "addr", space: "local", symbol: -1, offset };
    }
    if (value.kind !== "mem") return value;
    return { ...value, base: this.local(value.base) };
  }

  private registerOf(access: Access, index: number): Value {
    const at = access.offset + index * access.each;
    const key = `${access.slot}:${at}`;
    let reg = this.registers.get(key);
    if (reg === undefined) {
      const type = typeNamed(`b${access.each * 8}`);
      reg = this.newRegister(`%param${access.slot}_${at}`, type ?? ({} as Type));
      this.registers.set(key, reg);
    }
    return { kind: "reg", reg, negated: false };
  }

  rewrite(inst: Inst): Inst[] {
    const access = accessOf(inst);
    if (access === null || this.bad.has(access.slot)) {
      if (!inst.src.some((value) => hasSlot(value) >= 0)) return [inst];
      const mods = inst.mods.map((mod) => (mod === "param" ? "local" : mod));
      const used = mods.filter((mod) => mod !== "func" && !mod.startsWith("param::"));
      return [{ ...inst, mods: used, src: inst.src.map((value) => this.local(value)) }];
    }
    const type = inst.types.at(-1);
    if (type === undefined) return [inst];
    const isNarrow = access.each < 4 && (type.kind === "s" || type.kind === "u");
    const made: Inst[] = [];
    access.items.forEach((item, i) => {
      const piece = this.registerOf(access, i);
      const base = { line: inst.line, guard: inst.guard, from: inst.from };
      const [dst, src] = inst.op === "ld" ? [item, piece] : [piece, item];
      if (isNarrow && inst.op === "ld") {
        made.push({
          ...base,
          op: "$extend",
          mods: [type.name],
          types: [type],
          dst: [dst],
          src: [src],
        });
        return;
      }
      const moved = typeNamed(`b${access.each * 8}`) ?? type;
      made.push({ ...base, op: "mov", mods: [moved.name], types: [moved], dst: [dst], src: [src] });
    });
    return made;
  }
}

export function resolveSlots(
  code: readonly (Inst | number)[],
  slots: readonly Slot[],
  localBytes: number,
  newRegister: NewRegister,
): { code: (Inst | number)[]; localBytes: number } {
  if (slots.length === 0) return { code: [...code], localBytes };
  const resolver = new Resolver(slots, spilled(code, slots), localBytes, newRegister);
  const made: (Inst | number)[] = [];
  for (const inst of code) {
    if (typeof inst === "number") made.push(inst);
    else made.push(...resolver.rewrite(inst));
  }
  return { code: made, localBytes: resolver.localBytes };
}
