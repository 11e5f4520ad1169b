/** Runs the tests of the modules that need no browser, in Node: `node test.mjs`, or `npm test`. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL(".", import.meta.url));
const names = (await readdir(join(root, "tests"))).filter((name) => name.endsWith(".test.mjs"));
const built = await mkdtemp(join(tmpdir(), "liftout-tests-"));
try {
  await build({
    root,
    configFile: false,
    logLevel: "warn",
    ssr: { noExternal: true },
    build: {
      ssr: true,
      outDir: built,
      emptyOutDir: true,
      rollupOptions: { input: names.map((name) => join(root, "tests", name)), output: { entryFileNames: "[name].mjs" } },
    },
  });
  const files = names.map((name) => join(built, name));
  execFileSync(process.execPath, ["--test", ...files], { cwd: root, stdio: "inherit" });
} catch (error) {
  if (error.status === undefined) throw error;
  process.exitCode = error.status;
} finally {
  await rm(built, { recursive: true });
}
