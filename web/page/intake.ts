/** Photos come in: dropped, pasted or chosen, files or folders of them. */
import { announce, notify } from "./announce.js";
import { all, element } from "./elements.js";
import { plural, t } from "./i18n.js";
import { stay } from "./offline.js";
import { advance } from "./queue.js";
import { redraw, state, type Photo } from "./state.js";
import { loadThumbnail } from "./thumbnails.js";

const input = element<HTMLInputElement>("photo-input");
const curtain = element("dropping");

export function startIntake(): void {
  for (const button of all("[data-choose]")) button.onclick = choose;
  input.onchange = () => {
    addPhotos([...(input.files ?? [])]);
    input.value = ""; // the same file may be chosen again
  };
  for (const button of all<HTMLButtonElement>("[data-sample]")) button.onclick = () => void addSample(button.dataset["sample"]!);
  element("drop").onclick = (event) => {
    if (!(event.target as Element).closest("button")) choose();
  };
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) addPhotos(files);
  });
  let inside = 0; // dragenter and dragleave come for every element under the pointer
  window.addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    stay();
    inside++;
    curtain.hidden = false;
  });
  window.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    curtain.hidden = !inside;
  });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    curtain.hidden = true;
    if (event.dataTransfer) void filesOf(event.dataTransfer).then(addPhotos);
  });
}

function choose(): void {
  stay();
  input.click();
}

/** One of the page's own photos, for a visitor who has none at hand. */
async function addSample(name: string): Promise<void> {
  stay();
  try {
    const response = await fetch(`samples/${name}`);
    if (!response.ok) throw new Error(response.statusText);
    addPhotos([new File([await response.blob()], name, { type: "image/jpeg" })]);
  } catch {
    notify(t("sample.none"));
  }
}

/** Photos join the queue in their order. Whether one can be read is found out when it is cut. */
export function addPhotos(files: File[]): void {
  const images = files.filter((file) => file.type.startsWith("image/") || /\.(jpe?g|png|webp|avif|gif|bmp|hei[cf]|tiff?)$/i.test(file.name));
  if (!images.length) return notify(t("intake.none"));
  stay();
  const photos = images.map((file, i): Photo => ({
    id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
    name: file.name || "photo.png",
    file,
    stage: "waiting",
    cutout: null,
    preview: null,
    thumb: "",
    width: 0,
    height: 0,
    box: undefined,
    model: "",
    seconds: 0,
    edited: false,
    empty: false,
    wanted: false,
    error: null,
    added: Date.now() + i / 1000,
  }));
  state.photos.push(...photos);
  state.selected = photos[0]!;
  announce(plural("said.added", photos.length));
  redraw();
  void advance();
  void (async () => {
    for (const photo of photos) await loadThumbnail(photo);
  })();
}

async function filesOf(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry.isDirectory)) return [...data.files];
  const files = (await Promise.all(entries.map(filesIn))).flat();
  return files.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at most
    if (!batch.length) return files;
    for (const inner of batch) files.push(...(await filesIn(inner)));
  }
}
