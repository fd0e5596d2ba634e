// SPDX-License-Identifier: Apache-2.0
//
// The second half of `npm run build`, after the type checker: makes dist/ from src/.
//
//   dist/cli/NAME.js            what is started: src/cli/start.ts, the same for each program
//   dist/programs/NAME.js       the program with all its modules in one file, and its .map
//   dist/programs/NAME.js.code  V8's byte code of it, for those whose start somebody waits for
//   dist/programs/worker.js     the PTX translator's thread
//
// Names and lines stay as they are in the sources, so that a stack can be read without a map. The
// byte code is made by running the programs here: it holds what a start really compiles. Where they
// can't run (no addon yet), they are left without.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const PROGRAMS = ["vgpu-instance", "vgpud", "vgpuctl", "vgpu-ptx", "vgpu-conformance"];
/** What the instance goes through for its byte code: these tests of vgpu-conformance. */
const REHEARSAL = "command/launch/form";
const STEP_MS = 60_000;
const POLL_MS = 10;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** CommonJS has no import.meta: each file's address is that of its bundle, webgpu's its package's. */
const importMeta = {
  name: "import.meta.url",
  setup({ onLoad }) {
    onLoad({ filter: /node_modules\/webgpu\/index\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replaceAll(
        "import.meta.url",
        'urlOf(requireOfBundle.resolve("webgpu/index.js"))',
      ),
    }));
  },
};

/** Modules of Node that few starts need: loading them takes some ms each. */
const LATE = ["assert", "child_process", "crypto", "fs/promises", "net", "tty"];

/** They are loaded when something of them is first used. */
const lateModules = {
  name: "late modules of Node",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(node:)?(${LATE.join("|")})$`) }, ({ path }) => ({
      path: path.replace("node:", ""),
      namespace: "late",
    }));
    onLoad({ filter: /./, namespace: "late" }, async ({ path }) => {
      const { default: module, ...names } = await import(`node:${path}`);
      const load = `requireOfBundle("node:${path}")`;
      const late = typeof module === "function" ? `(...all) => ${load}(...all)` : "{}";
      return {
        contents: `module.exports = ${late};
for (const key of ${JSON.stringify(Object.keys(names))})
  Object.defineProperty(module.exports, key, { enumerable: true, get: () => ${load}[key] });`,
      };
    });
  },
};

const common = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20.17",
  sourcemap: true,
  sourcesContent: false,
  charset: "ascii",
  define: { "import.meta.url": "importMetaUrl" },
  banner: {
    js: `const requireOfBundle = require;
const urlOf = (path) => require("node:url").pathToFileURL(path).href;
const importMetaUrl = urlOf(__filename);`,
  },
  plugins: [importMeta, lateModules],
  external: ["*.node"],
  logLevel: "warning",
  outdir: dist,
  write: false,
};

async function bundle() {
  const programs = PROGRAMS.map((name) => ({ in: `src/cli/${name}.ts`, out: `programs/${name}` }));
  const entryPoints = [
    ...programs,
    { in: "src/kernel/translator/worker.ts", out: "programs/worker" },
    { in: "src/cli/start.ts", out: "cli/start" },
  ];
  const { outputFiles } = await build({ ...common, absWorkingDir: root, entryPoints });
  rmSync(dist, { recursive: true, force: true });
  for (const folder of ["cli", "programs"]) mkdirSync(join(dist, folder), { recursive: true });
  writeFileSync(join(dist, "package.json"), '{ "type": "commonjs" }\n');
  for (const { path, text } of outputFiles) {
    const hash = createHash("sha256").update(text).digest("hex");
    writeFileSync(path, path.endsWith(".js") ? `${text}//# ${hash}` : text);
  }
  for (const name of PROGRAMS) {
    const program = join(dist, `cli/${name}.js`);
    copyFileSync(join(dist, "cli/start.js"), program);
  }
  rmSync(join(dist, "cli/start.js"));
}

/** Runs a program in a process of its own; resolves with how it ended. */
function run(script, args, whileItRuns = () => {}) {
  return new Promise((resolve) => {
    const stdio = ["ignore", "pipe", "ignore"];
    const child = spawn(process.execPath, [join(root, script), ...args], { stdio });
    const timer = setTimeout(() => child.kill("SIGKILL"), STEP_MS);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      resolve(signal ?? code);
    });
    whileItRuns(child);
  });
}

const maker = (program, args, whileItRuns) =>
  run("scripts/lib/code-cache.mjs", [program, ...args], whileItRuns);

/** Some real work for each program: what is compiled for it is what a start needs. */
async function codeCaches() {
  if (!existsSync(join(root, "build/Release/vgpu_native.node"))) {
    console.error("bundle: the addon is not built, so the programs are left without byte code");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "vgpu-build-"));
  try {
    const socket = join(folder, "vgpu.sock");
    const serve = ["--executor=null", "--log-level=error", `--socket-path=${socket}`];
    await maker("vgpu-instance", serve, async (child) => {
      while (!existsSync(socket) && child.exitCode === null) await pause(POLL_MS);
      const cases = `--filter=${REHEARSAL}`;
      await run("dist/cli/vgpu-conformance.js", [`--socket-path=${socket}`, "--quiet", cases]);
      child.kill("SIGTERM");
    });
    const broker = ["--vgpu=a", "--executor=null", "--log-level=error", `--runtime-dir=${folder}`];
    await maker("vgpud", broker, async (child) => {
      child.stdout.once("data", async () => {
        await maker("vgpuctl", ["status", `--control=${join(folder, "control.sock")}`]);
        child.kill("SIGTERM");
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const name of ["vgpu-instance", "vgpud", "vgpuctl"]) {
    const made = existsSync(join(dist, `programs/${name}.js.code`));
    if (!made) throw new Error(`${name} does not run: there is no byte code of it`);
  }
}

await bundle();
await codeCaches();
