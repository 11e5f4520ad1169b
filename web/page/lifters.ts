/** The models of the page: which there are, which may be used, which are loaded. */
import { licenceProblem } from "../src/spec.js";
import { announce } from "./announce.js";
import { t } from "./i18n.js";
import type { Lifter, Progress } from "./liftout.js";
import { preferences, savePreferences } from "./preferences.js";
import { redraw, state, type Activity, type ListedModel } from "./state.js";

const BUILT_IN = "pocket";

/** A model that is loaded, or on its way. */
export interface ModelLoad {
  name: string;
  /** Null until it is loaded. */
  lifter: Lifter | null;
  done: Promise<Lifter>;
  abort: AbortController;
}

const loads = new Map<string, ModelLoad>();
let lastQuarter = 0;

/** The model for previews and for writing files: the built-in one, or the smallest that is free to use. */
export function fastModel(): string {
  const { models, settings } = state;
  const fast = models.find(({ name }) => name === BUILT_IN) ?? models.find((model) => licenceKind(model) === "free");
  return fast?.name ?? settings.model;
}

export function modelNamed(name: string): ListedModel | undefined {
  return state.models.find((model) => model.name === name);
}

/** Whether a model asks for consent: `unknown` where nobody says what its weights may be used for. */
export function licenceKind({ name, added = false, commercial, license }: ListedModel): "free" | "restricted" | "unknown" {
  if (!licenceProblem({ name, added, license: { ...license, commercial } })) return "free";
  return license.weights === "unknown" ? "unknown" : "restricted";
}

/** Whether a model may be used: its licence asks for nothing, or was accepted. */
export function isAccepted(model: ListedModel): boolean {
  return licenceKind(model) === "free" || (preferences.accepted ?? []).includes(model.name);
}

/** Take another model for what is cut from now on. purpose: what it was chosen for, where that is how it was chosen. */
export function useModel(name: string, purpose = ""): void {
  for (const [other, { abort, lifter }] of loads) {
    if (other === name || other === fastModel()) continue;
    abort.abort();
    lifter?.close();
    loads.delete(other);
  }
  Object.assign(state.settings, { model: name, purpose });
  state.engine = loads.get(name)?.lifter?.engine ?? null;
  state.warnings = [];
  savePreferences({ model: name, purpose });
  redraw();
}

/** End the load of the chosen model, if it is under way, and go back to the fast one. */
export function cancelLoad(): void {
  const load = loads.get(state.settings.model);
  if (!load || load.lifter) return;
  load.abort.abort();
  useModel(fastModel());
}

/** A loaded model that can write images whose alpha is known. */
export function writer(): Promise<Lifter> {
  return loadModel(fastModel()).done;
}

export function loadModel(name: string): ModelLoad {
  const running = loads.get(name);
  if (running) return running;
  const abort = new AbortController();
  const model = modelNamed(name);
  const isChosen = (): boolean => name === state.settings.model;
  const onProgress = (progress: Progress): void => {
    if (isChosen()) showActivity({ act: "load", photo: null, model: name, progress });
  };
  const onWarning = (text: string): void => {
    if (isChosen() && !state.warnings.includes(text)) state.warnings.push(text);
  };
  const done = import("./liftout.js").then(({ Lifter }) =>
    Lifter.load(name, { acceptLicense: model !== undefined && isAccepted(model), signal: abort.signal, onProgress, onWarning }),
  );
  const load: ModelLoad = { name, lifter: null, done, abort };
  loads.set(name, load);
  if (isChosen()) showActivity({ act: "load", photo: null, model: name, progress: null });
  done.then(
    (lifter) => {
      load.lifter = lifter;
      if (isChosen()) state.engine = lifter.engine;
      redraw();
    },
    () => {
      if (loads.get(name) === load) loads.delete(name); // the next try loads again
    },
  );
  return load;
}

/** Show what runs now; screen readers hear every quarter of a download. */
export function showActivity(activity: Activity): void {
  state.activity = activity;
  const { progress } = activity;
  if (progress?.phase === "download") {
    const quarter = Math.floor((4 * progress.loaded) / (progress.total || 1));
    if (quarter !== lastQuarter && quarter > 0 && quarter < 4) announce(t("said.percent", { percent: 25 * quarter }));
    lastQuarter = quarter;
  }
  redraw();
}
