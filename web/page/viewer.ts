/** The stage: the selected photo before and after, at any zoom, with a slider between the two. */
import { cropWindow } from "../src/compose/subjects.js";
import { cancel, fastModel, choose, retry } from "./cutting.js";
import { element, all } from "./elements.js";
import { clear, drawBackdrop, drawCutout, drawPhoto, subject } from "./pictures.js";
import type { Point } from "./brush.js";
import { bytes, number } from "./sizes.js";
import { resultOf, state, view, type Photo } from "./state.js";
import { phrased, t } from "./words.js";

const MOST = 16;
export const STEP = 1.25;
const ROOM = 20; // pixels around a picture that fits
const WIPE_MS = 800;

export const stage = element("stage");
const afterLayer = element("after-layer");
const split = element("split");
const frame = element("crop-frame");
const doing = element("doing");
const verdict = element("verdict");
const sheets = all("[data-sheet]");

/** Size of the photo, and where it lies: its pixel (0, 0) is at (x, y) of the stage. */
const place = { width: 0, height: 0, scale: 1, x: 0, y: 0, fits: true };
let share = 0; // of the picture that shows the photo as it was
let photo: Photo | null = null;
let file: Blob | null = null; // of the result that is drawn
let behind = "";
let drawn = 0;
/** A result that is drawn already, stroke by stroke. */
let own: Blob | null = null;

export function startViewer(): void {
  element("zoom-in").onclick = () => zoom(STEP);
  element("zoom-out").onclick = () => zoom(1 / STEP);
  element("zoom-fit").onclick = fit;
  element("cancel").onclick = cancel;
  element("retry").onclick = () => state.selected && retry([state.selected]);
  element("smaller").onclick = () => {
    choose(fastModel());
    if (state.selected) retry([state.selected]);
  };
  split.onkeydown = slide;
  split.onpointerdown = grab;
  new ResizeObserver(() => (place.fits ? fit() : arrange())).observe(stage);
  view(draw);
}

/** What the brush has drawn already need not be drawn again from its file. */
export function alreadyDrawn(blob: Blob): void {
  own = blob;
}

export function zoom(by: number, about: Point = { x: stage.clientWidth / 2, y: stage.clientHeight / 2 }): void {
  const least = Math.min(fitting(), 1) / 2;
  const scale = Math.min(MOST, Math.max(least, place.scale * by));
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
  const result = selected && resultOf(selected);
  const scenery = JSON.stringify([settings.background, settings.colour, settings.image?.name, settings.image?.lastModified]);
  if (selected !== photo) void change(selected);
  else if (result !== file) void renew(result);
  else if (scenery !== behind) void drawBackdrop(settings.background, settings.colour, settings.image);
  behind = scenery;
  stage.setAttribute("aria-label", selected ? t("stage.of", { name: selected.name }) : "");
  drawDoing();
  drawVerdict();
  arrange();
}

async function change(next: Photo | null): Promise<void> {
  photo = next;
  file = null;
  share = 0;
  const turn = ++drawn;
  const current = (): boolean => turn === drawn;
  if (!next) return clear();
  try {
    const size = await drawPhoto(next.file, current);
    if (!size) return;
    Object.assign(place, size);
  } catch {
    if (!current()) return;
    clear();
    Object.assign(place, { width: 0, height: 0 });
  }
  await drawResult(resultOf(next), current);
  if (current()) fit();
}

async function renew(result: Blob | null): Promise<void> {
  const first = !file && result;
  file = result;
  if (result && result === own) return;
  const turn = ++drawn;
  await drawResult(result, () => turn === drawn);
  if (turn !== drawn) return;
  if (first) wipe();
  else arrange();
}

async function drawResult(result: Blob | null, current: () => boolean): Promise<void> {
  file = result;
  if (!result || !place.width) return;
  const { background, colour, image } = state.settings;
  const box = result === photo?.cutout ? photo.box : undefined;
  if (await drawCutout(result, place, box, current)) await drawBackdrop(background, colour, image);
}

/** A first result is uncovered from the right. */
function wipe(): void {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return arrange();
  const start = performance.now();
  const mine = drawn;
  const frame = (now: number): void => {
    if (mine !== drawn || split.classList.contains("held")) return;
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
  const shown = Boolean(file && width);
  const [left, right] = [Math.max(0, x), Math.min(stage.clientWidth, x + width * scale)];
  const at = left + share * Math.max(0, right - left);
  afterLayer.hidden = split.hidden = !shown;
  afterLayer.style.clipPath = share ? `inset(0 0 0 ${at}px)` : "";
  split.style.transform = `translateX(${at}px)`;
  split.ariaValueNow = String(Math.round(share * 100));
  element("zoom-fit").textContent = `${Math.round(scale * 100)}%`;

  const { crop, margin } = state.settings;
  frame.hidden = !crop || !shown;
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

function drawDoing(): void {
  const now = state.doing;
  doing.hidden = !now;
  stage.classList.toggle("busy", Boolean(now && state.selected?.stage === "working"));
  if (!now) return;
  const { act, model, progress } = now;
  const name = now.photo?.name ?? "";
  const fetching = act === "load" && progress?.phase === "download";
  const waiting = state.photos.filter(({ stage }) => stage === "waiting").length;
  element("doing-title").textContent =
    act === "load" ? t(fetching ? "doing.load" : "doing.start", { model }) : t(`doing.${act}`, { name });
  const details: string[] = [];
  if (fetching) {
    const { loaded, total, bytesPerSecond, secondsLeft } = progress;
    details.push(t("bytes.of", { loaded: bytes(loaded), total: bytes(total) }));
    if (bytesPerSecond) details.push(t("bytes.rate", { rate: bytes(bytesPerSecond) }));
    if (secondsLeft) details.push(timeLeft(secondsLeft));
  } else if (act === "cut" && progress && progress.phase !== "load") details.push(t(`phase.${progress.phase}`));
  if (waiting && act === "cut") details.push(t("doing.queue", { count: waiting }));
  element("doing-detail").textContent = details.join(" · ");
  const bar = element<HTMLProgressElement>("progress");
  const known = fetching || (progress && progress.total > 1);
  if (known) [bar.max, bar.value] = [progress!.total || 1, progress!.loaded];
  else bar.removeAttribute("value");
}

function timeLeft(seconds: number): string {
  return seconds < 90
    ? t("time.seconds", { count: number(Math.ceil(seconds)) })
    : t("time.minutes", { count: number(Math.ceil(seconds / 60)) });
}

function drawVerdict(): void {
  const { selected, settings } = state;
  const failed = selected?.stage === "failed";
  const stopped = selected?.stage === "stopped";
  verdict.hidden = !failed && !stopped;
  verdict.classList.toggle("calm", Boolean(stopped));
  stage.classList.toggle("refused", verdict.hidden === false);
  if (verdict.hidden) return;
  const { name, message } = selected!.error ?? { name: "", message: "" };
  const model = /^(Model|License|Network|OutOf)/.test(name);
  put("verdict-title", stopped ? t("stopped.title") : model ? t("failed.model") : t("failed.title"));
  put("verdict-text", stopped ? t("stopped.text") : phrased(message));
  put("retry", stopped ? t("stopped.cut") : t("retry"));
  const smaller = element("smaller");
  smaller.hidden = !model || fastModel() === settings.model;
  smaller.textContent = t("use.instead", { model: fastModel() });
}

/** An alert is read out when its text changes, so only then. */
function put(id: string, text: string): void {
  const item = element(id);
  if (item.textContent !== text) item.textContent = text;
}
