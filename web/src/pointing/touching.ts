/**
 * Subjects that touch are told apart by the network that reads points; the same rules as in `liftout.pointing.touching`.
 *
 * A part of an alpha that is two subjects has two thick places with a neck between them. The network is asked which object is at the
 * thickest place; a place that it leaves out is another object, unless the answer there reaches over most of the first.
 */
import { runAt, runsOf, type Runs } from "../compose/components.js";
import { nearestSeed, separateSubjects, spreadOut, subjectOf, type Subject } from "../compose/separate.js";
import { SEEN, SOLID } from "../compose/subjects.js";
import type { Size } from "./correct.js";
import type { Point, Prompts } from "./prompts.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** From points to the alpha of the object, uint8 [height, width]. */
export type Answer = (prompts: Prompts) => Promise<Bytes>;

const CELLS = 128; // of the longer side of a part, on the grid on which its thick places are found
const NECK = 0.75; // share of a thick place's depth that the neck to a thicker one may have
const THIN = 0.25; // share of the thickest place's depth below which a place is a limb
const MOST_PARTS = 4; // parts that the network is asked about, the largest first
const MOST_PLACES = 6; // of each
const REACHES = 0.6; // share of an object that the answer at another place covers, if that place is of the same object
const SAME = 0.3; // share of the smaller of two answers that both may have, if they are two objects
const LEAST = 0.08; // share of a part that a subject in it has at least
const COVERED = 0.7; // share of a part that the answers must explain, else it stays whole

/** The subjects of an alpha, uint8 [height, width], as `separateSubjects` gives them, and those that touch apart; the largest first. */
export async function separateTouching(alpha: Bytes, size: Size, answer: Answer): Promise<Subject[]> {
  const { width, height } = size;
  const found: Subject[] = [];
  for (const [number, part] of separateSubjects(alpha, width, height).entries()) {
    found.push(...(number < MOST_PARTS ? await subjectsOf(part, size, answer) : [part]));
  }
  const solid = new Map(found.map((subject) => [subject, count(subject.alpha, (level) => level >= SOLID)]));
  return found.sort((one, other) => solid.get(other)! - solid.get(one)!);
}

/** Of a mask, 0 or 1 [height, width]: the middle of each thick place, as [row, column], the thickest first. */
export function thickPlaces(solid: Uint8Array, width: number, height: number): [row: number, column: number][] {
  const depths = depthsOf(solid, width, height);
  const deepest = depths.reduce((most, depth) => Math.max(most, depth), 0);
  const depthAt = (at: number): number => depths[at]!;
  const deeperFirst = (one: number, other: number): number => depthAt(other) - depthAt(one);
  const kept: number[] = [];
  let growing: number[] = [];
  for (let level = deepest; level > 0; level--) {
    const parts = runsOf((at) => depths[at]! >= level, width, height);
    const taken = new Set<number>();
    const still: number[] = [];
    for (const place of growing.sort(deeperFirst)) {
      const part = parts.labels[runAt(parts, place, width)]!;
      if (!taken.has(part)) {
        taken.add(part);
        still.push(place);
      } else if (level <= NECK * depthAt(place)) kept.push(place);
    }
    for (const part of new Set(parts.labels)) if (!taken.has(part)) still.push(middleOf(parts, part, width));
    growing = still;
  }
  const places = [...kept, ...growing].sort(deeperFirst).filter((place) => depthAt(place) >= THIN * deepest);
  return places.slice(0, MOST_PLACES).map((place) => [Math.floor(place / width), place % width]);
}

/** The subjects of one connected part. */
async function subjectsOf(part: Subject, { width, height }: Size, answer: Answer): Promise<Subject[]> {
  const alpha = spreadOut(part, width, height);
  const solid = alpha.map((level) => (level >= SOLID ? 1 : 0));
  const { box } = subjectOf(solid, width, height);
  if (box.right <= box.left) return [part];
  const step = Math.ceil(Math.max(box.right - box.left, box.bottom - box.top) / CELLS);
  const [wide, high] = [Math.ceil((box.right - box.left) / step), Math.ceil((box.bottom - box.top) / step)];
  const grid = Uint8Array.from({ length: wide * high }, (_, i) => solid[(box.top + Math.floor(i / wide) * step) * width + box.left + (i % wide) * step]!);
  const places = thickPlaces(grid, wide, high);
  if (places.length < 2) return [part];
  const points = places.map(([row, column]): Point => [box.left + column * step, box.top + row * step]);
  const objects = await toldApart(await objectsAt(points, width, answer), answer, solid);
  return objects.length < 2 ? [part] : sharedOut(alpha, objects, width, height);
}

/** The points of each object. points: the thickest place first, whose answer says what its object leaves out. */
async function objectsAt(points: Point[], width: number, answer: Answer): Promise<Point[][]> {
  const objects: { own: Point[]; alpha: Bytes }[] = [];
  for (const [x, y] of points) {
    const point: Point = [x + 0.5, y + 0.5];
    let owner = objects.find(({ alpha }) => alpha[y * width + x]! >= SOLID);
    if (!owner) {
      const found = await answer({ keep: [point], drop: [], box: null });
      owner = objects.find(({ alpha }) => reachesOver(found, alpha));
      if (!owner) {
        objects.push({ own: [point], alpha: found });
        continue;
      }
    }
    owner.own.push(point);
  }
  return objects.map(({ own }) => own);
}

