/** Hands on the stage: zoom and pan by wheel, fingers and keys; strokes by pointer and keys. */
import type { Point } from "./brush.js";
import { redo, undo } from "./history.js";
import { isPicking, pickLayer } from "./layers-view.js";
import { endStretch, isPointing, mark, markAtCursor, stepCursor, stretch } from "./pointing.js";
import {
  beginStroke,
  dab,
  drawRing,
  dropStroke,
  endStroke,
  hideRing,
  isBrush,
  isPainting,
  moveBrush,
  paintThrough,
  resizeBrush,
  stepBrush,
} from "./retouch.js";
import { fit, pan, stage, toPhoto, zoom, ZOOM_STEP } from "./stage.js";

const PAN = 40; // pixels of the screen for an arrow key
const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const CLICK = 6; // pixels of the screen that a hand may move in a click

const fingers = new Map<number, Point>();
/** Where a pointer came down that sets a mark or draws a box, on the screen; and whether it is a box. */
let pointed: { at: Point; isBox: boolean } | null = null;
/** Where a pointer came down that may pick a layer, on the screen. */
let pressed: Point | null = null;

export function startGestures(): void {
  stage.onpointerdown = onDown;
  stage.onpointermove = onMove;
  stage.onpointerup = stage.onpointercancel = onUp;
  stage.onpointerleave = hideRing;
  stage.onkeydown = onKey;
  stage.oncontextmenu = (event) => {
    if (isPointing()) event.preventDefault();
  };
  stage.ondblclick = (event) => {
    if (!overControls(event) && !isBrush() && !isPointing() && !isPicking()) fit();
  };
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), pointOf(event));
    },
    { passive: false },
  );
  window.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || (event.target as Element).matches("input[type=number]")) return;
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
}

/** A point of the stage. */
function pointOf({ clientX, clientY }: MouseEvent): Point {
  const { left, top } = stage.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

function overControls(event: Event): boolean {
  return Boolean((event.target as Element).closest("button, .doing, .verdict, .split, .placing"));
}

function onDown(event: PointerEvent): void {
  if (overControls(event)) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, pointOf(event));
  pressed = isPicking() && event.button === 0 && fingers.size === 1 ? pointOf(event) : null;
  if (isPointing()) pointed = fingers.size === 1 && event.button !== 1 ? { at: pointOf(event), isBox: false } : dropPoint();
  else if (isBrush() && event.button === 0 && fingers.size === 1) beginStroke(toPhoto(pointOf(event)));
  else if (isPainting()) dropStroke(); // a second finger: it was no stroke but the begin of a pinch
}

function dropPoint(): null {
  if (pointed?.isBox) endStretch(toPhoto(pointed.at), null);
  return null;
}

function onMove(event: PointerEvent): void {
  const to = pointOf(event);
  const from = fingers.get(event.pointerId);
  if (pressed && distance(pressed, to) > CLICK) pressed = null;
  if (isPainting() && from) {
    paintThrough([...(event.getCoalescedEvents?.() ?? []), event].map((each) => toPhoto(pointOf(each))));
  } else if (pointed && from) {
    pointed.isBox ||= distance(pointed.at, to) > CLICK && event.buttons === 1;
    if (pointed.isBox) stretch(toPhoto(pointed.at), toPhoto(to));
  } else if (from && fingers.size === 1 && isBrush() && event.buttons === 1) {
    // the brush had nothing to paint on: a picture that moves instead would surprise
  } else if (from && fingers.size === 1) {
    pan(to.x - from.x, to.y - from.y);
  } else if (from) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)![1];
    pan((to.x - from.x) / 2, (to.y - from.y) / 2);
    zoom(distance(to, other) / (distance(from, other) || 1), { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 });
  }
  if (from) fingers.set(event.pointerId, to);
  if (!isBrush()) return;
  if (isPainting()) drawRing();
  else moveBrush(toPhoto(to));
}

function onUp(event: PointerEvent): void {
  fingers.delete(event.pointerId);
  if (isPainting()) endStroke();
  if (pressed && event.type === "pointerup") pickLayer(toPhoto(pressed));
  pressed = null;
  if (!pointed) return;
  const { at, isBox } = pointed;
  pointed = null;
  if (event.type === "pointercancel") return isBox ? endStretch(toPhoto(at), null) : undefined;
  if (isBox) endStretch(toPhoto(at), toPhoto(pointOf(event)));
  else mark(toPhoto(at), event.altKey || event.button === 2);
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function onKey(event: KeyboardEvent): void {
  if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (event.key === "+" || event.key === "=") zoom(ZOOM_STEP);
  else if (event.key === "-") zoom(1 / ZOOM_STEP);
  else if (event.key === "0") fit();
  else if (arrow && isBrush()) stepBrush(...arrow);
  else if (arrow && isPointing()) stepCursor(...arrow);
  else if (event.key === " " && isPointing()) markAtCursor();
  else if (arrow) pan(-arrow[0] * PAN, -arrow[1] * PAN);
  else if (event.key === " " && isBrush()) dab();
  else if (event.key === "[") resizeBrush(0.8);
  else if (event.key === "]") resizeBrush(1.25);
  else return;
  event.preventDefault();
}
