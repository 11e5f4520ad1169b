/**
 * Builds the browser's files into the Python package: `node build.mjs`, or `make web`.
 *
 *   liftout.js           the ES module
 *   liftout-worker.js    its worker
 *   node.js              the module for Node
 *   react.js, vue.js, element.js  a hook, a composable and a custom element made of it
 *   liftout.d.ts, types/ its types; those of the wrappers stand beside them
 *   ort/                 ONNX Runtime Web, as published, with its licence and its notices
 *   THIRD-PARTY.txt      licences of what is bundled into the scripts
 *   index.html, page.js  the page, with page-worker.js, page.css, early.js, its icons and its manifest
 *   samples/             photos to try it with, and what the built-in model makes of one
 *   sw.js                its service worker
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { build } from "vite";

const here = new URL(".", import.meta.url);
const target = new URL("../src/liftout/web/", here);
const partial = new URL("../src/liftout/web.partial/", here);
const published = new URL("node_modules/onnxruntime-web/", here);

const RUNTIMES = {
  wasm: { module: "ort.wasm.min.mjs", glue: "ort-wasm-simd-threaded.mjs", binary: "ort-wasm-simd-threaded.wasm" },
  webgpu: {
    module: "ort.webgpu.min.mjs",
    glue: "ort-wasm-simd-threaded.asyncify.mjs",
    binary: "ort-wasm-simd-threaded.asyncify.wasm",
  },
};

async function described(name) {
  const content = await readFile(new URL(`dist/${name}`, published));
  return { name, bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}

await rm(partial, { recursive: true, force: true });
await mkdir(new URL("ort/", partial), { recursive: true });

const runtimes = {};
for (const [engine, files] of Object.entries(RUNTIMES)) {
  for (const name of Object.values(files)) await cp(new URL(`dist/${name}`, published), new URL(`ort/${name}`, partial));
  runtimes[engine] = { ...files, binary: await described(files.binary) };
}
const { version: ofRuntime, license } = JSON.parse(await readFile(new URL("package.json", published), "utf8"));
await writeFile(
  new URL("ort/README", partial),
  `ONNX Runtime Web ${ofRuntime}, unchanged, from the npm package onnxruntime-web.\n` +
    `Licence: ${license}, see LICENSE; of what it contains, see ThirdPartyNotices.txt.\n`,
);
// The npm package carries neither of them; these are the files of ONNX Runtime's packages for Python.
for (const name of ["LICENSE", "ThirdPartyNotices.txt"]) {
  await cp(new URL(`licenses/onnxruntime/${name}`, here), new URL(`ort/${name}`, partial));
}

const PLAIN = ["index.html", "page.css", "early.js", "icon.svg", "icon-192.png", "icon-512.png", "manifest.webmanifest"];
const SAMPLES = ["cat.jpg", "coffee.jpg", "officer.jpg"];
/** What the service worker keeps: all that a visit needs before the module keeps its own. */
const SHELL = [
  "./",
  ...PLAIN.filter((name) => name !== "index.html"),
  "page.js",
  "page-worker.js",
  "liftout.js",
  "liftout-worker.js",
  "packs/index.json",
  ...[...SAMPLES, "cat-cutout.webp"].map((name) => `samples/${name}`),
  ...Object.values(RUNTIMES).flatMap(({ module, glue }) => [`ort/${module}`, `ort/${glue}`]),
];

/** Names of the npm packages of which code stands in the scripts. */
const bundled = new Set();

