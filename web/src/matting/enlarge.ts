/**
 * From half size to full size by local affine functions of the colour; the arithmetic of `liftout.matting.enlarge`, in float32 as there.
 *
 * Around every pixel of half size alpha is fitted as an affine function of the colour, over 3 x 3 pixels, exact at the pixel itself;
 * between pixels the functions are interpolated, and applied to the photo's own colours.
 *
 * Source: He, Sun 2015, "Fast Guided Filter".
 */

type Bytes = Uint8Array<ArrayBuffer>;
type Reals = Float32Array<ArrayBuffer>;

const SLOPE_COST = Math.fround(1e-5); // what a slope costs, for colours in [0, 1]
const { fround } = Math;

/** Colours uint8 [h, w, 3] and their alpha [h, w] in [0, 1], of half size. */
interface Half {
  width: number;
  height: number;
  image: Bytes;
  alpha: Reals;
}

/** Give the unknown pixels of `alpha` [H, W] the values in [0, 1] that `half` has there. */
export function enlargeInto(
  alpha: Reals,
  { width, height, image, unknown }: { width: number; height: number; image: Bytes; unknown: Bytes },
  half: Half,
): void {
  const affine = new Affine(half);
  const functions = new Float32Array(16); // of the four pixels around a place
  for (let y = 0, i = 0; y < height; y++) {
    const [top, down] = cellOf(y, half.height);
    const below = Math.min(top + 1, half.height - 1);
    for (let x = 0; x < width; x++, i++) {
      if (!unknown[i]) continue;
      const [left, across] = cellOf(x, half.width);
      const right = Math.min(left + 1, half.width - 1);
      affine.read(top, left, functions, 0);
      affine.read(top, right, functions, 4);
      affine.read(below, left, functions, 8);
      affine.read(below, right, functions, 12);
      let opacity = between(functions, 3, down, across);
      for (let channel = 0; channel < 3; channel++) {
        const share = fround(image[3 * i + channel]! / 255);
        opacity = fround(opacity + fround(between(functions, channel, down, across) * share));
      }
      alpha[i] = Math.min(1, Math.max(0, opacity));
    }
  }
}

/** Where a pixel of full size lies at half size, 0 in the middle of the first: the pixel before it, and the share of the next. */
function cellOf(at: number, length: number): [number, number] {
  const place = Math.min(Math.max(at / 2 - 0.25, 0), length - 1);
  const first = Math.min(Math.floor(place), Math.max(0, length - 2));
  return [first, fround(place - first)];
}

/** Bilinear interpolation of one of the four numbers of four functions. */
function between(functions: Reals, which: number, down: number, across: number): number {
  const mix = (one: number, other: number, share: number): number => fround(fround(one * fround(1 - share)) + fround(other * share));
  const above = mix(functions[which]!, functions[4 + which]!, across);
  const under = mix(functions[8 + which]!, functions[12 + which]!, across);
  return mix(above, under, down);
}

/** The affine functions: three slopes and a shift for each pixel, found when they are first read. */
class Affine {
  #found: Reals;
  #isFound: Bytes;

  constructor(private half: Half) {
    this.#found = new Float32Array(4 * half.alpha.length);
    this.#isFound = new Uint8Array(half.alpha.length);
  }

  read(y: number, x: number, into: Reals, at: number): void {
    const i = y * this.half.width + x;
    if (!this.#isFound[i]) {
      this.#fit(y, x, 4 * i);
      this.#isFound[i] = 1;
    }
    for (let k = 0; k < 4; k++) into[at + k] = this.#found[4 * i + k]!;
  }

  #fit(y: number, x: number, to: number): void {
    const { width, height, image, alpha } = this.half;
    const rows = [Math.max(0, y - 1), y, Math.min(height - 1, y + 1)];
    const columns = [Math.max(0, x - 1), x, Math.min(width - 1, x + 1)];
    const colour = (i: number, channel: number): number => fround(image[3 * i + channel]! / 255);
    /** Mean of 3 x 3 values: along columns first, each mean in float32. */
    const mean = (value: (i: number) => number): number => {
      let total = 0;
      for (const column of columns) {
        let sum = 0;
        for (const row of rows) sum += value(row * width + column);
        total += fround(sum / 3);
      }
      return fround(total / 3);
    };
    const level = mean((i) => alpha[i]!);
    const means = [0, 1, 2].map((channel) => mean((i) => colour(i, channel)));
    const together = means.map((of, channel) => fround(mean((i) => fround(colour(i, channel) * alpha[i]!)) - fround(of * level)));
    const spread = (one: number, other: number): number =>
      fround(mean((i) => fround(colour(i, one) * colour(i, other))) - fround(means[one]! * means[other]!));
    const weighted = (one: number): number => fround(spread(one, one) + SLOPE_COST);
    const slope = solve3([weighted(0), spread(0, 1), spread(0, 2), weighted(1), spread(1, 2), weighted(2)], together);
    const here = y * width + x;
    let product = 0;
    for (let channel = 0; channel < 3; channel++) {
      this.#found[to + channel] = slope[channel]!;
      product = fround(product + fround(this.#found[to + channel]! * colour(here, channel)));
    }
    this.#found[to + 3] = alpha[here]! - product;
  }
}

/** Solution of a symmetric positive definite system of three equations; its matrix by rows, from the diagonal on. */
function solve3([a, b, c, d, e, f]: number[], [p, q, r]: number[]): [number, number, number] {
  const [down1, down2] = [b! / a!, c! / a!];
  const [d1, e1, f1] = [d! - down1 * b!, e! - down1 * c!, f! - down2 * c!];
  const [q1, r1] = [q! - down1 * p!, r! - down2 * p!];
  const down3 = e1 / d1;
  const z = (r1 - down3 * q1) / (f1 - down3 * e1);
  const y = (q1 - e1 * z) / d1;
  return [(p! - b! * y - c! * z) / a!, y, z];
}
