/** Hands on the stage: zoom and pan by wheel, fingers and keys; the brushes, by pointer and by keys, with undo. */
import { AlphaEdit, type Point, type Rect, type Stroke } from "./brush.js";
import { finish, writer } from "./cutting.js";
import { choice, element } from "./elements.js";
import { touchUp } from "./pictures.js";
import { alphaOf } from "./pixels.js";
import { say, tell } from "./saying.js";
import { state, view, type Photo } from "./state.js";
import { STEP, alreadyDrawn, fit, pan, photoSize, scaleNow, stage, toPhoto, toStage, uncover, zoom } from "./viewer.js";
import { phrased, t } from "./words.js";

const SETTLE_MS = 500; // after the last stroke, before the cutout is written anew
const PAN = 40;

const ring = element("brush-ring");
const size = element<HTMLInputElement>("brush-size");
const undo = element<HTMLButtonElement>("undo");
const redo = element<HTMLButtonElement>("redo");
const tool = choice<"look" | Stroke>("tool", pick);

/** The photo that is edited, and the cutout that its alpha belongs to. */
let session: { photo: Photo; cutout: Blob; edit: AlphaEdit } | null = null;
let settling = 0;
let last: Point | null = null; // of the brush, in pixels of the photo
const fingers = new Map<number, Point>();

export function startEditing(): void {
  undo.onclick = () => step("undo");
  redo.onclick = () => step("redo");
  size.oninput = () => drawRing();
  stage.onpointerdown = down;
  stage.onpointermove = move;
  stage.onpointerup = stage.onpointercancel = up;
  stage.onpointerleave = () => (ring.hidden = true);
  stage.onkeydown = key;
  stage.ondblclick = (event) => {
    if (!overControls(event) && tool.value === "look") fit();
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
    step(event.shiftKey ? "redo" : "undo");
  });
  view(() => {
    if (session && (state.selected !== session.photo || session.photo.cutout !== session.cutout)) leave();
    if (tool.value !== "look" && !session && state.selected?.cutout) void enter();
    drawButtons();
  });
}

function pick(chosen: "look" | Stroke): void {
  size.disabled = chosen === "look";
  stage.classList.toggle("brushing", chosen !== "look");
  ring.hidden = true;
  if (chosen === "look") return;
  uncover();
  void enter();
}

async function enter(): Promise<AlphaEdit | null> {
  const photo = state.selected;
  const cutout = photo?.cutout;
  if (!cutout) return null;
  if (session?.photo === photo) return session.edit;
  const alpha = await alphaOf(cutout);
  if (state.selected !== photo || photo.cutout !== cutout) return null;
  const { width, height } = photoSize();
  session ??= { photo, cutout, edit: new AlphaEdit(alpha, width, height) };
  return session.edit;
}

function leave(): void {
  if (settling) void write();
  session = null;
}

function step(way: "undo" | "redo"): void {
  const rect = session?.edit[way]();
  if (!rect) return;
  touch(rect);
  settle();
  say(t(way === "undo" ? "said.undone" : "said.redone"));
}

function paint(to: Point): void {
  const { value } = tool;
  if (!session || value === "look") return;
  touch(session.edit.paint(value, last ?? to, to, radius()));
  last = to;
}

function touch(rect: Rect): void {
  touchUp(session!.edit, rect);
  drawButtons();
}

/** The cutout is written once the hand rests: clean colours under the new alpha, and kept. */
function settle(): void {
  clearTimeout(settling);
  settling = window.setTimeout(() => void write(), SETTLE_MS);
  drawButtons();
}

async function write(): Promise<void> {
  clearTimeout(settling);
  settling = 0;
  const mine = session;
  if (!mine) return;
  const { photo, edit } = mine;
  const { version } = edit;
  try {
    const lifter = await writer();
    const made = await lifter.compose(photo.file, edit.alpha);
    if (edit.version !== version || !state.photos.includes(photo)) return; // a later stroke writes again
    photo.edited = true;
    mine.cutout = made.blob;
    if (edit.painting) alreadyDrawn(made.blob);
    await finish(photo, made);
  } catch (error) {
    tell(t("save.failed", { why: phrased((error as Error).message) }));
  }
}

function drawButtons(): void {
  undo.disabled = !session?.edit.canUndo;
  redo.disabled = !session?.edit.canRedo;
}

/** Radius in pixels of the photo; the size is that on the screen. */
function radius(): number {
  return Number(size.value) / 2 / scaleNow();
}

function drawRing(): void {
  const at = last && tool.value !== "look" && toStage(last);
  ring.hidden = !at;
  if (!at) return;
  const across = Number(size.value);
  ring.style.cssText = `width:${across}px;height:${across}px;transform:translate(${at.x - across / 2}px,${at.y - across / 2}px)`;
}

function pointOf({ clientX, clientY }: MouseEvent): Point {
  const { left, top } = stage.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

function overControls(event: Event): boolean {
  return Boolean((event.target as Element).closest("button, .doing, .verdict, .split"));
}

function down(event: PointerEvent): void {
  if (overControls(event)) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, pointOf(event));
  const brushing = tool.value !== "look" && event.button === 0 && fingers.size === 1;
  if (brushing && session) {
    session.edit.begin();
    last = null;
    paint(toPhoto(pointOf(event)));
  } else if (session?.edit.painting) {
    endStroke(); // a second finger: it was no stroke but the begin of a pinch
    step("undo");
  }
}

function move(event: PointerEvent): void {
  const at = pointOf(event);
  const before = fingers.get(event.pointerId);
  if (session?.edit.painting && before) {
    for (const between of event.getCoalescedEvents?.() ?? []) paint(toPhoto(pointOf(between)));
    paint(toPhoto(at));
  } else if (before && fingers.size === 1) {
    pan(at.x - before.x, at.y - before.y);
  } else if (before) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)![1];
    const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    zoom(distance(at, other) / (distance(before, other) || 1), middle);
  }
  if (before) fingers.set(event.pointerId, at);
  if (tool.value !== "look") {
    if (!session?.edit.painting) last = toPhoto(at);
    drawRing();
  }
}

function up(event: PointerEvent): void {
  fingers.delete(event.pointerId);
  if (session?.edit.painting) endStroke();
}

function endStroke(): void {
  session!.edit.end();
  settle();
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function key(event: KeyboardEvent): void {
  if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (event.key === "+" || event.key === "=") zoom(STEP);
  else if (event.key === "-") zoom(1 / STEP);
  else if (event.key === "0") fit();
  else if (arrow && tool.value === "look") pan(-arrow[0] * PAN, -arrow[1] * PAN);
  else if (arrow) walk(arrow);
  else if (event.key === " " && tool.value !== "look") dab();
  else if (event.key === "[" || event.key === "]") {
    size.value = String(Number(size.value) * (event.key === "[" ? 0.8 : 1.25));
    drawRing();
  } else return;
  event.preventDefault();
}

/** The brush moves by half of its width, and starts from the middle. */
function walk([dx, dy]: [number, number]): void {
  const { width, height } = photoSize();
  const by = radius();
  const from = last ?? { x: width / 2, y: height / 2 };
  last = { x: Math.min(width, Math.max(0, from.x + dx * by)), y: Math.min(height, Math.max(0, from.y + dy * by)) };
  drawRing();
}

function dab(): void {
  if (!session) return;
  const { width, height } = photoSize();
  last ??= { x: width / 2, y: height / 2 };
  session.edit.begin();
  paint(last);
  endStroke();
  drawRing();
  say(t("said.painted"));
}
