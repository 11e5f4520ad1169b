/** The subject on its canvas, by hand: moved and sized, and the margin, by mouse, touch and keys. */
import { canvasPosition, canvasSize, placeOf, type Place } from "../src/compose/canvas.js";
import type { Box } from "../src/compose/subjects.js";
import { announce } from "./announce.js";
import type { Point } from "./brush.js";
import { all, element } from "./elements.js";
import { t } from "./i18n.js";
import { choose, commit, show, valuesOf } from "./settings.js";
import { croppedNow, holdScene, onArrange, placeNow, sceneNow } from "./stage.js";
import { redraw, state, type Settings } from "./state.js";

const SNAP = 6; // pixels of the screen
const STEP = 0.01; // of the canvas, for an arrow key; more with shift
const LARGE = 5;
const SIZE_STEP = 2; // percent

const frame = element("subject-frame");
const margins = element("margin-frame");
const handle = element("margin-handle");

let wide: Box | null = null; // the subject, in pixels of the photo
let outwards = 0; // to which side the margin's handle makes it larger; 0 without one
let held = false;
let beforeHeld: Partial<Settings> = {}; // what a hand will have changed
const fingers = new Map<number, Point>();

export function startPlacing(): void {
  frame.onpointerdown = grab;
  frame.onkeydown = byKey;
  for (const corner of all("[data-corner]", frame)) corner.onpointerdown = (event) => resize(event, corner.dataset["corner"]!);
  handle.onpointerdown = drag;
  handle.onkeydown = marginByKey;
  onArrange(arrangePlacing);
}

/** Put the frame where the subject is, and move what is drawn there while a hand moves it. */
function arrangePlacing(): void {
  const scene = sceneNow();
  wide = scene?.drawn.wide ?? null;
  const now = placed(state.settings);
  frame.hidden = margins.hidden = !now;
  const { scale, x, y } = placeNow();
  const crop = croppedNow();
  if (!now) return placeHandle(crop ? 1 : 0, crop ? x + crop.right * scale : 0, crop ? y + ((crop.top + crop.bottom) / 2) * scale : 0);
  setBox(frame, x + now.left * scale, y + now.top * scale, now.width * scale, now.height * scale);
  const { width, height } = canvasSize(state.settings.canvas);
  const { margin } = state.settings;
  setBox(margins, x + margin * scale, y + margin * scale, (width - 2 * margin) * scale, (height - 2 * margin) * scale);
  placeHandle(-1, x + (width - margin) * scale, y + (height / 2) * scale);
  const then = placed(scene!.drawn.settings);
  if (!then) return;
  const grown = now.width / then.width;
  scene!.item.style.transform = `translate(${(now.left - grown * then.left) * scale}px,${(now.top - grown * then.top) * scale}px) scale(${grown})`;
}

/** Put the handle of the margin somewhere. outwards: to which side it makes the margin larger; 0 hides it. */
function placeHandle(side: number, left: number, top: number): void {
  outwards = side;
  handle.hidden = !side;
  handle.style.transform = `translate(${left}px,${top}px)`;
  handle.ariaValueNow = String(state.settings.margin);
  handle.ariaValueText = `${state.settings.margin} px`;
}

/** Move the subject to where its upper left corner is at a point of the canvas. */
function moveTo(left: number, top: number, now: Place): Partial<Settings> {
  const { width, height } = canvasSize(state.settings.canvas);
  const { margin } = state.settings;
  const shareOf = (at: number, free: number): string => {
    const share = free > 0 ? Math.min(1, Math.max(0, (at - margin) / free)) : 0.5;
    const near = [0, 0.5, 1].find((stop) => Math.abs(stop - share) * free * placeNow().scale < SNAP);
    return `${Math.round(1000 * (held && near !== undefined ? near : share)) / 10}%`;
  };
  return { position: `${shareOf(left, width - 2 * margin - now.width)},${shareOf(top, height - 2 * margin - now.height)}` };
}

/** The most that the margin can be. */
export function mostMargin({ canvas }: Settings): number {
  if (!canvas) return 5000;
  const { width, height } = canvasSize(canvas);
  return Math.max(0, Math.floor((Math.min(width, height) - 1) / 2));
}

function placed({ canvas, position, margin, subjectSize }: Settings): Place | null {
  if (!wide || !canvas) return null;
  try {
    return placeOf(wide, canvasSize(canvas), { position, margin, enlarge: true, fill: subjectSize / 100 });
  } catch {
    return null; // the margin leaves no room
  }
}

