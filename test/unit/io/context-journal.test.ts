// SPDX-License-Identifier: Apache-2.0
// The contexts of a connection, as the next process finds them.
import { afterEach, expect, it } from "vitest";
import { createJournal, MappedJournal } from "../../../src/io/context-journal.js";
import { close, ftruncate } from "../../../src/io/native.js";

let fd = -1;
afterEach(() => close(fd));

it("shows another mapping what is set and not cleared, address 0 included", () => {
  fd = createJournal("t");
  const writer = new MappedJournal(fd);
  const reader = new MappedJournal(fd);
  expect(reader.entries()).toEqual([]);
  writer.set(0, { timelineAddress: 0, armAddress: 4096 });
  writer.set(63, { timelineAddress: 2 ** 40, armAddress: 2 ** 41 });
  writer.set(7, { timelineAddress: 8192, armAddress: 12288 });
  writer.clear(7);
  writer.set(5000, { timelineAddress: 8192, armAddress: 12288 });
  expect(reader.entries()).toEqual([
    { timelineAddress: 0, armAddress: 4096 },
    { timelineAddress: 2 ** 40, armAddress: 2 ** 41 },
  ]);
  writer.freeze();
  writer.clear(0);
  writer.set(1, { timelineAddress: 8192, armAddress: 12288 });
  expect(reader.entries()).toHaveLength(2);
  reader.clearAll();
  expect(writer.entries()).toEqual([]);
  writer.unmap();
  reader.unmap();
});

it("can't be shrunk under whoever reads it", () => {
  fd = createJournal("t");
  expect(() => ftruncate(fd, 0)).toThrow(/EPERM/);
});
