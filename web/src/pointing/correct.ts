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

/** 0 or 1 for each cell, and how many there are. */
interface Cells extends Size {
  set: Bytes;
}

/** What points change in a prediction. */
export interface Change {
  prediction: Prediction;
  added: Cells;
  removed: Cells;
}

const SURE = 5; // cells around a point that are as it says, as far as the start's edge is not nearer
const TOUCH = 3; // cells within which a region counts as touched by a point
const THRESHOLD = 0.6; // how sure the network must be of what it changes
const SOLID = 0.4; // how much of the start there must be to be dropped, or how much must be missing to be added
const HAZE = 0.1; // the same where the point itself lies on less
const SMALL = 6; // cells from a point to where the answer agrees with the start, below which only the disk changes
const NECK = 0.5; // half the width of a neck as a share of that distance
const WIDEST_NECK = 24; // cells
const FAR = 2.5; // how many such distances a change may reach
const SELECT_NECK = 0.1; // the same as NECK where there is no start
const WHOLE = 0.7; // share of a subject that must go for all of it to be meant
const OTHERS = 0.1; // what must be left beside it, in parts of it
const RIM = 1; // cells by which a change is widened
const BOX_MARGIN = 0.06; // share of a box's sides by which an object may stick out of it

/** Of an answer without a start, what was pointed at, within the box; all of the box where there is no point. */
export function select({ data, dims }: Prediction, { keep, drop, box }: Prompts, size: Size): Prediction {
  const shape = shapeOf(dims);
  const plane = data.slice();
  if (box) inside(box, size, shape).forEach((within, i) => within || (plane[i] = 0));
  for (const at of cellsOf(drop, size, shape)) fill(plane, disk(at, SURE, shape), 0);
  let chosen = cells(shape, () => !keep.length);
  for (const at of cellsOf(keep, size, shape)) {
    fill(plane, disk(at, SURE, shape), 1);
    const region = cells(shape, (i) => plane[i]! >= 0.5);
    chosen = either(chosen, hanging(region, at, SELECT_NECK * depthOf(region, at)));
  }
  const kept = widened(chosen);
  return { data: plane.map((value, i) => (kept.set[i] ? value : 0)), dims };
}

/** What points change of a start. seen: the start as the network saw it, in [0, 1], `side` cells wide and high. */
export function change({ data, dims }: Prediction, { keep, drop }: Prompts, seen: Float32Array, side: number, size: Size): Change {
  const shape = shapeOf(dims);
  const plane = data.slice();
  const level = Float32Array.from(plane, (_, i) => {
    const [x, y] = [Math.floor(((i % shape.width) * side) / shape.width), Math.floor((Math.floor(i / shape.width) * side) / shape.height)];
    return seen[y * side + x]!;
  });
  const [sure, unsure] = [Math.fround(THRESHOLD), Math.fround(1 - THRESHOLD)];
  const found = { keep: cells(shape, () => false), drop: cells(shape, () => false) };
  for (const [points, kept] of [[keep, 1], [drop, 0]] as const) {
    const name = kept ? "keep" : "drop";
    for (const at of cellsOf(points, size, shape)) {
      const free = leftOf(kept ? level.map((value) => 1 - value) : level, at, shape);
      const region = cells(shape, (i) => free.set[i] === 1 && (kept ? plane[i]! >= sure : plane[i]! <= unsure));
      const near = both(free, disk(at, Math.max(1, Math.min(depthOf(free, at), SURE)), shape));
      const own = aroundPoint(region, near, cells(shape, (i) => level[i]! >= 0.5), at);
      fill(plane, near, kept);
      found[name] = either(found[name], own);
      fill(level, own, kept);
    }
  }
  return { prediction: { data: plane, dims }, added: found.keep, removed: found.drop };
}

/** Where a change is, widened, as a prediction; null where there is none. */
export function extentOf(region: Cells, dims: readonly number[]): Prediction | null {
  return region.set.includes(1) ? { data: Float32Array.from(widened(region).set), dims } : null;
}

/** The start with what changed: all uint8 [height, width]. weight: of what was added or removed. */
export function corrected(start: Bytes, alpha: Bytes, weight: Bytes, kept: boolean): Bytes {
  if (kept) return start.map((level, i) => Math.max(level, Math.min(alpha[i]!, weight[i]!)));
  return start.map((level, i) => Math.min(level, Math.max(alpha[i]!, 255 - weight[i]!)));
}

/** x, y of the middle of each point's pixel, as shares of the photo's width and height. */
export function places(points: Point[], { width, height }: Size): Point[] {
  const share = (value: number, side: number): number => Math.fround((Math.min(Math.floor(value), side - 1) + 0.5) / side);
  return points.map(([x, y]) => [share(x, width), share(y, height)]);
}

function cellsOf(points: Point[], size: Size, shape: Size): Point[] {
  return places(points, size).map(([x, y]) => [x * shape.width, y * shape.height]);
}

/** Where there is something to change, by how much of it there is, in [0, 1]. */
function leftOf(level: Float32Array, [x, y]: Point, shape: Size): Cells {
  const here = level[Math.min(Math.floor(y), shape.height - 1) * shape.width + Math.min(Math.floor(x), shape.width - 1)]!;
  const least = Math.fround(here > Math.fround(SOLID) ? SOLID : HAZE);
  return cells(shape, (i) => level[i]! > least);
}

