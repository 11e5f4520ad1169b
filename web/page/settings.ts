/** Changes of the panel's options: each can be undone, and all hold for the next visit. */
import { latest, record, type Step } from "./history.js";
import { savePreferences } from "./preferences.js";
import { redraw, state, type Settings } from "./state.js";

const TOGETHER_MS = 1000; // changes of the same options within this time are one step

/** Options of files that are not seen on the stage, or that are kept elsewhere: no steps. */
const UNTRACKED: (keyof Settings)[] = ["format", "quality", "model", "purpose"];

interface Change extends Step {
  keys: string;
  after: Partial<Settings>;
  at: number;
}

/** Change options, as one step. */
export function choose(change: Partial<Settings>): void {
  const before = valuesOf(keysOf(change));
  show(change);
  commit(before);
}

/** Change options while a hand moves; `commit` makes one step of it. */
export function show(change: Partial<Settings>): void {
  Object.assign(state.settings, change);
  redraw();
}

/** The options are as they should be. before: what they were. */
export function commit(before: Partial<Settings>): void {
  save();
  const changed = keysOf(before).filter((key) => before[key] !== state.settings[key] && !UNTRACKED.includes(key));
  if (!changed.length) return;
  const keys = changed.sort().join();
  const [after, at] = [valuesOf(changed), Date.now()];
  const last = latest() as Change | undefined;
  if (last?.keys === keys && at - last.at < TOGETHER_MS) {
    Object.assign(last, { after, at });
    return;
  }
  const first = Object.fromEntries(changed.map((key) => [key, before[key]]));
  const step: Change = { photo: null, keys, after, at, undo: () => put(first), redo: () => put(step.after) };
  record(step);
}

/** These options as they are now. */
export function valuesOf(keys: (keyof Settings)[]): Partial<Settings> {
  return Object.fromEntries(keys.map((key) => [key, state.settings[key]]));
}

function put(values: Partial<Settings>): boolean {
  show(values);
  save();
  return true;
}

function keysOf(change: Partial<Settings>): (keyof Settings)[] {
  return Object.keys(change) as (keyof Settings)[];
}

/** The background's image has a place of its own, and so have the model and what it is for. */
function save(): void {
  const { image, model, purpose, ...options } = state.settings;
  savePreferences({ options });
}
