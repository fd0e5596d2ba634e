// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConfinementError,
  freshPrivateFolder,
  instanceEnvironment,
  launcherArguments,
  launcherPath,
  openConfinement,
  translationFolder,
} from "../../../src/broker/confinement.js";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-plan-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const plan = (environment: NodeJS.ProcessEnv): string[] =>
  launcherArguments({ launcher: "/l", user: null }, environment, "/private");

describe("the environment of an instance", () => {
  it("holds what drivers need, and nothing else of the operator's", () => {
    const own = {
      VK_DRIVER_FILES: "/d",
      LANG: "C",
      AWS_SECRET: "s",
      NODE_OPTIONS: "-r x",
      HOME: "/h",
    };
    expect(instanceEnvironment(own, "/p")).toEqual({
      VK_DRIVER_FILES: "/d",
      LANG: "C",
      MESA_SHADER_CACHE_DISABLE: "true",
      MESA_GLSL_CACHE_DISABLE: "true",
      __GL_SHADER_DISK_CACHE: "0",
      HOME: "/p",
      TMPDIR: "/p",
      XDG_CACHE_HOME: "/p",
    });
  });
  it("has no shader cache even if the operator's asks for one", () => {
    const own = { MESA_SHADER_CACHE_DISABLE: "false", __GL_SHADER_DISK_CACHE: "1" };
    expect(instanceEnvironment(own, "/p")).toMatchObject({
      MESA_SHADER_CACHE_DISABLE: "true",
      __GL_SHADER_DISK_CACHE: "0",
    });
  });
});

describe("the paths of an instance", () => {
  it("include a driver's manifest, its library's folder, and the loader's folders", () => {
    mkdirSync(join(folder, "lib"));
    mkdirSync(join(folder, "more"));
    const manifest = join(folder, "icd.json");
    writeFileSync(manifest, JSON.stringify({ ICD: { library_path: "./lib/libvulkan_x.so" } }));
    const args = plan({ VK_DRIVER_FILES: manifest, LD_LIBRARY_PATH: `${folder}/more::relative:/` });
    expect(args).toContain(`--read=${manifest}`);
    expect(args).toContain(`--read=${folder}/lib`);
    expect(args).toContain(`--read=${folder}/more`);
    expect(args).not.toContain("--read=/");
    expect(args).not.toContain(`--read=${folder}`);
    expect(args.filter((arg) => /relative/.test(arg))).toEqual([]);
  });
  it("are nobody's home, no passwords and no card that sets modes", () => {
    const args = plan({ VK_DRIVER_FILES: join(folder, "missing.json") });
    const open = args.filter((arg) =>
      /^--(read|device|write)=\/(etc|root|home|tmp|var|dev|dev\/dri|dev\/dri\/card.*|proc|run)\/?$/.test(
        arg,
      ),
    );
    expect(open).toEqual([]);
    expect(args.filter((arg) => arg.includes(folder))).toEqual([]);
    expect(args.at(-1)).toBe("--");
  });
  it("begin with an empty private folder", () => {
    const first = freshPrivateFolder(folder, "a");
    mkdirSync(first);
    writeFileSync(join(first, "left"), "x");
    expect(freshPrivateFolder(folder, "a")).toBe(first);
    expect(() => mkdirSync(first)).not.toThrow();
  });
});

describe("the user of instances", () => {
  it("must exist and not be root", (context) => {
    if (process.getuid?.() !== 0) context.skip("only root can change its user");
    expect(openConfinement(launcherPath(), "65534:65533").user).toEqual({ uid: 65534, gid: 65533 });
    expect(() => openConfinement(launcherPath(), "no-such-user")).toThrow(
      new ConfinementError("--user: there is no user 'no-such-user'"),
    );
    expect(() => openConfinement(launcherPath(), "root")).toThrow(/would confine nothing/);
  });
  it("can't be chosen by others than root", (context) => {
    if (process.getuid?.() === 0) context.skip("this is root");
    expect(() => openConfinement(launcherPath(), "65534:65533")).toThrow(/only root/);
  });
});

describe("the folder for translations", () => {
  it("is each vGPU's own, allowed only if it is given, and not emptied", () => {
    const all = join(folder, "cache");
    const own = translationFolder(all, "a");
    expect(own).toBe(join(all, "a"));
    expect(translationFolder(all, "b")).toBe(join(all, "b"));
    expect(statSync(own).mode & 0o777).toBe(0o700);
    const launcher = { launcher: "/l", user: null };
    const folders = (cache?: string): string[] =>
      launcherArguments(launcher, {}, "/private", cache).filter((each) =>
        each.startsWith("--private"),
      );
    expect(folders()).toEqual(["--private=/private"]);
    expect(folders(own)).toEqual(["--private=/private", `--private=${own}`]);
  });

  it("is not to be had where something else stands, or can't be made", () => {
    const all = join(folder, "cache");
    translationFolder(all, "a");
    symlinkSync(folder, join(all, "b"));
    writeFileSync(join(all, "c"), "");
    expect(() => translationFolder(all, "b")).toThrow(/no folder/);
    expect(() => translationFolder(all, "c")).toThrow(/no folder/);
    expect(() => translationFolder(join(folder, "none", "cache"), "a")).toThrow(/ENOENT/);
  });
});
