// SPDX-License-Identifier: Apache-2.0
/**
 * The list of tests, as a tree of paths. A group has a plan; a test has a description, the numbers
 * of the statements that it checks, what it needs, and cases that differ by parameters. A case's id
 * is `group/test` or `group/test:case`, and stays what it is, since reports name it.
 */
import type { TestContext } from "./context.js";

/** What a test can only do with: a property of the back end or of how the program was called. */
export type Need =
  /** Kernels and copies compute: not with an executor that computes nothing. */
  | "results"
  /** Capability bits. */
  | "ptx"
  /** The back end's process is known (--pid). */
  | "pid"
  /** A feature bit or protocol feature that the back end may leave out. */
  | "indirect"
  | "event-idx"
  | "packed"
  | "in-order"
  | "protocol-features"
  | "multi-queue"
  | "reply-ack"
  | "backend-req"
  | "config"
  | "mem-slots"
  | "reset-device"
  | "inflight"
  | "log";

export interface Case {
  readonly id: string;
  readonly description: string;
  /** Numbers of VGPU-DEV statements. */
  readonly statements: readonly number[];
  /** What else says the rule, where no statement does: "vhost-user" or "virtio". */
  readonly source: string;
  readonly needs: readonly Need[];
  run(test: TestContext): Promise<void>;
}

export interface Named {
  readonly name: string;
}

const cases = new Map<string, Case>();
const plans = new Map<string, string>();

/** All cases, in the order of their files. */
export function allCases(): readonly Case[] {
  return [...cases.values()];
}

/** Plans of the groups by path. */
export function allPlans(): ReadonlyMap<string, string> {
  return plans;
}

interface Parts {
  readonly path: string;
  readonly name: string;
  readonly description: string;
  readonly statements: readonly number[];
  readonly source: string;
  readonly needs: readonly Need[];
}

/** Describes a test; each method gives a builder with one thing more. */
class TestBuilder<P extends Named> {
  constructor(
    readonly parts: Parts,
    readonly list: readonly P[] | null,
  ) {}

  /** The plan of the test: what is done, and what has to come of it. */
  desc(description: string): TestBuilder<P> {
    return new TestBuilder({ ...this.parts, description }, this.list);
  }

  /** VGPU-DEV numbers that it checks. */
  dev(...statements: readonly number[]): TestBuilder<P> {
    return new TestBuilder({ ...this.parts, statements }, this.list);
  }

  needs(...needs: readonly Need[]): TestBuilder<P> {
    const all = [...new Set([...this.parts.needs, ...needs])];
    return new TestBuilder({ ...this.parts, needs: all }, this.list);
  }

  /** One case for each. A case may have needs of its own. */
  params<Q extends Named>(list: readonly Q[]): TestBuilder<Q> {
    return new TestBuilder(this.parts, list);
  }

  fn(run: (test: TestContext, params: P) => Promise<void>): void {
    const { path, name, ...rest } = this.parts;
    if (rest.description === "") throw new Error(`${path}/${name} has no description`);
    if (this.list === null) {
      add({ ...rest, id: `${path}/${name}`, run: (test) => run(test, { name: "" } as P) });
      return;
    }
    for (const params of this.list) {
      const own = (params as { needs?: readonly Need[] }).needs ?? [];
      add({
        ...rest,
        needs: [...rest.needs, ...own],
        id: `${path}/${name}:${params.name}`,
        run: (test) => run(test, params),
      });
    }
  }
}

function add(one: Case): void {
  if (cases.has(one.id)) throw new Error(`the test ${one.id} exists twice`);
  cases.set(one.id, one);
}

export interface Group {
  test(name: string): TestBuilder<Named>;
}

/** Begins a group. `source` says whose rules its tests check, besides numbered statements. */
export function group(
  path: string,
  plan: string,
  options: { readonly source?: string; readonly needs?: readonly Need[] } = {},
): Group {
  if (plans.has(path)) throw new Error(`the group ${path} exists twice`);
  plans.set(path, plan);
  const { source = "", needs = [] } = options;
  return {
    test: (name) =>
      new TestBuilder<Named>({ path, name, description: "", statements: [], source, needs }, null),
  };
}
