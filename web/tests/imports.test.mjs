import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { test } from "node:test";

const root = process.cwd();
const files = ["src", "page"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(root, folder, name)),
);

function importsOf(file) {
  const found = readFileSync(file, "utf8").matchAll(/from "(\.[^"]+)\.js"/g);
  return [...found].map(([, path]) => resolve(file, "..", `${path}.ts`)).filter((path) => files.includes(path));
}

test("no module imports itself by way of others, for types neither", () => {
  const done = new Set();
  const visit = (file, path) => {
    const at = path.indexOf(file);
    assert.equal(at, -1, path.slice(at).concat(file).map((name) => relative(root, name)).join(" -> "));
    if (done.has(file)) return;
    for (const next of importsOf(file)) visit(next, [...path, file]);
    done.add(file);
  };
  assert.ok(files.length > 40);
  for (const file of files) visit(file, []);
});
