/** A point changes what hangs together with it, and nothing else; the same rules as in `liftout.pointing.correct`. */
import { paintRuns, runsOf } from "../compose/components.js";
import type { Prediction } from "../graphs.js";
import type { Box, Point, Prompts } from "./prompts.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** A photo's size in pixels. */
export interface Size {
  width: number;
  height: number;
}

const REACH = 4; // cells within which a region counts as touched by a point, and by which a change is widened
const SURE = 3; // cells around a point that are as it says, whatever the network answers
const BOX_MARGIN = 0.06; // share of a box's sides by which an object may stick out of it
const FAINT = Math.fround(0.06); // of a prediction, what counts as nothing where its parts are told apart

/** The prediction with nothing outside of the box and its margin, and every point as it says; where both kinds meet, keep wins. */
export function insist({ data, dims }: Prediction, { keep, drop, box }: Prompts, size: Size): Prediction {
  const [height, width] = [dims[2]!, dims[3]!];
  const plane = data.slice();
  if (box) inside(box, size, width, height).forEach((within, i) => within || (plane[i] = 0));
  near(drop, size, width, height, SURE).forEach((is, i) => is && (plane[i] = 0));
  near(keep, size, width, height, SURE).forEach((is, i) => is && (plane[i] = 1));
  return { data: plane, dims };
}

/** Of an answer without a start, the parts that hang together with a point to keep; all of it where there is none. */
export function confine({ data, dims }: Prediction, { keep }: Prompts, size: Size): Prediction {
  if (!keep.length) return { data, dims };
  const [height, width] = [dims[2]!, dims[3]!];
  const chosen = touched(mask(data, (value) => value >= FAINT), keep, size, width, height);
  return { data: data.map((value, i) => (chosen[i] ? value : 0)), dims };
}

/**
 * Where a point corrects the start, widened: 0 or 1 for each cell of the prediction; null where nothing is to change.
 *
 * seen: the start as the network saw it, in [0, 1], `side` cells wide and high.
 */
export function corrections({ data, dims }: Prediction, seen: Float32Array, side: number, { keep, drop }: Prompts, size: Size): Float32Array<ArrayBuffer> | null {
  const [height, width] = [dims[2]!, dims[3]!];
  const before = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [Math.floor(((i % width) * side) / width), Math.floor((Math.floor(i / width) * side) / height)];
    return seen[y * side + x]! >= 0.5 ? 1 : 0;
  });
  const after = mask(data, (value) => value >= 0.5);
  const more = touched(after.map((is, i) => (is && !before[i] ? 1 : 0)), keep, size, width, height);
  const less = touched(before.map((is, i) => (is && !after[i] ? 1 : 0)), drop, size, width, height);
  const changed = more.map((is, i) => is | less[i]!);
  return changed.includes(1) ? Float32Array.from(widened(changed, width, height, REACH)) : null;
}

/** The start, changed as far as `weight` says, of 255: all uint8 [height, width]. */
export function mixed(start: Bytes, alpha: Bytes, weight: Bytes): Bytes {
  return start.map((level, i) => Math.floor((level * (255 - weight[i]!) + alpha[i]! * weight[i]! + 127) / 255));
}

/** x, y of the middle of each point's pixel, as shares of the photo's width and height. */
export function places(points: Point[], { width, height }: Size): Point[] {
  const share = (value: number, side: number): number => Math.fround((Math.min(Math.floor(value), side - 1) + 0.5) / side);
  return points.map(([x, y]) => [share(x, width), share(y, height)]);
}

function mask(values: Float32Array, holds: (value: number) => boolean): Bytes {
  return Uint8Array.from(values, (value) => (holds(value) ? 1 : 0));
}

/** The parts of a region that a point lies in or near. */
function touched(region: Bytes, points: Point[], size: Size, width: number, height: number): Bytes {
  const found = new Uint8Array(region.length);
  const around = near(points, size, width, height, REACH);
  const runs = runsOf((at) => region[at] === 1, width, height);
  const chosen = new Set<number>();
  for (let run = 0; run < runs.rows.length; run++) {
    const first = runs.rows[run]! * width;
    if (around.subarray(first + runs.starts[run]!, first + runs.ends[run]!).includes(1)) chosen.add(runs.labels[run]!);
  }
  paintRuns(found, width, runs, (run) => chosen.has(runs.labels[run]!), 1);
  return found;
}

/** Cells whose middle lies within `radius` cells of a point. */
function near(points: Point[], size: Size, width: number, height: number, radius: number): Bytes {
  const found = new Uint8Array(width * height);
  for (const [across, down] of places(points, size)) {
    const [x, y] = [Math.fround(across * width), Math.fround(down * height)];
    for (let row = Math.max(0, Math.floor(y - radius)); row < Math.min(height, y + radius + 1); row++) {
      for (let column = Math.max(0, Math.floor(x - radius)); column < Math.min(width, x + radius + 1); column++) {
        if ((row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2 <= radius ** 2) found[row * width + column] = 1;
      }
    }
  }
  return found;
}

/** Cells whose middle lies in the box or its margin. */
function inside([left, top, right, bottom]: Box, size: Size, width: number, height: number): boolean[] {
  const [aside, above] = [BOX_MARGIN * (right - left), BOX_MARGIN * (bottom - top)];
  return Array.from({ length: width * height }, (_, i) => {
    const x = (((i % width) + 0.5) * size.width) / width;
    const y = ((Math.floor(i / width) + 0.5) * size.height) / height;
    return y >= top - above && y <= bottom + above && x >= left - aside && x <= right + aside;
  });
}

/** The cells of a mask and all within so many rows and columns of them. */
function widened(cells: Bytes, width: number, height: number, by: number): Bytes {
  const along = (from: Bytes, step: number, at: (i: number) => number, length: number): Bytes =>
    from.map((_, i) => {
      const place = at(i);
      for (let n = Math.max(-by, -place); n <= Math.min(by, length - 1 - place); n++) if (from[i + n * step]) return 1;
      return 0;
    });
  return along(along(cells, width, (i) => Math.floor(i / width), height), 1, (i) => i % width, width);
}
