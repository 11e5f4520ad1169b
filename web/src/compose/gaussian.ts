/**
 * Pillow's Gaussian blur: three box blurs in a row, whose boxes have soft ends, each rounded to levels.
 *
 * Source: Pillow 11 to 13, `BoxBlur.c`; Gwosdek et al. 2011, "Theoretical Foundations of Gaussian Convolution by Extended Box
 * Filtering", SSVM.
 */
import type { Raster } from "../images/resampling.js";

type Levels = Raster<Uint8Array<ArrayBuffer>>;

const PASSES = 3;

/** sigma: standard deviation in pixels. The edge goes on beyond itself. */
export function gaussianBlur(raster: Levels, sigma: number): Levels {
  const radius = boxRadius(sigma);
  const { width, height, channels } = raster;
  let data = raster.data;
  const row = width * channels;
  for (let pass = 0; pass < PASSES; pass++) data = boxBlur(data, radius, { length: width, step: channels, lines: height, line: row, channels });
  for (let pass = 0; pass < PASSES; pass++) data = boxBlur(data, radius, { length: height, step: row, lines: width, line: channels, channels });
  return { ...raster, data };
}

/** Radius of a box with soft ends of which three give a Gaussian. */
function boxRadius(sigma: number): number {
  const variance = (sigma * sigma) / PASSES;
  const whole = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const rest = ((2 * whole + 1) * (whole * (whole + 1) - 3 * variance)) / (6 * (variance - (whole + 1) * (whole + 1)));
  return whole + rest;
}

/** How lines of pixels lie in a plane. */
interface Lines {
  length: number;
  step: number;
  lines: number;
  line: number;
  channels: number;
}

function boxBlur(from: Uint8Array<ArrayBuffer>, radius: number, { length, step, lines, line, channels }: Lines): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(from.length);
  const whole = Math.floor(radius);
  const inner = Math.floor(2 ** 24 / (radius * 2 + 1));
  const outer = Math.floor((2 ** 24 - (whole * 2 + 1) * inner) / 2);
  const last = length - 1;
  for (let n = 0; n < lines; n++) {
    for (let c = 0; c < channels; c++) {
      const start = n * line + c;
      const at = (i: number): number => from[start + Math.min(last, Math.max(0, i)) * step]!;
      let sum = 0;
      for (let i = -whole; i <= whole; i++) sum += at(i);
      for (let i = 0; i < length; i++) {
        const ends = at(i - whole - 1) + at(i + whole + 1);
        out[start + i * step] = Math.floor((sum * inner + ends * outer + 2 ** 23) / 2 ** 24);
        sum += at(i + whole + 1) - at(i - whole);
      }
    }
  }
  return out;
}
