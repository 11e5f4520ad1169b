/**
 * The Point tool: marks on the photo say what belongs to the subject and what does not, a box says where it is.
 *
 * Marks correct the alpha as it was when the first of them was set; a stroke or a repair begins anew. A box selects.
 */
import { announce, notify } from "./announce.js";
import type { Point } from "./brush.js";
import { choice, element, make } from "./elements.js";
import { record } from "./history.js";
import { t, translate } from "./i18n.js";
import { writer } from "./lifters.js";
import { painter } from "./painter.js";
import { applyTo, editNow, onOtherEdit, type Edited } from "./retouch.js";
import { onArrange, photoSize, shows, stage, toPhoto, toStage } from "./stage.js";
import { onRedraw, state, type Photo } from "./state.js";

export type MarkKind = "keep" | "drop";

interface Mark {
  kind: MarkKind;
  at: Point;
}

/** What was said: points, and the corners of a box. */
interface Said {
  marks: Mark[];
  box: [Point, Point] | null;
}

/** A series of marks on one alpha. */
interface Round {
  photo: Photo;
  /** The alpha that they correct. */
  start: Promise<Blob>;
  said: Said;
  /** What the alpha on the stage answers. */
  answered: Said;
}

const NOTHING: Said = { marks: [], box: null };
const KEY_STEP = 0.02; // of the photo's longer side
const REST_MS = 350; // after the last of several changes by keys

const layer = element("marks");
const rubber = element("rubber");
const cross = element("point-cross");
const waiting = element("pointing-wait");
const kind = choice<MarkKind>("mark", () => undefined);

let round: Round | null = null;
let asking = 0; // answers that are on their way
let turn = 0; // a later question makes an earlier one void
let timer = 0;
let asked: Promise<void> = Promise.resolve(); // the last question
let cursor: Point | null = null; // of the keyboard, in pixels of the photo
let warmed: Photo | null = null;

export function startPointing(): void {
  onArrange(() => {
    warmShown(); // the stage may show the photo later than it was selected
    draw();
  });
  onRedraw(() => {
    element("mark-kinds").hidden = state.tool !== "point";
    if (round && state.selected !== round.photo) round = null;
    warmShown();
    draw();
  });
  onOtherEdit("points", () => {
    round = null;
    draw();
  });
}

export function isPointing(): boolean {
  return state.tool === "point";
}

/** Set a mark at a point of the photo. other: the kind that is not chosen. */
export function mark(at: Point, other: boolean): void {
  const { width, height } = photoSize();
  if (at.x < 0 || at.y < 0 || at.x > width || at.y > height) return;
  const mine = begin();
  if (!mine) return;
  const chosen = other === (kind.value === "keep") ? "drop" : "keep";
  say(mine, { ...mine.said, marks: [...mine.said.marks, { kind: chosen, at }] });
}

/** Draw the box from one corner to where the hand is; both in pixels of the photo. */
export function stretch(from: Point, to: Point): void {
  setBox(rubber, from, to);
}

/** The box is as it should be; without a corner there is none. */
export function endStretch(from: Point, to: Point | null): void {
  rubber.hidden = true;
  if (!to) return;
  const [one, other] = [within(from), within(to)];
  const mine = Math.abs(one.x - other.x) >= 1 && Math.abs(one.y - other.y) >= 1 && begin();
  if (mine) say(mine, { ...mine.said, box: [one, other] });
}

/** Move the keyboard's cursor. */
export function stepCursor(across: number, down: number): void {
  const { width, height } = photoSize();
  const by = KEY_STEP * Math.max(width, height);
  const from = cursor ?? { x: width / 2, y: height / 2 };
  cursor = within({ x: from.x + across * by, y: from.y + down * by });
  draw();
}

/** Set a mark where the keyboard's cursor is. */
export function markAtCursor(): void {
  const { width, height } = photoSize();
  cursor ??= { x: width / 2, y: height / 2 };
  mark(cursor, false);
}

