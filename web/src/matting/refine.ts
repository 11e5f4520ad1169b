/**
 * Matting: the opacity of hair, fur and cloth, solved for in the band where an alpha is uncertain; the arithmetic of
 * `liftout.matting`, step by step, with the same sizes of numbers.
 *
 * Source: Levin, Lischinski, Weiss 2008, "A Closed-Form Solution to Natural Image Matting", IEEE TPAMI 30(2).
 */
import { halfToEven } from "../compose/rounding.js";
import { enlargeInto } from "./enlarge.js";
import { solveBand } from "./laplacian.js";

type Bytes = Uint8Array<ArrayBuffer>;
type Reals = Float32Array<ArrayBuffer>;

const SURE = 12; // levels from 0 or 255 up to which an alpha counts as sure
const TILE_UNKNOWN = 250_000; // unknown pixels, of those that the solver sees, up to which the band is solved as one
const SMALL_BAND = 20_000; // unknown pixels up to which the band is solved at full size
const TILE = 512;
const OVERLAP = 64;

/** Rows and columns [first, last) of a plane. */
interface Part {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** A photo or a part of one: colours uint8 [H, W, 3], the alpha that is known or begun with in [0, 1], and whether it is unknown. */
interface Plane {
  width: number;
  height: number;
  image: Bytes;
  known: Reals;
  unknown: Bytes;
}

/**
 * An alpha with its uncertain band solved again.
 *
 * alpha: uint8 [H, W]. image: uint8 [H, W, 3], sRGB, as the network saw it. cell: how many of the photo's pixels one pixel of the
 * prediction covers; the coarser the prediction, the wider the band.
 */
export function refine(alpha: Bytes, image: Bytes, [height, width]: readonly [number, number], cell: number): Bytes {
  const unknown = bandOf(alpha, width, height, bandRadius(height, width, cell));
  const band = count(unknown);
  if (!band) return alpha;
  // outside of the band an alpha is sure enough to count as 0 or 1
  const begin = new Uint8Array(alpha.length);
  const known = new Float32Array(alpha.length);
  for (let i = 0; i < alpha.length; i++) {
    begin[i] = unknown[i] ? alpha[i]! : alpha[i]! > 127 ? 255 : 0;
    known[i] = begin[i]! / 255;
  }
  const whole: Plane = { width, height, image, known, unknown };
  let solved = known;
  if (band <= SMALL_BAND) solved = solveTiles(whole);
  else {
    const half = halved(whole, begin);
    enlargeInto(solved, whole, { ...half, alpha: solveTiles(half) });
  }
  const result = alpha.slice();
  for (let i = 0; i < alpha.length; i++) if (unknown[i]) result[i] = halfToEven(Math.fround(solved[i]! * 255));
  return result;
}

/** Pixels by which the band reaches beyond what is soft: strands that the network did not see at all lie there. */
export function bandRadius(height: number, width: number, cell: number): number {
  return Math.min(80, Math.max(2, halfToEven(1.5 * cell), halfToEven(0.006 * Math.max(height, width))));
}

/** 1 for soft pixels and edges, widened by `radius` pixels: where both something of the subject and something else is near. */
function bandOf(alpha: Bytes, width: number, height: number, radius: number): Bytes {
  const [subject, other] = [new Uint8Array(alpha.length), new Uint8Array(alpha.length)];
  for (let i = 0; i < alpha.length; i++) {
    subject[i] = Number(alpha[i]! > SURE);
    other[i] = Number(alpha[i]! < 255 - SURE);
  }
  near(subject, width, height, radius);
  near(other, width, height, radius);
  for (let i = 0; i < alpha.length; i++) subject[i]! &= other[i]!;
  return subject;
}

/** Set to 1 where a square of 2 radius + 1 pixels holds a 1. */
function near(mask: Bytes, width: number, height: number, radius: number): void {
  const across = new Uint8Array(mask.length);
  nearInLines(mask, across, radius, width, 1, height, width);
  nearInLines(across, mask, radius, height, width, width, 1);
}

/** The same along lines of `length` pixels that are `step` apart; there are `lines` of them, `line` apart. */
function nearInLines(from: Bytes, to: Bytes, radius: number, length: number, step: number, lines: number, line: number): void {
  for (let n = 0; n < lines; n++) {
    const start = n * line;
    let ones = 0;
    for (let i = 0; i < Math.min(radius, length); i++) ones += from[start + i * step]!;
    for (let i = 0; i < length; i++) {
      if (i + radius < length) ones += from[start + (i + radius) * step]!;
      if (i - radius > 0) ones -= from[start + (i - radius - 1) * step]!;
      to[start + i * step] = Number(ones > 0);
    }
  }
}

/** At half size, rounded up: means of 2 x 2 pixels, unknown where one of them is; the last row and column count twice where odd. */
function halved({ width, height, image, unknown }: Plane, begin: Bytes): Plane {
  const half: [number, number] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const size = half[0] * half[1];
  const made = { image: new Uint8Array(3 * size), known: new Float32Array(size), unknown: new Uint8Array(size) };
  for (let y = 0, to = 0; y < half[1]; y++) {
    const [above, below] = [2 * y * width, Math.min(2 * y + 1, height - 1) * width];
    for (let x = 0; x < half[0]; x++, to++) {
      const [left, right] = [2 * x, Math.min(2 * x + 1, width - 1)];
      const [a, b, c, d] = [above + left, above + right, below + left, below + right];
      for (let channel = 0; channel < 3; channel++) {
        const sum = image[3 * a + channel]! + image[3 * b + channel]! + image[3 * c + channel]! + image[3 * d + channel]!;
        made.image[3 * to + channel] = sum >> 2;
      }
      made.known[to] = (begin[a]! + begin[b]! + begin[c]! + begin[d]!) / 4 / 255;
      made.unknown[to] = unknown[a]! | unknown[b]! | unknown[c]! | unknown[d]!;
    }
  }
  return { width: half[0], height: half[1], ...made };
}

/** The band in one, or tile by tile: tiles meet on what is known, and blend where they overlap. Returns [H, W] in [0, 1]. */
function solveTiles(plane: Plane): Reals {
  const { width, height, known, unknown } = plane;
  if (count(unknown) <= TILE_UNKNOWN) return solveWithin(plane, { top: 0, bottom: height, left: 0, right: width });
  const total = new Float32Array(known.length);
  const weight = new Float32Array(known.length);
  for (const part of tiles(height, width)) {
    const solved = solveWithin(plane, part);
    const [down, across] = [ramp(part.top, part.bottom, height), ramp(part.left, part.right, width)];
    for (let y = part.top, from = 0; y < part.bottom; y++) {
      for (let x = part.left; x < part.right; x++, from++) {
        const share = Math.fround(down[y - part.top]! * across[x - part.left]!);
        total[y * width + x]! += Math.fround(solved[from]! * share);
        weight[y * width + x]! += share;
      }
    }
  }
  return known.map((value, i) => (unknown[i] && weight[i]! > 0 ? total[i]! / Math.max(weight[i]!, 1e-6) : value));
}

function tiles(height: number, width: number): Part[] {
  const parts: Part[] = [];
  for (let top = 0; top < height; top += TILE) {
    for (let left = 0; left < width; left += TILE) {
      parts.push({
        top: Math.max(0, top - OVERLAP),
        bottom: Math.min(height, top + TILE + OVERLAP),
        left: Math.max(0, left - OVERLAP),
        right: Math.min(width, left + TILE + OVERLAP),
      });
    }
  }
  return parts;
}

/** Weights along one side of a tile: they fall towards inner borders, so that neighbours blend. */
function ramp(start: number, stop: number, length: number): number[] {
  return Array.from({ length: stop - start }, (_, i) => {
    const rising = start === 0 ? 1 : Math.min(1, (i + 0.5) / (2 * OVERLAP));
    const falling = stop === length ? 1 : Math.min(1, (stop - start - i - 0.5) / (2 * OVERLAP));
    return Math.min(rising, falling);
  });
}

/** A part with its band solved: of that, the bounding box with the frame of known pixels that its equations use. */
function solveWithin(plane: Plane, part: Part): Reals {
  const cut = crop(plane, part);
  const box = boxOf(cut);
  if (!box) return cut.known;
  const inner = crop(cut, box);
  const solved = solveBand(inner);
  const row = box.right - box.left;
  for (let y = 0; y < inner.height; y++) cut.known.set(solved.subarray(y * row, (y + 1) * row), (box.top + y) * cut.width + box.left);
  return cut.known;
}

function boxOf({ unknown, width, height }: Plane): Part | null {
  const box = { top: height, bottom: 0, left: width, right: 0 };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!unknown[i]) continue;
      box.top = Math.min(box.top, y);
      box.bottom = y + 1;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
    }
  }
  if (!box.bottom) return null;
  return {
    top: Math.max(0, box.top - 2),
    bottom: Math.min(height, box.bottom + 2),
    left: Math.max(0, box.left - 2),
    right: Math.min(width, box.right + 2),
  };
}

function crop({ width, image, known, unknown }: Plane, { top, bottom, left, right }: Part): Plane {
  const [across, down] = [right - left, bottom - top];
  const made = { image: new Uint8Array(3 * across * down), known: new Float32Array(across * down), unknown: new Uint8Array(across * down) };
  for (let y = 0; y < down; y++) {
    const [from, to] = [(top + y) * width + left, y * across];
    made.image.set(image.subarray(3 * from, 3 * (from + across)), 3 * to);
    made.known.set(known.subarray(from, from + across), to);
    made.unknown.set(unknown.subarray(from, from + across), to);
  }
  return { width: across, height: down, ...made };
}

function count(mask: Bytes): number {
  let ones = 0;
  for (let i = 0; i < mask.length; i++) ones += mask[i]!;
  return ones;
}
