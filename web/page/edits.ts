/** Edits of cutouts by a brush, in the painter's worker. Strokes that come before the cutout has been read wait for it, in their order. */
import type { Box } from "../src/compose/subjects.js";
import { alphaOf } from "./bitmaps.js";
import { AlphaEdit, union, type Point, type Stroke } from "./brush.js";
import { paintOver, redrawPart } from "./canvases.js";

/** One thing that a hand does. */
export type Act =
  | { act: "begin" | "end" | "drop" | "undo" | "redo" }
  | { act: "line"; stroke: Stroke; from: Point; to: Point; radius: number };

/** What can be done after it, and whether something was. */
export interface Steps {
  canUndo: boolean;
  canRedo: boolean;
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
export async function stroke(id: number, acts: Act[]): Promise<Steps> {
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
  return { canUndo: alpha.canUndo, canRedo: alpha.canRedo, changed };
}

function* doneBy(alpha: AlphaEdit, act: Act): Generator<Box> {
  if (act.act === "begin") alpha.begin();
  else if (act.act === "line") yield* alpha.paint(act.stroke, act.from, act.to, act.radius);
  else {
    if (act.act === "end" || act.act === "drop") alpha.end();
    const box = act.act === "redo" ? alpha.redo() : act.act === "end" ? null : alpha.undo();
    if (box) yield box;
  }
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