/** One build each: a chunk that two share would be one more file to copy. */
async function bundle(name, entry, define, plugins = []) {
  const results = await build({
    root: here.pathname,
    configFile: false,
    logLevel: "warn",
    define,
    plugins,
    build: {
      outDir: partial.pathname,
      emptyOutDir: false,
      target: "es2022",
      minify: true,
      lib: { entry: new URL(entry, here).pathname, formats: ["es"], fileName: () => name },
      rollupOptions: { external: [/^\.\/liftout\.js$/, "react", "vue", /^node:/] },
    },
  });
  for (const module of [results].flat().flatMap(({ output }) => output.flatMap((chunk) => chunk.moduleIds ?? []))) {
    const inPackage = module.match(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (inPackage) bundled.add(inPackage[1]);
  }
}

/** In Node, modules of src/node stand for those of browsers that have the same name, whatever their folder. */
async function forNode() {
  const sources = new URL("src/", here).pathname;
  const names = (await readdir(new URL("src/node/", here))).map((name) => name.replace(/\.ts$/, ""));
  return {
    name: "for-node",
    enforce: "pre",
    resolveId(source, importer) {
      const name = source.match(/^\.\.?\/(?:.*\/)?([\w-]+)\.js$/)?.[1];
      const isInNode = importer?.startsWith(`${sources}node/`);
      return name && names.includes(name) && importer?.startsWith(sources) && !isInNode ? `${sources}node/${name}.ts` : null;
    },
  };
}

/** Licences ask that their text goes along. Throws where a package has none. */
async function notices() {
  const parts = [];
  for (const name of [...bundled].sort()) {
    const folder = new URL(`node_modules/${name}/`, here);
    const { version, license } = JSON.parse(await readFile(new URL("package.json", folder), "utf8"));
    const file = (await readdir(folder)).find((item) => /^licen[cs]e/i.test(item));
    if (!file) throw new Error(`${name} has no licence text, which has to go with it`);
    parts.push(`${name} ${version} (${license})\n\n${(await readFile(new URL(file, folder), "utf8")).trim()}\n`);
  }
  return parts.join(`\n${"-".repeat(80)}\n\n`);
}

await bundle("liftout.js", "src/index.ts", { __RUNTIME_VERSION__: JSON.stringify(ofRuntime) });
await bundle("node.js", "src/index.ts", { __RUNTIME_VERSION__: JSON.stringify(ofRuntime), __RUNTIME__: "{}" }, [await forNode()]);
for (const name of ["react", "vue", "element"]) await bundle(`${name}.js`, `wrappers/${name}.ts`, {});
await bundle("liftout-worker.js", "src/worker.ts", { __RUNTIME__: JSON.stringify(runtimes) });
await bundle("page.js", "page/page.ts", {});
await bundle("page-worker.js", "page/painter-worker.ts", {});
for (const name of PLAIN) await cp(new URL(`page/${name}`, here), new URL(name, partial));
await mkdir(new URL("samples/", partial));
for (const name of SAMPLES) await cp(new URL(`../examples/${name}`, here), new URL(`samples/${name}`, partial));
await cp(new URL("page/cat-cutout.webp", here), new URL("samples/cat-cutout.webp", partial));
const version = createHash("sha256");
for (const name of SHELL) {
  if (name !== "packs/index.json") version.update(await readFile(new URL(name === "./" ? "index.html" : name, partial)));
}
await bundle("sw.js", "page/sw.ts", {
  __SHELL__: JSON.stringify(SHELL),
  __VERSION__: JSON.stringify(version.digest("hex").slice(0, 12)),
});
for (const project of ["tsconfig.json", "tsconfig.types.json", "tsconfig.wrappers.json"]) {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", project], { cwd: here, stdio: "inherit" });
}
for (const name of ["react", "vue", "element", "cutout-state"]) {
  await rename(new URL(`wrappers/wrappers/${name}.d.ts`, partial), new URL(`${name}.d.ts`, partial));
}
await rm(new URL("wrappers", partial), { recursive: true });
await writeFile(new URL("THIRD-PARTY.txt", partial), await notices());
for (const name of ["liftout", "node"]) await writeFile(new URL(`${name}.d.ts`, partial), 'export * from "./types/index.js";\n');

await rm(target, { recursive: true, force: true });
await rename(partial, target);
