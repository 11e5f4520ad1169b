/**
 * The queue: photos are cut one after the other by the chosen model. While it loads, and before a large photo, the fast model
 * gives a quick look at a lower resolution.
 */
import type { Cutout, Lifter, Progress } from "./liftout.js";
import { licenceProblem } from "../src/licence.js";
import { describe } from "./describing.js";
import { forgetPhoto, keepPhoto } from "./keeping.js";
import { reduced, thumbOf } from "./pixels.js";
import { prefer, preferences } from "./preferences.js";
import { say } from "./saying.js";
import { changed, state, type ListedModel, type Photo } from "./state.js";
import { phrased, t } from "./words.js";

const BUILT_IN = "pocket";
const PREVIEW_SIDE = 1024;
const PREVIEW_FROM = 4_000_000; // pixels from which a photo takes long enough to show a quick look first

interface Loading {
  name: string;
  lifter: Lifter | null;
  done: Promise<Lifter>;
  stop: AbortController;
}

const held = new Map<string, Loading>();
let open = false;
let running = false;
let stop = new AbortController();
let told = 0;

/** The model for quick looks and for writing files: the built-in one, or the smallest that is free to use. */
export function fastModel(): string {
  const { models, settings } = state;
  const found = models.find(({ name }) => name === BUILT_IN) ?? models.find((model) => licenceKind(model) === "free");
  return found?.name ?? settings.model;
}

export function listed(name: string): ListedModel | undefined {
  return state.models.find((model) => model.name === name);
}

/** Whether a model asks for consent: `unknown` where nobody says what its weights may be used for. */
export function licenceKind({ name, added = false, commercial, license }: ListedModel): "free" | "restricted" | "unknown" {
  if (!licenceProblem({ name, added, license: { ...license, commercial } })) return "free";
  return license.weights === "unknown" ? "unknown" : "restricted";
}

export function accepted(model: ListedModel): boolean {
  return licenceKind(model) === "free" || (preferences.accepted ?? []).includes(model.name);
}

/** Take another model for what is cut from now on. */
export function choose(name: string): void {
  for (const [other, { stop, lifter }] of held) {
    if (other === name || other === fastModel()) continue;
    stop.abort();
    lifter?.close();
    held.delete(other);
  }
  state.settings.model = name;
  state.engine = held.get(name)?.lifter?.engine ?? null;
  state.warnings = [];
  prefer({ model: name });
  changed();
}

export function retry(photos: Photo[]): void {
  for (const photo of photos) {
    if (photo.stage === "working") continue;
    photo.stage = "waiting";
    photo.error = null;
  }
  changed();
  void advance();
}

/** Stop all that runs and waits. What was finished stays. */
export function cancel(): void {
  for (const photo of state.photos) {
    if (photo.stage === "waiting" || photo.stage === "working") photo.stage = photo.cutout ? "done" : "stopped";
  }
  stop.abort();
  const loading = held.get(state.settings.model);
  if (loading && !loading.lifter) {
    loading.stop.abort();
    choose(fastModel());
  }
  say(t("said.stopped"));
  changed();
}

export function remove(photo: Photo): void {
  const at = state.photos.indexOf(photo);
  state.photos.splice(at, 1);
  if (photo.stage === "working") stop.abort();
  if (state.selected === photo) state.selected = state.photos[Math.min(at, state.photos.length - 1)] ?? null;
  URL.revokeObjectURL(photo.thumb);
  void forgetPhoto(photo.id);
  say(t("said.removed", { name: photo.name }));
  changed();
}

/** A loaded model that can write pictures whose alpha is known. */
export function writer(): Promise<Lifter> {
  return load(fastModel()).done;
}

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
    for (let photo = next(); photo; photo = next()) await step(photo);
  } finally {
    running = false;
    state.doing = null;
    changed();
  }
}

function next(): Photo | undefined {
  const { selected, photos } = state;
  return selected?.stage === "waiting" ? selected : photos.find(({ stage }) => stage === "waiting");
}

