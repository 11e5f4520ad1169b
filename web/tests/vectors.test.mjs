/** What the browser and Python must both do: the cases in tests/vectors. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { separateSubjects, spreadOut } from "../src/compose/separate.ts";
import { cropWindow, subjectBox } from "../src/compose/subjects.ts";
import { completeOptions } from "../src/options.ts";
import { separateTouching } from "../src/pointing/touching.ts";
import { completeSpec, licenceProblem } from "../src/spec.ts";

const vectors = (name) => JSON.parse(readFileSync(join(process.cwd(), "../tests/vectors", name), "utf8"));
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const inCamel = (options) => Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]));
const sides = (box) => box && [box.left, box.top, box.right, box.bottom];

/** Rectangles with levels: uint8 [height, width]. */
function rectangles(painted, [height, width]) {
  const alpha = new Uint8Array(height * width);
  for (const [left, top, right, bottom, level] of painted) {
    for (let y = top; y < bottom; y++) alpha.fill(level, y * width + left, y * width + right);
  }
  return alpha;
}

for (const { case: name, size, alpha: painted, margin, box, window } of vectors("crop.json")) {
  test(`crop: ${name}`, () => {
    const [height, width] = size;
    const alpha = rectangles(painted, size);
    const subject = subjectBox(alpha, width, height);
    assert.deepEqual(sides(subject), box);
    assert.deepEqual(sides(cropWindow(subject, width, height, margin)), window);
  });
}

for (const { case: name, size, alpha: painted, owners } of vectors("subjects.json")) {
  test(`subjects: ${name}`, () => {
    const [height, width] = size;
    const alpha = rectangles(painted, size);
    const found = Array.from(alpha, () => ".");
    for (const [number, subject] of separateSubjects(alpha, width, height).entries()) {
      spreadOut(subject, width, height).forEach((level, at) => {
        if (!level) return;
        assert.equal(level, alpha[at]);
        found[at] = String(number + 1);
      });
    }
    const none = Array.from({ length: height }, () => ".".repeat(width));
    assert.deepEqual(none.map((_, y) => found.slice(y * width, (y + 1) * width).join("")), owners ?? none);
  });
}

for (const { case: name, size, alpha: painted, answers, asked, subjects } of vectors("touching.json")) {
  test(`touching: ${name}`, async () => {
    const [height, width] = size;
    const discs = (given) =>
      Uint8Array.from({ length: height * width }, (_, at) => {
        const levels = given.map(([x, y, radius]) => (radius - Math.hypot(Math.floor(at / width) - y, (at % width) - x)) * 64 + 128);
        return Math.min(255, Math.max(0, ...levels));
      });
    const objects = answers.map(discs);
    let questions = 0;
    const answer = async ({ keep }) => {
      questions++;
      const strongest = keep.map(([x, y]) => {
        const at = Math.floor(y) * width + Math.floor(x);
        return objects.reduce((best, object) => (object[at] > best[at] ? object : best));
      });
      return strongest[0].map((_, at) => Math.max(...strongest.map((object) => object[at])));
    };
    const alpha = discs(painted);
    const found = await separateTouching(alpha, { width, height }, answer);
    assert.equal(questions, asked);
    const planes = found.map((subject) => spreadOut(subject, width, height));
    assert.deepEqual(alpha.map((_, at) => planes.reduce((sum, plane) => sum + plane[at], 0)), alpha);
    const boxes = planes.map((plane) => sides(subjectBox(plane, width, height)));
    assert.deepEqual(found.map((subject, i) => ({ box: boxes[i], sum: subject.alpha.reduce((sum, level) => sum + level, 0) })), subjects);
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
