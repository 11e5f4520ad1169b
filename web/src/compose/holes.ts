/** Holes in a subject: background that the subject encloses; the same rule as in `liftout.compose.holes`. */
import { paintRuns, runsOf } from "./components.js";

const LEVELS = [128, 192, 255]; // holes are looked for below each, so that the soft rim of a hole goes with it

/** Alpha uint8 [height, width] with everything opaque that is surrounded by subject on all sides within the picture. */
export function fillHoles(alpha: Uint8Array<ArrayBuffer>, width: number, height: number): Uint8Array<ArrayBuffer> {
  const filled = alpha.slice();
  for (const level of LEVELS) {
    const open = runsOf((at) => filled[at]! < level, width, height, false);
    const outside = new Set<number>();
    open.labels.forEach((label, run) => {
      const row = open.rows[run];
      if (row === 0 || row === height - 1 || open.starts[run] === 0 || open.ends[run] === width) outside.add(label);
    });
    paintRuns(filled, width, open, (run) => !outside.has(open.labels[run]!), 255);
  }
  return filled;
}
