/** What can be undone, the latest first: strokes and repairs of the photo on the stage, and changes of the options of all. */
import { announce } from "./announce.js";
import { t } from "./i18n.js";
import { redraw, state, type Photo } from "./state.js";

export interface Step {
  /** The photo that it changed; null for what holds for all photos. */
  photo: Photo | null;
  /** Do it or take it back; false where that is no longer possible. */
  undo(): Promise<boolean> | boolean;
  redo(): Promise<boolean> | boolean;
}

const MOST = 500;

const done: Step[] = [];
const undone: Step[] = [];

/** Something was done: what had been undone before cannot be redone any more. */
export function record(step: Step): void {
  done.push(step);
  if (done.length > MOST) done.shift();
  drop(undone, applies);
  redraw();
}

/** These steps can no longer be undone: their photo has left the stage, or was cut anew. */
export function forget(steps: (step: Step) => boolean): void {
  drop(done, steps);
  drop(undone, steps);
}

/** The latest step, where it can still be changed. */
export function latest(): Step | undefined {
  return done.at(-1);
}

export function canUndo(): boolean {
  return done.some(applies);
}

export function canRedo(): boolean {
  return undone.some(applies);
}

export function undo(): void {
  void move(done, undone, "undo", "said.undone");
}

export function redo(): void {
  void move(undone, done, "redo", "said.redone");
}

async function move(from: Step[], to: Step[], which: "undo" | "redo", said: string): Promise<void> {
  const step = from.findLast(applies);
  if (!step) return;
  from.splice(from.lastIndexOf(step), 1);
  to.push(step);
  redraw();
  if (await step[which]()) announce(t(said));
}

/** Whether it changes what is on the stage. */
function applies({ photo }: Step): boolean {
  return photo === null || photo === state.selected;
}

function drop(steps: Step[], which: (step: Step) => boolean): void {
  for (let i = steps.length - 1; i >= 0; i--) if (which(steps[i]!)) steps.splice(i, 1);
}
