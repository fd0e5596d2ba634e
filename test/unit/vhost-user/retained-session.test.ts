// SPDX-License-Identifier: Apache-2.0
// What is kept of a connection for the process that takes it over.
import { describe, expect, it } from "vitest";
import { encodeReply } from "../../../src/vhost-user/framing.js";
import { FrontendRequest as R } from "../../../src/vhost-user/protocol.js";
import { RetainedSession } from "../../../src/vhost-user/retained-session.js";
import { u32s, u64, u64s } from "../../support/mock-frontend.js";

const PROTOCOL_FEATURES = 1n << 30n;

function retained(): {
  session: RetainedSession;
  closed: number[];
  accept: (request: number, payload: Uint8Array, fds?: number[], reply?: Uint8Array) => void;
  told: () => string[];
} {
  const closed: number[] = [];
  const session = new RetainedSession((fd) => closed.push(fd));
  const name = new Map(Object.entries(R).map(([key, value]) => [value as number, key]));
  return {
    session,
    closed,
    accept: (request, payload, fds = [], reply = undefined) =>
      session.accept({ request, payload, fds }, reply ?? null),
    told: () =>
      [...session.replay()].map(({ request, payload, fds }) => {
        const index = payload.length === 8 ? `:${payload[0]}` : "";
        return `${name.get(request)}${index}${fds.length > 0 ? `=${fds}` : ""}`;
      }),
  };
}

const region = (gpa: number, bytes = 4096): Uint8Array => u64s(gpa, bytes, gpa + 0x1000_0000, 0);
const slot = (gpa: number): Uint8Array => new Uint8Array([...u64(0), ...region(gpa)]);

describe("a retained session", () => {
  it("tells negotiation, then memory, then each ring with its kick last", () => {
    const { accept, told } = retained();
    accept(R.SET_VRING_KICK, u64(1), [7]);
    accept(R.SET_VRING_ENABLE, u32s(1, 1));
    accept(R.SET_VRING_CALL, u64(1), [8]);
    accept(R.SET_VRING_NUM, u32s(1, 64));
    accept(R.ADD_MEM_REG, slot(0x10000), [5]);
    accept(R.SET_FEATURES, u64(PROTOCOL_FEATURES));
    accept(R.SET_PROTOCOL_FEATURES, u64(9));
    accept(R.SET_OWNER, new Uint8Array(0));
    expect(told()).toEqual([
      "SET_OWNER",
      "SET_PROTOCOL_FEATURES:9",
      "SET_FEATURES:0",
      "ADD_MEM_REG=5",
      "SET_VRING_NUM:1",
      "SET_VRING_CALL:1=8",
      "SET_VRING_ENABLE:1",
      "SET_VRING_KICK:1=7",
    ]);
  });

  it("keeps the last of each kind and closes what it replaces", () => {
    const { accept, told, closed, session } = retained();
    accept(R.SET_VRING_CALL, u64(0), [3]);
    accept(R.SET_VRING_CALL, u64(0), [4]);
    accept(R.SET_VRING_CALL, u64(1), [5]);
    accept(R.SET_VRING_CALL, u64(0x100), []);
    expect(told()).toEqual(["SET_VRING_CALL:0", "SET_VRING_CALL:1=5"]);
    expect(closed).toEqual([3, 4]);
    expect(session.fdCount).toBe(1);
    session.dispose();
    expect(closed).toEqual([3, 4, 5]);
    expect(told()).toEqual([]);
  });

  it("has the regions that are mapped: of a table, added and removed", () => {
    const { accept, told, closed } = retained();
    const table = new Uint8Array([...u32s(2, 0), ...region(0x10000), ...region(0x20000)]);
    accept(R.SET_MEM_TABLE, table, [3, 4]);
    accept(R.ADD_MEM_REG, slot(0x30000), [5]);
    accept(R.REM_MEM_REG, slot(0x10000), [9]);
    expect(told()).toEqual(["ADD_MEM_REG=4", "ADD_MEM_REG=5"]);
    expect(closed).toEqual([9, 3]);
    accept(R.SET_MEM_TABLE, u32s(0, 0));
    expect(told()).toEqual([]);
    expect(closed).toEqual([9, 3, 4, 5]);
  });

  it("has no kick of a stopped ring, and the base that the stop gave", () => {
    const { accept, session, told, closed } = retained();
    accept(R.SET_VRING_BASE, u32s(2, 0));
    accept(R.SET_VRING_KICK, u64(2), [3]);
    accept(R.GET_VRING_BASE, u32s(2, 0), [], encodeReply(R.GET_VRING_BASE, u32s(2, 41)));
    expect(told()).toEqual(["SET_VRING_BASE:2"]);
    expect([...session.replay()][0]?.payload).toEqual(u32s(2, 41));
    expect(closed).toEqual([3]);
  });

  it("disables rings with a reset, and follows features that enable them", () => {
    const { accept, session, told } = retained();
    accept(R.SET_VRING_ENABLE, u32s(0, 1));
    accept(R.RESET_DEVICE, new Uint8Array(0));
    expect([...session.replay()].map(({ payload }) => payload[4])).toEqual([0]);
    accept(R.SET_FEATURES, u64(1n << 32n));
    expect(told()).toEqual(["SET_FEATURES:0"]);
  });

  it("keeps nothing of rings and regions that can't be, and not more than there can be", () => {
    const { accept, closed, told } = retained();
    accept(R.SET_VRING_NUM, u32s(256, 64));
    accept(R.SET_VRING_KICK, new Uint8Array(3), [1]);
    accept(R.ADD_MEM_REG, new Uint8Array(12), [2]);
    accept(R.GET_FEATURES, new Uint8Array(0), [3]);
    expect(told()).toEqual([]);
    expect(closed).toEqual([1, 2, 3]);
    for (let i = 0; i < 600; i++) accept(R.ADD_MEM_REG, slot(0x10000 * i), [1000 + i]);
    expect(told()).toHaveLength(509);
    expect(closed).toHaveLength(3 + 600 - 509);
  });
});
