// SPDX-License-Identifier: Apache-2.0
/**
 * Golden vectors of control requests: valid ones with what they say, and invalid ones that break
 * exactly one rule each, with the status that a device must answer and, where one field is at
 * fault, its byte offset.
 */
import { concat, type FieldValues, hex, jsonLines, Layout, patched, vectorValue } from "./bytes.js";
import type { Definition } from "./definition.js";

const COMMENT =
  "Generated from spec/vgpu.json. Requests of the control queue, header included. A vector has " +
  "either what the request says, or the status that refuses it and the offset of the bad field.";
const COUNT_MAX = 0x1f_ffff_ffff_ffffn;
const OVER = COUNT_MAX + 1n;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Sample {
  readonly name: string;
  readonly request: string;
  readonly context: number;
  readonly fields: FieldValues;
  readonly entries?: readonly FieldValues[];
  /** Trailing bytes. */
  readonly data?: Uint8Array;
}

/** Valid requests: each type at least once, and both sides of what may be large. */
const samples: readonly Sample[] = [
  {
    name: "plain",
    request: "INIT",
    context: 0,
    fields: { session: 0x0123456789abcdefn, capabilities: 1n },
  },
  {
    name: "unknown capabilities",
    request: "INIT",
    context: 0,
    fields: { session: 1n, capabilities: 0xffff_ffff_ffff_ffffn },
  },
  { name: "plain", request: "GET_CAPABILITIES", context: 0, fields: {} },
  { name: "from a context", request: "GET_CAPABILITIES", context: 7, fields: {} },
  {
    name: "plain",
    request: "CONTEXT_CREATE",
    context: 3,
    fields: { timeline_address: 0x1_0000_2000n, arm_address: 0x3000n, name: "train" },
  },
  {
    name: "31 bytes of name",
    request: "CONTEXT_CREATE",
    context: 1,
    fields: { timeline_address: 0x1000n, arm_address: 0x2000n, name: "n".repeat(31) },
  },
  { name: "plain", request: "CONTEXT_DESTROY", context: 3, fields: {} },
  {
    name: "one entry",
    request: "HOSTMEM_REGISTER",
    context: 3,
    fields: { hostmem: 5, entry_count: 1, bytes: 4096n },
    entries: [{ address: 0x10_0000n, bytes: 4096n }],
  },
  {
    name: "odd entries",
    request: "HOSTMEM_REGISTER",
    context: 3,
    fields: { hostmem: 0xffff_ffff, entry_count: 3, bytes: 4102n },
    entries: [
      { address: 0xfffn, bytes: 1n },
      { address: 0x2_0000_0000n, bytes: 4096n },
      { address: 0x7001n, bytes: 5n },
    ],
  },
  {
    name: "entry up to 2^53 - 1",
    request: "HOSTMEM_REGISTER",
    context: 3,
    fields: { hostmem: 1, entry_count: 1, bytes: 1n },
    entries: [{ address: COUNT_MAX - 1n, bytes: 1n }],
  },
  { name: "plain", request: "HOSTMEM_UNREGISTER", context: 3, fields: { hostmem: 5 } },
  { name: "one byte", request: "MEMORY_ALLOC", context: 3, fields: { bytes: 1n } },
  { name: "dense", request: "MEMORY_ALLOC", context: 3, fields: { bytes: 256n, flags: 1n } },
  { name: "2^53 - 1 bytes", request: "MEMORY_ALLOC", context: 3, fields: { bytes: COUNT_MAX } },
  {
    name: "plain",
    request: "MEMORY_FREE",
    context: 3,
    fields: { pointer: 0x0400_0000_0000_1000n },
  },
  { name: "plain", request: "MEMORY_INFO", context: 3, fields: {} },
  { name: "plain", request: "MODULE_QUERY", context: 3, fields: { module: 2, log_offset: 64 } },
  { name: "plain", request: "FUNCTION_QUERY", context: 3, fields: { function: 9 } },
  { name: "plain", request: "EVENT_QUERY", context: 3, fields: { event: 4 } },
  { name: "plain", request: "ERROR_QUERY", context: 3, fields: {} },
  {
    name: "plain",
    request: "MODULE_SYMBOL",
    context: 3,
    fields: { module: 2, name_bytes: 7 },
    data: utf8("counter"),
  },
  {
    name: "longest name, not ASCII",
    request: "MODULE_SYMBOL",
    context: 3,
    fields: { module: 0xffff_ffff, name_bytes: 1024 },
    data: utf8("\u00e9".repeat(512)),
  },
  { name: "plain", request: "STATISTICS", context: 0xffff_ffff, fields: {} },
];