async function step(photo: Photo): Promise<void> {
  const model = load(state.settings.model);
  if (!model.lifter) {
    const unseen = [photo, ...state.photos].find((other) => other.stage === "waiting" && !other.cutout && !other.preview && !other.error);
    if (unseen && model.name !== fastModel()) return preview(unseen);
    const failure = await model.done.then(
      () => null,
      (error: unknown) => (model.stop.signal.aborted ? null : error),
    );
    if (failure) for (const other of state.photos.filter(({ stage }) => stage === "waiting")) fail(other, failure);
    return;
  }
  await describe(photo);
  if (photo.width * photo.height > PREVIEW_FROM && !photo.cutout && !photo.preview && !photo.error) await preview(photo);
  await cut(photo, model.lifter);
}

async function preview(photo: Photo): Promise<void> {
  try {
    const loading = load(fastModel());
    if (state.doing?.act !== "load") show({ act: "preview", photo, model: loading.name, progress: null });
    const lifter = loading.lifter ?? (await loading.done);
    const { blob } = await lifter.cut(await reduced(photo.file, PREVIEW_SIDE));
    if (!photo.cutout) photo.preview = blob;
    changed();
  } catch (error) {
    // the real cut says what is wrong, unless nothing can be loaded at all
    photo.error = { name: (error as Error).name, message: (error as Error).message };
  }
}

async function cut(photo: Photo, lifter: Lifter): Promise<void> {
  const { signal } = (stop = new AbortController());
  const model = state.settings.model;
  if (photo.stage !== "waiting") return;
  photo.stage = "working";
  photo.error = null;
  show({ act: "cut", photo, model, progress: null });
  try {
    const made = await lifter.cut(photo.file, {
      signal,
      onProgress: (progress) => show({ act: progress.phase === "download" ? "load" : "cut", photo, model, progress }),
    });
    if (!state.photos.includes(photo)) return;
    const seconds = Object.values(made.seconds).reduce((sum, value) => sum + value, 0);
    Object.assign(photo, { model, seconds, edited: false });
    await finish(photo, made);
    photo.stage = "done";
    say(t(photo.empty ? "said.empty" : "said.done", { name: photo.name }));
  } catch (error) {
    if (!signal.aborted) fail(photo, error);
  }
  changed();
}

/** Take a cutout over, made or edited, and keep it. */
export async function finish(photo: Photo, { blob, width, height, box }: Cutout): Promise<void> {
  Object.assign(photo, { cutout: blob, preview: null, width, height, box, empty: box === null });
  changed();
  const { url } = await thumbOf(blob);
  URL.revokeObjectURL(photo.thumb);
  photo.thumb = url;
  await keepPhoto(photo);
  changed();
}

function fail(photo: Photo, error: unknown): void {
  const { name, message } = error as Error;
  photo.stage = "failed";
  photo.error = { name, message };
  say(t("said.failed", { name: photo.name, why: phrased(message) }));
  changed();
}

function load(name: string): Loading {
  const known = held.get(name);
  if (known) return known;
  const stop = new AbortController();
  const model = listed(name);
  const onProgress = (progress: Progress): void => {
    if (name === state.settings.model) show({ act: "load", photo: null, model: name, progress });
  };
  const onWarning = (text: string): void => {
    if (name === state.settings.model && !state.warnings.includes(text)) state.warnings.push(text);
  };
  const done = import("./liftout.js").then(({ Lifter }) =>
    Lifter.load(name, { acceptLicense: model !== undefined && accepted(model), signal: stop.signal, onProgress, onWarning }),
  );
  const loading: Loading = { name, lifter: null, done, stop };
  held.set(name, loading);
  if (name === state.settings.model) show({ act: "load", photo: null, model: name, progress: null });
  done.then(
    (lifter) => {
      loading.lifter = lifter;
      if (name === state.settings.model) state.engine = lifter.engine;
      changed();
    },
    () => {
      if (held.get(name) === loading) held.delete(name); // the next try loads again
    },
  );
  return loading;
}

function show(doing: NonNullable<typeof state.doing>): void {
  state.doing = doing;
  const { progress } = doing;
  if (progress?.phase === "download") {
    const quarter = Math.floor((4 * progress.loaded) / (progress.total || 1));
    if (quarter !== told && quarter > 0 && quarter < 4) say(t("said.percent", { percent: 25 * quarter }));
    told = quarter;
  }
  changed();
}
