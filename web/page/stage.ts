/** The stage: the selected photo before and after, at any zoom, with a slider between the two; or the subject on its canvas. */
import { canvasSize } from "../src/compose/canvas.js";
import { around, shadowOf } from "../src/compose/shadow.js";
import { cropWindow, type Box } from "../src/compose/subjects.js";
import { drawBackdrop } from "./backdrop.js";
import type { Point } from "./brush.js";
import { composedBy } from "./chosen.js";
import { all, element } from "./elements.js";
import { t } from "./i18n.js";
import { painter } from "./painter.js";
import { onRedraw, resultOf, state, type Photo, type Settings } from "./state.js";

const MOST_SCALE = 16;
export const ZOOM_STEP = 1.25;
const ROOM = 20; // pixels around a picture that fits
const WIPE_MS = 800;

/** What was composed: the subject with its shadow in pixels of the photo, and the options it was composed with. */
export interface DrawnScene {
  wide: Box | null;
  settings: Settings;
}

export const stage = element("stage");
const beforeLayer = element("before-layer");
const afterLayer = element("after-layer");
const afterCanvas = element("after");
const split = element("split");
const frame = element("crop-frame");
const sheets = all("[data-sheet]");
const sceneCanvas = element("scene");

/** Of the photo, in pixels. */
const size = { width: 0, height: 0 };
/** Size of what is on the stage, the photo or the canvas, and where it lies: its pixel (0, 0) is at (x, y) of the stage. */
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
const arranged: (() => void)[] = [];
let composedOf = ""; // what the scene was drawn of, or is being
let canvasShows = false; // the subject on its canvas is on the stage
let cropped: Box | null = null; // what cropping leaves
let sceneTurn = 0;
let resultNumber = 0; // of the cutout on the stage
let drawnScene: DrawnScene | null = null;
let isHeld = false; // a hand moves the subject: the scene is drawn anew afterwards
let sceneShows: "nothing" | "shadow" | "all" = "nothing";

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

/** Told when what is on the stage was moved. */
export function onArrange(told: () => void): void {
  arranged.push(told);
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
  return size;
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
  const { selected } = state;
  const latest = selected && resultOf(selected);
  const settings = sceneryOf(state.settings);
  const { background, colour, gradientFrom, gradientTo, gradientWay, image } = settings;
  const scenery = JSON.stringify([background, colour, gradientFrom, gradientTo, gradientWay, image?.name, image?.lastModified]);
  if (selected !== photo) void changePhoto(selected);
  else if (latest !== result) void changeResult(latest);
  else if (scenery !== backdrop) void drawBackdrop(settings);
  backdrop = scenery;
  stage.setAttribute("aria-label", selected ? t("stage.of", { name: selected.name }) : "");
  void compose();
  adoptSize();
  arrange();
}

/** Whether the stage shows the subject on its canvas: brushes need the photo. */
export function showsCanvas(): boolean {
  return state.settings.canvas !== "" && state.tool === "look" && shown !== null && shown === photo && size.width > 0;
}

/** The subject on its canvas, where that is on the stage; the scene's element shows it. */
export function sceneNow(): { drawn: DrawnScene; item: HTMLElement } | null {
  return canvasShows && drawnScene ? { drawn: drawnScene, item: sceneCanvas } : null;
}

/** What cropping leaves, in pixels of the photo, where the stage shows that. */
export function croppedNow(): Box | null {
  return cropped;
}

/** A hand takes the subject, or lets it go. */
export function holdScene(held: boolean): void {
  isHeld = held;
}

/** Pixels of the screen for a pixel of what is on the stage, and where its pixel (0, 0) is. */
export function placeNow(): { scale: number; x: number; y: number } {
  return place;
}

/** The stage shows the photo, or the canvas. */
function adoptSize(): void {
  const { width, height } = showsCanvas() ? canvasSize(state.settings.canvas) : size;
  if (width === place.width && height === place.height) return;
  Object.assign(place, { width, height });
  fit();
}

/** Draw the cutout with its effects, where it has any; the latest wish wins. */
async function compose(): Promise<void> {
  if (isHeld) return; // the hand moves what is drawn already
  const composed = composedBy(state.settings);
  const { canvas, margin, feather, shadow, contactShadow, position, enlarge, subjectSize } = composed;
  const wanted = !shown || shown !== photo || state.tool !== "look" ? "nothing" : canvas || feather ? "all" : shadow || contactShadow ? "shadow" : "nothing";
  const key = JSON.stringify([wanted, turn, resultNumber, canvas, canvas && [margin, position, subjectSize], feather, shadow, contactShadow]);
  if (key === composedOf) return;
  composedOf = key;
  const mine = ++sceneTurn;
  if (wanted === "nothing") {
    sceneShows = wanted;
    stage.ariaBusy = "false";
    return;
  }
  const effects = { feather, shadow, contactShadow, margin, position, enlarge, subjectSize, crop: false };
  stage.ariaBusy = "true";
  try {
    const { wide } = await painter.drawScene({ ...size }, effects, canvas === null ? null : canvasSize(canvas), wanted === "shadow");
    if (mine !== sceneTurn) return;
    sceneShows = wanted;
    drawnScene = { wide, settings: { ...state.settings, margin, position, subjectSize } };
  } catch {
    sceneShows = "nothing"; // the margin leaves no room
  }
  if (mine === sceneTurn) stage.ariaBusy = "false";
  arrange();
}

