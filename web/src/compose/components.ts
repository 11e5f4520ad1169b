/**
 * Connected components of a mask, by runs: a row of a mask is a few runs of set pixels, and runs that touch from row to row, also at
 * a corner, belong together.
 *
 * Source: Rosenfeld and Pfaltz 1966, "Sequential operations in digital picture processing", doi:10.1145/321356.321357; roots are
 * found with path halving (Tarjan and van Leeuwen 1984, doi:10.1145/62.2160).
 */

export interface Component {
  /** Pixels. */
  area: number;
  left: number;
  top: number;
  /** Column and row after the last one. */
  right: number;
  bottom: number;
}

/** Components of the pixels of uint8 [height, width] that are `level` or more. */
export function components(plane: Uint8Array, width: number, height: number, level: number): Component[] {
  const { rows, starts, ends } = runsOf(plane, width, height, level);
  const roots = joined(rows, starts, ends, height);
  const parts = new Map<number, Component>();
  for (let run = 0; run < rows.length; run++) {
    const [root, row, start, end] = [rootOf(roots, run), rows[run]!, starts[run]!, ends[run]!];
    const part = parts.get(root);
    if (!part) {
      parts.set(root, { area: end - start, left: start, top: row, right: end, bottom: row + 1 });
      continue;
    }
    part.area += end - start;
    part.left = Math.min(part.left, start);
    part.right = Math.max(part.right, end);
    part.bottom = row + 1;
  }
  return [...parts.values()];
}

interface Runs {
  rows: Int32Array;
  starts: Int32Array;
  /** Column after the last one of each run. */
  ends: Int32Array;
}

function runsOf(plane: Uint8Array, width: number, height: number, level: number): Runs {
  let count = 0;
  for (let y = 0, at = 0; y < height; y++) {
    let inside = false;
    for (let x = 0; x < width; x++, at++) {
      const set = plane[at]! >= level;
      if (set && !inside) count++;
      inside = set;
    }
  }
  const runs = { rows: new Int32Array(count), starts: new Int32Array(count), ends: new Int32Array(count) };
  let run = -1;
  for (let y = 0, at = 0; y < height; y++) {
    let inside = false;
    for (let x = 0; x < width; x++, at++) {
      const set = plane[at]! >= level;
      if (set && !inside) {
        runs.rows[++run] = y;
        runs.starts[run] = x;
      }
      if (set) runs.ends[run] = x + 1;
      inside = set;
    }
  }
  return runs;
}

/** For each run, another of its component, or itself: roots of a forest. */
function joined(rows: Int32Array, starts: Int32Array, ends: Int32Array, height: number): Int32Array {
  const roots = Int32Array.from(rows.keys());
  let [above, below] = [0, 0];
  for (let row = 0; row < height; row++) {
    const first = below;
    while (below < rows.length && rows[below] === row) below++;
    let upper = above;
    for (let lower = first; lower < below; lower++) {
      while (upper < first && ends[upper]! < starts[lower]!) upper++;
      for (let other = upper; other < first && starts[other]! <= ends[lower]!; other++) join(roots, other, lower);
    }
    above = first;
  }
  return roots;
}

function join(roots: Int32Array, one: number, other: number): void {
  const [a, b] = [rootOf(roots, one), rootOf(roots, other)];
  roots[Math.max(a, b)] = Math.min(a, b);
}

function rootOf(roots: Int32Array, run: number): number {
  while (roots[run] !== run) run = roots[run] = roots[roots[run]!]!;
  return run;
}
