/** The strip of photos: one to show, each with its state, each removable. */
import { element, glyph, make } from "./elements.js";
import { t } from "./i18n.js";
import { remove } from "./queue.js";
import { onRedraw, redraw, state, type Photo } from "./state.js";

const strip = element<HTMLUListElement>("strip");
const items = new Map<Photo, { item: HTMLLIElement; show: HTMLButtonElement; image: HTMLImageElement; drop: HTMLButtonElement }>();

export function startStrip(): void {
  onRedraw(draw);
  strip.onkeydown = (event) => {
    const photo = state.selected;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && photo) {
      const next = state.photos[state.photos.indexOf(photo) + by];
      if (!next) return;
      event.preventDefault();
      select(next);
      items.get(next)!.show.focus();
    } else if (event.key === "Delete" && photo) {
      remove(photo);
      focusSelected();
    }
  };
}

function draw(): void {
  const { photos } = state;
  element("welcome").hidden = photos.length > 0;
  element("work").hidden = !photos.length;
  for (const [photo, { item }] of items) {
    if (photos.includes(photo)) continue;
    item.remove();
    items.delete(photo);
  }
  for (const photo of photos) {
    const { item, show, image, drop } = items.get(photo) ?? add(photo);
    const isSelected = photo === state.selected;
    item.className = `${photo.stage}${photo.cutout || photo.preview ? " cut" : ""}`;
    show.setAttribute("aria-current", String(isSelected));
    show.setAttribute("aria-label", t("photo.show", { name: photo.name, stage: t(`photo.${photo.stage}`) }));
    drop.setAttribute("aria-label", t("photo.remove", { name: photo.name }));
    image.hidden = !photo.thumb;
    if (photo.thumb && image.src !== photo.thumb) image.src = photo.thumb;
    if (isSelected && !show.dataset["seen"]) item.scrollIntoView({ block: "nearest", inline: "nearest" });
    show.dataset["seen"] = isSelected ? "yes" : "";
  }
}

function add(photo: Photo): NonNullable<ReturnType<typeof items.get>> {
  const image = make("img", { alt: "", width: 64, height: 64 });
  const show = make("button", { type: "button", className: "thumb", title: photo.name }, image, make("span", { className: "mark" }));
  const drop = make("button", { type: "button", className: "remove" }, glyph("close"));
  const item = make("li", {}, show, drop);
  show.onclick = () => select(photo);
  drop.onclick = () => {
    remove(photo);
    focusSelected();
  };
  strip.append(item);
  const parts = { item, show, image, drop };
  items.set(photo, parts);
  return parts;
}

function select(photo: Photo): void {
  state.selected = photo;
  redraw();
}

/** Focus must not fall to nowhere when its photo goes. */
function focusSelected(): void {
  const next = state.selected && items.get(state.selected);
  (next?.show ?? document.querySelector<HTMLElement>("#welcome [data-choose]"))?.focus();
}
