/** The stage: the selected photo before and after, at any zoom, with a slider between the two. */
import { cropWindow, type Box } from "../src/compose/subjects.js";
import { drawBackdrop } from "./backdrop.js";
import type { Point } from "./brush.js";
import { all, element } from "./elements.js";
import { t } from "./i18n.js";
import { painter } from "./painter.js";
import { onRedraw, resultOf, state, type BackgroundKind, type Photo, type Settings } from "./state.js";

const MOST_SCALE = 16;
export const ZOOM_STEP = 1.25;
const ROOM = 20; // pixels around a picture that fits
const WIPE_MS = 800;

export const stage = element("stage");
const afterLayer = element("after-layer");
const split = element("split");
const frame = element("crop-frame");
const sheets = all("[data-sheet]");

/** Size of the photo, and where it lies: its pixel (0, 0) is at (x, y) of the stage. */
const place = { width: 0, height: 0, scale: 1, x: 0, y: 0, fits: true };
let subject: Box | null = null; // of the cutout on the stage, in pixels of the photo
let shown: Photo | null = null; // whose cutout is on the stage, whole
let share = 0; // of the picture that shows the original photo
let photo: Photo | null = null; // the one on the stage
let result: Blob | null = null; // its cutout on the stage
let backdrop = ""; // what is behind it
let turn = 0; // of drawing: a later one makes an earlier one void
/** A result that is on the stage already, stroke by stroke. */
let painted: Blob | null = null;

export function startStage(): void {
  element("zoom-in").onclick = () => zoom(ZOOM_STEP);
  element("zoom-out").onclick = () => zoom(1 / ZOOM_STEP);
  element("zoom-fit").onclick = fit;
  split.onkeydown = slide;
  split.onpointerdown = grab;
  new ResizeObserver(() => (place.fits ? fit() : arrange())).observe(stage);
  onRedraw(draw);
}

/** What the brush has painted on the stage need not be drawn again from its file. */
export function setPainted(blob: Blob): void {
  painted = blob;
}

export function zoom(by: number, about: Point = { x: stage.clientWidth / 2, y: stage.clientHeight / 2 }): void {
  const least = Math.min(fitting(), 1) / 2;
  const scale = Math.min(MOST_SCALE, Math.max(least, place.scale * by));
  const ratio = scale / place.scale;
  place.x = about.x - (about.x - place.x) * ratio;
  place.y = about.y - (about.y - place.y) * ratio;
  place.scale = scale;
  place.fits = false;
  arrange();
}

export function pan(dx: number, dy: number): void {
  place.x += dx;
  place.y += dy;
  place.fits = false;
  arrange();
}

export function fit(): void {
  place.scale = fitting();
  place.x = (stage.clientWidth - place.width * place.scale) / 2;
  place.y = (stage.clientHeight - place.height * place.scale) / 2;
  place.fits = true;
  arrange();
}

/** A point of the stage in pixels of the photo, and back. */
export function toPhoto({ x, y }: Point): Point {
  return { x: (x - place.x) / place.scale, y: (y - place.y) / place.scale };
}

export function toStage({ x, y }: Point): Point {
  return { x: place.x + x * place.scale, y: place.y + y * place.scale };
}

export function scaleNow(): number {
  return place.scale;
}

/** Whether the cutout of a photo is on the stage. */
export function shows(other: Photo): boolean {
  return shown === other && photo === other;
}

export function photoSize(): { width: number; height: number } {
  return place;
}

/** Show all of the cutout, for the brushes. */
export function uncover(): void {
  share = 0;
  arrange();
}

function fitting(): number {
  const { width, height } = place;
  if (!width) return 1;
  const room = Math.min(ROOM, stage.clientWidth / 10);
  return Math.min(2, (stage.clientWidth - 2 * room) / width, (stage.clientHeight - 2 * room) / height);
}

function draw(): void {
  const { selected, settings } = state;
  const latest = selected && resultOf(selected);
  const { kind, colour } = sceneryOf(settings);
  const scenery = JSON.stringify([kind, colour, settings.image?.name, settings.image?.lastModified]);
  if (selected !== photo) void changePhoto(selected);
  else if (latest !== result) void changeResult(latest);
  else if (scenery !== backdrop) void drawBackdrop(kind, colour, settings.image);
  backdrop = scenery;
  stage.setAttribute("aria-label", selected ? t("stage.of", { name: selected.name }) : "");
  arrange();
}