function encodeRequest(layout: Layout, sample: Sample): Uint8Array {
  const request = layout.request(sample.request);
  return concat(
    layout.encode("request_header", { type: request.value, context: sample.context }),
    request.request === undefined
      ? new Uint8Array(0)
      : layout.encode(request.request, sample.fields),
    ...(sample.entries ?? []).map((each) => layout.encode("hostmem_entry", each)),
    sample.data ?? new Uint8Array(0),
  );
}

function neutral(layout: Layout, structName: string, values: FieldValues): object {
  const kept = layout.struct(structName).fields.filter((field) => !field.reserved);
  return Object.fromEntries(
    kept.map((field) => {
      const fallback = field.type === "char" ? "" : 0;
      return [field.name, vectorValue(field, values[field.name] ?? fallback)];
    }),
  );
}

function validVector(layout: Layout, sample: Sample): object {
  const request = layout.request(sample.request);
  return {
    name: `${sample.request}: ${sample.name}`,
    hex: hex(encodeRequest(layout, sample)),
    request: sample.request,
    context: sample.context,
    fields: request.request === undefined ? {} : neutral(layout, request.request, sample.fields),
    ...(sample.entries === undefined
      ? {}
      : { entries: sample.entries.map((each) => neutral(layout, "hostmem_entry", each)) }),
    ...(sample.data === undefined ? {} : { data: hex(sample.data) }),
  };
}

function invalid(name: string, bytes: Uint8Array, status: string, subject?: number): object {
  return { name, hex: hex(bytes), status, ...(subject === undefined ? {} : { subject }) };
}

/** Rules that every request obeys, broken one by one for each type of request. */
function commonViolations(layout: Layout): object[] {
  const vectors: object[] = [];
  const headerBytes = layout.struct("request_header").bytes;
  const flagsAt = layout.offset("request_header", "flags");
  const reservedAt = layout.offset("request_header", "reserved");
  const seen = new Set<string>();
  for (const sample of samples) {
    if (seen.has(sample.request)) continue;
    seen.add(sample.request);
    const bytes = encodeRequest(layout, sample);
    const { request: payload } = layout.request(sample.request);
    const name = sample.request;
    vectors.push(
      invalid(`${name}: flags`, patched(bytes, flagsAt, 1), "RESERVED_NONZERO", flagsAt),
      invalid(
        `${name}: flags, top bit`,
        patched(bytes, flagsAt + 3, 0x80),
        "RESERVED_NONZERO",
        flagsAt,
      ),
      invalid(
        `${name}: header reserved`,
        patched(bytes, reservedAt + 3, 1),
        "RESERVED_NONZERO",
        reservedAt,
      ),
      invalid(`${name}: a byte too short`, bytes.subarray(0, -1), "MALFORMED"),
      invalid(`${name}: a byte too long`, concat(bytes, new Uint8Array(1)), "MALFORMED"),
    );
    const fields = payload === undefined ? [] : layout.struct(payload).fields;
    for (const field of fields.filter((each) => each.reserved)) {
      const at = headerBytes + field.offset;
      const bad = patched(bytes, at + field.bytes - 1, 1);
      vectors.push(invalid(`${name}: ${field.name}`, bad, "RESERVED_NONZERO", at));
    }
  }
  return vectors;
}

/** Builds requests that break one rule of their own. */
class BadRequests {
  readonly vectors: object[] = [];
  readonly layout: Layout;

  constructor(layout: Layout) {
    this.layout = layout;
  }

  /** `field` of the payload is the one at fault. */
  field(request: string, name: string, fields: FieldValues, status: string, field: string): void {
    this.register(request, name, fields, [], status, this.at(request, field));
  }

