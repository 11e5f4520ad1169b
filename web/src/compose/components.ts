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
  const { rows, starts, ends, labels } = runsOf((at) => plane[at]! >= level, width, height);
  const parts = new Map<number, Component>();
  for (let run = 0; run < rows.length; run++) {
    const [label, row, start, end] = [labels[run]!, rows[run]!, starts[run]!, ends[run]!];
    const part = parts.get(label);
    if (!part) {
      parts.set(label, { area: end - start, left: start, top: row, right: end, bottom: row + 1 });
      continue;
    }
    part.area += end - start;
    part.left = Math.min(part.left, start);
    part.right = Math.max(part.right, end);
    part.bottom = row + 1;
  }
  return [...parts.values()];
}

/** Runs of set pixels, row by row. */
export interface Runs {
  rows: Int32Array;
  starts: Int32Array;
  /** Column after the last one of each run. */
  ends: Int32Array;
  /** Of each run's component: its first run. */
  labels: Int32Array;
}

/** isSet: of a pixel by its place, row by row. diagonal: whether pixels that meet at a corner belong together. */
export function runsOf(isSet: (at: number) => boolean, width: number, height: number, diagonal = true): Runs {
  const found: { rows: number[]; starts: number[]; ends: number[] } = { rows: [], starts: [], ends: [] };
  for (let y = 0, at = 0; y < height; y++) {
    let inside = false;
    for (let x = 0; x < width; x++, at++) {
      const set = isSet(at);
      if (set && !inside) {
        found.rows.push(y);
        found.starts.push(x);
      } else if (!set && inside) found.ends.push(x);
      inside = set;
    }
    if (inside) found.ends.push(width);
  }
  const runs = { rows: Int32Array.from(found.rows), starts: Int32Array.from(found.starts), ends: Int32Array.from(found.ends) };
  return { ...runs, labels: labelsOf(runs, height, diagonal ? 0 : 1) };
}

/** Set the pixels of some runs of a plane. */
export function paintRuns(plane: Uint8Array, width: number, { rows, starts, ends }: Runs, chosen: (run: number) => boolean, level: number): void {
  for (let run = 0; run < rows.length; run++) {
    if (chosen(run)) plane.fill(level, rows[run]! * width + starts[run]!, rows[run]! * width + ends[run]!);
  }
}

/** The run that a set pixel belongs to. place: of the pixel, row by row. */
export function runAt({ rows, starts }: Runs, place: number, width: number): number {
  let [low, high] = [0, rows.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (rows[middle]! * width + starts[middle]! <= place) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** apart: columns by which runs of neighbouring rows must overlap. */
function labelsOf({ rows, starts, ends }: Omit<Runs, "labels">, height: number, apart: number): Int32Array {
  const roots = Int32Array.from(rows.keys());
  let [above, below] = [0, 0];
  for (let row = 0; row < height; row++) {
    const first = below;
    while (below < rows.length && rows[below] === row) below++;
    let upper = above;
    for (let lower = first; lower < below; lower++) {
      while (upper < first && ends[upper]! - apart < starts[lower]!) upper++;
      for (let other = upper; other < first && starts[other]! + apart <= ends[lower]!; other++) join(roots, other, lower);
    }
    above = first;
  }
  return roots.map((_, run) => rootOf(roots, run));
}

function join(roots: Int32Array, one: number, other: number): void {
  const [a, b] = [rootOf(roots, one), rootOf(roots, other)];
  roots[Math.max(a, b)] = Math.min(a, b);
}

function rootOf(roots: Int32Array, run: number): number {
  while (roots[run] !== run) run = roots[run] = roots[roots[run]!]!;
  return run;
}