function reachesOver(answer: Bytes, alpha: Bytes): boolean {
  const both = count(alpha, (level, i) => level >= SOLID && answer[i]! >= SOLID);
  return both > REACHES * count(alpha, (level) => level >= SOLID);
}

/** The alpha of each object, given by its points; none where the answers do not make a part, 0 or 1 [height, width], into several. */
async function toldApart(objects: Point[][], answer: Answer, solid: Uint8Array): Promise<Bytes[]> {
  if (objects.length < 2) return [];
  const size = count(solid, (is) => is === 1);
  const found: Bytes[] = [];
  for (const own of objects) {
    const alpha = await answer({ keep: own, drop: objects.filter((other) => other !== own).flat(), box: null });
    if (count(alpha, (level, i) => level >= SOLID && solid[i] === 1) >= LEAST * size) found.push(alpha);
  }
  if (found.length < 2) return [];
  const covered = count(solid, (is, i) => is === 1 && found.some((alpha) => alpha[i]! >= SOLID));
  const apart = found.every((one, n) => found.slice(n + 1).every((other) => !isSame(one, other, solid)));
  return apart && covered >= COVERED * size ? found : [];
}

function isSame(one: Bytes, other: Bytes, solid: Uint8Array): boolean {
  const inside = (alpha: Bytes) => (is: number, i: number) => is === 1 && alpha[i]! >= SOLID;
  const both = count(solid, (is, i) => inside(one)(is, i) && inside(other)(is, i));
  return both > SAME * Math.min(count(solid, inside(one)), count(solid, inside(other)));
}

/** A part as alphas that sum up to it: each pixel in the shares that the objects have there, or with the nearest object. */
function sharedOut(part: Bytes, objects: Bytes[], width: number, height: number): Subject[] {
  const { box } = subjectOf(part, width, height);
  const [wide, high] = [box.right - box.left, box.bottom - box.top];
  const inBox = (plane: Bytes): Bytes => {
    const out = new Uint8Array(wide * high);
    for (let y = 0; y < high; y++) {
      const from = (box.top + y) * width + box.left;
      out.set(plane.subarray(from, from + wide), y * wide);
    }
    return out;
  };
  const seen = objects.map(inBox);
  const total = Int32Array.from({ length: wide * high }, (_, i) => seen.reduce((sum, alpha) => sum + alpha[i]!, 0));
  const seeds = total.map((sum, i) => (sum >= SEEN ? strongest(seen, i) : -1));
  const nearest = nearestSeed(seeds, seen.length, wide, high);
  const levels = inBox(part);
  const before = new Int32Array(levels.length);
  const given = new Int32Array(levels.length);
  return seen.map((alpha, number) => {
    const own = levels.map((level, i) => {
      before[i]! += alpha[i]!;
      const reached = total[i]! >= SEEN ? Math.floor((level * before[i]!) / total[i]!) : nearest[i]! <= number ? level : 0;
      const share = reached - given[i]!;
      given[i] = reached;
      return share;
    });
    const subject = subjectOf(own, wide, high);
    const { left, top, right, bottom } = subject.box;
    return { ...subject, box: { left: left + box.left, top: top + box.top, right: right + box.left, bottom: bottom + box.top } };
  });
}

function strongest(alphas: Bytes[], at: number): number {
  return alphas.reduce((best, alpha, number) => (alpha[at]! > alphas[best]![at]! ? number : best), 0);
}

/** How often a mask can be eroded, by four and by eight neighbours in turn, until a cell is gone. */
function depthsOf(solid: Uint8Array, width: number, height: number): Int32Array {
  const depths = new Int32Array(solid.length);
  let left = Uint8Array.from(solid);
  for (let turn = 0; left.includes(1); turn++) {
    left.forEach((is, at) => (depths[at]! += is));
    const reach = turn % 2 ? 1 : 0; // of the rows above and below
    const now = left;
    left = now.map((is, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      if (!is || !x || !y || x === width - 1 || y === height - 1) return 0;
      for (const row of [at - width, at + width]) {
        for (let near = row - reach; near <= row + reach; near++) if (!now[near]) return 0;
      }
      return now[at - 1]! & now[at + 1]!;
    });
  }
  return depths;
}

/** The place of a component that is nearest to the mean of all of its places. */
function middleOf({ rows, starts, ends, labels }: Runs, label: number, width: number): number {
  const places: [row: number, column: number][] = [];
  for (let run = 0; run < rows.length; run++) {
    if (labels[run] === label) for (let x = starts[run]!; x < ends[run]!; x++) places.push([rows[run]!, x]);
  }
  const mean = (index: 0 | 1): number => places.reduce((sum, place) => sum + place[index], 0) / places.length;
  const [row, column] = [mean(0), mean(1)];
  const away = ([y, x]: [number, number]): number => (y - row) ** 2 + (x - column) ** 2;
  const [y, x] = places.reduce((best, place) => (away(place) < away(best) ? place : best));
  return y * width + x;
}

function count(values: Uint8Array, holds: (value: number, at: number) => boolean): number {
  let found = 0;
  for (let at = 0; at < values.length; at++) if (holds(values[at]!, at)) found++;
  return found;
}
