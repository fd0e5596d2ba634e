// SPDX-License-Identifier: Apache-2.0
/**
 * Golden vectors of submit requests: every command in its valid forms, then each rule broken by
 * itself (see submit-violations.ts).
 */
import { hex, jsonLines, Layout, vectorValue } from "./bytes.js";
import type { Definition } from "./definition.js";
import { commandSamples, encodeCommand, type Sample, submit } from "./submit-samples.js";
import { submitViolations } from "./submit-violations.js";

const COMMENT =
  "Generated from spec/vgpu.json. Requests of the submit queue, header included. A vector has " +
  "either what the request says, or the status that refuses it and the offset of the bad field.";

function neutral(layout: Layout, sample: Sample): object {
  const { payload } = layout.command(sample.command);
  const kept =
    payload === undefined ? [] : layout.struct(payload).fields.filter((field) => !field.reserved);
  const fields = kept.map((field) => [
    field.name,
    vectorValue(field, sample.fields[field.name] ?? 0),
  ]);
  const list = sample.arguments?.map((each) =>
    "pointer" in each ? { pointer: `0x${each.pointer.toString(16)}` } : { value: hex(each.value) },
  );
  return {
    command: sample.command,
    fields: Object.fromEntries(fields),
    ...(sample.data === undefined ? {} : { data: hex(sample.data) }),
    ...(list === undefined ? {} : { arguments: list }),
  };
}

function valid(layout: Layout, name: string, commands: readonly Sample[]): object {
  return {
    name,
    hex: hex(
      submit(
        layout,
        commands.map((each) => encodeCommand(layout, each)),
      ),
    ),
    context: 3,
    stream: 63,
    fence: "0x100000001",
    commands: commands.map((each) => neutral(layout, each)),
  };
}

/** The text of spec/vectors/submit.json. */
export function writeSubmitVectors(definition: Definition): string {
  const layout = new Layout(definition);
  const samples = commandSamples(layout);
  const untested = definition.commands.find(
    (each) => !samples.some((sample) => sample.command === each.name),
  );
  if (untested !== undefined) throw new Error(`vectors: command ${untested.name} has no sample`);
  const small = samples.filter((each) => encodeCommand(layout, each).length <= 256);
  return jsonLines(COMMENT, [
    valid(layout, "SUBMIT: no commands", []),
    ...samples.map((each) => valid(layout, `${each.command}: ${each.name}`, [each])),
    valid(layout, "SUBMIT: one of each", small),
    ...submitViolations(layout),
  ]);
}