async function changePhoto(next: Photo | null): Promise<void> {
  photo = next;
  result = shown = null;
  share = 0;
  const mine = ++turn;
  if (!next) return void painter.clear(mine);
  try {
    const found = await painter.drawPhoto(mine, next.file);
    if (!found) return;
    Object.assign(size, found);
  } catch {
    if (mine !== turn) return;
    void painter.clear(mine);
    Object.assign(size, { width: 0, height: 0 });
  }
  Object.assign(place, size);
  await drawResult(resultOf(next), mine);
  if (mine !== turn) return;
  adoptSize();
  fit();
}

async function changeResult(latest: Blob | null): Promise<void> {
  const first = !result && latest;
  result = latest;
  if (latest && latest === painted) {
    resultNumber++;
    void compose();
    return takeBox();
  }
  const mine = ++turn;
  await drawResult(latest, mine);
  if (mine !== turn) return;
  if (first) wipe();
  else arrange();
}

async function drawResult(latest: Blob | null, mine: number): Promise<void> {
  result = latest;
  if (!latest || !size.width || !photo) return;
  const { cutout, box } = photo;
  const found = await painter.drawCutout(mine, latest, { ...size }, latest === cutout ? box : undefined);
  if (mine !== turn || found === undefined) return;
  subject = found;
  shown = photo;
  resultNumber++;
  await drawBackdrop(sceneryOf(state.settings));
  await compose();
  adoptSize();
}

/** What the file will have behind the subject: JPEG, which has no transparency, has white at least. */
function sceneryOf(settings: Settings): Settings {
  const { background, format } = settings;
  return background === "none" && format === "jpeg" ? { ...settings, background: "colour", colour: "#ffffff" } : settings;
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
export function arrange(): void {
  const { width, height, scale, x, y } = place;
  const onCanvas = showsCanvas();
  for (const sheet of sheets) {
    sheet.hidden = !width;
    sheet.style.cssText = `width:${width * scale}px;height:${height * scale}px;transform:translate(${x}px,${y}px)`;
    sheet.classList.toggle("near", scale >= 3);
  }
  const hasResult = Boolean(result && width);
  const [left, right] = [Math.max(0, x), Math.min(stage.clientWidth, x + width * scale)];
  const at = left + share * Math.max(0, right - left);
  beforeLayer.hidden = onCanvas;
  afterLayer.hidden = !hasResult;
  split.hidden = !hasResult || onCanvas;
  afterLayer.style.clipPath = share && !onCanvas ? `inset(0 0 0 ${at}px)` : "";
  split.style.transform = `translateX(${at}px)`;
  split.ariaValueNow = String(Math.round(share * 100));
  element("zoom-fit").textContent = `${Math.round(scale * 100)}%`;
  const drawnFor = sceneShows === "nothing" ? "" : drawnScene!.settings.canvas;
  const shows = drawnFor === (onCanvas ? state.settings.canvas : "") ? sceneShows : "nothing";
  sceneCanvas.hidden = shows === "nothing";
  afterCanvas.hidden = onCanvas || shows === "all";
  sceneCanvas.style.transform = "";
  canvasShows = onCanvas && shows !== "nothing";
  arrangeCrop(hasResult && !onCanvas);
  for (const told of arranged) told();
}

/** What cropping leaves, with room for the shadow. */
function arrangeCrop(hasResult: boolean): void {
  const { crop, canvas, margin, shadow, contactShadow } = state.settings;
  frame.hidden = !crop || canvas !== "" || !hasResult;
  cropped = null;
  if (frame.hidden) return;
  const wide = subject && (shadow || contactShadow) ? around(subject, shadowOf(subject, shadow, contactShadow)) : subject;
  const { scale, x, y } = place;
  const { left, top, right, bottom } = cropWindow(wide, size.width, size.height, margin);
  frame.style.cssText = `width:${(right - left) * scale}px;height:${(bottom - top) * scale}px;transform:translate(${x + left * scale}px,${y + top * scale}px)`;
  if (wide && state.tool === "look") cropped = { left, top, right, bottom };
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
