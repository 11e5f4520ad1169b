/** Results leave the page: one file, the clipboard, a zip of all, with the options of the panel. */
import { downloadZip } from "client-zip";
import { notify } from "./announce.js";
import { backgroundOf, composedBy, isUnchanged } from "./chosen.js";
import { element } from "./elements.js";
import { t, translate } from "./i18n.js";
import { writer } from "./lifters.js";
import { settle } from "./retouch.js";
import { onRedraw, redraw, savedPhotos, state, type Photo } from "./state.js";

interface OutputFile {
  name: string;
  content: Blob;
}

const ENDINGS = { png: "png", webp: "webp", jpeg: "jpg" };

const download = element<HTMLButtonElement>("download");
const copy = element<HTMLButtonElement>("copy");
const zip = element<HTMLButtonElement>("zip");

export function startOutput(): void {
  download.onclick = () => void save("download", 1, saveOne);
  zip.onclick = () => void save("zip", savedPhotos().length, saveAll);
  copy.onclick = () => void save("copy", 1, copyOne);
  onRedraw(() => {
    const busy = state.saving !== null;
    download.disabled = copy.disabled = busy || !state.selected?.cutout;
    zip.disabled = busy || savedPhotos().length < 2;
    const { what = "", done = 0, of = 0 } = state.saving ?? {};
    for (const [name, button] of Object.entries({ download, copy, zip })) {
      const isMine = name === what;
      button.ariaBusy = String(isMine);
      button.lastElementChild!.textContent = !isMine ? t(name) : name === "zip" ? `${done} / ${of}` : t(`${name}.busy`);
    }
  });
}

async function saveOne(): Promise<void> {
  const photo = state.selected!;
  await settle();
  const { name, content } = await fileOf(photo, state.settings.format);
  offer(content, name);
  notify(t("saved", { name }));
}

async function saveAll(): Promise<void> {
  const files: OutputFile[] = [];
  await settle();
  for (const photo of savedPhotos()) {
    files.push(await fileOf(photo, state.settings.format));
    state.saving!.done++;
    redraw();
  }
  const names = distinct(files.map(({ name }) => name));
  // pictures are compressed already: client-zip stores them as they are
  const zip = downloadZip(files.map(({ content }, i) => ({ name: names[i]!, input: content, lastModified: new Date() })));
  offer(await zip.blob(), "cutouts.zip");
  notify(t("saved", { name: "cutouts.zip" }));
}

/** Names that differ: the second `cat.png` becomes `cat-2.png`. */
function distinct(names: string[]): string[] {
  const used = new Set<string>();
  return names.map((name) => {
    const [, stem, ending] = /^(.*?)(\.[^.]*)?$/s.exec(name)!;
    let unused = name;
    for (let n = 2; used.has(unused.toLowerCase()); n++) unused = `${stem}-${n}${ending ?? ""}`;
    used.add(unused.toLowerCase());
    return unused;
  });
}

async function copyOne(): Promise<void> {
  if (typeof ClipboardItem === "undefined" || !navigator.clipboard?.write) return notify(t("copy.none"));
  // the promise goes in as it is: Safari wants the write to begin within the click
  const photo = state.selected!;
  const content = settle()
    .then(() => fileOf(photo, "png"))
    .then(({ content }) => content);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": content })]);
  notify(t("copied"));
}

/** The file of a finished photo, as the panel asks for it. */
async function fileOf(photo: Photo, format: "png" | "webp" | "jpeg"): Promise<OutputFile> {
  const { quality } = state.settings;
  const name = `${photo.name.replace(/\.[^.]*$/, "")}-cutout.${ENDINGS[format]}`;
  const [background, composed] = [backgroundOf(state.settings), composedBy(state.settings)];
  if (format === "png" && !background && isUnchanged(composed)) return { name, content: photo.cutout! };
  const lifter = await writer();
  const { blob } = await lifter.compose(photo.file, photo.cutout!, {
    ...composed,
    background,
    format,
    quality: format === "png" ? null : quality,
  });
  return { name, content: blob };
}

async function save(what: "download" | "copy" | "zip", of: number, work: () => Promise<void>): Promise<void> {
  state.saving = { what, done: 0, of };
  redraw();
  try {
    await work();
  } catch (error) {
    notify(t("save.failed", { why: translate((error as Error).message) }));
  } finally {
    state.saving = null;
    redraw();
  }
}

function offer(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
