/**
 * The photo out of focus, without its subject: what `--background blur` shows, with the arithmetic of
 * `liftout.compose.background.blurred_scene`.
 *
 * The subject's place is first filled from what surrounds it, so that none of its colours bleed out (push and pull over a pyramid:
 * Gortler et al. 1996, "The Lumigraph", section 3.4.1, doi:10.1145/237170.237200). The work is done at a resolution that the blur
 * leaves nothing of.
 */
import { reduced, resized, type Raster } from "../images/resampling.js";
import { gaussianBlur } from "./gaussian.js";
import { halfToEven } from "./rounding.js";

type Bytes = Uint8Array<ArrayBuffer>;
type Levels = Raster<Bytes>;
type Real = Raster<Float32Array<ArrayBuffer>>;

/** Standard deviation of the blur, of the photo's longer side. */
const SHARE = 0.02;
const TOUCHED = 8; // alpha from which a pixel carries the subject's colours
const WHOLE = 0.999;
const FILL_FACTOR = 4; // the subject is painted over at a quarter of the resolution, or less
const LEAST = 1e-6;

/** A part of a photo in pixels, with fractions. */
export interface Part {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** What is to be shown of a photo, and how large, in pixels. */
export interface View {
  part: Part;
  width: number;
  height: number;
}

/** The middle of a photo, as much as covers another size. */
export function covering({ width: wide, height: high }: { width: number; height: number }, width: number, height: number): View {
  const scale = Math.max(height / high, width / wide);
  const [across, down] = [width / scale, height / scale];
  return { part: { left: (wide - across) / 2, top: (high - down) / 2, width: across, height: down }, width, height };
}

/**
 * uint8 RGBA of a view of a photo, uint8 rgb [height, width, 3] with its alpha. radius: standard deviation of the blur in pixels of the
 * view; 0 chooses one.
 */
export function blurredScene(rgb: Bytes, alpha: Bytes, width: number, height: number, view: View, radius = 0): Uint8ClampedArray<ArrayBuffer> {
  const { part } = view;
  const sigma = radius ? radius / (view.width / part.width) : SHARE * Math.max(width, height);
  const factor = Math.max(1, Math.min(Math.floor(sigma / 3), width, height));
  const soft = gaussianBlur(withoutSubject({ data: rgb, width, height, channels: 3 }, alpha, factor), sigma / factor);
  // both ends within the picture: the last cell of a side may be smaller than the others
  const within = (edge: number, limit: number): number => Math.min(Math.max(edge / factor, 0), limit);
  const { left, top } = part;
  const window: [number, number, number, number] = [
    within(left, soft.width),
    within(top, soft.height),
    within(left + part.width, soft.width),
    within(top + part.height, soft.height),
  ];
  return opaque(resized(soft, view.width, view.height, "bicubic", window).data);
}

function opaque(rgb: Bytes): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  for (let i = 0, to = 0; i < rgb.length; i += 3, to += 4) for (let c = 0; c < 3; c++) rgba[to + c] = rgb[i + c]!;
  return rgba;
}

/** The photo reduced by `factor`, its subject painted over. */
function withoutSubject(photo: Levels, alpha: Bytes, factor: number): Levels {
  const coarse = Math.max(factor, FILL_FACTOR);
  const { width, height } = photo;
  const rest = Float32Array.from(alpha, (level) => (level < TOUCHED ? 1 : 0));
  const share = reduced({ data: rest, width, height, channels: 1 }, coarse);
  const known = eroded(share.data.map((value) => (value > WHOLE ? 1 : 0)), share.width, share.height);
  if (!known.includes(1)) return reduced(photo, factor); // the subject is everywhere: there is only its own blur to show
  const shown = Float32Array.from(photo.data, (level, i) => level * rest[Math.floor(i / 3)]!);
  const painted = filled(reduced({ ...photo, data: shown }, coarse), known);
  const levels: Levels = { ...painted, data: Uint8Array.from(painted.data, halfToEven) };
  return coarse === factor ? levels : composed(levels, known, reduced(photo, factor));
}

/** The photo where `known` says that it is no subject, else what was painted. */
function composed(painted: Levels, known: Float32Array, photo: Levels): Levels {
  const { width, height } = photo;
  const large = resized(painted, width, height, "bilinear").data;
  const data = new Uint8Array(photo.data.length);
  for (let y = 0, i = 0; y < height; y++) {
    const row = nearest(y, height, painted.height) * painted.width;
    for (let x = 0; x < width; x++) {
      const from = known[row + nearest(x, width, painted.width)] ? photo.data : large;
      for (let c = 0; c < 3; c++, i++) data[i] = from[i]!;
    }
  }
  return { ...photo, data };
}

function nearest(at: number, of: number, size: number): number {
  return Math.min(size - 1, Math.floor((at + 0.5) * (size / of)));
}

/** Colours where `mask` says that they are known, elsewhere what their surroundings suggest. */
function filled(colours: Real, mask: Float32Array<ArrayBuffer>): Real {
  const known: Real = { ...colours, data: mask, channels: 1 };
  let sums: Real = { ...colours, data: colours.data.map((value, i) => value * mask[Math.floor(i / 3)]!) };
  let weights = known;
  const pyramid = [{ sums, weights }];
  while (Math.max(weights.width, weights.height) > 1) {
    const share = reduced(weights, 2);
    const full = share.data.map((value) => Math.min(value * 4, 1)); // one known pixel of four is as good as four
    const means = reduced(sums, 2);
    sums = { ...means, data: means.data.map((value, i) => (value / Math.max(share.data[Math.floor(i / 3)]!, LEAST)) * full[Math.floor(i / 3)]!) };
    weights = { ...share, data: full };
    pyramid.push({ sums, weights });
  }
  const top = pyramid.pop()!;
  let guess: Real = { ...top.sums, data: top.sums.data.map((value, i) => value / Math.max(top.weights.data[Math.floor(i / 3)]!, LEAST)) };
  for (const { sums, weights } of pyramid.reverse()) {
    const grown = resized(guess, sums.width, sums.height, "bilinear").data;
    guess = { ...sums, data: sums.data.map((value, i) => value + grown[i]! * (1 - weights.data[Math.floor(i / 3)]!)) };
  }
  return { ...guess, data: guess.data.map((value) => Math.min(255, Math.max(0, value))) };
}

/** The mask without its outermost ring, unless that is all of it: cells there hold pixels that the subject coloured. */
function eroded(mask: Float32Array<ArrayBuffer>, width: number, height: number): Float32Array<ArrayBuffer> {
  const at = (x: number, y: number): number => mask[Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))]!;
  const inner = mask.map((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) if (!at(x + dx, y + dy)) return 0;
    return 1;
  });
  return inner.includes(1) ? inner : mask;
}
