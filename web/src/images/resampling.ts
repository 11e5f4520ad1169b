/**
 * Resizing with Pillow's arithmetic, so that what Python does with it has the same levels here.
 *
 * A plane is [H, W, channels]: uint8, each pass rounded to levels as Pillow does, or float32.
 * Source: Pillow 11 to 13, `Reduce.c` and `Resample.c`.
 */

export type Plane = Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/** A plane with its size in pixels. */
export interface Raster<P extends Plane = Plane> {
  data: P;
  width: number;
  height: number;
  channels: number;
}

export type Filter = "bilinear" | "bicubic";

/** A part of a raster in pixels, with fractions; right and bottom exclusive. */
export type Part = [left: number, top: number, right: number, bottom: number];

const SUPPORT: Record<Filter, number> = { bilinear: 1, bicubic: 2 };
const BITS = 22; // of the fraction of a weight of levels

/** Means of cells of `factor` x `factor` pixels: [ceil(H / factor), ceil(W / factor), channels]. Those at the end may be smaller. */
export function reduced<P extends Plane>({ data, width, height, channels }: Raster<P>, factor: number): Raster<P> {
  const [wide, high] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const sums = new Float64Array(wide * high * channels);
  for (let y = 0, from = 0; y < height; y++) {
    const row = Math.floor(y / factor) * wide;
    for (let x = 0; x < width; x++) {
      const to = (row + Math.floor(x / factor)) * channels;
      for (let c = 0; c < channels; c++) sums[to + c]! += data[from++]!;
    }
  }
  const out = alike(data, sums.length);
  const levels = data instanceof Uint8Array;
  for (let y = 0, at = 0; y < high; y++) {
    const rows = Math.min(factor, height - y * factor);
    for (let x = 0; x < wide; x++) {
      const count = rows * Math.min(factor, width - x * factor);
      for (let c = 0; c < channels; c++, at++) out[at] = levels ? levelOf(sums[at]!, count) : sums[at]! / count;
    }
  }
  return { data: out, width: wide, height: high, channels };
}

/** Mean of `count` levels, rounded as Pillow rounds: by a multiplication with 2^24 / count. */
function levelOf(sum: number, count: number): number {
  const multiplier = Math.floor(2 ** 24 / count);
  return Math.floor(((sum + Math.floor(count / 2)) * multiplier) / 2 ** 24);
}

/** Resize a part of a raster to `width` x `height` pixels, antialiased where it shrinks. */
export function resized<P extends Plane>(raster: Raster<P>, width: number, height: number, filter: Filter, part?: Part): Raster<P> {
  const [left, top, right, bottom] = part ?? [0, 0, raster.width, raster.height];
  const across = weightsOf(raster.width, left, right, width, filter);
  const down = weightsOf(raster.height, top, bottom, height, filter);
  return vertical(horizontal(raster, across), down);
}

/** Which pixels an output pixel is made of, and how much of each. */
interface Weights {
  starts: Int32Array;
  counts: Int32Array;
  /** `most` of each output pixel. */
  values: Float64Array;
  most: number;
  /** Nothing to do: output pixels are input pixels. */
  same: boolean;
}

function weightsOf(size: number, first: number, last: number, out: number, filter: Filter): Weights {
  const [from, to] = [Math.fround(first), Math.fround(last)]; // Pillow keeps them as floats
  const scale = Math.fround(to - from) / out;
  const stretch = Math.max(1, scale);
  const support = SUPPORT[filter] * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const same = out === size && from === 0 && to === size;
  const weights = { starts: new Int32Array(out), counts: new Int32Array(out), values: new Float64Array(out * most), most, same };
  for (let i = 0; i < out; i++) {
    const center = from + (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(size, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let n = 0; n < count; n++) sum += weights.values[i * most + n] = weightAt((n + start - center + 0.5) / stretch, filter);
    for (let n = 0; n < count; n++) weights.values[i * most + n]! /= sum || 1;
    weights.starts[i] = start;
    weights.counts[i] = count;
  }
  return weights;
}

function weightAt(distance: number, filter: Filter): number {
  const x = Math.abs(distance);
  if (filter === "bilinear") return Math.max(0, 1 - x);
  const a = -0.5; // Keys 1981, doi:10.1109/TASSP.1981.1163711
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function horizontal<P extends Plane>({ data, width, height, channels }: Raster<P>, weights: Weights): Raster<P> {
  if (weights.same) return { data, width, height, channels };
  const wide = weights.starts.length;
  const out = alike(data, wide * height * channels);
  const values = valuesFor(data, weights);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < wide; x++) {
      const first = (y * width + weights.starts[x]!) * channels;
      for (let c = 0; c < channels; c++) out[at++] = weighted(data, first + c, channels, values, x * weights.most, weights.counts[x]!);
    }
  }
  return { data: out, width: wide, height, channels };
}

function vertical<P extends Plane>({ data, width, height, channels }: Raster<P>, weights: Weights): Raster<P> {
  if (weights.same) return { data, width, height, channels };
  const high = weights.starts.length;
  const row = width * channels;
  const out = alike(data, high * row);
  const values = valuesFor(data, weights);
  for (let y = 0, at = 0; y < high; y++) {
    const first = weights.starts[y]! * row;
    for (let i = 0; i < row; i++) out[at++] = weighted(data, first + i, row, values, y * weights.most, weights.counts[y]!);
  }
  return { data: out, width, height: high, channels };
}

function valuesFor(data: Plane, { values }: Weights): Float64Array {
  return data instanceof Uint8Array ? values.map((value) => Math.trunc(value * 2 ** BITS + (value < 0 ? -0.5 : 0.5))) : values;
}

function weighted(data: Plane, first: number, step: number, values: Float64Array, from: number, count: number): number {
  let sum = 0;
  for (let n = 0; n < count; n++) sum += data[first + n * step]! * values[from + n]!;
  return data instanceof Uint8Array ? Math.min(255, Math.max(0, Math.floor((sum + 2 ** (BITS - 1)) / 2 ** BITS))) : sum;
}

function alike<P extends Plane>(plane: P, length: number): P {
  return new (plane.constructor as new (length: number) => P)(length);
}
