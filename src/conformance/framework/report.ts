// SPDX-License-Identifier: Apache-2.0
/** Results as a table for people and as JSON for programs. */
import type { Environment } from "./context.js";
import type { Outcome, Result } from "./runner.js";

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function totals(results: readonly Result[]): Totals {
  const count = (outcome: Outcome): number =>
    results.filter((result) => result.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

const MARK: Readonly<Record<Outcome, string>> = { passed: "pass", failed: "FAIL", skipped: "skip" };

/** One line of the table: id, statements, result, time; the reason below. */
export function line(result: Result, width: number): string {
  const statements = rules(result).padEnd(18);
  const time = result.outcome === "skipped" ? "" : `${result.milliseconds.toFixed(1)} ms`;
  const head = `${result.id.padEnd(width)}  ${statements} ${MARK[result.outcome]} ${time.padStart(10)}`;
  return result.reason === "" ? head : `${head}  ${result.reason}`;
}

/** `DEV-12, DEV-13`, or who else says the rule. */
export function rules(result: Pick<Result, "statements" | "source">): string {
  const { statements, source } = result;
  return statements.length > 0 ? `DEV-${statements.join(", ")}` : source;
}

export function summary(results: readonly Result[]): string {
  const { passed, failed, skipped } = totals(results);
  const statements = new Set(
    results.filter(({ outcome }) => outcome === "passed").flatMap((result) => result.statements),
  );
  return (
    `${passed} passed, ${failed} failed, ${skipped} skipped; ` +
    `${statements.size} statements of the specification were checked`
  );
}

export function json(
  results: readonly Result[],
  environment: Environment,
  program: { readonly name: string; readonly version: string },
): string {
  const { limits, features, protocol, results: computes } = environment;
  const hex = (value: bigint): string => `0x${value.toString(16)}`;
  const report = {
    program,
    device: {
      adapter: limits.adapter,
      features: hex(features),
      protocol_features: hex(protocol),
      computes,
    },
    totals: totals(results),
    results,
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}
