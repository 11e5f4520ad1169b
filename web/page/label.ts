/**
 * The page of `liftout tune label`: photos of a folder come one after the other, the one first of which the model doubts most; what points
 * and brushes made of the answer goes back as a mask, and the next photo comes.
 */
import { notify } from "./announce.js";
import { element, make } from "./elements.js";
import { t, translate } from "./i18n.js";
import { addPhotos } from "./intake.js";
import { writer } from "./lifters.js";
import { answered } from "./pointing.js";
import { remove } from "./queue.js";
import { settle } from "./retouch.js";
import { onRedraw, redraw, state, type Photo } from "./state.js";

interface Waiting {
  id: string;
  name: string;
  doubt: number | null;
}

interface Desk {
  count: number;
  model: string;
  waiting: Waiting[];
}

const AHEAD = 3; // photos on the page: one to correct, the next ones are being cut meanwhile

const token = new URLSearchParams(location.search).get("label");
/** Whether the page serves to make masks. */
export const isLabelling = token !== null;

const ids = new Map<Photo, string>();
const seen = new Set<string>(); // also those that were passed over
let desk: Desk = { count: 0, model: "", waiting: [] };
let busy = false;

const save = make("button", { type: "button", className: "primary", disabled: true });
const skip = make("button", { type: "button", className: "link" });
const left = make("p", { className: "fine" });

export async function startLabel(): Promise<void> {
  const block = make("section", { className: "block actions" }, save, make("div", { className: "row spread" }, left, skip));
  block.id = "label";
  element("photo-name").closest("section")!.after(block);
  element("download").className = "plain";
  save.onclick = () => void next(saveMask);
  skip.onclick = () => void next(async (photo) => remove(photo));
  window.addEventListener("keydown", (event) => {
    if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void next(saveMask);
  });
  onRedraw(draw);
  try {
    await read();
    if (desk.model) state.settings.model = desk.model;
    await refill();
  } catch (error) {
    notify(t("save.failed", { why: translate((error as Error).message) }));
  }
}

function draw(): void {
  const photo = state.selected;
  save.textContent = t("label.save");
  skip.textContent = t("label.skip");
  left.textContent = t("label.left", { left: desk.waiting.length, count: desk.count });
  save.disabled = busy || !photo?.cutout || !ids.has(photo);
  skip.disabled = busy || !photo || !ids.has(photo);
}

/** Do something with the photo on the stage, and bring others. */
async function next(work: (photo: Photo) => Promise<void>): Promise<void> {
  const photo = state.selected;
  if (busy || !photo || !ids.has(photo)) return;
  busy = true;
  redraw();
  try {
    await work(photo);
    await read();
    await refill();
    if (!desk.waiting.length) notify(t("label.done", { count: desk.count }));
  } catch (error) {
    notify(t("save.failed", { why: translate((error as Error).message) }));
  } finally {
    busy = false;
    redraw();
  }
}

async function saveMask(photo: Photo): Promise<void> {
  await answered();
  await settle();
  if (!photo.cutout) return;
  const { blob } = await (await writer()).compose(photo.file, photo.cutout, { mask: true, format: "png" });
  await ask(`photos/${ids.get(photo)!}/mask`, { method: "PUT", body: blob });
  remove(photo);
  notify(t("label.saved", { name: photo.name }));
}

async function read(): Promise<void> {
  desk = (await (await ask("photos")).json()) as Desk;
  redraw();
}

/** Bring photos until there are enough; the one on the stage stays there. */
async function refill(): Promise<void> {
  for (const [photo] of ids) if (!state.photos.includes(photo)) ids.delete(photo);
  for (const { id, name } of desk.waiting) {
    if (ids.size >= AHEAD) break;
    if (seen.has(id)) continue;
    seen.add(id);
    const { selected } = state;
    const blob = await (await ask(`photos/${id}`)).blob();
    addPhotos([new File([blob], name, { type: blob.type })]);
    ids.set(state.photos.at(-1)!, id);
    if (selected) state.selected = selected;
  }
  redraw();
}

async function ask(path: string, request: RequestInit = {}): Promise<Response> {
  const response = await fetch(`label/${path}`, { ...request, headers: { "X-Liftout-Label": token! } });
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { detail?: string };
    throw new Error(problem.detail ?? response.statusText);
  }
  return response;
}
