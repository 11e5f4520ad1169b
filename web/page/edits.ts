/** Edits of cutouts by a brush, in the painter's worker. Strokes that come before the cutout has been read wait for it, in their order. */
import { gaussianBlur } from "../src/compose/gaussian.js";
import { fillHoles } from "../src/compose/holes.js";
import type { Subject } from "../src/compose/separate.js";
import { largestSubject, type Box } from "../src/compose/subjects.js";
import { alphaOf } from "./bitmaps.js";
import { AlphaEdit, union, type Point, type Stroke } from "./brush.js";
import { paintOver, redrawPart } from "./canvases.js";

/** What can be done to a whole alpha at once. */
export type Repair = "largest" | "fill" | "harder" | "softer";

/** One thing that a hand does. */
export type Act =
  | { act: Repair }
  | { act: "begin" | "end" | "drop" | "undo" | "redo" }
  | { act: "take"; alpha: Uint8Array<ArrayBuffer> }
  | { act: "leave-out" | "take-back"; subject: Subject }
  | { act: "line"; stroke: Stroke; from: Point; to: Point; radius: number };

/** What came of it. */
export interface Done {
  changed: boolean;
}

interface Edit {
  ready: Promise<AlphaEdit>;
  /** Whether its photo is on the stage. */
  shown: boolean;
  /** What the stage shows in colours of the photo instead of clean ones. */
  rough: Box | null;
}

const AROUND = 48; // pixels around a stroke in which clean colours change visibly

const edits = new Map<number, Edit>();

/** Resolves once the cutout has been read. */
export async function openEdit(id: number, cutout: Blob): Promise<void> {
  const ready = alphaOf(cutout).then(({ alpha, width, height }) => new AlphaEdit(alpha, width, height));
  edits.set(id, { ready, shown: true, rough: null });
  await ready;
}

/** Its photo leaves the stage; strokes that still wait are not drawn. */
export function hideEdit(id: number): void {
  edits.get(id)!.shown = false;
}

export function closeEdit(id: number): void {
  edits.delete(id);
}

/** Do what the hand did, and show it. */
export async function stroke(id: number, acts: Act[]): Promise<Done> {
  const edit = edits.get(id)!;
  const alpha = await edit.ready;
  let changed = false;
  for (const act of acts) {
    for (const box of doneBy(alpha, act)) {
      if (edit.shown) paintOver(alpha, box);
      edit.rough = edit.rough ? union(edit.rough, box) : box;
      changed = true;
    }
  }
  return { changed };
}

function* doneBy(alpha: AlphaEdit, act: Act): Generator<Box> {
  if (act.act === "begin") alpha.begin();
  else if (isRepair(act)) {
    const box = alpha.replace(REPAIRS[act.act](alpha));
    if (box) yield box;
  } else if (act.act === "take") {
    const box = alpha.replace(act.alpha);
    if (box) yield box;
  } else if (act.act === "leave-out" || act.act === "take-back") {
    const box = alpha.replace(withSubject(alpha, act.subject, act.act === "take-back"));
    if (box) yield box;
  } else if (act.act === "line") yield* alpha.paint(act.stroke, act.from, act.to, act.radius);
  else {
    const box = alpha[act.act]();
    if (box) yield box;
  }
}

const EDGE = 0.0012; // standard deviation of a softer edge, of the photo's longer side

const REPAIRS: Record<Repair, (edit: AlphaEdit) => Uint8Array> = {
  largest: ({ alpha, width, height }) => largestSubject(alpha, width, height),
  fill: ({ alpha, width, height }) => fillHoles(alpha, width, height),
  harder: ({ alpha }) => alpha.map((level) => Math.min(255, Math.max(0, 2 * level - 128))),
  softer: ({ alpha, width, height }) =>
    gaussianBlur({ data: alpha, width, height, channels: 1 }, Math.max(1, EDGE * Math.max(width, height))).data,
};

/** An alpha with a subject in it, or without it. */
function withSubject({ alpha, width }: AlphaEdit, { box, alpha: own }: Subject, isIn: boolean): Uint8Array {
  const levels = alpha.slice();
  for (let y = box.top, from = 0; y < box.bottom; y++) {
    for (let x = box.left, at = y * width + x; x < box.right; x++, at++, from++) {
      levels[at] = isIn ? Math.min(255, levels[at]! + own[from]!) : Math.max(0, levels[at]! - own[from]!);
    }
  }
  return levels;
}

function isRepair(act: Act): act is { act: Repair } {
  return act.act in REPAIRS;
}

/** The alpha as it is now: uint8 [height, width], in a Blob, which needs no copy on the page's thread. */
export async function levelsOf(id: number): Promise<{ levels: Blob; version: number }> {
  const { alpha, version } = await edits.get(id)!.ready;
  return { levels: new Blob([alpha]), version };
}

/** Show the clean colours of the cutout that was written of `version`, where strokes are; not where others came after it. */
export async function renew(id: number, cutout: Blob, version: number): Promise<void> {
  const edit = edits.get(id);
  if (!edit?.rough || !edit.shown) return;
  const [alpha, bitmap] = await Promise.all([edit.ready, createImageBitmap(cutout)]);
  const { rough } = edit;
  if (rough && edit.shown && alpha.version === version) {
    const { width, height } = alpha;
    redrawPart(bitmap, {
      left: Math.max(0, rough.left - AROUND),
      top: Math.max(0, rough.top - AROUND),
      right: Math.min(width, rough.right + AROUND),
      bottom: Math.min(height, rough.bottom + AROUND),
    });
    edit.rough = null;
  }
  bitmap.close();
}
