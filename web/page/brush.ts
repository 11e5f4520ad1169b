/** Erasing and restoring by hand: strokes on an alpha at the photo's resolution, with undo. */
import type { Box } from "../src/compose/subjects.js";

export type Stroke = "erase" | "restore";

export interface Point {
  x: number;
  y: number;
}

interface Step {
  rect: Box;
  before: Uint8Array;
  after: Uint8Array;
}

const SOFT = 0.3; // share of the radius over which a stroke fades
const UNDO_BYTES = 200_000_000;

export class AlphaEdit {
  /** Grows with every change. */
  version = 0;
  #undoSteps: Step[] = [];
  #redoSteps: Step[] = [];
  #stroke: { start: Uint8Array; rect: Box | null } | null = null;

  /** alpha: uint8 [height, width]; it is edited in place. */
  constructor(
    readonly alpha: Uint8Array<ArrayBuffer>,
    readonly width: number,
    readonly height: number,
  ) {}

  begin(): void {
    this.#stroke = { start: this.alpha.slice(), rect: null };
  }

  /** Paint from one point to another, a short piece at a time; yields what each may have changed. */
  *paint(stroke: Stroke, from: Point, to: Point, radius: number): Generator<Box> {
    const pieces = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / radius));
    const along = (n: number): Point => ({
      x: from.x + ((to.x - from.x) * n) / pieces,
      y: from.y + ((to.y - from.y) * n) / pieces,
    });
    for (let n = 0; n < pieces; n++) yield this.#paintPiece(stroke, along(n), along(n + 1), radius);
  }

  #paintPiece(stroke: Stroke, from: Point, to: Point, radius: number): Box {
    const rect = this.#around(from, to, radius);
    const fade = Math.max(1, radius * SOFT);
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = dx * dx + dy * dy || 1;
    for (let y = rect.top; y < rect.bottom; y++) {
      for (let x = rect.left; x < rect.right; x++) {
        const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const [awayX, awayY] = [px - along * dx, py - along * dy];
        const distance = Math.sqrt(awayX * awayX + awayY * awayY);
        if (distance >= radius) continue;
        const level = Math.round(255 * Math.min(1, (radius - distance) / fade));
        const at = y * this.width + x;
        const old = this.alpha[at]!;
        this.alpha[at] = stroke === "erase" ? Math.min(old, 255 - level) : Math.max(old, level);
      }
    }
    if (this.#stroke) this.#stroke.rect = this.#stroke.rect ? union(this.#stroke.rect, rect) : rect;
    this.version++;
    return rect;
  }

  /** The strokes since `begin` become one step. */
  end(): null {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke?.rect) return null;
    const { rect } = stroke;
    this.#undoSteps.push({ rect, before: this.#copy(stroke.start, rect), after: this.#copy(this.alpha, rect) });
    this.#redoSteps = [];
    while (this.#undoSteps.length > 1 && bytesOf(this.#undoSteps) > UNDO_BYTES) this.#undoSteps.shift();
    return null;
  }

  /** The strokes since `begin` never were. */
  drop(): Box | null {
    const stroke = this.#stroke;
    this.#stroke = null;
    return stroke?.rect ? this.#put(stroke.rect, this.#copy(stroke.start, stroke.rect)) : null;
  }

  /** Take over another alpha of this size as one step; null where it is the same. */
  replace(alpha: Uint8Array): Box | null {
    const rect = this.#differing(alpha);
    if (!rect) return null;
    this.begin();
    this.#stroke!.rect = rect;
    this.alpha.set(alpha);
    this.version++;
    this.end();
    return rect;
  }

  undo(): Box | null {
    const step = this.#undoSteps.pop();
    if (!step) return null;
    this.#redoSteps.push(step);
    return this.#put(step.rect, step.before);
  }

  redo(): Box | null {
    const step = this.#redoSteps.pop();
    if (!step) return null;
    this.#undoSteps.push(step);
    return this.#put(step.rect, step.after);
  }

  #around(from: Point, to: Point, radius: number): Box {
    const within = (value: number, most: number): number => Math.min(most, Math.max(0, value));
    return {
      left: within(Math.floor(Math.min(from.x, to.x) - radius), this.width),
      top: within(Math.floor(Math.min(from.y, to.y) - radius), this.height),
      right: within(Math.ceil(Math.max(from.x, to.x) + radius), this.width),
      bottom: within(Math.ceil(Math.max(from.y, to.y) + radius), this.height),
    };
  }

  #differing(other: Uint8Array): Box | null {
    const rect: Box = { left: this.width, top: this.height, right: 0, bottom: 0 };
    for (let y = 0, at = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++, at++) {
        if (other[at] === this.alpha[at]) continue;
        rect.left = Math.min(rect.left, x);
        rect.top = Math.min(rect.top, y);
        rect.right = Math.max(rect.right, x + 1);
        rect.bottom = y + 1;
      }
    }
    return rect.bottom ? rect : null;
  }

  #copy(from: Uint8Array, { left, top, right, bottom }: Box): Uint8Array {
    const wide = right - left;
    const out = new Uint8Array(Math.max(0, wide * (bottom - top)));
    for (let y = top; y < bottom; y++) out.set(from.subarray(y * this.width + left, y * this.width + right), (y - top) * wide);
    return out;
  }

  #put(rect: Box, levels: Uint8Array): Box {
    const wide = rect.right - rect.left;
    for (let y = rect.top; y < rect.bottom; y++) {
      this.alpha.set(levels.subarray((y - rect.top) * wide, (y - rect.top + 1) * wide), y * this.width + rect.left);
    }
    this.version++;
    return rect;
  }
}

/** The smallest box around two. */
export function union(a: Box, b: Box): Box {
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}

function bytesOf(steps: Step[]): number {
  return steps.reduce((sum, { before }) => sum + 2 * before.length, 0);
}
