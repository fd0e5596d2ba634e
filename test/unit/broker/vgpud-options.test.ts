// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkVgpus, parseVgpu, readConfig } from "../../../src/cli/vgpud-options.js";

describe("vGPU arguments", () => {
  it("takes the socket from the runtime directory unless told otherwise", () => {
    expect(parseVgpu("a", "/r")).toMatchObject({
      name: "a",
      socketPath: "/r/a.sock",
      settings: { memoryBytesMax: 2 ** 30 },
    });
    expect(parseVgpu("b,memory=1G,weight=4,max=30%,socket=/x/y", "/r")).toEqual({
      name: "b",
      socketPath: "/x/y",
      settings: { memoryBytesMax: 2 ** 30, weight: 4, maxShare: 0.3 },
    });
  });
  it.each([
    ["", "no vGPU name"],
    ["../x", "no vGPU name"],
    ["a,colour=red", '"colour" is no setting; there are'],
    ["a,memory=", '"memory=" is no setting of the form'],
    ["a,memory=much", 'vGPU "a": memory: "much" is no size'],
    ["a,memory=1048575", 'vGPU "a": memory: "1048575" is less than 1048576 bytes'],
    [`a,socket=/${"x".repeat(107)}`, "has 108 bytes; a path has 1 to 107"],
  ])("refuses %j", (text, words) => {
    expect(() => parseVgpu(text, "/r")).toThrow(words);
  });
  it("refuses none, and two of one name or socket", () => {
    expect(() => checkVgpus([])).toThrow("--vgpu NAME");
    const a = parseVgpu("a", "/r");
    expect(() => checkVgpus([a, a])).toThrow('two vGPUs are called "a"');
    expect(() => checkVgpus([a, parseVgpu("b,socket=/r/a.sock", "/r")])).toThrow(
      "one socket: /r/a.sock",
    );
    expect(() => checkVgpus([a, parseVgpu("b", "/r")])).not.toThrow();
  });
});

describe("configuration file", () => {
  const file = (content: string): string => {
    const path = join(mkdtempSync(join(tmpdir(), "vgpud-config-")), "c.json");
    writeFileSync(path, content);
    return path;
  };
  it("says the same as the arguments", () => {
    const path = file(
      '{"vgpus":[{"name":"a","memory":"1M"},{"name":"b","memory":1048577}],"executor":"null",' +
        '"gpuMemory":"8G"}',
    );
    const config = readConfig(path, "/r");
    expect(config.executor).toBe("null");
    expect(config.gpuMemoryBytes).toBe(2 ** 33);
    expect(config.vgpus.map((v) => v.settings.memoryBytesMax)).toEqual([2 ** 20, 2 ** 20 + 1]);
  });
  it.each([
    ["{", "can't be read"],
    ['{"vgpus":[]}', "vgpus"],
    ['{"vgpus":[{"name":"a"}],"policy":1}', "policy"],
    ['{"vgpus":[{"name":"a"}],"gpuMemory":"lots"}', '"gpuMemory": "lots" is no size such as 8G'],
  ])("refuses %s", (content, words) => {
    expect(() => readConfig(file(content), "/r")).toThrow(words);
  });
});
