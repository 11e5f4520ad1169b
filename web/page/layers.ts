/**
 * Subjects of a photo as layers: each can be left out and taken back, and becomes a file of its own.
 *
 * They are told apart again after a brush or a point has changed the alpha; those that are left out stay what they were.
 */
import { announce, notify } from "./announce.js";
import type { Point } from "./brush.js";
import { record } from "./history.js";
import { t, translate } from "./i18n.js";
import { writer } from "./lifters.js";
import type { Subject } from "./liftout.js";
import { applyTo, editNow, isPainting, onOtherEdit, settle } from "./retouch.js";
import { onRedraw, redraw, state, type Photo } from "./state.js";

export interface Layer {
  subject: Subject;
  /** Whether it is part of the cutout. */
  shown: boolean;
}

/** What was found in a cutout. */
interface Found {
  cutout: Blob;
  layers: Layer[];
  /** Whether the alpha was changed since by something else. */
  stale: boolean;
}

const SEEN = 16; // level from which a place belongs to a layer

const found = new WeakMap<Photo, Found>();
const asked = new WeakMap<Photo, { found: Found; done: Promise<Layer[]> }>();
let refused: Blob | null = null; // a cutout that could not be told apart

export function startLayers(): void {
  onOtherEdit("layers", () => {
    if (!state.selected) return;
    for (const known of [found.get(state.selected), asked.get(state.selected)?.found]) if (known) known.stale = true;
  });
  onRedraw(() => {
    const photo = state.selected;
    if (!state.settings.each || !photo?.cutout || photo.stage !== "done" || isPainting()) return;
    if (current(photo) || asked.has(photo) || refused === photo.cutout) return;
    refused = photo.cutout;
    layersOf(photo).then(
      () => (refused = null),
      (error: Error) => notify(translate(error.message)),
    );
  });
}

/** The layers of the photo on the stage, the largest first; null until they are known. */
export function layersNow(): Layer[] | null {
  const photo = state.selected;
  return photo && state.settings.each ? (found.get(photo)?.layers ?? null) : null;
}

/** Whether the photo on the stage is being told apart. */
export function isTelling(): boolean {
  return state.selected !== null && asked.has(state.selected);
}

/** The layers of a photo that is done. Throws what `lifter.subjects` throws. */
export async function layersOf(photo: Photo): Promise<Layer[]> {
  await settle();
  const known = current(photo);
  if (known) return known.layers;
  const running = asked.get(photo);
  if (running?.found.cutout === photo.cutout) return running.done;
  const mine: Found = { cutout: photo.cutout!, layers: [], stale: false };
  const done = tellApart(photo, mine).finally(() => {
    if (asked.get(photo)?.found === mine) asked.delete(photo);
    redraw();
  });
  asked.set(photo, { found: mine, done });
  redraw();
  return done;
}

/** Leave a layer of the photo on the stage out, or take it back, as one step. */
export async function toggle(layer: Layer): Promise<void> {
  const edit = editNow();
  const mine = edit && found.get(edit.photo);
  if (!mine?.layers.includes(layer)) return;
  const { photo } = edit!;
  const shown = !layer.shown;
  layer.shown = shown;
  redraw();
  const changed = await applyTo(edit!, { act: shown ? "take-back" : "leave-out", subject: layer.subject }, "layers");
  const go = (to: boolean, which: "undo" | "redo") => (): Promise<boolean> | boolean => {
    found.set(photo, Object.assign(mine, { stale: false })); // as it was when this was done
    layer.shown = to;
    redraw();
    return changed ? applyTo(edit!, { act: which }, "layers") : true;
  };
  record({ photo, undo: go(!shown, "undo"), redo: go(shown, "redo") });
  announce(t(shown ? "said.layer.in" : "said.layer.out", { number: mine.layers.indexOf(layer) + 1 }));
}

/** The layer at a point of the photo on the stage, whether it is shown or not; null where there is none. */
export function layerAt({ x, y }: Point): Layer | null {
  const level = ({ subject: { box, alpha } }: Layer): number => {
    const [across, down] = [Math.floor(x) - box.left, Math.floor(y) - box.top];
    const wide = box.right - box.left;
    return across >= 0 && across < wide && down >= 0 && y < box.bottom ? alpha[down * wide + across]! : 0;
  };
  const best = (layersNow() ?? []).reduce<Layer | null>((one, other) => (one && level(one) >= level(other) ? one : other), null);
  return best && level(best) >= SEEN ? best : null;
}

/** What is known of a photo's cutout as it is now. */
function current(photo: Photo): Found | null {
  const known = found.get(photo);
  if (!known || !photo.cutout) return null;
  if (known.cutout === photo.cutout) return known;
  if (known.stale || !photo.edited) return null;
  known.cutout = photo.cutout; // layers alone were left out or taken back
  return known;
}

async function tellApart(photo: Photo, mine: Found): Promise<Layer[]> {
  const subjects = await (await writer()).subjects(photo.file, mine.cutout);
  const before = photo.edited ? (found.get(photo)?.layers ?? []) : [];
  mine.layers = [...subjects.map((subject): Layer => ({ subject, shown: true })), ...before.filter(({ shown }) => !shown)];
  found.set(photo, mine);
  return mine.layers;
}