async function changePhoto(next: Photo | null): Promise<void> {
  photo = next;
  result = shown = null;
  share = 0;
  const mine = ++turn;
  if (!next) return void painter.clear(mine);
  try {
    const size = await painter.drawPhoto(mine, next.file);
    if (!size) return;
    Object.assign(place, size);
  } catch {
    if (mine !== turn) return;
    void painter.clear(mine);
    Object.assign(place, { width: 0, height: 0 });
  }
  await drawResult(resultOf(next), mine);
  if (mine === turn) fit();
}

async function changeResult(latest: Blob | null): Promise<void> {
  const first = !result && latest;
  result = latest;
  if (latest && latest === painted) return takeBox();
  const mine = ++turn;
  await drawResult(latest, mine);
  if (mine !== turn) return;
  if (first) wipe();
  else arrange();
}

async function drawResult(latest: Blob | null, mine: number): Promise<void> {
  result = latest;
  if (!latest || !place.width || !photo) return;
  const { kind, colour } = sceneryOf(state.settings);
  const { cutout, box } = photo;
  const { width, height } = place;
  const found = await painter.drawCutout(mine, latest, { width, height }, latest === cutout ? box : undefined);
  if (mine !== turn || found === undefined) return;
  subject = found;
  shown = photo;
  await drawBackdrop(kind, colour, state.settings.image);
}

/** What the file will have behind the subject: JPEG, which has no transparency, has white at least. */
function sceneryOf({ background, colour, format }: Settings): { kind: BackgroundKind; colour: string } {
  return background === "none" && format === "jpeg" ? { kind: "colour", colour: "#ffffff" } : { kind: background, colour };
}

/** The subject of what a brush has painted. */
function takeBox(): void {
  if (photo?.box !== undefined) subject = photo.box;
  arrange();
}

/** A first result is uncovered from the right. */
function wipe(): void {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return arrange();
  const start = performance.now();
  const mine = turn;
  const frame = (now: number): void => {
    if (mine !== turn || split.classList.contains("held")) return;
    const along = Math.min(1, (now - start) / WIPE_MS);
    share = (1 - along) ** 3;
    arrange();
    if (along < 1) requestAnimationFrame(frame);
  };
  share = 1;
  requestAnimationFrame(frame);
}

/** Put everything where it belongs. */
function arrange(): void {
  const { width, height, scale, x, y } = place;
  for (const sheet of sheets) {
    sheet.hidden = !width;
    sheet.style.cssText = `width:${width * scale}px;height:${height * scale}px;transform:translate(${x}px,${y}px)`;
    sheet.classList.toggle("near", scale >= 3);
  }
  const hasResult = Boolean(result && width);
  const [left, right] = [Math.max(0, x), Math.min(stage.clientWidth, x + width * scale)];
  const at = left + share * Math.max(0, right - left);
  afterLayer.hidden = split.hidden = !hasResult;
  afterLayer.style.clipPath = share ? `inset(0 0 0 ${at}px)` : "";
  split.style.transform = `translateX(${at}px)`;
  split.ariaValueNow = String(Math.round(share * 100));
  element("zoom-fit").textContent = `${Math.round(scale * 100)}%`;

  const { crop, margin } = state.settings;
  frame.hidden = !crop || !hasResult;
  if (frame.hidden) return;
  const { left: x0, top: y0, right: x1, bottom: y1 } = cropWindow(subject, width, height, margin);
  frame.style.cssText = `width:${(x1 - x0) * scale}px;height:${(y1 - y0) * scale}px;transform:translate(${x + x0 * scale}px,${y + y0 * scale}px)`;
}

function slide(event: KeyboardEvent): void {
  const by = { ArrowLeft: -0.05, ArrowDown: -0.05, ArrowRight: 0.05, ArrowUp: 0.05, PageUp: 0.2, PageDown: -0.2, Home: -1, End: 1 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  share = Math.min(1, Math.max(0, share + by));
  arrange();
}

function grab(event: PointerEvent): void {
  if (event.button) return;
  event.stopPropagation();
  split.setPointerCapture(event.pointerId);
  split.classList.add("held");
  split.onpointermove = ({ clientX }) => {
    const { left } = stage.getBoundingClientRect();
    const from = Math.max(0, place.x);
    const to = Math.min(stage.clientWidth, place.x + place.width * place.scale);
    share = Math.min(1, Math.max(0, (clientX - left - from) / (to - from || 1)));
    arrange();
  };
  split.onpointerup = split.onpointercancel = () => {
    split.onpointermove = null;
    split.classList.remove("held");
  };
}