function begin(): Round | null {
  const edit = editNow();
  if (!edit || !shows(edit.photo)) return null;
  if (round?.photo === edit.photo) return round;
  const start = painter.levelsOf(edit.id).then(({ levels }) => levels);
  round = { photo: edit.photo, start, said: NOTHING, answered: NOTHING };
  return round;
}

/** Something was said: show it, and ask for the alpha. */
function say(mine: Round, said: Said, rest = 0): void {
  mine.said = said;
  draw();
  clearTimeout(timer);
  timer = window.setTimeout(() => askNow(mine), rest);
}

function askNow(mine: Round): void {
  clearTimeout(timer);
  timer = 0;
  asked = ask(mine);
}

/** Wait until what was said is answered, and the answer on the stage. */
export async function answered(): Promise<void> {
  if (timer && round) askNow(round);
  await asked;
}

async function ask(mine: Round): Promise<void> {
  const edit = editNow();
  if (!edit || mine !== round) return;
  const my = ++turn;
  const { said } = mine;
  asking++;
  draw();
  try {
    const alpha = await answerTo(mine, said);
    if (my !== turn || mine !== round) return;
    await take(mine, edit, said, alpha);
  } catch (error) {
    if (my === turn) notify(t("save.failed", { why: translate((error as Error).message) }));
  } finally {
    asking--;
    draw();
  }
}

/** The alpha for what was said: uint8 [height, width]. Where nothing was, it is the one from before. */
async function answerTo({ photo, start }: Round, { marks, box }: Said): Promise<Uint8Array<ArrayBuffer>> {
  if (!marks.length && !box) return new Uint8Array(await (await start).arrayBuffer());
  const pointsOf = (which: MarkKind): [number, number][] => marks.filter((mark) => mark.kind === which).map(({ at }) => [at.x, at.y]);
  const corners = box && ([Math.min(box[0].x, box[1].x), Math.min(box[0].y, box[1].y), Math.max(box[0].x, box[1].x), Math.max(box[0].y, box[1].y)] as const);
  const lifter = await writer();
  const { alpha } = await lifter.point(photo.file, { keep: pointsOf("keep"), drop: pointsOf("drop"), box: corners, start: box ? null : await start });
  return alpha;
}

/** The answer is on the stage, as one step that can be undone together with its marks. */
async function take(mine: Round, edit: Edited, said: Said, alpha: Uint8Array<ArrayBuffer>): Promise<void> {
  const before = mine.answered;
  const changed = await applyTo(edit, { act: "take", alpha }, "points");
  mine.answered = said;
  const go = (to: Said, which: "undo" | "redo") => async (): Promise<boolean> => {
    clearTimeout(timer);
    timer = 0;
    turn++;
    round = mine;
    mine.said = mine.answered = to;
    draw();
    return changed ? applyTo(edit, { act: which }, "points") : true;
  };
  record({ photo: mine.photo, undo: go(before, "undo"), redo: go(said, "redo") });
  let sum = 0;
  for (const level of alpha) sum += level;
  announce(t("said.pointed", { share: Math.round((100 * sum) / (255 * alpha.length)) }));
}

function warmShown(): void {
  const { selected } = state;
  if (isPointing() && selected?.cutout && warmed !== selected && shows(selected)) void warm(selected);
}

/** Load the network and see the photo before the first click. */
async function warm(photo: Photo): Promise<void> {
  warmed = photo;
  asking++;
  draw();
  try {
    await (await writer()).point(photo.file, {});
  } catch (error) {
    warmed = null;
    notify(translate((error as Error).message));
  } finally {
    asking--;
    draw();
  }
}

