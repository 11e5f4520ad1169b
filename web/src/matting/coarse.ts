/**
 * The coarse space of the solver: in every block of 5 x 5 pixels any affine function of the colour. These are what the matting Laplacian
 * hardly penalises, and what smoothing therefore does not reach. Its equations, the Laplacian between these functions, are solved exactly.
 */
import { Factor, dissected, type Sparse } from "./cholesky.js";

const BLOCK = 5; // side of the blocks, in pixels
const OWN = 4; // direction of a block to itself, of 3 x 3

export class CoarseSpace {
  /** Of every pixel: its block, in the order in which blocks are eliminated, and the functions' values, of which the first is 1. */
  #block: Int32Array;
  #values: Float64Array;
  #factor: Factor;
  #coefficients: Float64Array;

  /** places: of the unknown pixels in an image of this width. image: uint8 [H, W, 3]. */
  constructor(matrix: Sparse, places: Int32Array, width: number, image: Uint8Array) {
    const blocks = blocksOf(places, width);
    this.#block = blocks.of;
    this.#values = affine(places, image, blocks);
    this.#coefficients = new Float64Array(4 * blocks.count);
    this.#factor = new Factor(this.#equations(matrix, blocks));
  }

  /** Add the function of the space that answers a residual. */
  addSolution(residual: Float64Array, to: Float64Array): void {
    const [block, values, coefficients] = [this.#block, this.#values, this.#coefficients.fill(0)];
    for (let i = 0; i < residual.length; i++) {
      for (let k = 0; k < 4; k++) coefficients[4 * block[i]! + k]! += values[4 * i + k]! * residual[i]!;
    }
    this.#factor.solve(coefficients);
    for (let i = 0; i < residual.length; i++) {
      for (let k = 0; k < 4; k++) to[i]! += values[4 * i + k]! * coefficients[4 * block[i]! + k]!;
    }
  }

  /** The lower triangle of the space's matrix, by rows. */
  #equations(matrix: Sparse, { neighbours, x, y, count }: Blocks): Sparse {
    const [block, values] = [this.#block, this.#values];
    // of each block, 4 x 4 numbers for each neighbour that comes before it, and for itself
    const slots = new Int32Array(9 * count).fill(-1);
    let used = 0;
    for (let own = 0; own < count; own++) {
      for (let direction = 0; direction < 9; direction++) {
        const other = neighbours[9 * own + direction]!;
        if (other >= 0 && other <= own) slots[9 * own + direction] = used++;
      }
    }
    const products = new Float64Array(16 * used);
    const sums = new Float64Array(36);
    for (let i = 0; i < block.length; i++) {
      const own = block[i]!;
      sums.fill(0);
      for (let at = matrix.starts[i]!; at < matrix.starts[i + 1]!; at++) {
        const column = matrix.columns[at]!;
        const other = block[column]!;
        const direction = OWN + 3 * (y[other]! - y[own]!) + x[other]! - x[own]!;
        for (let k = 0; k < 4; k++) sums[4 * direction + k]! += matrix.values[at]! * values[4 * column + k]!;
      }
      for (let direction = 0; direction < 9; direction++) {
        const slot = slots[9 * own + direction]!;
        if (slot < 0) continue;
        for (let row = 0; row < 4; row++) {
          for (let k = 0; k < 4; k++) products[16 * slot + 4 * row + k]! += values[4 * i + row]! * sums[4 * direction + k]!;
        }
      }
    }
    return lowerTriangle(products, slots, neighbours, count);
  }
}

interface Blocks {
  /** The block of each pixel. */
  of: Int32Array;
  count: number;
  /** Row and column of each block. */
  y: Int32Array;
  x: Int32Array;
  /** [count, 9]: the blocks around each one and itself, -1 where there is none. */
  neighbours: Int32Array;
}

/** Blocks that hold a pixel, numbered in an order that keeps their elimination short. */
function blocksOf(places: Int32Array, width: number): Blocks {
  const across = Math.ceil(width / BLOCK) + 2; // none lies at the first or last column, so that neighbours do not wrap
  const keys = places.map((place) => (Math.floor(place / width / BLOCK) + 1) * across + Math.floor((place % width) / BLOCK) + 1);
  const order = dissected([...new Set(keys)].map((key) => ({ key, x: key % across, y: Math.floor(key / across) })));
  const number = new Map(order.map(({ key }, i) => [key, i]));
  const neighbours = new Int32Array(9 * order.length);
  order.forEach(({ key }, i) => {
    for (let direction = 0; direction < 9; direction++) {
      neighbours[9 * i + direction] = number.get(key + across * (Math.floor(direction / 3) - 1) + (direction % 3) - 1) ?? -1;
    }
  });
  return {
    of: keys.map((key) => number.get(key)!),
    count: order.length,
    y: Int32Array.from(order, ({ y }) => y),
    x: Int32Array.from(order, ({ x }) => x),
    neighbours,
  };
}

/** [pixels, 4]: 1, and the colour less the mean colour of the block. */
function affine(places: Int32Array, image: Uint8Array, { of, count }: Blocks): Float64Array {
  const totals = new Float64Array(4 * count);
  const values = new Float64Array(4 * places.length);
  for (let i = 0; i < places.length; i++) {
    values[4 * i] = 1;
    for (let channel = 0; channel < 3; channel++) values[4 * i + channel + 1] = image[3 * places[i]! + channel]! / 255;
    for (let k = 0; k < 4; k++) totals[4 * of[i]! + k]! += values[4 * i + k]!;
  }
  for (let i = 0; i < places.length; i++) {
    const block = 4 * of[i]!;
    for (let k = 1; k < 4; k++) values[4 * i + k]! -= totals[block + k]! / totals[block]!;
  }
  return values;
}

/** The rows of blocks as rows of numbers, with a trace on the diagonal: blocks of few pixels have functions that are the same. */
function lowerTriangle(products: Float64Array, slots: Int32Array, neighbours: Int32Array, count: number): Sparse {
  const matrix = { starts: new Int32Array(4 * count + 1), columns: new Int32Array(products.length), values: new Float64Array(products.length) };
  let [filled, trace] = [0, 0];
  for (let own = 0; own < count; own++) {
    for (let k = 0; k < 4; k++) trace += products[16 * slots[9 * own + OWN]! + 5 * k]!;
  }
  const weak = (1e-8 * trace) / (4 * count) + 1e-12;
  for (let own = 0; own < count; own++) {
    for (let row = 0; row < 4; row++) {
      for (let direction = 0; direction < 9; direction++) {
        const slot = slots[9 * own + direction]!;
        if (slot < 0) continue;
        for (let k = 0; k <= (direction === OWN ? row : 3); k++) {
          matrix.columns[filled] = 4 * neighbours[9 * own + direction]! + k;
          matrix.values[filled++] = products[16 * slot + 4 * row + k]! + (direction === OWN && k === row ? weak : 0);
        }
      }
      matrix.starts[4 * own + row + 1] = filled;
    }
  }
  return matrix;
}
