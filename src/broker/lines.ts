// SPDX-License-Identifier: Apache-2.0
/** One JSON object a line over a stream socket, checked by a schema at the receiving end. */
import type { Socket } from "node:net";
import type { z } from "zod";

/** Longest line that is read; a longer one closes the connection. */
export const LINE_BYTES_MAX = 1024 * 1024;

export interface LineHandlers<T> {
  readonly message: (message: T) => void;
  /** The peer broke the rules; the connection is closed after this. */
  readonly invalid: (reason: string) => void;
}

/** Calls back for every complete line. A line that is too long or invalid closes the socket. */
export function readLines<T>(
  socket: Socket,
  schema: z.ZodType<T>,
  handlers: LineHandlers<T>,
): void {
  let pending = "";
  const refuse = (reason: string): void => {
    handlers.invalid(reason);
    // What the handler wrote still goes out.
    socket.destroySoon();
  };
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    pending += chunk;
    for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      const parsed = parse(line, schema);
      if (typeof parsed === "string") {
        refuse(parsed);
        return;
      }
      handlers.message(parsed.value);
      if (socket.destroyed) {
        return;
      }
    }
    if (pending.length > LINE_BYTES_MAX) {
      refuse(`a line is longer than the limit of ${LINE_BYTES_MAX} bytes`);
    }
  });
}

function parse<T>(line: string, schema: z.ZodType<T>): { value: T } | string {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return `a line is not JSON: ${line.slice(0, 80)}`;
  }
  const result = schema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0];
    return `a message is not valid at "${issue?.path.join(".")}": ${issue?.message}`;
  }
  return { value: result.data };
}

export function writeLine(socket: Socket, message: object): void {
  if (!socket.destroyed) {
    socket.write(`${JSON.stringify(message)}\n`);
  }
}
