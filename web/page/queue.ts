/**
 * The queue: photos are cut one after the other by the chosen model. While it loads, and before a large photo, the fast model
 * gives a preview at a lower resolution.
 */
import { announce } from "./announce.js";
import { t, translate } from "./i18n.js";
import { cancelLoad, fastModel, loadModel, showActivity } from "./lifters.js";
import type { Cutout, Lifter } from "./liftout.js";
import { remember } from "./measured.js";
import { painter } from "./painter.js";
import { deletePhoto, savePhoto } from "./persistence.js";
import { redraw, state, type Photo } from "./state.js";
import { changeThumbnail, loadThumbnail } from "./thumbnails.js";

const PREVIEW_SIDE = 1024; // pixels
const PREVIEW_FROM = 4_000_000; // pixels from which a photo takes long enough to show a preview first

let open = false;
let running = false;
let abort = new AbortController(); // of the photo that is cut now

/** Photos may come before it is known which models there are; the work begins then. */
export function openQueue(): void {
  open = true;
  void advance();
}

/** Work until nothing waits. */
export async function advance(): Promise<void> {
  if (running || !open) return;
  running = true;
  try {
    for (let photo = nextPhoto(); photo; photo = nextPhoto()) await step(photo);
  } finally {
    running = false;
    state.activity = null;
    redraw();
  }
}

/** Cut these photos, again where they are done. */
export function retry(photos: Photo[]): void {
  for (const photo of photos) {
    if (photo.stage === "working") continue;
    photo.stage = "waiting";
    photo.error = null;
  }
  redraw();
  void advance();
}

/** Stop the photo that is cut now; the others go on. A model that loads is no photo's own: stopping it stops all. */
export function cancel(): void {
  const photo = state.activity?.photo;
  if (!photo) return cancelAll();
  stop(photo);
  if (state.activity?.act !== "preview") abort.abort();
  announce(t("said.stopped.one", { name: photo.name }));
  redraw();
}

/** Stop all that runs and waits. What was finished stays. */
export function cancelAll(): void {
  for (const photo of state.photos) stop(photo);
  abort.abort();
  cancelLoad();
  announce(t("said.stopped"));
  redraw();
}

function stop(photo: Photo): void {
  if (photo.stage === "waiting" || photo.stage === "working") photo.stage = photo.cutout ? "done" : "stopped";
}

export function remove(photo: Photo): void {
  const index = state.photos.indexOf(photo);
  state.photos.splice(index, 1);
  if (photo.stage === "working") abort.abort();
  if (state.selected === photo) state.selected = state.photos[Math.min(index, state.photos.length - 1)] ?? null;
  URL.revokeObjectURL(photo.thumb);
  void deletePhoto(photo.id);
  announce(t("said.removed", { name: photo.name }));
  redraw();
}

/** Take over a cutout, of a model or of a brush, and store it. */
export async function finish(photo: Photo, { blob, width, height, box }: Cutout): Promise<void> {
  Object.assign(photo, { cutout: blob, preview: null, width, height, box, empty: box === null });
  redraw();
  await changeThumbnail(photo, blob);
  await savePhoto(photo);
  redraw();
}

function nextPhoto(): Photo | undefined {
  const { selected, photos } = state;
  return selected?.stage === "waiting" ? selected : photos.find(({ stage }) => stage === "waiting");
}

async function step(photo: Photo): Promise<void> {
  const load = loadModel(state.settings.model);
  if (!load.lifter) {
    const waiting = [photo, ...state.photos].filter(({ stage }) => stage === "waiting");
    const withoutPicture = waiting.find(needsPreview);
    if (withoutPicture && load.name !== fastModel()) return preview(withoutPicture);
    const failure = await load.done.then(
      () => null,
      (error: unknown) => (load.abort.signal.aborted ? null : error),
    );
    if (failure) for (const other of state.photos.filter(({ stage }) => stage === "waiting")) fail(other, failure);
    return;
  }
  await loadThumbnail(photo);
  if (photo.width * photo.height > PREVIEW_FROM && needsPreview(photo)) await preview(photo);
  await cut(photo, load.lifter);
}

function needsPreview(photo: Photo): boolean {
  return !photo.cutout && !photo.preview && !photo.error;
}

async function preview(photo: Photo): Promise<void> {
  try {
    const load = loadModel(fastModel());
    if (state.activity?.act !== "load") showActivity({ act: "preview", photo, model: load.name, progress: null });
    const lifter = load.lifter ?? (await load.done);
    const { blob } = await lifter.cut(await painter.reduced(photo.file, PREVIEW_SIDE));
    if (!photo.cutout) photo.preview = blob;
    redraw();
  } catch (error) {
    // the real cut says what is wrong, unless nothing can be loaded at all
    photo.error = { name: (error as Error).name, message: (error as Error).message };
  }
}

async function cut(photo: Photo, lifter: Lifter): Promise<void> {
  const { signal } = (abort = new AbortController());
  const model = state.settings.model;
  if (photo.stage !== "waiting") return;
  photo.stage = "working";
  photo.error = null;
  showActivity({ act: "cut", photo, model, progress: null });
  try {
    const cutout = await lifter.cut(photo.file, {
      signal,
      onProgress: (progress) => showActivity({ act: progress.phase === "download" ? "load" : "cut", photo, model, progress }),
    });
    if (!state.photos.includes(photo)) return;
    const seconds = Object.values(cutout.seconds).reduce((sum, value) => sum + value, 0);
    Object.assign(photo, { model, seconds, edited: false, wanted: false });
    remember(model, seconds);
    await finish(photo, cutout);
    photo.stage = "done";
    announce(t(photo.empty ? "said.empty" : "said.done", { name: photo.name }));
  } catch (error) {
    if (!signal.aborted) fail(photo, error);
  }
  redraw();
}

function fail(photo: Photo, error: unknown): void {
  const { name, message } = error as Error;
  photo.stage = "failed";
  photo.error = { name, message };
  announce(t("said.failed", { name: photo.name, why: translate(message) }));
  redraw();
}