/** Of what the network would change of a mask, what a point changes; at least the disk around it. */
function aroundPoint(region: Cells, near: Cells, mask: Cells, at: Point): Cells {
  const depth = depthOf(region, at);
  if (depth < SMALL) return near;
  const own = either(hanging(either(region, near), at, NECK * depth), near);
  if (isApart(own, mask, at)) return own;
  return touched(either(both(own, disk(at, FAR * depth + 2, region)), near), at);
}

/** Whether a region that would change is a subject of its own: one that touches nothing of the mask, or one of several in it, gone nearly whole. */
function isApart(region: Cells, mask: Cells, at: Point): boolean {
  const inside = touched(mask, at);
  const whole = countOf(inside);
  if (!whole) return countOf(both(grown(region, RIM), mask)) === 0;
  return countOf(both(region, inside)) >= WHOLE * whole && countOf(mask) - whole >= OTHERS * whole;
}

function countOf({ set }: Cells): number {
  return set.reduce((sum, is) => sum + is, 0);
}

/** What hangs together with a point by more than a neck of half the width `neck`. */
function hanging(region: Cells, at: Point, neck: number): Cells {
  const radius = Math.floor(Math.min(WIDEST_NECK, Math.max(1, neck)));
  const near = both(region, disk(at, TOUCH, region));
  const core = touched(either(shrunk(region, radius), near), at);
  return both(region, grown(core, radius + 1));
}

/** The parts of a region that a point lies in or near. */
function touched(region: Cells, at: Point): Cells {
  const { width, height } = region;
  const near = disk(at, TOUCH, region).set;
  const runs = runsOf((i) => region.set[i] === 1, width, height);
  const chosen = new Set<number>();
  for (let run = 0; run < runs.rows.length; run++) {
    const first = runs.rows[run]! * width;
    if (near.subarray(first + runs.starts[run]!, first + runs.ends[run]!).includes(1)) chosen.add(runs.labels[run]!);
  }
  const set = new Uint8Array(region.set.length);
  paintRuns(set, width, runs, (run) => chosen.has(runs.labels[run]!), 1);
  return { set, width, height };
}

/** Cells from a point to the nearest cell outside of a region; the picture's border is none. */
function depthOf({ set, width, height }: Cells, [x, y]: Point): number {
  let least = Infinity;
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (!set[i]) least = Math.min(least, (row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2);
    }
  }
  return least === Infinity ? Math.max(width, height) : Math.sqrt(least);
}

/** Cells whose middle lies within a radius of a point; all in cells. */
function disk([x, y]: Point, radius: number, { width, height }: Size): Cells {
  const set = new Uint8Array(width * height);
  for (let row = Math.max(0, Math.floor(y - radius - 1)); row < Math.min(height, y + radius + 1); row++) {
    for (let column = Math.max(0, Math.floor(x - radius - 1)); column < Math.min(width, x + radius + 1); column++) {
      if ((row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2 <= radius ** 2) set[row * width + column] = 1;
    }
  }
  return { set, width, height };
}

/** Whether the middle of each cell lies in the box or its margin. */
function inside([left, top, right, bottom]: Box, size: Size, { width, height }: Size): boolean[] {
  const [aside, above] = [BOX_MARGIN * (right - left), BOX_MARGIN * (bottom - top)];
  return Array.from({ length: width * height }, (_, i) => {
    const x = (((i % width) + 0.5) * size.width) / width;
    const y = ((Math.floor(i / width) + 0.5) * size.height) / height;
    return y >= top - above && y <= bottom + above && x >= left - aside && x <= right + aside;
  });
}

/** The set cells and all within `radius` cells of them. */
function grown({ set, width, height }: Cells, radius: number): Cells {
  const far = new Int32Array(set.length); // along the row
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0, last = -2 * width; x < width; x++) {
      if (set[row + x]) last = x;
      far[row + x] = x - last;
    }
    for (let x = width - 1, last = 3 * width; x >= 0; x--) {
      if (set[row + x]) last = x;
      far[row + x] = Math.min(far[row + x]!, last - x);
    }
  }
  const out = new Uint8Array(set.length);
  for (let step = -Math.min(radius, height - 1); step <= Math.min(radius, height - 1); step++) {
    const reach = Math.floor(Math.sqrt(radius ** 2 - step ** 2));
    for (let y = Math.max(0, step); y < Math.min(height, height + step); y++) {
      const [to, from] = [y * width, (y - step) * width];
      for (let x = 0; x < width; x++) if (far[from + x]! <= reach) out[to + x] = 1;
    }
  }
  return { set: out, width, height };
}

/** The set cells with none outside of them within `radius` cells; the picture's border takes nothing away. */
function shrunk(region: Cells, radius: number): Cells {
  return inverse(grown(inverse(region), radius));
}

function widened(region: Cells): Cells {
  return region.set.includes(1) ? grown(region, RIM) : region;
}

function inverse({ set, width, height }: Cells): Cells {
  return { set: set.map((is) => 1 - is), width, height };
}

function either(one: Cells, other: Cells): Cells {
  return { ...one, set: one.set.map((is, i) => is | other.set[i]!) };
}

function both(one: Cells, other: Cells): Cells {
  return { ...one, set: one.set.map((is, i) => is & other.set[i]!) };
}

function cells({ width, height }: Size, holds: (i: number) => boolean): Cells {
  return { set: new Uint8Array(width * height).map((_, i) => (holds(i) ? 1 : 0)), width, height };
}

function fill(plane: Float32Array | Bytes, { set }: Cells, value: number): void {
  set.forEach((is, i) => is && (plane[i] = value));
}

function shapeOf(dims: readonly number[]): Size {
  return { width: dims[3]!, height: dims[2]! };
}
