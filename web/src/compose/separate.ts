/** Subjects that stand apart, each by itself; the same rules as `separate_subjects` in `liftout.compose.subjects`. */
import { runAt, runsOf, type Runs } from "./components.js";
import { SEEN, SOLID, type Box } from "./subjects.js";

type Bytes = Uint8Array<ArrayBuffer>;

const MOST = 32; // subjects that are told apart in one photo
const TIMES_SMALLER = 100; // than the largest, that a subject of its own may be
const NOBODY = 255;

/** One subject of a photo: where it is, and its alpha there, uint8 [bottom - top, right - left]. */
export interface Subject {
  box: Box;
  alpha: Bytes;
}

/**
 * The subjects of an alpha, uint8 [height, width], the largest first; together they are the alpha. None where nothing is visible.
 *
 * A subject of its own is a solid part that stands apart and has at least a hundredth of the pixels of the largest one. What else is
 * visible belongs to the subject that it hangs together with, or to the nearest where it hangs together with several or with none.
 */
export function separateSubjects(alpha: Bytes, width: number, height: number): Subject[] {
  const cores = runsOf((at) => alpha[at]! >= SOLID, width, height);
  const areas = areasOf(cores);
  const order = [...areas].sort(([, one], [, other]) => other - one).slice(0, MOST); // keeps the order of those of one size
  const chosen = order.filter(([, area]) => area * TIMES_SMALLER >= order[0]![1]).map(([label]) => label);
  if (chosen.length < 2) return alpha.some((level) => level >= SEEN) ? [subjectOf(alpha, width, height)] : [];
  return owned(alpha, width, height, ownersOf(alpha, width, height, cores, chosen), chosen.length);
}

/** All that is not empty in an alpha, uint8 [height, width], as one subject. */
export function subjectOf(alpha: Bytes, width: number, height: number): Subject {
  return owned(alpha, width, height, new Uint8Array(alpha.length), 1)[0]!;
}

/** The alpha as subjects. owners: the number of the subject that each pixel belongs to, below `count`. */
function owned(alpha: Bytes, width: number, height: number, owners: Uint8Array, count: number): Subject[] {
  const boxes = Array.from({ length: count }, (): Box => ({ left: width, top: height, right: 0, bottom: 0 }));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (!alpha[at]) continue;
      const box = boxes[owners[at]!]!;
      if (x < box.left) box.left = x;
      if (x >= box.right) box.right = x + 1;
      if (y < box.top) box.top = y;
      box.bottom = y + 1;
    }
  }
  return boxes.map((found, owner) => {
    const box = found.bottom ? found : { left: 0, top: 0, right: 0, bottom: 0 };
    const own = new Uint8Array((box.right - box.left) * (box.bottom - box.top));
    for (let y = box.top, to = 0; y < box.bottom; y++) {
      for (let x = box.left, at = y * width + x; x < box.right; x++, at++, to++) if (owners[at] === owner) own[to] = alpha[at]!;
    }
    return { box, alpha: own };
  });
}

/** The alpha of a subject in its photo, uint8 [height, width]. */
export function spreadOut({ box, alpha }: Subject, width: number, height: number): Bytes {
  const whole = new Uint8Array(width * height);
  const wide = box.right - box.left;
  for (let y = box.top, from = 0; y < box.bottom; y++, from += wide) whole.set(alpha.subarray(from, from + wide), y * width + box.left);
  return whole;
}

/** The nearest of `count` seeds to each place, by steps along rows and columns. seeds: their numbers where they are, -1 elsewhere. */
export function nearestSeed(seeds: Int32Array, count: number, width: number, height: number): Int32Array {
  const far = (width + height) * count;
  const cost = seeds.map((seed) => (seed < 0 ? far : seed)); // distance * count + number: the least of these is the nearest
  const pass = (at: number, from: number): void => {
    cost[at] = Math.min(cost[at]!, cost[from]! + count);
  };
  for (let at = width; at < cost.length; at++) pass(at, at - width);
  for (let at = cost.length - width - 1; at >= 0; at--) pass(at, at + width);
  for (let row = 0; row < cost.length; row += width) {
    for (let at = row + 1; at < row + width; at++) pass(at, at - 1);
    for (let at = row + width - 2; at >= row; at--) pass(at, at + 1);
  }
  return cost.map((value) => value % count);
}

/** Pixels of each component, by its label, in the order of the components. */
function areasOf({ labels, starts, ends }: Runs): Map<number, number> {
  const areas = new Map<number, number>();
  labels.forEach((label, run) => areas.set(label, (areas.get(label) ?? 0) + ends[run]! - starts[run]!));
  return areas;
}

/** Which subject each pixel belongs to. chosen: labels of the solid parts that are subjects. */
function ownersOf(alpha: Bytes, width: number, height: number, cores: Runs, chosen: number[]): Uint8Array {
  const numbers = new Map(chosen.map((label, number) => [label, number]));
  const seeds = new Int32Array(alpha.length).fill(-1);
  cores.labels.forEach((label, run) => seeds.fill(numbers.get(label) ?? -1, ...span(cores, run, width)));
  const owners = Uint8Array.from(nearestSeed(seeds, chosen.length, width, height));
  const whole = runsOf((at) => alpha[at]! >= SEEN, width, height);
  const holders = new Map<number, number>(); // part that hangs together to its only subject
  for (const [number, label] of chosen.entries()) {
    const part = whole.labels[runAt(whole, cores.rows[label]! * width + cores.starts[label]!, width)]!;
    holders.set(part, holders.has(part) ? NOBODY : number);
  }
  whole.labels.forEach((label, run) => {
    const owner = holders.get(label) ?? NOBODY;
    if (owner !== NOBODY) owners.fill(owner, ...span(whole, run, width));
  });
  return owners;
}

function span({ rows, starts, ends }: Runs, run: number, width: number): [first: number, last: number] {
  return [rows[run]! * width + starts[run]!, rows[run]! * width + ends[run]!];
}
