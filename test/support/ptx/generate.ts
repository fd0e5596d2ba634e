// SPDX-License-Identifier: Apache-2.0
/**
 * Random PTX programs, the same for the same seed. Each thread computes on registers of its own;
 * threads meet only where all of them come by, and what they share has one possible outcome: so a
 * program has one right result, and the interpreter and a GPU have to agree on every bit.
 *
 * A program is a kernel `fuzz(in, out, rounds)`: WORDS_IN words in and WORDS_OUT words out a thread.
 */
import { Random } from "../cuda/lab.js";
import {
  COMPARE,
  CONSTANTS,
  DOUBLE_ROUND,
  DOUBLE1,
  DOUBLE2,
  DOUBLES,
  FLOAT1,
  FLOAT2,
  HALF2,
  INT1,
  INT2,
  INT3,
  NARROW,
  type Pick,
  WIDE1,
  WIDE2,
} from "./generate-tables.js";

export const WORDS_IN = 8;
export const WORDS_OUT = 28;
/** Words after all threads' output that every thread adds to, atomically. */
export const SUMS = 8;

export interface ProgramOptions {
  readonly seed: number;
  readonly threads: number;
  /** Whether floating point takes part. */
  readonly floats: boolean;
  /** Whether f64 does: software on every GPU that we know, and slow to compile. */
  readonly doubles: boolean;
  /** Statements: fewer compile faster. Without it 15 to 44. */
  readonly statements?: number;
  /** How many statements of a hundred are of f64, where it takes part; 12. */
  readonly doublesPercent?: number;
}

const R = 8;
const W = 4;
const F = 4;
const D = 2;
const P = 3;
const H = 3;

class Generator {
  readonly #random: Random;
  readonly #lines: string[] = [];
  #labels = 0;
  #budget: number;
  /** Enclosing loops' exits: jumps out of several at once go there. */
  readonly #exits: string[] = [];

  constructor(readonly options: ProgramOptions) {
    this.#random = new Random(options.seed * 2654435761 + 12345);
    this.#budget = options.statements ?? 15 + this.#random.below(30);
  }

