import assert from "node:assert/strict";
import { test } from "node:test";
import { components } from "../src/compose/components.ts";

test("components are those that a flood fill finds", () => {
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  for (const share of [0.05, 0.3, 0.5, 0.9]) {
    const [width, height] = [37, 29];
    const plane = Uint8Array.from({ length: width * height }, () => (random() < share ? 200 : 0));
    const found = components(plane, width, height, 128);
    assert.deepEqual(sorted(found), sorted(flooded(plane, width, height)));
  }
});

const sorted = (parts) => parts.map((part) => JSON.stringify(part, Object.keys(part).sort())).sort();

function flooded(plane, width, height) {
  const open = Uint8Array.from(plane);
  const parts = [];
  for (let start = 0; start < open.length; start++) {
    if (!open[start]) continue;
    const part = { area: 0, left: width, top: height, right: 0, bottom: 0 };
    const stack = [start];
    open[start] = 0;
    while (stack.length) {
      const at = stack.pop();
      const [x, y] = [at % width, Math.floor(at / width)];
      part.area++;
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x + 1);
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y + 1);
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          if (!open[v * width + u]) continue;
          open[v * width + u] = 0;
          stack.push(v * width + u);
        }
      }
    }
    parts.push(part);
  }
  return parts;
}
