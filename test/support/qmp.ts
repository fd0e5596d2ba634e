// SPDX-License-Identifier: Apache-2.0
/** QEMU's machine protocol, as far as tests need it: commands in order, events ignored. */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

interface Reply {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

export class Qmp {
  readonly #socket: Socket;
  readonly #waiters: ((reply: Reply) => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    createInterface({ input: socket }).on("line", (line) => {
      const message = JSON.parse(line) as Reply & { readonly QMP?: unknown };
      if ("return" in message || "error" in message) this.#waiters.shift()?.(message);
    });
  }

  /** Connects to the socket of `-qmp unix:PATH,server,nowait`. */
  static async connect(path: string): Promise<Qmp> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const qmp = new Qmp(socket);
    await qmp.execute("qmp_capabilities");
    return qmp;
  }

  /** Resolves with what the command returns; rejects with QEMU's description of an error. */
  async execute(command: string, args: object = {}): Promise<unknown> {
    const reply = new Promise<Reply>((resolve) => this.#waiters.push(resolve));
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    const { return: value, error } = await reply;
    if (error !== undefined) throw new Error(`QEMU refuses ${command}: ${error.desc}`);
    return value;
  }

  close(): void {
    this.#socket.destroy();
  }
}
