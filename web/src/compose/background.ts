/** Putting a subject over a colour, a gradient or a picture, with the arithmetic of `Cutout.over`. */
import { UsageError } from "../errors.js";
import { colourOf } from "./css-colour.js";
import { drawGradient, parseGradient, type Colour } from "./gradient.js";
import { covering } from "./picture.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** A CSS colour, a gradient, `blur`, or an image file that is scaled and cropped to cover. */
export type Background = string | Blob;

/** What lies behind: three levels, or uint8 RGBA [H, W, 4]. */
export type Behind = Colour | Uint8ClampedArray;

/** What lies behind an image of this size in pixels. Throws UsageError where the background is none of those, or a blur. */
export async function readBackground(background: Background, width: number, height: number): Promise<Behind> {
  if (typeof background !== "string") return covering(background, width, height);
  const gradient = parseGradient(background, colourOf);
  if (gradient) return drawGradient(gradient, width, height);
  const colour = colourOf(background);
  if (!colour) throw new UsageError(`background \`${background}\` is not a colour; try white, #1e90ff, linear:white:#ccc, or an image file`);
  return colour;
}

/** Radius in pixels of `blur:RADIUS`, 0 for `blur`, which chooses one; null where the background is another. Throws UsageError. */
export function blurRadius(background: Background | null): number | null {
  const match = typeof background === "string" ? /^blur(?::(.*))?$/.exec(background) : null;
  if (!match) return null;
  if (match[1] === undefined) return 0;
  const radius = match[1].trim() ? Number(match[1]) : NaN;
  if (radius > 0 && radius <= 10_000) return radius;
  throw new UsageError(`background \`${background}\`: the radius must be a number of pixels above 0, as in blur:20`);
}

/** Blend a strip of straight-alpha RGBA, uint8 [rows, W, 4], over what lies behind from pixel `at` on: uint8 [rows, W, 3]. */
export function blend(rgba: Bytes, behind: Behind, at: number): Bytes {
  const out = new Uint8Array((rgba.length / 4) * 3);
  const flat = behind.length === 3;
  for (let i = 0, to = 0, from = flat ? 0 : at * 4; i < rgba.length; i += 4, to += 3) {
    const alpha = rgba[i + 3]!;
    for (let c = 0; c < 3; c++) {
      out[to + c] = Math.floor((rgba[i + c]! * alpha + behind[from + c]! * (255 - alpha) + 127) / 255);
    }
    if (!flat) from += 4;
  }
  return out;
}