  #below(n: number): number {
    return this.#random.below(n);
  }
  #pick(list: Pick): string {
    return list[this.#below(list.length)] ?? "";
  }
  #chance(percent: number): boolean {
    return this.#below(100) < percent;
  }
  #emit(line: string): void {
    this.#lines.push(`\t${line}`);
  }
  #label(): string {
    this.#labels += 1;
    return `$L_${this.#labels}`;
  }
  #r = (): string => `%r${this.#below(R)}`;
  #w = (): string => `%rd${this.#below(W)}`;
  #f = (): string => `%f${this.#below(F)}`;
  #d = (): string => `%d${this.#below(D)}`;
  #p = (): string => `%p${this.#below(P)}`;
  #h = (): string => `%rs${this.#below(H)}`;

  /** A register, or sometimes a constant. */
  #value(): string {
    if (this.#chance(70)) return this.#r();
    if (this.#chance(60)) return String(CONSTANTS[this.#below(CONSTANTS.length)] ?? 0);
    return String(this.#random.u32() | 0);
  }

  #guard(): string {
    if (!this.#chance(15)) return "";
    return `@${this.#chance(50) ? "!" : ""}${this.#p()} `;
  }

  #integer() {
    const g = this.#guard();
    switch (this.#below(12)) {
      case 0:
      case 1:
      case 2:
        return this.#emit(`${g}${this.#pick(INT2)} ${this.#r()}, ${this.#r()}, ${this.#value()};`);
      case 3:
        return this.#emit(`${g}${this.#pick(INT1)} ${this.#r()}, ${this.#r()};`);
      case 4:
      case 5:
        return this.#emit(
          `${g}${this.#pick(INT3)} ${this.#r()}, ${this.#r()}, ${this.#value()}, ${this.#value()};`,
        );
      case 6: {
        const table = this.#below(256);
        const [a, b, c] = [this.#r(), this.#r(), this.#value()];
        return this.#emit(`${g}lop3.b32 ${this.#r()}, ${a}, ${b}, ${c}, ${table};`);
      }
      case 7:
        return this.#emit(
          `${g}bfi.b32 ${this.#r()}, ${this.#r()}, ${this.#r()}, ${this.#value()}, ${this.#below(40)};`,
        );
      case 8:
        return this.#division(g);
      case 9: {
        const [a, b, p] = [this.#value(), this.#value(), this.#p()];
        return this.#emit(`${g}selp.b32 ${this.#r()}, ${a}, ${b}, ${p};`);
      }
      case 10: {
        const narrow = this.#pick(NARROW);
        const sat = this.#chance(30) ? ".sat" : "";
        const from = this.#pick(["u32", "s32"]);
        const to = this.#h();
        const type = narrow.endsWith("8") ? `${narrow[0]}16` : narrow;
        this.#emit(`cvt${sat}.${type}.${from} ${to}, ${this.#r()};`);
        return this.#emit(`${g}cvt.${this.#pick(["u32", "s32"])}.${narrow} ${this.#r()}, ${to};`);
      }
      default: {
        const mode = this.#pick(["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]);
        const [a, b, c] = [this.#r(), this.#r(), this.#value()];
        return this.#emit(`${g}prmt.b32.${mode} ${this.#r()}, ${a}, ${b}, ${c};`);
      }
    }
  }

  /** Divisors are positive: what happens otherwise is not defined. */
  #division(guard: string) {
    const op = this.#pick(["div.u32", "rem.u32", "div.s32", "rem.s32"]);
    this.#emit(`and.b32 %t0, ${this.#r()}, ${this.#chance(50) ? 0xffff : 0x7fffffff};`);
    this.#emit("or.b32 %t0, %t0, 1;");
    this.#emit(`${guard}${op} ${this.#r()}, ${this.#r()}, %t0;`);
  }

  #wide() {
    const g = this.#guard();
    switch (this.#below(9)) {
      case 0:
      case 1:
        return this.#emit(`${g}${this.#pick(WIDE2)} ${this.#w()}, ${this.#w()}, ${this.#w()};`);
      case 2:
        return this.#emit(`${g}${this.#pick(WIDE1)} ${this.#w()}, ${this.#w()};`);
      case 3: {
        const op = this.#pick(["shl.b64", "shr.u64", "shr.s64"]);
        const by = this.#chance(50) ? String(this.#below(70)) : this.#r();
        return this.#emit(`${g}${op} ${this.#w()}, ${this.#w()}, ${by};`);
      }
      case 4: {
        const op = this.#pick(["mul.wide.s32", "mul.wide.u32"]);
        return this.#emit(`${g}${op} ${this.#w()}, ${this.#r()}, ${this.#value()};`);
      }
      case 5: {
        const type = this.#pick(["u64.u32", "s64.s32"]);
        return this.#emit(`${g}cvt.${type} ${this.#w()}, ${this.#r()};`);
      }
      case 6: {
        const op = this.#pick(["cvt.u32.u64", "cvt.sat.s32.s64", "popc.b64", "clz.b64"]);
        return this.#emit(`${g}${op} ${this.#r()}, ${this.#w()};`);
      }
      case 7: {
        const [a, b] = [this.#r(), this.#r()];
        return this.#emit(`${g}mov.b64 ${this.#w()}, {${a}, ${b}};`);
      }
      default: {
        this.#emit(`add.cc.u32 ${this.#r()}, ${this.#r()}, ${this.#r()};`);
        return this.#emit(`addc.u32 ${this.#r()}, ${this.#r()}, ${this.#value()};`);
      }
    }
  }

  #half() {
    this.#emit(`${this.#pick(HALF2)} ${this.#h()}, ${this.#h()}, ${this.#h()};`);
    const back = this.#pick(["cvt.u32.u16", "cvt.s32.s16"]);
    if (this.#chance(40)) this.#emit(`${back} ${this.#r()}, ${this.#h()};`);
    if (this.#chance(20)) this.#emit(`mov.b32 ${this.#r()}, {${this.#h()}, ${this.#h()}};`);
  }

  /** Values stay in a range where no denormal and no infinity comes up. */
  #float() {
    const to = this.#f();
    if (this.#chance(60)) {
      this.#emit(`${this.#pick(FLOAT2)} ${to}, ${this.#f()}, ${this.#f()};`);
    } else {
      this.#emit(`${this.#pick(FLOAT1)} ${to}, ${this.#f()};`);
    }
    // To a multiple of 1/256 below 2048: sums and products stay normal numbers.
    this.#emit(`min.f32 ${to}, ${to}, 0f44FFE000;`);
    this.#emit(`max.f32 ${to}, ${to}, 0fC4FFE000;`);
    this.#emit(`mul.f32 ${to}, ${to}, 0f43800000;`);
    this.#emit(`cvt.rni.f32.f32 ${to}, ${to};`);
    this.#emit(`mul.f32 ${to}, ${to}, 0f3B800000;`);
    if (this.#chance(25)) {
      const mode = this.#pick(["rni", "rzi", "rmi", "rpi"]);
      this.#emit(`cvt.${mode}.s32.f32 ${this.#r()}, ${this.#f()};`);
    }
    if (this.#chance(25)) {
      this.#emit(`and.b32 %t0, ${this.#r()}, 1023;`);
      this.#emit(`cvt.rn.f32.s32 ${this.#f()}, %t0;`);
    }
  }

  /** Whatever the bits are: exact, so that nothing has to be kept in a range. */
  #double() {
    const g = this.#guard();
    const to = this.#d();
    switch (this.#below(12)) {
      case 0:
      case 1:
      case 2:
        return this.#emit(`${g}${this.#pick(DOUBLE2)} ${to}, ${this.#d()}, ${this.#double64()};`);
      case 3:
        return this.#emit(`${g}fma.rn.f64 ${to}, ${this.#d()}, ${this.#double64()}, ${this.#d()};`);
      case 4:
        return this.#emit(`${g}${this.#pick(DOUBLE1)} ${to}, ${this.#d()};`);
      case 5:
        return this.#emit(`${g}cvt.rn.f64.${this.#pick(["s64", "u64"])} ${to}, ${this.#w()};`);
      case 6:
        return this.#emit(`${g}cvt.rn.f64.${this.#pick(["s32", "u32"])} ${to}, ${this.#r()};`);
      case 7: {
        const type = this.#pick(["s32", "u32"]);
        return this.#emit(`${g}cvt.${this.#pick(DOUBLE_ROUND)}.${type}.f64 ${this.#r()}, ${to};`);
      }
      case 8: {
        const type = this.#pick(["s64", "u64"]);
        return this.#emit(`${g}cvt.${this.#pick(DOUBLE_ROUND)}.${type}.f64 ${this.#w()}, ${to};`);
      }
      case 9:
        return this.#emit(`${g}mov.b64 ${to}, ${this.#w()};`);
      case 10:
        return this.#emit(`${g}selp.f64 ${to}, ${this.#d()}, ${this.#double64()}, ${this.#p()};`);
      default: {
        const test = this.#pick([
          ...COMPARE,
          "equ",
          "neu",
          "ltu",
          "leu",
          "gtu",
          "geu",
          "num",
          "nan",
        ]);
        return this.#emit(`setp.${test}.f64 ${this.#p()}, ${this.#d()}, ${this.#double64()};`);
      }
    }
  }

  /** A register, or sometimes a constant. */
  #double64(): string {
    return this.#chance(70) ? this.#d() : this.#pick(DOUBLES);
  }

  #condition() {
    const join = this.#chance(25) ? this.#pick(["and", "or", "xor"]) : "";
    const test = this.#pick(COMPARE);
    const to = this.#chance(20) ? "%p0|%p1" : this.#p();
    const tail = join === "" ? "" : `, ${this.#chance(40) ? "!" : ""}${this.#p()}`;
    const middle = join === "" ? "" : `.${join}`;
    const kind = this.#below(this.options.floats ? 4 : 3);
    if (kind === 3) {
      this.#emit(`setp.${test}${middle}.f32 ${to}, ${this.#f()}, ${this.#f()}${tail};`);
    } else if (kind === 2) {
      const type = this.#pick(["s64", "u64"]);
      this.#emit(`setp.${test}${middle}.${type} ${to}, ${this.#w()}, ${this.#w()}${tail};`);
    } else {
      const type = this.#pick(["s32", "u32"]);
      this.#emit(`setp.${test}${middle}.${type} ${to}, ${this.#r()}, ${this.#value()}${tail};`);
    }
  }

  /** Own slot of shared memory, a barrier, another's slot. */
  #exchange() {
    const shift = 1 + this.#below(this.options.threads - 1);
    this.#emit(`st.shared.u32 [%mine], ${this.#r()};`);
    this.#emit("bar.sync 0;");
    this.#emit(`add.u32 %t0, %tid0, ${shift};`);
    this.#emit(`rem.u32 %t0, %t0, ${this.options.threads};`);
    this.#emit("shl.b32 %t0, %t0, 2;");
    this.#emit("add.u32 %t0, %slots, %t0;");
    this.#emit(`ld.shared.u32 ${this.#r()}, [%t0];`);
    this.#emit("bar.sync 0;");
  }

  #warp() {
    switch (this.#below(5)) {
      case 0: {
        const kind = this.#pick(["bfly", "idx", "up", "down"]);
        const by = this.#chance(60) ? String(this.#below(32)) : this.#r();
        const control = kind === "up" ? this.#pick(["0", "0x1000"]) : this.#pick(["31", "0x181f"]);
        return this.#emit(
          `shfl.sync.${kind}.b32 ${this.#r()}|${this.#p()}, ${this.#r()}, ${by}, ${control}, -1;`,
        );
      }
      case 1:
        return this.#emit(`vote.sync.ballot.b32 ${this.#r()}, ${this.#p()}, -1;`);
      case 2: {
        const kind = this.#pick(["any", "all", "uni"]);
        return this.#emit(`vote.sync.${kind}.pred ${this.#p()}, ${this.#p()}, -1;`);
      }
      case 3:
        this.#emit(`and.b32 %t0, ${this.#r()}, 3;`);
        return this.#emit(`match.any.sync.b32 ${this.#r()}, %t0, -1;`);
      default:
        return this.#emit(`bar.red.popc.u32 ${this.#r()}, 0, ${this.#p()};`);
    }
  }

  /** The thread's own 64 bytes of local memory, in pieces of any width. */
  #local() {
    this.#emit(`and.b32 %t0, ${this.#r()}, 60;`);
    this.#emit("cvt.u64.u32 %a0, %t0;");
    this.#emit("add.s64 %a0, %stack, %a0;");
    switch (this.#below(4)) {
      case 0:
        return this.#emit(`st.local.u32 [%a0], ${this.#r()};`);
      case 1:
        return this.#emit(`ld.local.u32 ${this.#r()}, [%a0];`);
      case 2:
        return this.#emit(`st.local.u8 [%a0+${this.#below(4)}], ${this.#h()};`);
      default:
        return this.#emit(`ld.local.s16 ${this.#r()}, [%a0+${this.#below(2) * 2}];`);
    }
  }

  /** Atomics whose order does not matter. */
  #atomic() {
    const slot = this.#below(SUMS);
    const op = ["add.u32", "xor.b32", "max.s32", "min.u32", "or.b32", "and.b32"][slot % 6] ?? "";
    if (slot < 6) this.#emit(`red.global.${op} [%sums+${slot * 4}], ${this.#r()};`);
    else this.#emit(`red.shared.add.u32 [%mine], ${this.#r()};`);
  }

  /** Bytes of the thread's own output. */
  #store() {
    const at = this.#below(8);
    switch (this.#below(4)) {
      case 0:
        return this.#emit(`st.global.u8 [%own+${at}], ${this.#h()};`);
      case 1:
        return this.#emit(`st.global.u16 [%own+${at & 6}], ${this.#h()};`);
      case 2:
        return this.#emit(`ld.global.s8 ${this.#r()}, [%own+${at}];`);
      default:
        return this.#emit(`ld.global.v2.u32 {%r1, %r2}, [%own];`);
    }
  }

  #branch(uniform: boolean, depth: number) {
    const p = this.#p();
    const [other, end] = [this.#label(), this.#label()];
    this.#condition();
    this.#emit(`@${this.#chance(50) ? "!" : ""}${p} bra ${other};`);
    this.#block(1 + this.#below(5), false, depth + 1);
    if (this.#chance(60)) {
      this.#emit(`bra.uni ${end};`);
      this.#lines.push(`${other}:`);
      this.#block(1 + this.#below(5), false, depth + 1);
      this.#lines.push(`${end}:`);
    } else {
      this.#lines.push(`${other}:`);
    }
    if (uniform && this.#chance(30)) this.#exchange();
  }

  /** Up to 7 rounds: the same for all threads, or each its own. */
  #loop(uniform: boolean, depth: number) {
    const counter = `%c${depth}`;
    const [head, end] = [this.#label(), this.#label()];
    const same = uniform && this.#chance(60);
    if (same)
      this.#emit(`mov.u32 ${counter}, ${this.#chance(50) ? "%rounds" : 1 + this.#below(4)};`);
    else this.#emit(`and.b32 ${counter}, ${this.#r()}, 7;`);
    this.#exits.push(end);
    this.#lines.push(`${head}:`);
    // A do-while runs once at least; the other kind tests first.
    const first = this.#chance(50);
    if (first) {
      this.#emit(`setp.eq.s32 %q${depth}, ${counter}, 0;`);
      this.#emit(`@%q${depth} bra ${end};`);
    }
    this.#block(1 + this.#below(6), same, depth + 1);
    if (!same && this.#chance(40)) {
      const exit = this.#exits[this.#below(this.#exits.length)] ?? end;
      // Leaving a loop that all threads share would leave the others at its barriers.
      if (exit === end) this.#emit(`@${this.#p()} bra ${exit};`);
    }
    this.#emit(`add.s32 ${counter}, ${counter}, -1;`);
    this.#emit(`setp.gt.s32 %q${depth}, ${counter}, 0;`);
    this.#emit(`@%q${depth} bra ${head};`);
    this.#lines.push(`${end}:`);
    this.#exits.pop();
  }

  #switch(depth: number) {
    const end = this.#label();
    const cases = [this.#label(), this.#label(), this.#label(), this.#label()];
    const table = this.#label();
    this.#emit(`and.b32 %t0, ${this.#r()}, 3;`);
    this.#lines.push(`${table}: .branchtargets ${cases.join(", ")};`);
    this.#emit(`brx.idx %t0, ${table};`);
    for (const label of cases) {
      this.#lines.push(`${label}:`);
      this.#block(1 + this.#below(2), false, depth + 1);
      // Without the jump it falls through to the next.
      if (this.#chance(70)) this.#emit(`bra ${end};`);
    }
    this.#lines.push(`${end}:`);
  }

  /** Two places that jump to each other's middle: no loop has a single head. */
  #tangle(depth: number) {
    const [a, b, end] = [this.#label(), this.#label(), this.#label()];
    const counter = `%c${depth}`;
    this.#emit(`mov.u32 ${counter}, ${1 + this.#below(6)};`);
    this.#emit(`@${this.#p()} bra ${b};`);
    this.#lines.push(`${a}:`);
    this.#block(1 + this.#below(2), false, depth + 1);
    this.#emit(`add.s32 ${counter}, ${counter}, -1;`);
    this.#emit(`setp.le.s32 %q${depth}, ${counter}, 0;`);
    this.#emit(`@%q${depth} bra ${end};`);
    this.#lines.push(`${b}:`);
    this.#block(1 + this.#below(2), false, depth + 1);
    this.#emit(`add.s32 ${counter}, ${counter}, -1;`);
    this.#emit(`setp.gt.s32 %q${depth}, ${counter}, 0;`);
    this.#emit(`@%q${depth} bra ${a};`);
    this.#lines.push(`${end}:`);
  }

  #statement(uniform: boolean, depth: number) {
    const { doubles, doublesPercent = 12 } = this.options;
    if (doubles && this.#chance(doublesPercent)) return this.#double();
    const kind = this.#below(100);
    if (kind < 34) this.#integer();
    else if (kind < 46) this.#wide();
    else if (kind < 51) this.#half();
    else if (kind < 58) this.options.floats ? this.#float() : this.#integer();
    else if (kind < 66) this.#condition();
    else if (kind < 70) this.#local();
    else if (kind < 73) this.#atomic();
    else if (kind < 76) this.#store();
    else if (kind < 82) uniform ? this.#exchange() : this.#integer();
    else if (kind < 88) uniform ? this.#warp() : this.#wide();
    else if (depth >= 3) this.#integer();
    else if (kind < 93) this.#branch(uniform, depth);
    else if (kind < 97) this.#loop(uniform, depth);
    else if (kind < 99) this.#switch(depth);
    else this.#tangle(depth);
  }

  #block(count: number, uniform: boolean, depth: number) {
    for (let i = 0; i < count; i++) {
      if (this.#budget <= 0) return this.#integer();
      this.#budget -= 1;
      this.#statement(uniform, depth);
    }
  }

  #head(): string {
    const { threads } = this.options;
    const input = WORDS_IN * 4;
    const loads = Array.from({ length: R }, (_, i) => `\tld.global.u32 %r${i}, [%a1+${i * 4}];`);
    const floats = Array.from(
      { length: F },
      (_, i) => `\tand.b32 %t0, %r${i}, 511;\n\tcvt.rn.f32.s32 %f${i}, %t0;`,
    );
    return `.version 7.0
.target sm_75
.address_size 64
.visible .entry fuzz(.param .u64 fuzz_0, .param .u64 fuzz_1, .param .u32 fuzz_2)
{
\t.local .align 16 .b8 depot[64];
\t.shared .align 4 .b8 exchange[${threads * 4}];
\t.reg .b32 %r<${R}>; .reg .b32 %t<2>; .reg .b32 %c<8>; .reg .b32 %tid0, %rounds, %mine, %slots, %cta;
\t.reg .b64 %rd<${W}>; .reg .b64 %a<4>; .reg .b64 %own, %sums, %stack;
\t.reg .f32 %f<${F}>; .reg .f64 %d<${D}>; .reg .b16 %rs<${H}>; .reg .pred %p<${P}>; .reg .pred %q<8>;
\tld.param.u64 %a1, [fuzz_0];
\tld.param.u64 %a2, [fuzz_1];
\tld.param.u32 %rounds, [fuzz_2];
\tcvta.to.global.u64 %a1, %a1;
\tcvta.to.global.u64 %a2, %a2;
\tmov.u64 %stack, depot;
\tmov.u32 %slots, exchange;
\tmov.u32 %tid0, %tid.x;
\tshl.b32 %mine, %tid0, 2;
\tadd.u32 %mine, %slots, %mine;
\tmov.u32 %cta, %ctaid.x;
\tmov.u32 %t1, %nctaid.x;
\tmul.lo.u32 %t1, %t1, ${threads};
\tmul.wide.u32 %sums, %t1, ${WORDS_OUT * 4};
\tadd.s64 %sums, %a2, %sums;
\tmad.lo.u32 %t1, %cta, ${threads}, %tid0;
\tmul.wide.u32 %a3, %t1, ${input};
\tadd.s64 %a1, %a1, %a3;
\tmul.wide.u32 %a3, %t1, ${WORDS_OUT * 4};
\tadd.s64 %own, %a2, %a3;
${loads.join("\n")}
${floats.join("\n")}
\tst.shared.u32 [%mine], %r0;
\tcvt.u16.u32 %rs0, %r0; cvt.u16.u32 %rs1, %r1; cvt.u16.u32 %rs2, %r2;
\tmov.b64 %rd0, {%r0, %r1}; mov.b64 %rd1, {%r2, %r3}; cvt.s64.s32 %rd2, %r4; cvt.u64.u32 %rd3, %r5;
${this.options.doubles ? "\tmov.b64 %d0, %rd0; cvt.rn.f64.s64 %d1, %rd1;" : ""}
\tsetp.lt.s32 %p0, %r0, 0; setp.gt.u32 %p1, %r1, 1000; setp.eq.s32 %p2, %r2, %r3;
\tst.local.v4.u32 [depot], {%r0, %r1, %r2, %r3};
\tst.local.v4.u32 [depot+16], {%r4, %r5, %r6, %r7};
\tst.local.v4.u32 [depot+32], {%r3, %r2, %r1, %r0};
\tst.local.v4.u32 [depot+48], {%r7, %r6, %r5, %r4};
\tbar.sync 0;`;
  }

  #tail(): string {
    // NaNs are alike: which bits they have is not defined.
    const doubles = Array.from({ length: D }, (_, i) => [
      `setp.nan.f64 %q0, %d${i}, %d${i};`,
      `mov.b64 %a0, %d${i};`,
      "@%q0 mov.u64 %a0, 0x7ff8000000000000;",
      `st.global.u64 [%own+${96 + i * 8}], %a0;`,
    ]);
    const lines = [
      ...Array.from({ length: R }, (_, i) => `st.global.u32 [%own+${8 + i * 4}], %r${i};`),
      ...Array.from({ length: W }, (_, i) => `st.global.u64 [%own+${40 + i * 8}], %rd${i};`),
      ...Array.from({ length: F }, (_, i) => `st.global.f32 [%own+${72 + i * 4}], %f${i};`),
      "selp.u32 %t0, 1, 0, %p0;",
      "@%p1 or.b32 %t0, %t0, 2;",
      "@%p2 or.b32 %t0, %t0, 4;",
      "st.global.u32 [%own+88], %t0;",
      "ld.shared.u32 %t1, [%mine];",
      "st.global.u32 [%own+92], %t1;",
      ...(this.options.doubles ? doubles.flat() : []),
      "ret;",
    ];
    return lines.map((l) => `\t${l}`).join("\n");
  }

  program(): string {
    while (this.#budget > 0) this.#block(4, true, 0);
    return `${this.#head()}\n${this.#lines.join("\n")}\n${this.#tail()}\n}\n`;
  }
}

export function generateProgram(options: ProgramOptions): string {
  return new Generator(options).program();
}
