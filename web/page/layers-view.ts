/** Layers as they are seen: a list in the panel, with a switch and a file for each, and numbers on the stage. */
import type { Point } from "./brush.js";
import { element, glyph, make } from "./elements.js";
import { t } from "./i18n.js";
import { isTelling, layerAt, layersNow, startLayers, toggle, type Layer } from "./layers.js";
import { saveLayer } from "./output.js";
import { painter } from "./painter.js";
import { choose } from "./settings.js";
import { onArrange, photoSize, placeNow, shows, showsCanvas, stage, toStage } from "./stage.js";
import { onRedraw, state } from "./state.js";

/** How a layer looks: a small picture of it, and a place in its middle, in pixels of the photo. */
interface Look {
  picture: string;
  at: Point;
}

const each = element<HTMLInputElement>("each");
const list = element<HTMLUListElement>("layers");
const onStage = element("layers-on-stage");

const looks = new WeakMap<Layer, Look | "asked">();
let rows = new Map<Layer, { item: HTMLLIElement; pick: HTMLButtonElement; image: HTMLImageElement; save: HTMLButtonElement }>();
let signs = new Map<Layer, { ghost: HTMLImageElement; number: HTMLElement }>();

export function startLayersView(): void {
  startLayers();
  each.onchange = () => choose({ each: each.checked });
  onRedraw(draw);
  onArrange(arrange);
}

/** Toggle the layer at a point of the photo, where the stage shows layers. */
export function pickLayer(at: Point): void {
  const layer = isPicking() && layerAt(at);
  if (layer) void toggle(layer);
}

/** Whether a click on the stage picks a layer. */
export function isPicking(): boolean {
  return state.tool === "look" && !showsCanvas() && state.selected !== null && shows(state.selected) && (layersNow()?.length ?? 0) > 1;
}

function draw(): void {
  each.checked = state.settings.each;
  const layers = layersNow() ?? [];
  element("layers-wait").hidden = !isTelling();
  const hint = element("layers-hint");
  hint.hidden = !state.settings.each || !layersNow() || isTelling();
  hint.textContent = t(layers.length > 1 ? "layers.hint" : "layers.one");
  list.hidden = layers.length < 2;
  const shown = layers.length > 1 ? layers : [];
  rows = kept(rows, shown, addRow, ({ item }) => item.remove());
  signs = kept(signs, shown, addSigns, ({ ghost, number }) => [ghost, number].forEach((item) => item.remove()));
  const items = [...rows.values()].map(({ item }) => item);
  if (items.some((item, i) => list.children[i] !== item)) list.replaceChildren(...items);
  for (const [i, layer] of shown.entries()) drawRow(layer, i + 1, shown.length);
  if (state.selected && shows(state.selected)) for (const layer of shown) if (!looks.has(layer)) void look(layer);
  arrange();
}

function drawRow(layer: Layer, number: number, count: number): void {
  const { pick, image, save } = rows.get(layer)!;
  pick.ariaPressed = String(layer.shown);
  pick.ariaLabel = pick.title = t(layer.shown ? "layer.in" : "layer.out", { number, count });
  save.ariaLabel = save.title = t("layer.save", { number });
  save.disabled = !layer.shown || state.saving !== null;
  signs.get(layer)!.number.textContent = String(number);
  const seen = looks.get(layer);
  if (!seen || seen === "asked" || image.src === seen.picture) return;
  image.src = signs.get(layer)!.ghost.src = seen.picture;
}

/** Numbers, and what is left out, where they belong on the stage. */
function arrange(): void {
  const picking = isPicking();
  onStage.hidden = !picking;
  stage.classList.toggle("picking", picking);
  if (!picking) return;
  const { scale } = placeNow();
  for (const [layer, { ghost, number }] of signs) {
    const seen = looks.get(layer);
    const known = seen && seen !== "asked" ? seen : null;
    ghost.hidden = layer.shown || !known;
    number.hidden = !known;
    if (!known) continue;
    const { left, top, right, bottom } = layer.subject.box;
    const corner = toStage({ x: left, y: top });
    ghost.style.cssText = `width:${(right - left) * scale}px;height:${(bottom - top) * scale}px;transform:translate(${corner.x}px,${corner.y}px)`;
    const at = toStage(known.at);
    number.className = layer.shown ? "layer-number" : "layer-number out";
    number.style.transform = `translate(${at.x}px,${at.y}px)`;
  }
}

async function look(layer: Layer): Promise<void> {
  looks.set(layer, "asked");
  const { picture, at } = await painter.pictureOf(layer.subject, { ...photoSize() });
  looks.set(layer, { picture: URL.createObjectURL(picture), at });
  draw();
}

function addRow(layer: Layer): NonNullable<ReturnType<(typeof rows)["get"]>> {
  const image = make("img", { alt: "", width: 44, height: 44 });
  const pick = make("button", { type: "button", className: "layer-pick" }, image, make("i", { className: "layer-check" }, glyph("check")));
  const save = make("button", { type: "button", className: "quiet icon" }, glyph("download"));
  const item = make("li", {}, pick, save);
  pick.onclick = () => void toggle(layer);
  save.onclick = () => saveLayer(layer, [...rows.keys()].indexOf(layer) + 1);
  return { item, pick, image, save };
}

function addSigns(): NonNullable<ReturnType<(typeof signs)["get"]>> {
  const ghost = make("img", { className: "layer-ghost", alt: "" });
  const number = make("span", { className: "layer-number" });
  onStage.append(ghost, number);
  return { ghost, number };
}

/** Items of the layers in their order: those that there are stay, others are made or dropped. */
function kept<T>(before: Map<Layer, T>, layers: Layer[], add: (layer: Layer) => T, drop: (item: T) => void): Map<Layer, T> {
  for (const [layer, item] of before) if (!layers.includes(layer)) drop(item);
  return new Map(layers.map((layer) => [layer, before.get(layer) ?? add(layer)]));
}
