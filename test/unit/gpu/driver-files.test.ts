// SPDX-License-Identifier: Apache-2.0
/** Which driver libraries are loaded ahead: those that the Vulkan loader would find by the environment. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { driverLibraries } from "../../../src/gpu/dawn/driver-files.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-icd-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function manifest(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}
const icd = (library: unknown): object => ({ ICD: { library_path: library, api_version: "1.3" } });

describe("driver libraries", () => {
  it("are those of the manifests that the environment names, in order, each once", () => {
    const files = [
      manifest("absolute.json", icd("/opt/driver/libvulkan_a.so")),
      manifest("relative.json", icd("./lib/libvulkan_b.so")),
      manifest("name.json", icd("libGLX_nvidia.so.0")),
      manifest("again.json", icd("/opt/driver/libvulkan_a.so")),
    ];
    const found = ["/opt/driver/libvulkan_a.so", join(folder, "lib/libvulkan_b.so")];
    const expected = [...found, "libGLX_nvidia.so.0"];
    expect(driverLibraries({ VK_DRIVER_FILES: files.join(":") })).toEqual(expected);
    expect(driverLibraries({ VK_ICD_FILENAMES: files.join(":") })).toEqual(expected);
    // The newer name counts, as it does for the loader.
    const both = { VK_DRIVER_FILES: files[2], VK_ICD_FILENAMES: files[0] };
    expect(driverLibraries(both)).toEqual(["libGLX_nvidia.so.0"]);
  });

  it("leave what is wrong with a manifest to the loader", () => {
    const files = [
      manifest("text.json", "{"),
      manifest("empty.json", {}),
      manifest("number.json", icd(7)),
      manifest("nothing.json", icd("")),
      manifest("null.json", "null"),
      join(folder, "missing.json"),
      manifest("long.json", { ...icd("/long.so"), padding: "x".repeat(70_000) }),
      manifest("right.json", icd("/right.so")),
    ];
    expect(driverLibraries({ VK_DRIVER_FILES: files.join(":") })).toEqual(["/right.so"]);
  });

  it("are those of all manifests of the system's folders where it names none", () => {
    const own = join(folder, "share/vulkan/icd.d");
    mkdirSync(own, { recursive: true });
    for (const name of ["b.json", "a.json", "not-a-manifest.txt"])
      writeFileSync(join(own, name), JSON.stringify(icd(`/drivers/${name}.so`)));
    const found = driverLibraries({ XDG_DATA_DIRS: `relative:/nowhere:${join(folder, "share")}` });
    expect(found).toEqual(expect.arrayContaining(["/drivers/a.json.so", "/drivers/b.json.so"]));
    expect(found.join()).not.toContain("txt");
  });

  it("are none where the environment chooses drivers by name", () => {
    const named = { VK_DRIVER_FILES: manifest("one.json", icd("/one.so")) };
    expect(driverLibraries(named)).toEqual(["/one.so"]);
    expect(driverLibraries({ ...named, VK_LOADER_DRIVERS_SELECT: "*lvp*" })).toEqual([]);
    expect(driverLibraries({ ...named, VK_LOADER_DRIVERS_DISABLE: "*" })).toEqual([]);
  });
});