  /** A request with entries; `subject` is the offset at fault. */
  register(
    request: string,
    name: string,
    fields: FieldValues,
    entries: readonly FieldValues[],
    status: string,
    subject: number,
  ): void {
    const context = request === "INIT" ? 0 : 1;
    const bytes = encodeRequest(this.layout, { name, request, context, fields, entries });
    this.vectors.push(invalid(`${request}: ${name}`, bytes, status, subject));
  }

  /** Offset of a payload's field from the start of the request. */
  at(request: string, field: string): number {
    const payload = this.layout.request(request).request ?? "request_header";
    return this.layout.struct("request_header").bytes + this.layout.offset(payload, field);
  }
}

/** Headers that no request may have. */
function headerViolations(layout: Layout): object[] {
  const header = (type: number): Uint8Array => layout.encode("request_header", { type });
  const submit = concat(
    header(layout.request("SUBMIT").value),
    layout.encode("submit_request", { fence: 1 }),
  );
  const init = { name: "", request: "INIT", context: 1, fields: { session: 1n } };
  const contextAt = layout.offset("request_header", "context");
  return [
    invalid("empty request", new Uint8Array(0), "MALFORMED"),
    invalid("request of one byte", new Uint8Array(1), "MALFORMED"),
    invalid("type 0", header(0), "UNKNOWN_COMMAND", 0),
    invalid("type 7", header(7), "UNKNOWN_COMMAND", 0),
    invalid("type 2^32 - 1", header(0xffff_ffff), "UNKNOWN_COMMAND", 0),
    invalid("SUBMIT on the control queue", submit, "UNKNOWN_COMMAND", 0),
    invalid("INIT: a context", encodeRequest(layout, init), "RESERVED_NONZERO", contextAt),
  ];
}

/** Rules of requests without entries. */
function fieldViolations(cases: BadRequests): void {
  const page = { timeline_address: 0x1000n, arm_address: 0x2000n };
  const create = (name: string, fields: FieldValues, status: string, field: string): void =>
    cases.field("CONTEXT_CREATE", name, { ...page, ...fields }, status, field);
  const alloc = (name: string, fields: FieldValues, status: string, field: string): void =>
    cases.field("MEMORY_ALLOC", name, fields, status, field);
  const timeline = "timeline_address";
  cases.field("INIT", "session 0", {}, "MALFORMED", "session");
  create("misaligned timeline page", { timeline_address: 0x1001n }, "MISALIGNED", timeline);
  create("misaligned arm page", { arm_address: 0x2800n }, "MISALIGNED", "arm_address");
  create("timeline page at 2^53", { timeline_address: OVER }, "GUEST_ADDRESS", timeline);
  create("arm page at 2^53", { arm_address: OVER }, "GUEST_ADDRESS", "arm_address");
  create("one page for both", { arm_address: 0x1000n }, "MALFORMED", "arm_address");
  alloc("no bytes", {}, "SIZE_ZERO", "bytes");
  alloc("2^53 bytes", { bytes: OVER }, "ALLOCATION_TOO_LARGE", "bytes");
  alloc("2^64 - 1 bytes", { bytes: 0xffff_ffff_ffff_ffffn }, "ALLOCATION_TOO_LARGE", "bytes");
  alloc("flags", { bytes: 1n, flags: 1n << 63n }, "RESERVED_NONZERO", "flags");
  alloc("flags 3", { bytes: 1n, flags: 3n }, "RESERVED_NONZERO", "flags");
}

