/**
 * Pillow's Gaussian blur: three box blurs in a row, whose boxes have soft ends, each rounded to levels.
 *
 * Source: Pillow 11 to 13, `BoxBlur.c`; Gwosdek et al. 2011, "Theoretical Foundations of Gaussian Convolution by Extended Box
 * Filtering", SSVM.
 */
import type { Raster } from "../images/resampling.js";

type Bytes = Uint8Array<ArrayBuffer>;
type Levels = Raster<Bytes>;

const PASSES = 3;
const ONE = 2 ** 24; // weights have 24 bits after the point
const HALF = 2 ** 23;

/** sigma: standard deviation in pixels. The edge goes on beyond itself. */
export function gaussianBlur(raster: Levels, sigma: number): Levels {
  const { width, height, channels } = raster;
  const box = boxOf(sigma);
  let [from, to] = [raster.data, new Uint8Array(raster.data.length)];
  for (let pass = 0; pass < 2 * PASSES; pass++) {
    if (pass < PASSES) blurRows(from, to, box, width, height, channels);
    else blurColumns(from, to, box, width * channels, height);
    [from, to] = [to, pass ? from : new Uint8Array(from.length)];
  }
  return { ...raster, data: from };
}

/** How many pixels away a blur of this standard deviation can be seen at most. */
export function reachOf(sigma: number): number {
  return PASSES * (boxOf(sigma).whole + 1);
}

/** A box of 2 `whole` + 1 pixels and one more at each end, and the weights of both. */
interface Box {
  whole: number;
  inner: number;
  outer: number;
}

/** The box with soft ends of which three give a Gaussian; Pillow computes it in single precision. */
function boxOf(sigma: number): Box {
  const single = Math.fround;
  const variance = single(single(single(sigma) * single(sigma)) / PASSES);
  const whole = Math.floor((single(Math.sqrt(12 * variance + 1)) - 1) / 2);
  const above = single((2 * whole + 1) * (whole * (whole + 1) - 3 * variance));
  const below = single(6 * single(variance - (whole + 1) * (whole + 1)));
  const radius = single(whole + single(above / below));
  const inner = Math.floor(single(ONE / single(radius * 2 + 1)));
  return { whole: Math.floor(radius), inner, outer: Math.floor((ONE - (Math.floor(radius) * 2 + 1) * inner) / 2) };
}

function blurRows(from: Bytes, to: Bytes, { whole, inner, outer }: Box, width: number, height: number, channels: number): void {
  const last = width - 1;
  for (let line = 0; line < height; line++) {
    for (let c = 0; c < channels; c++) {
      const start = line * width * channels + c;
      const at = (i: number): number => from[start + (i < 0 ? 0 : i > last ? last : i) * channels]!;
      let sum = 0;
      for (let i = -whole; i <= whole; i++) sum += at(i);
      for (let i = 0; i < width; i++) {
        const [before, after] = [at(i - whole - 1), at(i + whole + 1)];
        to[start + i * channels] = (sum * inner + (before + after) * outer + HALF) / ONE;
        sum += after - at(i - whole);
      }
    }
  }
}

/** Row by row, with a running sum of each column: memory is read in its order. row: samples in one. */
function blurColumns(from: Bytes, to: Bytes, { whole, inner, outer }: Box, row: number, height: number): void {
  const at = (i: number): number => Math.min(height - 1, Math.max(0, i)) * row;
  const sums = new Int32Array(row);
  for (let i = -whole; i <= whole; i++) {
    for (let x = 0, above = at(i); x < row; x++) sums[x]! += from[above + x]!;
  }
  for (let i = 0; i < height; i++) {
    const [before, first, after, here] = [at(i - whole - 1), at(i - whole), at(i + whole + 1), i * row];
    for (let x = 0; x < row; x++) {
      const next = from[after + x]!;
      to[here + x] = (sums[x]! * inner + (from[before + x]! + next) * outer + HALF) / ONE;
      sums[x]! += next - from[first + x]!;
    }
  }
}
