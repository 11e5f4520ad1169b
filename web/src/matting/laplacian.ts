/**
 * The matting Laplacian over the unknown pixels of a band, and conjugate gradients with a coarse space for it; the arithmetic of
 * `liftout.matting.laplacian`.
 *
 * Over every window of 3 x 3 pixels alpha is taken to be an affine function of the colour. Least squares over all windows leaves one
 * equation per unknown pixel, with its 24 neighbours; known pixels are constants in it.
 *
 * Sources: Levin et al. 2008, equation 12 (the Laplacian). Nicolaides 1987, "Deflation of Conjugate Gradients with Applications to
 * Boundary Value Problems", SIAM J. Numer. Anal. 24(2) (a space of functions on blocks, solved exactly, beside an iteration).
 */
import type { Sparse } from "./cholesky.js";
import { CoarseSpace } from "./coarse.js";

type Bytes = Uint8Array<ArrayBuffer>;
type Reals = Float32Array<ArrayBuffer>;

const SMOOTHNESS = 1e-7; // epsilon of the literature: how much a slope costs, for colours in [0, 1]
const TOLERANCE = 3e-3; // residual at which the solver stops, as a share of the right side
const MOST_STEPS = 200;
const TRUST = 1e-3; // how strongly an unknown pixel is held to the alpha that it begins with, where that is one half
const SURE_TRUST = 30; // how many times more where it is 0 or 1
const DAMPING = 0.7;
const SHIFTS = 25; // neighbours at -2 to 2 rows and columns, itself included
const ITSELF = 12;
const OFFSETS = [0, 1, 2, 5, 6, 7, 10, 11, 12]; // shifts between the first pixel of a window and each of its 9

/** A band: colours uint8 [H, W, 3], [H, W] of the alpha that is known or begun with, and whether it is unknown. */
interface Band {
  width: number;
  height: number;
  image: Bytes;
  known: Reals;
  unknown: Bytes;
}

/** Opacity [H, W] in [0, 1]: `known`, with its unknown pixels solved. */
export function solveBand(band: Band): Reals {
  const { width, height, image, known, unknown } = band;
  const alpha = known.slice();
  if (Math.min(width, height) < 3) return alpha;
  const places = placesOf(unknown);
  const { matrix, right } = equations(band, places);
  const begin = new Float64Array(places.length);
  for (let i = 0; i < places.length; i++) begin[i] = known[places[i]!]!;
  const coarse = new CoarseSpace(matrix, places, width, image);
  const solution = conjugateGradients(matrix, right, begin, coarse);
  for (let i = 0; i < places.length; i++) alpha[places[i]!] = Math.min(1, Math.max(0, solution[i]!));
  return alpha;
}

function placesOf(mask: Bytes): Int32Array {
  const places = new Int32Array(mask.length);
  let found = 0;
  for (let i = 0; i < mask.length; i++) if (mask[i]) places[found++] = i;
  return places.slice(0, found);
}

/** The matrix between unknown pixels, each of them held to its start, and the right side that known neighbours add to. */
function equations(band: Band, places: Int32Array): { matrix: Sparse; right: Float64Array } {
  const { width, height, known, unknown } = band;
  const number = new Int32Array(width * height).fill(-1);
  places.forEach((place, i) => (number[place] = i));
  const stencil = stencilOf(band, number, places.length);
  const matrix = {
    starts: new Int32Array(places.length + 1),
    columns: new Int32Array(places.length * SHIFTS),
    values: new Float64Array(places.length * SHIFTS),
  };
  const right = new Float64Array(places.length);
  let filled = 0;
  for (let i = 0; i < places.length; i++) {
    const [x, y] = [places[i]! % width, Math.floor(places[i]! / width)];
    const begin = known[places[i]!]!;
    const trust = TRUST * (1 + SURE_TRUST * (2 * begin - 1) ** 4);
    stencil[SHIFTS * i + ITSELF]! += trust;
    right[i]! += trust * begin;
    for (let shift = 0; shift < SHIFTS; shift++) {
      const [row, column] = [y + Math.floor(shift / 5) - 2, x + (shift % 5) - 2];
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      const neighbour = row * width + column;
      const value = stencil[SHIFTS * i + shift]!;
      if (unknown[neighbour]) {
        matrix.columns[filled] = number[neighbour]!;
        matrix.values[filled++] = value;
      } else right[i]! -= value * known[neighbour]!;
    }
    matrix.starts[i + 1] = filled;
  }
  matrix.columns = matrix.columns.subarray(0, filled);
  matrix.values = matrix.values.subarray(0, filled);
  return { matrix, right };
}

