/** Brushes on the selected photo: a session per photo, its steps, and writing the cutout anew once the hand rests. */
import { announce, notify } from "./announce.js";
import type { Point, Stroke } from "./brush.js";
import type { Act, Repair } from "./edits.js";
import { all, choice, element } from "./elements.js";
import { canRedo, canUndo, forget, record, redo, undo } from "./history.js";
import { t, translate } from "./i18n.js";
import { writer } from "./lifters.js";
import { painter } from "./painter.js";
import { finish } from "./queue.js";
import { photoSize, scaleNow, setPainted, shows, stage, toStage, uncover } from "./stage.js";
import { onRedraw, redraw, state, type Photo, type Tool } from "./state.js";

/** Who changes an alpha: the hand with brushes and repairs, points, or layers that are left out and taken back. */
export type Author = "hand" | "points" | "layers";

/** After the last change, before the cutout is written anew. The worker that writes is also the one that answers points. */
const SETTLE_MS: Record<Author, number> = { hand: 500, points: 2500, layers: 500 };

const ring = element("brush-ring");
const size = element<HTMLInputElement>("brush-size");
const undoButton = element<HTMLButtonElement>("undo");
const redoButton = element<HTMLButtonElement>("redo");
const repairs = all<HTMLButtonElement>("[data-repair]");
const preparing = element("preparing");
const tool = choice<Tool>("tool", changeTool);

/** A photo that is edited. */
interface Session {
  /** Of its alpha in the painter. */
  id: number;
  photo: Photo;
  /** The cutout that its alpha belongs to. */
  cutout: Blob;
  ready: boolean;
  painting: boolean;
  /** How often it was changed, and how often when its cutout was last written. */
  changes: number;
  written: number;
  timer: number;
  writing: Promise<void> | null;
}

/** A photo that is edited, for other tools: of its alpha in the painter, and what to tell the functions here. */
export interface Edited {
  readonly id: number;
  readonly photo: Photo;
}

let session: Session | null = null;
const onOther: { author: Author; told: () => void }[] = [];
let lastId = 0;
/** Sessions whose changes are in no cutout yet; of photos that have left the stage too. */
const unwritten = new Set<Session>();
let brushAt: Point | null = null; // in pixels of the photo

export function startRetouch(): void {
  undoButton.onclick = undo;
  redoButton.onclick = redo;
  size.oninput = drawRing;
  for (const button of repairs) button.onclick = () => void repair(button.dataset["repair"] as Repair);
  onRedraw(() => {
    if (session && (state.selected !== session.photo || session.photo.cutout !== session.cutout)) leave(session);
    if (isBrush() && !session && state.selected?.cutout) enter(state.selected, state.selected.cutout);
    drawState();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) void settle().catch(() => undefined);
  });
}

/** Finish what a brush has begun: afterwards every stroke is in its photo's cutout. Throws what writing throws. */
export async function settle(): Promise<void> {
  if (session?.painting) endStroke();
  while (unwritten.size) await Promise.all([...unwritten].map(write));
}

/** Begin to edit the photo on the stage, unless it is edited already; null where it has no cutout. */
export function editNow(): Edited | null {
  const { selected } = state;
  if (!selected?.cutout) return null;
  enter(selected, selected.cutout);
  return session;
}

/** Change the alpha as one step; whether it differs then. Whoever does so remembers it, to undo it by the act `undo`. */
export async function applyTo(edit: Edited, act: Act, author: Author): Promise<boolean> {
  if (edit !== session) return false;
  const done = send(author, act);
  writeSoon(author);
  return (await done)?.changed ?? false;
}

/** Told when somebody else changes the alpha, or undoes that. */
export function onOtherEdit(author: Author, told: () => void): void {
  onOther.push({ author, told });
}

/** Whether a brush is chosen. */
export function isBrush(): boolean {
  return state.tool === "erase" || state.tool === "restore";
}

/** Whether a stroke is being painted. */
export function isPainting(): boolean {
  return session?.painting ?? false;
}

/** Begin a stroke at a point of the photo; false where there is nothing to paint on. A stroke may begin before the brush is ready. */
export function beginStroke(at: Point): boolean {
  if (!session || !isBrush() || !shows(session.photo)) return false;
  session.painting = true;
  brushAt = at;
  act({ act: "begin" }, line(at, at));
  return true;
}

/** Paint on through these points of the photo. */
export function paintThrough(points: Point[]): void {
  act(
    ...points.map((to) => {
      const piece = line(brushAt ?? to, to);
      brushAt = to;
      return piece;
    }),
  );
}

export function endStroke(): void {
  session!.painting = false;
  act({ act: "end" });
  remember(session!);
  writeSoon();
}

