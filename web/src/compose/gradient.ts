/** A gradient behind a subject, with the arithmetic of `liftout.compose.gradient`: along a line as in CSS, or from the centre outwards. */
import { UsageError } from "../errors.js";

export type Colour = [red: number, green: number, blue: number];

export interface Gradient {
  first: Colour;
  last: Colour;
  /** Degrees: 0 runs upwards, 90 to the right; null runs from the centre to the corners. */
  angle: number | null;
}

const DIGITS = 1e12; // of a sine and a cosine: what languages agree on

/** The gradient of `linear:FROM:TO[:DEGREES]` or `radial:FROM:TO`; null where the text begins otherwise. Throws UsageError. */
export function parseGradient(text: string, colourOf: (text: string) => Colour | null): Gradient | null {
  const [word, from = "", to = "", degrees, ...rest] = text.split(":");
  if (word !== "linear" && word !== "radial") return null;
  const [first, last] = [colourOf(from), colourOf(to)];
  const linear = word === "linear";
  const angle = linear ? (degrees === undefined ? 180 : degrees.trim() ? Number(degrees) : NaN) : null;
  if (!first || !last || rest.length || (linear ? !Number.isFinite(angle) : degrees !== undefined)) {
    const example = linear ? "linear:white:#cccccc:45" : "radial:white:#cccccc";
    throw new UsageError(`background \`${text}\` is not a gradient; give colours as in ${example}`);
  }
  return { first, last, angle };
}

/** The gradient at a size in pixels: uint8 RGBA [height, width, 4], opaque. */
export function drawGradient({ first, last, angle }: Gradient, width: number, height: number): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  const share = shareOf(angle, width, height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 4) {
      const along = share(x + 0.5 - width / 2, y + 0.5 - height / 2);
      for (let c = 0; c < 3; c++) rgba[to + c] = Math.floor(first[c]! + (last[c]! - first[c]!) * along + 0.5);
    }
  }
  return rgba;
}

/** How far a pixel is from the first colour to the last, 0 to 1, by its distance from the centre to the right and down. */
function shareOf(angle: number | null, width: number, height: number): (right: number, down: number) => number {
  if (angle === null) {
    const corner = (width * width) / 4 + (height * height) / 4;
    return (right, down) => Math.sqrt((right * right + down * down) / corner);
  }
  const turn = angle * (Math.PI / 180);
  const [across, up] = [rounded(Math.sin(turn)), rounded(Math.cos(turn))];
  const length = width * Math.abs(across) + height * Math.abs(up);
  return (right, down) => Math.min(1, Math.max(0, (right * across - down * up) / length + 0.5));
}

function rounded(value: number): number {
  return Math.round(value * DIGITS) / DIGITS;
}
