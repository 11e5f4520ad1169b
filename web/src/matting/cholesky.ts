/**
 * Exact solution of sparse symmetric positive definite equations: L D L^T, found row by row, and an order of the unknowns in which L
 * stays sparse.
 *
 * Sources: Davis 2006, "Direct Methods for Sparse Linear Systems", SIAM, sections 4.1 (elimination tree) and 4.7 (up-looking Cholesky).
 * George 1973, "Nested Dissection of a Regular Finite Element Mesh", SIAM J. Numer. Anal. 10(2).
 */

const FEW = 16; // places that are not divided further

/** A sparse square matrix by rows: row i has values[starts[i]] to values[starts[i + 1]], in these columns. */
export interface Sparse {
  starts: Int32Array;
  columns: Int32Array;
  values: Float64Array;
}

/** The factors of a matrix. */
export class Factor {
  #starts: Int32Array;
  #rows: Int32Array;
  #values: Float64Array;
  #diagonal: Float64Array;

  /** matrix: its lower triangle by rows, diagonal included. */
  constructor(matrix: Sparse) {
    const size = matrix.starts.length - 1;
    const { parents, starts } = shapeOf(matrix);
    const [rows, values, diagonal] = [new Int32Array(starts[size]!), new Float64Array(starts[size]!), new Float64Array(size)];
    const ends = starts.slice(); // of what each column of L holds so far
    const row = new Float64Array(size); // the row that is being solved for
    const [seen, path, reach] = [new Int32Array(size).fill(-1), new Int32Array(size), new Int32Array(size)];
    for (let k = 0; k < size; k++) {
      let first = size;
      seen[k] = k;
      for (let at = matrix.starts[k]!; at < matrix.starts[k + 1]!; at++) {
        let i = matrix.columns[at]!;
        row[i]! += matrix.values[at]!;
        let length = 0;
        for (; seen[i] !== k; i = parents[i]!) {
          path[length++] = i;
          seen[i] = k;
        }
        while (length) reach[--first] = path[--length]!;
      }
      let pivot = row[k]!;
      row[k] = 0;
      for (; first < size; first++) {
        const i = reach[first]!;
        const value = row[i]!;
        const end = ends[i]!;
        row[i] = 0;
        for (let at = starts[i]!; at < end; at++) row[rows[at]!]! -= values[at]! * value;
        const entry = value / diagonal[i]!;
        pivot -= entry * value;
        rows[end] = k;
        values[end] = entry;
        ends[i] = end + 1;
      }
      diagonal[k] = pivot;
    }
    [this.#starts, this.#rows, this.#values, this.#diagonal] = [starts, rows, values, diagonal];
  }

  /** Replace a right side by its solution. */
  solve(vector: Float64Array): void {
    const [starts, rows, values, diagonal] = [this.#starts, this.#rows, this.#values, this.#diagonal];
    for (let k = 0; k < vector.length; k++) {
      const value = vector[k]!;
      for (let at = starts[k]!; at < starts[k + 1]!; at++) vector[rows[at]!]! -= values[at]! * value;
    }
    for (let k = vector.length - 1; k >= 0; k--) {
      let value = vector[k]! / diagonal[k]!;
      for (let at = starts[k]!; at < starts[k + 1]!; at++) value -= values[at]! * vector[rows[at]!]!;
      vector[k] = value;
    }
  }
}

/** The elimination tree, and where each column of L starts. */
function shapeOf({ starts, columns }: Sparse): { parents: Int32Array; starts: Int32Array } {
  const size = starts.length - 1;
  const [parents, seen, counts] = [new Int32Array(size).fill(-1), new Int32Array(size).fill(-1), new Int32Array(size + 1)];
  for (let k = 0; k < size; k++) {
    seen[k] = k;
    for (let at = starts[k]!; at < starts[k + 1]!; at++) {
      for (let i = columns[at]!; seen[i] !== k; i = parents[i]!) {
        if (parents[i] === -1) parents[i] = k;
        counts[i + 1]!++;
        seen[i] = k;
      }
    }
  }
  for (let k = 0; k < size; k++) counts[k + 1]! += counts[k]!;
  return { parents, starts: counts };
}

/** Places of a grid, of which neighbours share equations: a line that divides them comes after all on both its sides. */
export function dissected<Place extends { x: number; y: number }>(places: Place[]): Place[] {
  if (places.length <= FEW) return places;
  const extent = (axis: "x" | "y"): number => {
    let [low, high] = [Infinity, -Infinity];
    for (const place of places) [low, high] = [Math.min(low, place[axis]), Math.max(high, place[axis])];
    return high - low;
  };
  const axis = extent("x") > extent("y") ? "x" : "y";
  const line = dividing(places.map((place) => place[axis]));
  const side = (sign: number): Place[] => places.filter((place) => Math.sign(place[axis] - line) === sign);
  return [...dissected(side(-1)), ...dissected(side(1)), ...side(0)];
}

/** The value that the fewest have, of those with at least a quarter on each side or else the one in the middle. */
function dividing(values: number[]): number {
  const sorted = Int32Array.from(values).sort();
  const count = sorted.length;
  let [best, fewest] = [sorted[count >> 1]!, Infinity];
  for (let first = 0, last = 0; first < count; first = last) {
    while (last < count && sorted[last] === sorted[first]) last++;
    if (first >= count / 4 && count - last >= count / 4 && last - first < fewest) {
      [best, fewest] = [sorted[first]!, last - first];
    }
  }
  return best;
}