/** The last change of the alpha can be undone. */
function remember(mine: Session): void {
  const step = (act: "undo" | "redo") => () => applyTo(mine, { act }, "hand");
  record({ photo: mine.photo, undo: step("undo"), redo: step("redo") });
}


/** The stroke was none, as where a second finger comes down. */
export function dropStroke(): void {
  session!.painting = false;
  act({ act: "drop" });
  writeSoon();
}

/** Change the whole alpha at once, as one step that can be undone. */
async function repair(which: Repair): Promise<void> {
  const photo = state.selected;
  if (!photo?.cutout) return;
  enter(photo, photo.cutout);
  const mine = session!;
  const done = act({ act: which });
  writeSoon();
  if (!(await done)?.changed) return notify(t(`repair.none.${which}`));
  if (mine === session) remember(mine);
  announce(t("said.repaired"));
}

/** Take up a brush, as if it had been chosen by hand. */
export function takeBrush(stroke: Stroke): void {
  tool.value = stroke;
  changeTool(stroke);
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

function changeTool(chosen: Tool): void {
  state.tool = chosen;
  redraw();
  size.disabled = !isBrush();
  stage.classList.toggle("brushing", isBrush());
  hideRing();
  if (chosen === "look") return drawState();
  uncover();
  if (state.selected?.cutout) enter(state.selected, state.selected.cutout);
  drawState();
}

/** Begin to edit a photo, unless it is edited already. The painter reads its alpha meanwhile. */
function enter(photo: Photo, cutout: Blob): void {
  if (session?.photo === photo) return;
  const id = ++lastId;
  const mine: Session = {
    id,
    photo,
    cutout,
    ready: false,
    painting: false,
    changes: 0,
    written: 0,
    timer: 0,
    writing: null,
  };
  session = mine;
  painter.openEdit(id, cutout).then(
    () => {
      mine.ready = true;
      drawState();
    },
    (error: Error) => notify(t("save.failed", { why: translate(error.message) })),
  );
}

/** Another photo is on the stage, or another cutout of this one. */
function leave(left: Session): void {
  session = null;
  forget(({ photo }) => photo === left.photo);
  void painter.hideEdit(left.id);
  if (left.photo.cutout !== left.cutout) unwritten.delete(left); // it was cut anew
  if (unwritten.has(left)) void written(left);
  else void painter.closeEdit(left.id);
}

function act(...acts: Act[]): Promise<{ changed: boolean } | null> {
  return send("hand", ...acts);
}

/** Hand over what was done; whether it changed anything comes back. */
async function send(author: Author, ...acts: Act[]): Promise<{ changed: boolean } | null> {
  for (const other of onOther) if (other.author !== author) other.told();
  const mine = session;
  if (!mine) return null;
  mine.changes++;
  mine.photo.edited = true;
  unwritten.add(mine);
  return painter.stroke(mine.id, acts);
}

function line(from: Point, to: Point): Act {
  return { act: "line", stroke: state.tool as Stroke, from, to, radius: radius() };
}

/** The cutout is written once the hand rests: clean colours under the new alpha, and stored. */
function writeSoon(author: Author = "hand"): void {
  const mine = session!;
  clearTimeout(mine.timer);
  mine.timer = window.setTimeout(() => void written(mine), SETTLE_MS[author]);
}

/** Write, and say so where that fails. */
async function written(mine: Session): Promise<void> {
  try {
    await write(mine);
  } catch (error) {
    notify(t("save.failed", { why: translate((error as Error).message) }));
  }
}

function write(mine: Session): Promise<void> {
  clearTimeout(mine.timer);
  return (mine.writing ??= writeNow(mine).finally(() => (mine.writing = null)));
}

async function writeNow(mine: Session): Promise<void> {
  const { id, photo } = mine;
  const { changes } = mine;
  const { levels, version } = await painter.levelsOf(id);
  const cutout = await (await writer()).compose(photo.file, levels);
  if (!unwritten.has(mine)) return; // the photo was cut anew meanwhile
  mine.written = changes;
  if (changes === mine.changes) unwritten.delete(mine);
  if (state.photos.includes(photo)) {
    mine.cutout = cutout.blob;
    setPainted(cutout.blob);
    await finish(photo, cutout);
    void painter.renew(id, cutout.blob, version);
  } else unwritten.delete(mine);
  if (session !== mine && !unwritten.has(mine)) void painter.closeEdit(id);
}

/** What can be done with the brush now, and whether it still gets ready. */
function drawState(): void {
  undoButton.disabled = !canUndo();
  redoButton.disabled = !canRedo();
  for (const button of repairs) button.disabled = !state.selected?.cutout;
  preparing.hidden = !isBrush() || !session || session.ready;
}

/** Radius in pixels of the photo; the size is that on the screen. */
function radius(): number {
  return Number(size.value) / 2 / scaleNow();
}
