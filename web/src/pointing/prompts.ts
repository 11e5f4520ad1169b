/** Prompts: what a user says of the subject. Points to keep, points to drop, a box around it; as in `liftout.prompts`. */
import { UsageError } from "../errors.js";

/** x and y in pixels of the upright photo, or text in pixels or percent of its sides: `"300,200"`, `"40%,25%"`. */
export type PointInput = readonly [x: number, y: number] | string;

/** Left, top, right and bottom in pixels of the upright photo, or text such as `"5%,10%,60%,90%"`. */
export type BoxInput = readonly [left: number, top: number, right: number, bottom: number] | string;

/** Prompts as a caller may give them. */
export interface Asked {
  /** Points that belong to the subject. */
  keep?: readonly PointInput[] | undefined;
  /** Points that do not. */
  drop?: readonly PointInput[] | undefined;
  /** A box around the subject. */
  box?: BoxInput | null | undefined;
}

/** Prompts in pixels of a photo. */
export interface Prompts {
  keep: Point[];
  drop: Point[];
  box: Box | null;
}

export type Point = [x: number, y: number];
export type Box = [left: number, top: number, right: number, bottom: number];

const MOST_POINTS = 1000;
const POINT_FORM = "give X,Y in pixels or percent, as in 300,200 or 40%,25%";
const BOX_FORM = "give LEFT,TOP,RIGHT,BOTTOM in pixels or percent, as in 10,20,300,400 or 5%,10%,60%,90%";

/** Whether anything was said. */
export function isAsked({ keep = [], drop = [], box = null }: Asked): boolean {
  return keep.length > 0 || drop.length > 0 || box !== null;
}

/** Prompts for a photo of this size. Throws UsageError where they have another form or do not fit it. */
export function promptsFor({ keep = [], drop = [], box = null }: Asked, width: number, height: number): Prompts {
  const found: Prompts = {
    keep: pointsOf(keep, "keep", width, height),
    drop: pointsOf(drop, "drop", width, height),
    box: box === null ? null : (numbersOf(box, 4, "box", BOX_FORM, width, height) as Box),
  };
  if (!found.box) return found;
  const [left, top, right, bottom] = found.box;
  if (left >= right || top >= bottom) {
    throw new UsageError(`box ${found.box.join(",")} is empty; give LEFT,TOP,RIGHT,BOTTOM with left below right and top below bottom`);
  }
  return found;
}

function pointsOf(given: readonly PointInput[], field: string, width: number, height: number): Point[] {
  if (!Array.isArray(given)) throw new UsageError(`${field} is ${JSON.stringify(given)}; give a list of points, as in [[300, 200]]`);
  if (given.length > MOST_POINTS) throw new UsageError(`${field} has ${given.length} points; give at most ${MOST_POINTS}`);
  return given.map((point: PointInput) => numbersOf(point, 2, field, POINT_FORM, width, height) as Point);
}

/** `count` numbers within the photo, x and y in turn. */
function numbersOf(given: unknown, count: number, field: string, form: string, width: number, height: number): number[] {
  const parts: unknown[] = typeof given === "string" ? given.split(",") : Array.isArray(given) ? given : [];
  const numbers = parts.map((part, i) => (typeof part === "string" ? lengthOf(part, i % 2 ? height : width) : part));
  if (numbers.length !== count || !numbers.every((value) => typeof value === "number" && Number.isFinite(value))) {
    throw new UsageError(`${field} is ${JSON.stringify(given)}; ${form}`);
  }
  if ((numbers as number[]).some((value, i) => value < 0 || value > (i % 2 ? height : width))) {
    throw new UsageError(
      `${field} ${numbers.join(",")} lies outside the photo, which is ${width}x${height} pixels; x goes from 0 to ${width}, y from 0 to ${height}`,
    );
  }
  return numbers as number[];
}

/** Pixels of a text along a side; NaN where it is none. */
function lengthOf(text: string, side: number): number {
  const match = /^\s*(-?\d+(?:\.\d+)?|-?\.\d+)(%?)\s*$/.exec(text);
  if (!match) return NaN;
  return match[2] ? (Number(match[1]) * side) / 100 : Number(match[1]);
}
