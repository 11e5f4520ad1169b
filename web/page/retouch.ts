/** Brushes on the selected photo: a session per photo, undo and redo, and writing the cutout anew once the hand rests. */
import { announce, notify } from "./announce.js";
import { alphaOf } from "./bitmaps.js";
import { AlphaEdit, type Point, type Stroke } from "./brush.js";
import { paintOver } from "./canvases.js";
import { choice, element } from "./elements.js";
import { t, translate } from "./i18n.js";
import { writer } from "./lifters.js";
import { finish } from "./queue.js";
import type { Box } from "../src/compose/subjects.js";
import { photoSize, scaleNow, setPainted, stage, toStage, uncover } from "./stage.js";
import { onRedraw, state, type Photo } from "./state.js";

const SETTLE_MS = 500; // after the last stroke, before the cutout is written anew

const ring = element("brush-ring");
const size = element<HTMLInputElement>("brush-size");
const undoButton = element<HTMLButtonElement>("undo");
const redoButton = element<HTMLButtonElement>("redo");
const tool = choice<"look" | Stroke>("tool", changeTool);

/** The photo that is edited, and the cutout that its alpha belongs to. */
let session: { photo: Photo; cutout: Blob; edit: AlphaEdit } | null = null;
let writeTimer = 0;
let brushAt: Point | null = null; // in pixels of the photo

export function startRetouch(): void {
  undoButton.onclick = undo;
  redoButton.onclick = redo;
  size.oninput = drawRing;
  onRedraw(() => {
    if (session && (state.selected !== session.photo || session.photo.cutout !== session.cutout)) leave();
    if (isBrush() && !session && state.selected?.cutout) void enter();
    drawButtons();
  });
}

/** Whether a brush is chosen. */
export function isBrush(): boolean {
  return tool.value !== "look";
}

/** Whether a stroke is being painted. */
export function isPainting(): boolean {
  return session?.edit.painting ?? false;
}

/** Begin a stroke at a point of the photo; false where the brush is not ready. */
export function beginStroke(at: Point): boolean {
  if (!session || !isBrush()) return false;
  session.edit.begin();
  brushAt = null;
  paintTo(at);
  return true;
}

export function paintTo(at: Point): void {
  const stroke = tool.value;
  if (!session || stroke === "look") return;
  show(session.edit.paint(stroke, brushAt ?? at, at, radius()));
  brushAt = at;
}

export function endStroke(): void {
  session!.edit.end();
  writeSoon();
}

/** The stroke was none, as where a second finger comes down. */
export function dropStroke(): void {
  endStroke();
  undo();
}

/** Move the brush, without painting, to a point of the photo. */
export function moveBrush(at: Point): void {
  brushAt = at;
  drawRing();
}

/** Move the brush by halves of its width; it starts from the middle. */
export function stepBrush(across: number, down: number): void {
  const { width, height } = photoSize();
  const from = brushAt ?? { x: width / 2, y: height / 2 };
  const x = Math.min(width, Math.max(0, from.x + across * radius()));
  moveBrush({ x, y: Math.min(height, Math.max(0, from.y + down * radius())) });
}

/** Paint once where the brush is. */
export function dab(): void {
  const { width, height } = photoSize();
  if (!beginStroke(brushAt ?? { x: width / 2, y: height / 2 })) return;
  endStroke();
  drawRing();
  announce(t("said.painted"));
}

export function resizeBrush(by: number): void {
  size.value = String(Number(size.value) * by);
  drawRing();
}

export function undo(): void {
  const box = session?.edit.undo();
  if (!box) return;
  show(box);
  writeSoon();
  announce(t("said.undone"));
}

export function redo(): void {
  const box = session?.edit.redo();
  if (!box) return;
  show(box);
  writeSoon();
  announce(t("said.redone"));
}

export function drawRing(): void {
  const at = brushAt && isBrush() && toStage(brushAt);
  ring.hidden = !at;
  if (!at) return;
  const across = Number(size.value);
  ring.style.cssText = `width:${across}px;height:${across}px;transform:translate(${at.x - across / 2}px,${at.y - across / 2}px)`;
}

export function hideRing(): void {
  ring.hidden = true;
}

function changeTool(chosen: "look" | Stroke): void {
  size.disabled = chosen === "look";
  stage.classList.toggle("brushing", chosen !== "look");
  hideRing();
  if (chosen === "look") return;
  uncover();
  void enter();
}

async function enter(): Promise<void> {
  const photo = state.selected;
  const cutout = photo?.cutout;
  if (!cutout || session?.photo === photo) return;
  const alpha = await alphaOf(cutout);
  if (state.selected !== photo || photo.cutout !== cutout) return;
  const { width, height } = photoSize();
  session ??= { photo, cutout, edit: new AlphaEdit(alpha, width, height) };
}

function leave(): void {
  if (writeTimer) void write();
  session = null;
}

function show(box: Box): void {
  paintOver(session!.edit, box);
  drawButtons();
}

/** The cutout is written once the hand rests: clean colours under the new alpha, and stored. */
function writeSoon(): void {
  clearTimeout(writeTimer);
  writeTimer = window.setTimeout(() => void write(), SETTLE_MS);
  drawButtons();
}

async function write(): Promise<void> {
  clearTimeout(writeTimer);
  writeTimer = 0;
  const mine = session;
  if (!mine) return;
  const { photo, edit } = mine;
  const { version } = edit;
  try {
    const lifter = await writer();
    const cutout = await lifter.compose(photo.file, edit.alpha);
    if (edit.version !== version || !state.photos.includes(photo)) return; // a later stroke writes again
    photo.edited = true;
    mine.cutout = cutout.blob;
    if (edit.painting) setPainted(cutout.blob);
    await finish(photo, cutout);
  } catch (error) {
    notify(t("save.failed", { why: translate((error as Error).message) }));
  }
}

function drawButtons(): void {
  undoButton.disabled = !session?.edit.canUndo;
  redoButton.disabled = !session?.edit.canRedo;
}

/** Radius in pixels of the photo; the size is that on the screen. */
function radius(): number {
  return Number(size.value) / 2 / scaleNow();
}
