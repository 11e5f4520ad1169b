/** What the browser and Python must both do: the cases in tests/vectors. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cropWindow, subjectBox } from "../src/compose/subjects.ts";
import { completeOptions } from "../src/options.ts";
import { completeSpec, licenceProblem } from "../src/spec.ts";

const vectors = (name) => JSON.parse(readFileSync(join(process.cwd(), "../tests/vectors", name), "utf8"));
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const inCamel = (options) => Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]));
const sides = (box) => box && [box.left, box.top, box.right, box.bottom];

for (const { case: name, size, alpha: painted, margin, box, window } of vectors("crop.json")) {
  test(`crop: ${name}`, () => {
    const [height, width] = size;
    const alpha = new Uint8Array(height * width);
    for (const [left, top, right, bottom, level] of painted) {
      for (let y = top; y < bottom; y++) alpha.fill(level, y * width + left, y * width + right);
    }
    const subject = subjectBox(alpha, width, height);
    assert.deepEqual(sides(subject), box);
    assert.deepEqual(sides(cropWindow(subject, width, height, margin)), window);
  });
}

for (const { case: name, model, asks, problem } of vectors("licence.json")) {
  test(`licence: ${name}`, () => {
    const said = licenceProblem(completeSpec({ input: { size: [64, 64] }, ...model }));
    assert.equal(said, problem);
    assert.equal(said !== null, asks);
  });
}

const { defaults, cases } = vectors("options.json");
test("options: defaults", () => {
  const options = completeOptions({});
  for (const [name, value] of Object.entries(defaults)) assert.equal(options[camel(name)], value, name);
});
for (const { options, option, refused_by: refused } of cases) {
  test(`options: ${JSON.stringify(options)}`, () => {
    if (!refused.includes("browser")) return completeOptions(inCamel(options));
    assert.throws(() => completeOptions(inCamel(options)), (error) => error.name === "UsageError" && error.message.includes(camel(option)));
  });
}