/** Rules of HOSTMEM_REGISTER and its entries. */
function registerViolations(cases: BadRequests): void {
  const { layout } = cases;
  const request = "HOSTMEM_REGISTER";
  const countAt = cases.at(request, "entry_count");
  const sumAt = cases.at(request, "bytes");
  const addressAt =
    layout.struct("request_header").bytes + layout.struct("hostmem_register_request").bytes;
  const bytesAt = addressAt + layout.offset("hostmem_entry", "bytes");
  const nextBytesAt = bytesAt + layout.struct("hostmem_entry").bytes;
  const bad = (
    name: string,
    count: number,
    bytes: bigint,
    entries: readonly FieldValues[],
    status: string,
    subject: number,
  ): void => {
    const fields = { hostmem: 1, entry_count: count, bytes };
    cases.register(request, name, fields, entries, status, subject);
  };
  const one = { address: 0x1000n, bytes: 1n };
  const above = layout.constant("HOSTMEM_ENTRIES_MAX") + 1;
  const huge = { address: 0x1000n, bytes: COUNT_MAX - 0x1000n };
  const last = { address: 0xffff_ffff_ffff_ffffn, bytes: 2n };
  const edge = { address: COUNT_MAX - 1n, bytes: 2n };
  bad("no entries", 0, 0n, [], "SIZE_ZERO", countAt);
  bad("fewer entries than counted", 2, 1n, [one], "MALFORMED", countAt);
  bad("more entries than counted", 1, 1n, [one, one], "MALFORMED", countAt);
  bad("count above the limit", above, 1n, [one], "REQUEST_TOO_LARGE", countAt);
  bad("count 2^32 - 1", 0xffff_ffff, 1n, [one], "REQUEST_TOO_LARGE", countAt);
  bad("empty entry", 1, 0n, [{ address: 1n }], "SIZE_ZERO", bytesAt);
  bad("wrong sum", 1, 2n, [one], "MALFORMED", sumAt);
  bad("sum 2^53", 1, OVER, [one], "OUT_OF_RANGE", sumAt);
  bad("entry at 2^53", 1, 1n, [{ address: OVER, bytes: 1n }], "GUEST_ADDRESS", addressAt);
  bad("entry reaches 2^64", 1, 2n, [last], "GUEST_ADDRESS", addressAt);
  bad("entry reaches 2^53", 1, 2n, [edge], "GUEST_ADDRESS", addressAt);
  bad("entry of 2^53 bytes", 1, 1n, [{ bytes: OVER }], "OUT_OF_RANGE", bytesAt);
  const second = { address: 0x1000n, bytes: 0x1001n };
  bad("2^53 bytes together", 2, 1n, [huge, second], "OUT_OF_RANGE", nextBytesAt);
}

/** Rules of MODULE_SYMBOL and its name. */
function symbolViolations(cases: BadRequests): void {
  const { layout } = cases;
  const request = "MODULE_SYMBOL";
  const sizeAt = cases.at(request, "name_bytes");
  const nameAt =
    layout.struct("request_header").bytes + layout.struct("module_symbol_request").bytes;
  const bad = (name: string, size: number, data: Uint8Array, status: string, at: number): void => {
    const fields = { module: 1, name_bytes: size };
    const bytes = encodeRequest(layout, { name, request, context: 1, fields, data });
    cases.vectors.push(invalid(`${request}: ${name}`, bytes, status, at));
  };
  const longest = layout.constant("NAME_BYTES_MAX");
  bad("empty name", 0, new Uint8Array(0), "SIZE_ZERO", sizeAt);
  bad("name too long", longest + 1, new Uint8Array(longest + 1), "OUT_OF_RANGE", sizeAt);
  bad("name_bytes 2^32 - 1", 0xffff_ffff, utf8("x"), "OUT_OF_RANGE", sizeAt);
  bad("name shorter than counted", 3, utf8("ab"), "MALFORMED", sizeAt);
  bad("name longer than counted", 1, utf8("ab"), "MALFORMED", sizeAt);
  bad("not UTF-8", 3, Uint8Array.of(0x61, 0xc3, 0x28), "MALFORMED", nameAt);
}

function ownViolations(layout: Layout): object[] {
  const cases = new BadRequests(layout);
  symbolViolations(cases);
  fieldViolations(cases);
  registerViolations(cases);
  return [...headerViolations(layout), ...cases.vectors];
}

/** The text of spec/vectors/control.json. */
export function writeControlVectors(definition: Definition): string {
  const layout = new Layout(definition);
  const untested = definition.requests.find(
    (each) => each.queue === "control" && !samples.some((sample) => sample.request === each.name),
  );
  if (untested !== undefined) throw new Error(`vectors: request ${untested.name} has no sample`);
  return jsonLines(COMMENT, [
    ...samples.map((sample) => validVector(layout, sample)),
    ...commonViolations(layout),
    ...ownViolations(layout),
  ]);
}
