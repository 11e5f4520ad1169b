/** The dialog of storage: what this browser keeps of the page, and giving it back. */
import { element, make } from "./elements.js";
import { forgetPhotos } from "./keeping.js";
import { bytes } from "./sizes.js";
import { changed, state, view } from "./state.js";
import { counted, t } from "./words.js";

const dialog = element<HTMLDialogElement>("storage");
const list = element("storage-list");

export function startStorage(): void {
  element("open-storage").onclick = () => {
    dialog.showModal();
    void draw();
  };
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  element("free-all").onclick = () => void freeAll();
  let drawn = document.documentElement.lang;
  view(() => {
    if (dialog.open && drawn !== document.documentElement.lang) void draw();
    drawn = document.documentElement.lang;
  });
}

async function draw(): Promise<void> {
  const { Lifter } = await import("./liftout.js");
  const [{ packs, files }, estimate] = await Promise.all([Lifter.kept(), navigator.storage?.estimate?.()]);
  const rows = packs.map(({ name, bytes: size }) => row(t("storage.model", { name }), size, () => Lifter.evict(name)));
  const kept = state.photos.filter(({ stage }) => stage !== "failed");
  if (kept.length) {
    const size = kept.reduce((sum, { file, cutout }) => sum + file.size + (cutout?.size ?? 0), 0);
    rows.push(row(counted("storage.photos", kept.length), size, freePhotos));
  }
  if (!rows.length && !files.length) rows.push(make("li", { className: "fine", textContent: t("storage.none") }));
  list.replaceChildren(...rows);
  const { usage, quota } = estimate ?? {};
  element("storage-total").textContent =
    usage === undefined ? "" : t("storage.total", { used: bytes(usage), quota: bytes(quota ?? 0) });
}

function row(what: string, size: number, free: () => Promise<void>): HTMLLIElement {
  const button = make("button", { type: "button", className: "plain", textContent: t("storage.free") });
  button.setAttribute("aria-label", t("storage.free.of", { name: what }));
  button.onclick = async () => {
    button.disabled = true;
    await free();
    await draw();
    dialog.querySelector<HTMLElement>("button")?.focus();
  };
  return make("li", {}, make("span", { textContent: what }), make("span", { className: "fine", textContent: bytes(size) }), button);
}

async function freePhotos(): Promise<void> {
  await forgetPhotos();
  for (const { thumb } of state.photos) URL.revokeObjectURL(thumb);
  state.photos = state.photos.filter(({ stage }) => stage === "waiting" || stage === "working");
  state.selected = state.photos[0] ?? null;
  changed();
}

async function freeAll(): Promise<void> {
  const { Lifter } = await import("./liftout.js");
  await Promise.all([Lifter.evict(), freePhotos()]);
  await draw();
}
