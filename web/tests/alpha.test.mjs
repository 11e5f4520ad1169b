import assert from "node:assert/strict";
import { test } from "node:test";
import { fillHoles } from "../src/compose/holes.ts";
import { largestSubject } from "../src/compose/subjects.ts";

const LEVELS = { ".": 0, "-": 90, "#": 255 };

test("the largest subject stays with its soft edge, and others go", () => {
  const alpha = plane("..........", ".###-..##.", ".####..##.", ".###......", "-------...");
  assert.equal(drawn(largestSubject(alpha, 10, 5), 10), drawn(plane("..........", ".###-.....", ".####.....", ".###......", "-------..."), 10));
});

test("so many of the largest subjects stay as are asked for", () => {
  const alpha = plane("##-..##..#", "##...##...", "....------", "#.........");
  assert.equal(drawn(largestSubject(alpha, 10, 4, 2), 10), drawn(plane("##-..##...", "##...##...", "....------", ".........."), 10));
  assert.equal(drawn(largestSubject(alpha, 10, 4, 9), 10), drawn(alpha, 10));
});

test("an alpha without a solid part stays as it is", () => {
  const alpha = plane("..--..", "......");
  assert.equal(drawn(largestSubject(alpha, 6, 2), 6), drawn(alpha, 6));
});

test("what the subject encloses on all sides is filled, and what is open at a side is not", () => {
  const alpha = plane("#####.", "#.-##.", "#####.", "##.##.");
  assert.equal(drawn(fillHoles(alpha, 6, 4), 6), drawn(plane("#####.", "#####.", "#####.", "##.##."), 6));
});

test("a hole is not open at a corner", () => {
  const alpha = plane(".#...", "#.#..", ".#...", ".....");
  assert.equal(drawn(fillHoles(alpha, 5, 4), 5), drawn(plane(".#...", "###..", ".#...", "....."), 5));
});

function plane(...rows) {
  return Uint8Array.from(rows.join(""), (sign) => LEVELS[sign]);
}

function drawn(alpha, width) {
  const text = Array.from(alpha, (level) => Object.keys(LEVELS).find((sign) => LEVELS[sign] === level) ?? "?").join("");
  return text.match(new RegExp(`.{${width}}`, "g")).join("\n");
}
