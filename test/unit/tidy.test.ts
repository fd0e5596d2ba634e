// SPDX-License-Identifier: Apache-2.0
/** The rules of CONTRIBUTING.md that a program can check. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((path) => path !== "");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const generated = (path: string): boolean => path.includes("/generated/");
const sources = tracked.filter((path) => /^src\/.*\.ts$/.test(path));

/** Which folder of src may import what. A rule names what is forbidden, with the reason. */
const FORBIDDEN: readonly { in: RegExp; target: RegExp; but?: RegExp; why: string }[] = [
  {
    in: /^src\//,
    but: /^src\/gpu\/dawn\//,
    target: /^webgpu$/,
    why: "only gpu/dawn imports webgpu",
  },
  { in: /^src\//, but: /^src\/io\//, target: /\.node$/, why: "only io imports the addon" },
  { in: /^src\/(scheduler|gvmcs)\//, target: /^(node:|src\/io\/)/, why: "it is pure" },
  {
    in: /^src\/kernel\//,
    target: /^src\/(gpu|io|vhost-user|instance)\//,
    why: "kernel knows nothing of Dawn",
  },
  {
    in: /^src\/command\//,
    target: /^src\/(vhost-user|virtqueue|gpu|io)\//,
    why: "command has no I/O",
  },
  { in: /^src\/protocol\//, target: /^(node:|src\/(?!protocol\/))/, why: "protocol has no I/O" },
  {
    in: /^src\/virtqueue\//,
    target: /^src\/(vhost-user|instance|gpu)\//,
    why: "rings know no device",
  },
  {
    in: /^src\/vhost-user\//,
    target: /^src\/(instance|gpu|kernel|command)\//,
    why: "the session knows no device",
  },
  {
    in: /^src\/conformance\//,
    target: /^src\/(?!conformance\/|io\/|protocol\/)/,
    why: "the suite has a driver of its own and knows no device",
  },
  {
    in: /^src\/gpu\//,
    target: /^src\/(vhost-user|virtqueue|instance)\//,
    why: "executors know no guest",
  },
];

/** What a file imports: packages by name, files by their path from the root. */
function importsOf(path: string): string[] {
  const found = read(path).matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g);
  return [...found].map((match) => {
    const target = match[1] ?? "";
    return target.startsWith(".") ? normalize(join(dirname(path), target)) : target;
  });
}

describe("tidy", () => {
  it("finds sources to check", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("keeps dependencies in the direction of the data", () => {
    const broken: string[] = [];
    for (const path of sources) {
      for (const target of importsOf(path)) {
        for (const rule of FORBIDDEN) {
          if (rule.in.test(path) && rule.but?.test(path) !== true && rule.target.test(target)) {
            broken.push(`${path} imports ${target}: ${rule.why}`);
          }
        }
      }
    }
    expect(broken).toEqual([]);
  });

  it("reads clocks and randomness only in io", () => {
    const direct = /\b(Date\.now|performance\.now|process\.hrtime|Math\.random)\b/;
    const broken = sources.filter((path) => !path.startsWith("src/io/") && direct.test(read(path)));
    expect(broken).toEqual([]);
  });

  it("states the licence of every source file", () => {
    const wanted = tracked.filter(
      (path) => /\.(ts|mjs|c|cc|h|sh)$/.test(path) && !path.startsWith("spec/"),
    );
    const missing = wanted.filter(
      (path) => !read(path).slice(0, 400).includes("SPDX-License-Identifier:"),
    );
    expect(missing).toEqual([]);
  });

  it("keeps files readable: at most 600 lines, none much over 100 columns", () => {
    const broken: string[] = [];
    for (const path of sources.filter((p) => !generated(p))) {
      const lines = read(path).split("\n");
      if (lines.length > 600) {
        broken.push(`${path}: ${lines.length} lines`);
      }
      lines.forEach((line, index) => {
        if (line.length > 110 && !/https?:|import|`|"/.test(line)) {
          broken.push(`${path}:${index + 1}: ${line.length} columns`);
        }
      });
    }
    expect(broken).toEqual([]);
  });

  it("keeps functions to 70 lines", () => {
    const long: string[] = [];
    for (const path of sources.filter((p) => !generated(p))) {
      const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);
      const visit = (node: ts.Node): void => {
        if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
          const first = source.getLineAndCharacterOfPosition(node.getStart()).line;
          const lines = source.getLineAndCharacterOfPosition(node.end).line - first + 1;
          if (lines > 70) long.push(`${path}:${first + 1}: ${lines} lines`);
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
    }
    for (const path of tracked.filter((p) => /^(native|guest-driver)\/.*\.(c|cc)$/.test(p))) {
      // Functions of C begin with a brace, those of C++ with a line that ends with one.
      let first = 0;
      const lines = read(path).split("\n");
      for (const [index, line] of lines.entries()) {
        if (/^(?!namespace|struct|class|enum|extern)(\S.*)?\{$/.test(line)) first = index + 1;
        if (line !== "}") continue;
        if (first > 0 && index + 2 - first > 70) long.push(`${path}:${first}`);
        first = 0;
      }
    }
    expect(long).toEqual([]);
  });

  it("links only to what is there", () => {
    const broken: string[] = [];
    for (const path of tracked.filter((p) => p.endsWith(".md"))) {
      for (const [, target = ""] of read(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        if (!existsSync(join(root, dirname(path), target))) broken.push(`${path}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  it("switches no check off by a comment", () => {
    const broken = sources.filter((path) => /@ts-ignore|@ts-nocheck/.test(read(path)));
    expect(broken).toEqual([]);
  });
});