function grab(event: PointerEvent): void {
  const start = placed(state.settings);
  if (event.button || !start) return;
  const before = valuesOf(["position", "subjectSize"]);
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const origin = { x: event.clientX, y: event.clientY };
  follow(event, frame, before, (at) => {
    fingers.set(at.pointerId, { x: at.clientX, y: at.clientY });
    const [one, other] = [...fingers.values()];
    if (one && other) return pinch(one, other);
    const { scale } = placeNow();
    show(moveTo(start.left + (at.clientX - origin.x) / scale, start.top + (at.clientY - origin.y) / scale, start));
  });
}

let span = 0; // between two fingers, and the size of the subject when they came down
let sizeThen = 0;

function pinch(one: Point, other: Point): void {
  const distance = Math.hypot(one.x - other.x, one.y - other.y);
  if (!span) [span, sizeThen] = [distance, state.settings.subjectSize];
  show({ subjectSize: percent((sizeThen * distance) / (span || 1)) });
}

/** Size the subject by a corner; the opposite one stays. */
function resize(event: PointerEvent, corner: string): void {
  event.stopPropagation();
  const start = placed(state.settings);
  if (event.button || !start) return;
  const before = valuesOf(["position", "subjectSize"]);
  const { subjectSize } = state.settings;
  const [right, down] = [corner.includes("e"), corner.includes("s")];
  const origin = { x: event.clientX, y: event.clientY };
  follow(event, event.currentTarget as HTMLElement, before, (at) => {
    const { scale } = placeNow();
    const across = ((at.clientX - origin.x) / scale) * (right ? 1 : -1);
    const along = ((at.clientY - origin.y) / scale) * (down ? 1 : -1);
    const grown = Math.max((start.width + across) / start.width, (start.height + along) / start.height);
    Object.assign(state.settings, { subjectSize: percent(subjectSize * grown) });
    const now = placed(state.settings)!;
    show(moveTo(right ? start.left : start.left + start.width - now.width, down ? start.top : start.top + start.height - now.height, now));
  });
}

function drag(event: PointerEvent): void {
  const side = outwards;
  if (event.button || !side) return;
  const { margin } = state.settings;
  const origin = event.clientX;
  follow(event, handle, valuesOf(["margin"]), (at) => {
    const by = ((at.clientX - origin) / placeNow().scale) * side;
    show({ margin: Math.min(mostMargin(state.settings), Math.max(0, Math.round(margin + by))) });
  });
}

/** Follow a pointer until it lets go; what it changed is one step. */
function follow(event: PointerEvent, item: HTMLElement, before: Partial<Settings>, move: (event: PointerEvent) => void): void {
  event.stopPropagation();
  item.setPointerCapture(event.pointerId);
  item.onpointermove = move;
  if (!held) beforeHeld = before; // else a second finger
  holdScene((held = true));
  item.onpointerup = item.onpointercancel = ({ pointerId }) => {
    fingers.delete(pointerId);
    span = 0;
    if (fingers.size) return;
    item.onpointermove = null;
    holdScene((held = false));
    commit(beforeHeld);
    redraw();
  };
}

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function byKey(event: KeyboardEvent): void {
  const now = placed(state.settings);
  if (!now || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  const { subjectSize } = state.settings;
  const { width, height } = canvasSize(state.settings.canvas);
  const by = STEP * (event.shiftKey ? LARGE : 1);
  if (arrow) choose(moveTo(now.left + arrow[0] * by * width, now.top + arrow[1] * by * height, now));
  else if (event.key === "+" || event.key === "=") choose({ subjectSize: percent(subjectSize + SIZE_STEP) });
  else if (event.key === "-") choose({ subjectSize: percent(subjectSize - SIZE_STEP) });
  else return;
  event.preventDefault();
  event.stopPropagation();
  const [across, down] = canvasPosition(state.settings.position).map((share) => Math.round(100 * share));
  announce(t("said.placed", { across: across!, down: down!, size: state.settings.subjectSize }));
}

function marginByKey(event: KeyboardEvent): void {
  const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  const { settings } = state;
  choose({ margin: Math.min(mostMargin(settings), Math.max(0, settings.margin + by * (event.shiftKey ? LARGE : 1))) });
}

function percent(value: number): number {
  return Math.min(100, Math.max(1, Math.round(value)));
}

function setBox(item: HTMLElement, left: number, top: number, width: number, height: number): void {
  item.style.cssText = `width:${width}px;height:${height}px;transform:translate(${left}px,${top}px)`;
}