/** Marks and box where they belong on the stage. */
function draw(): void {
  const visible = isPointing() && round !== null && shows(round.photo);
  layer.hidden = !visible;
  waiting.hidden = !isPointing() || !asking;
  stage.classList.toggle("pointing", isPointing());
  const at = isPointing() && cursor && document.activeElement === stage ? toStage(cursor) : null;
  cross.hidden = !at;
  if (at) cross.style.transform = `translate(${at.x}px,${at.y}px)`;
  if (!visible) return;
  const { marks, box } = round!.said;
  const items = [...layer.querySelectorAll<HTMLButtonElement>(".mark-point")];
  for (const item of items.slice(marks.length)) item.remove();
  marks.forEach((mark, i) => place(items[i] ?? addMark(), mark, i));
  const frame = layer.querySelector<HTMLElement>(".mark-box") ?? addBox();
  frame.hidden = !box;
  if (box) setBox(frame, ...box);
}

function place(item: HTMLButtonElement, { kind, at }: Mark, index: number): void {
  const { width, height } = photoSize();
  const { x, y } = toStage(at);
  item.dataset["index"] = String(index);
  item.className = `mark-point placing ${kind}s`;
  item.style.transform = `translate(${x}px,${y}px)`;
  item.ariaLabel = item.title = t(`mark.${kind}`, { across: Math.round((100 * at.x) / width), down: Math.round((100 * at.y) / height) });
}

function addMark(): HTMLButtonElement {
  const item = make("button", { type: "button" });
  const index = (): number => Number(item.dataset["index"]);
  let from: Point | null = null;
  let moved = false;
  item.onpointerdown = (event) => {
    if (event.button) return;
    event.stopPropagation();
    item.setPointerCapture(event.pointerId);
    from = { x: event.clientX, y: event.clientY };
    moved = false;
  };
  item.onpointermove = (event) => {
    if (!from) return;
    moved ||= Math.hypot(event.clientX - from.x, event.clientY - from.y) > 4;
    if (!moved || !round) return;
    const { left, top } = stage.getBoundingClientRect();
    round.said = replaced(round.said, index(), within(toPhoto({ x: event.clientX - left, y: event.clientY - top })));
    draw();
  };
  item.onpointerup = item.onpointercancel = () => {
    from = null;
    if (moved && round) say(round, round.said);
  };
  item.onclick = () => {
    if (!moved) removeMark(index());
    moved = false;
  };
  item.onkeydown = (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") removeMark(index());
    else if (arrow && round) {
      const { at } = round.said.marks[index()]!;
      const { width, height } = photoSize();
      const by = (KEY_STEP / 2) * Math.max(width, height);
      say(round, replaced(round.said, index(), within({ x: at.x + arrow[0]! * by, y: at.y + arrow[1]! * by })), REST_MS);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  layer.append(item);
  return item;
}

function addBox(): HTMLElement {
  const drop = make("button", { type: "button", className: "mark-box-drop placing", textContent: "×" });
  drop.onclick = () => {
    if (round) say(round, { ...round.said, box: null });
    stage.focus();
  };
  const frame = make("div", { className: "mark-box" }, drop);
  drop.ariaLabel = drop.title = t("mark.box");
  layer.prepend(frame);
  return frame;
}

function replaced({ marks, box }: Said, index: number, at: Point): Said {
  return { marks: marks.map((mark, i) => (i === index ? { ...mark, at } : mark)), box };
}

/** Focus must not fall to nowhere with the mark. */
function removeMark(index: number): void {
  if (!round) return;
  say(round, { ...round.said, marks: round.said.marks.filter((_, i) => i !== index) });
  stage.focus();
}

function within({ x, y }: Point): Point {
  const { width, height } = photoSize();
  return { x: Math.min(width, Math.max(0, x)), y: Math.min(height, Math.max(0, y)) };
}

function setBox(item: HTMLElement, one: Point, other: Point): void {
  const [a, b] = [toStage(one), toStage(other)];
  const [left, top] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  item.hidden = false;
  item.style.cssText = `width:${Math.abs(a.x - b.x)}px;height:${Math.abs(a.y - b.y)}px;transform:translate(${left}px,${top}px)`;
}
