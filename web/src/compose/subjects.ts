/** Where the subject of an alpha is; the same rules as in `liftout.compose.subjects`. */
import { components, paintRuns, runsOf, type Runs } from "./components.js";

/** Alpha from which a pixel counts as visible: fainter haze does not widen a box. */
export const SEEN = 16;
/** Alpha from which a pixel is more subject than not. */
export const SOLID = 128;
const SPECK = 16; // pixels
const SPECK_SHARE = 2000;
const SPECK_MOST = 16;

/** A part of a picture in pixels; right and bottom exclusive. */
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * The part around all visible subjects of an alpha, uint8 [height, width]; null where nothing is visible.
 *
 * Specks do not count: parts of fewer than 16 pixels or a 2000th of the largest part, unless the largest is itself no more than 16
 * times as big.
 */
export function subjectBox(alpha: Uint8Array, width: number, height: number): Box | null {
  const parts = components(alpha, width, height, SEEN);
  const largest = parts.reduce((most, { area }) => Math.max(most, area), 0);
  const least = Math.min(Math.max(SPECK, largest / SPECK_SHARE), largest / SPECK_MOST);
  const box: Box = { left: width, top: height, right: 0, bottom: 0 };
  for (const { area, left, top, right, bottom } of parts) {
    if (area < least) continue;
    box.left = Math.min(box.left, left);
    box.top = Math.min(box.top, top);
    box.right = Math.max(box.right, right);
    box.bottom = Math.max(box.bottom, bottom);
  }
  return parts.length ? box : null;
}

/** What cropping to the subject keeps: its box, `margin` pixels wider on each side where the photo has them; all without a subject. */
export function cropWindow(box: Box | null, width: number, height: number, margin: number): Box {
  if (!box) return { left: 0, top: 0, right: width, bottom: height };
  return {
    left: Math.max(0, box.left - margin),
    top: Math.max(0, box.top - margin),
    right: Math.min(width, box.right + margin),
    bottom: Math.min(height, box.bottom + margin),
  };
}

/** Alpha of the largest subject alone, or of the `count` largest, uint8 [height, width], soft edges included; zero elsewhere. */
export function largestSubject(alpha: Uint8Array<ArrayBuffer>, width: number, height: number, count = 1): Uint8Array<ArrayBuffer> {
  const cores = runsOf((at) => alpha[at]! >= SOLID, width, height);
  if (!cores.rows.length) return alpha;
  const areas = new Map<number, number>();
  cores.labels.forEach((label, run) => areas.set(label, (areas.get(label) ?? 0) + cores.ends[run]! - cores.starts[run]!));
  const bySize = [...areas].sort(([, one], [, other]) => other - one); // keeps the order of those of one size
  const kept = new Set(bySize.slice(0, count).map(([label]) => label));
  const apart = alpha.slice();
  paintRuns(apart, width, cores, (run) => !kept.has(cores.labels[run]!), 0);
  const soft = runsOf((at) => apart[at]! > 0, width, height);
  const own = new Set<number>();
  let run = 0;
  for (const label of [...kept].sort((one, other) => one - other)) {
    const place = placeOf(cores, label, width);
    while (placeOf(soft, run, width) + soft.ends[run]! - soft.starts[run]! <= place) run++;
    own.add(soft.labels[run]!);
  }
  paintRuns(apart, width, soft, (at) => !own.has(soft.labels[at]!), 0);
  return apart;
}

/** Where a run begins, row by row. */
function placeOf({ rows, starts }: Runs, run: number, width: number): number {
  return rows[run]! * width + starts[run]!;
}