/** What all windows add to the equations: [unknown pixels, 25], by shift. */
function stencilOf({ width, height, image, unknown }: Band, number: Int32Array, count: number): Float64Array {
  const stencil = new Float64Array(count * SHIFTS);
  const around = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((across) => down * width + across));
  const white = new Float64Array(27);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const centre = y * width + x;
      if (!around.some((step) => unknown[centre + step])) continue;
      whiten(image, centre, around, white);
      for (let one = 0; one < 9; one++) {
        const row = number[centre + around[one]!]!;
        if (row < 0) continue;
        const [a, b, c] = [white[3 * one]!, white[3 * one + 1]!, white[3 * one + 2]!];
        const at = SHIFTS * row + ITSELF - OFFSETS[one]!;
        for (let other = 0; other < 9; other++) {
          const weight = a * white[3 * other]! + b * white[3 * other + 1]! + c * white[3 * other + 2]!;
          stencil[at + OFFSETS[other]!]! += Number(one === other) - (1 + weight) / 9;
        }
      }
    }
  }
  return stencil;
}

/**
 * Colours of a window of 9 pixels less their mean, in the coordinates in which their spread is one: products of two are the weights of
 * the Laplacian. Their covariance L L^T is solved by L alone: its smallest values are too small for a determinant.
 */
function whiten(image: Bytes, centre: number, around: number[], white: Float64Array): void {
  let [red, green, blue] = [0, 0, 0];
  for (let i = 0; i < 9; i++) {
    const from = 3 * (centre + around[i]!);
    red += white[3 * i] = image[from]! / 255;
    green += white[3 * i + 1] = image[from + 1]! / 255;
    blue += white[3 * i + 2] = image[from + 2]! / 255;
  }
  let [rr, rg, rb, gg, gb, bb] = [SMOOTHNESS, 0, 0, SMOOTHNESS, 0, SMOOTHNESS];
  for (let i = 0; i < 27; i += 3) {
    const r = (white[i]! -= red / 9);
    const g = (white[i + 1]! -= green / 9);
    const b = (white[i + 2]! -= blue / 9);
    rr += r * r;
    rg += r * g;
    rb += r * b;
    gg += g * g;
    gb += g * b;
    bb += b * b;
  }
  const first = Math.sqrt(rr / 9);
  const [down1, down2] = [rg / 9 / first, rb / 9 / first];
  const second = Math.sqrt(gg / 9 - down1 * down1);
  const down3 = (gb / 9 - down1 * down2) / second;
  const third = Math.sqrt(bb / 9 - down2 * down2 - down3 * down3);
  for (let i = 0; i < 27; i += 3) {
    const r = (white[i]! /= first);
    const g = (white[i + 1] = (white[i + 1]! - down1 * r) / second);
    white[i + 2] = (white[i + 2]! - down2 * r - down3 * g) / third;
  }
}

/** Preconditioned conjugate gradients from `start`: a smoothing step, the coarse space, and another smoothing step. */
function conjugateGradients(matrix: Sparse, right: Float64Array, start: Float64Array, coarse: CoarseSpace): Float64Array {
  const size = start.length;
  const damped = damping(matrix);
  const [solution, image, left] = [start.slice(), new Float64Array(size), new Float64Array(size)];
  const precondition = (residual: Float64Array, guess: Float64Array): void => {
    for (let i = 0; i < size; i++) guess[i] = damped[i]! * residual[i]!;
    remainder(matrix, guess, residual, left);
    coarse.addSolution(left, guess);
    remainder(matrix, guess, residual, left);
    for (let i = 0; i < size; i++) guess[i]! += damped[i]! * left[i]!;
  };
  const residual = new Float64Array(size);
  remainder(matrix, solution, right, residual);
  const enough = TOLERANCE * Math.max(Math.sqrt(dot(right, right)), 1e-12);
  const towards = new Float64Array(size);
  precondition(residual, towards);
  const direction = towards.slice();
  let product = dot(residual, towards);
  for (let step = 0; step < MOST_STEPS; step++) {
    if (Math.sqrt(dot(residual, residual)) <= enough || product <= 0) break;
    multiply(matrix, direction, image);
    const length = product / dot(direction, image);
    for (let i = 0; i < size; i++) {
      solution[i]! += length * direction[i]!;
      residual[i]! -= length * image[i]!;
    }
    precondition(residual, towards);
    const before = product;
    product = dot(residual, towards);
    for (let i = 0; i < size; i++) direction[i] = towards[i]! + (product / before) * direction[i]!;
  }
  return solution;
}

/** DAMPING over the diagonal. */
function damping({ starts, columns, values }: Sparse): Float64Array {
  const damped = new Float64Array(starts.length - 1);
  for (let i = 0; i < damped.length; i++) {
    for (let at = starts[i]!; at < starts[i + 1]!; at++) if (columns[at] === i) damped[i] = DAMPING / values[at]!;
  }
  return damped;
}

function multiply({ starts, columns, values }: Sparse, vector: Float64Array, product: Float64Array): void {
  for (let i = 0, at = 0; i < product.length; i++) {
    let sum = 0;
    for (const end = starts[i + 1]!; at < end; at++) sum += values[at]! * vector[columns[at]!]!;
    product[i] = sum;
  }
}

/** What `guess` leaves of the right side. */
function remainder(matrix: Sparse, guess: Float64Array, right: Float64Array, left: Float64Array): void {
  multiply(matrix, guess, left);
  for (let i = 0; i < left.length; i++) left[i] = right[i]! - left[i]!;
}

function dot(one: Float64Array, other: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i]! * other[i]!;
  return sum;
}
