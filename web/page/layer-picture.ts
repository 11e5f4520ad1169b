/** A picture of one subject, for the list of layers. */
import type { Subject } from "../src/compose/separate.js";
import { SOLID } from "../src/compose/subjects.js";
import type { Size } from "./bitmaps.js";
import type { Point } from "./brush.js";
import { contextOf, photoPart } from "./canvases.js";

const SIDE = 320; // pixels

/** The subject in the colours of the photo on the stage, small, and the place in its middle, in pixels of the photo. */
export async function pictureOf({ box, alpha }: Subject, photo: Size): Promise<{ picture: Blob; at: Point }> {
  const [wide, high] = [box.right - box.left, box.bottom - box.top];
  const scale = Math.min(1, SIDE / Math.max(wide, high));
  const [width, height] = [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(high * scale))];
  const canvas = photoPart(box, photo, { width, height });
  const context = contextOf(canvas);
  const pixels = context.getImageData(0, 0, width, height);
  const solid: Point[] = [];
  for (let y = 0, i = 3; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      const level = alpha[Math.floor(((y + 0.5) * high) / height) * wide + Math.floor(((x + 0.5) * wide) / width)]!;
      pixels.data[i] = level;
      if (level >= SOLID) solid.push({ x, y });
    }
  }
  context.putImageData(pixels, 0, 0);
  const middle = middleOf(solid) ?? { x: width / 2, y: height / 2 };
  const at = { x: box.left + (middle.x + 0.5) * (wide / width), y: box.top + (middle.y + 0.5) * (high / height) };
  return { picture: await canvas.convertToBlob(), at };
}

/** The point that is nearest to the mean of all. */
function middleOf(points: Point[]): Point | null {
  if (!points.length) return null;
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const away = (point: Point): number => (point.x - x) ** 2 + (point.y - y) ** 2;
  return points.reduce((best, point) => (away(point) < away(best) ? point : best));
}
