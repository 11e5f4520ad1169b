/** The dialog of storage: what this browser stores for the page, and deleting it. */
import { element, make } from "./elements.js";
import { formatBytes, plural, t } from "./i18n.js";
import { deletePhotos } from "./persistence.js";
import { onRedraw, redraw, state } from "./state.js";

const dialog = element<HTMLDialogElement>("storage");
const list = element("storage-list");

export function startStorageDialog(): void {
  element("open-storage").onclick = () => {
    dialog.showModal();
    void draw();
  };
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  element("free-all").onclick = () => void dropEverything();
  let drawnIn = document.documentElement.lang;
  onRedraw(() => {
    if (dialog.open && drawnIn !== document.documentElement.lang) void draw();
    drawnIn = document.documentElement.lang;
  });
}

async function draw(): Promise<void> {
  const { Lifter } = await import("./liftout.js");
  const [{ packs, files }, estimate] = await Promise.all([Lifter.kept(), navigator.storage?.estimate?.()]);
  const rows = packs.map(({ name, bytes: size }) => row(t("storage.model", { name }), size, () => Lifter.evict(name)));
  const photos = state.photos.filter(({ stage }) => stage !== "failed");
  if (photos.length) {
    const size = photos.reduce((sum, { file, cutout }) => sum + file.size + (cutout?.size ?? 0), 0);
    rows.push(row(plural("storage.photos", photos.length), size, dropPhotos));
  }
  if (!rows.length && !files.length) rows.push(make("li", { className: "fine", textContent: t("storage.none") }));
  list.replaceChildren(...rows);
  const { usage, quota } = estimate ?? {};
  element("storage-total").textContent =
    usage === undefined ? "" : t("storage.total", { used: formatBytes(usage), quota: formatBytes(quota ?? 0) });
}

function row(what: string, size: number, drop: () => Promise<void>): HTMLLIElement {
  const button = make("button", { type: "button", className: "plain", textContent: t("storage.free") });
  button.setAttribute("aria-label", t("storage.free.of", { name: what }));
  button.onclick = async () => {
    button.disabled = true;
    await drop();
    await draw();
    dialog.querySelector<HTMLElement>("button")?.focus();
  };
  return make("li", {}, make("span", { textContent: what }), make("span", { className: "fine", textContent: formatBytes(size) }), button);
}

async function dropPhotos(): Promise<void> {
  await deletePhotos();
  for (const { thumb } of state.photos) URL.revokeObjectURL(thumb);
  state.photos = state.photos.filter(({ stage }) => stage === "waiting" || stage === "working");
  state.selected = state.photos[0] ?? null;
  redraw();
}

async function dropEverything(): Promise<void> {
  const { Lifter } = await import("./liftout.js");
  await Promise.all([Lifter.evict(), dropPhotos()]);
  await draw();
}
