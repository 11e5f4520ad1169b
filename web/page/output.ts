/** Results leave the page: one file, the clipboard, a zip of all, with the options of the panel. */
import { downloadZip } from "client-zip";
import { writer } from "./cutting.js";
import { element } from "./elements.js";
import { tell } from "./saying.js";
import { changed, finished, state, view, type Photo } from "./state.js";
import { phrased, t } from "./words.js";

interface File {
  name: string;
  content: Blob;
}

const ENDINGS = { png: "png", webp: "webp", jpeg: "jpg" };

const download = element<HTMLButtonElement>("download");
const copy = element<HTMLButtonElement>("copy");
const zip = element<HTMLButtonElement>("zip");

export function startOutput(): void {
  download.onclick = () => void saving(1, saveOne);
  zip.onclick = () => void saving(finished().length, saveAll);
  copy.onclick = () => void saving(1, copyOne);
  view(() => {
    const busy = state.saving !== null;
    download.disabled = copy.disabled = busy || !state.selected?.cutout;
    zip.disabled = busy || finished().length < 2;
    const { done, of } = state.saving ?? { done: 0, of: 0 };
    zip.lastElementChild!.textContent = of > 1 ? `${done} / ${of}` : t("zip");
  });
}

async function saveOne(): Promise<void> {
  const photo = state.selected!;
  const { name, content } = await written(photo, state.settings.format);
  offer(content, name);
  tell(t("saved", { name }));
}

async function saveAll(): Promise<void> {
  const files: File[] = [];
  for (const photo of finished()) {
    files.push(await written(photo, state.settings.format));
    state.saving!.done++;
    changed();
  }
  const names = distinct(files.map(({ name }) => name));
  // pictures are compressed already: client-zip stores them as they are
  const zip = downloadZip(files.map(({ content }, i) => ({ name: names[i]!, input: content, lastModified: new Date() })));
  offer(await zip.blob(), "cutouts.zip");
  tell(t("saved", { name: "cutouts.zip" }));
}

/** Names that differ: the second `cat.png` becomes `cat-2.png`. */
function distinct(names: string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const [, stem, ending] = /^(.*?)(\.[^.]*)?$/s.exec(name)!;
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) free = `${stem}-${n}${ending ?? ""}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

async function copyOne(): Promise<void> {
  if (typeof ClipboardItem === "undefined" || !navigator.clipboard?.write) return tell(t("copy.none"));
  // the promise goes in as it is: Safari wants the write to begin within the click
  const content = written(state.selected!, "png").then(({ content }) => content);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": content })]);
  tell(t("copied"));
}

/** The file of a finished photo, as the panel asks for it. */
async function written(photo: Photo, format: "png" | "webp" | "jpeg"): Promise<File> {
  const { background, colour, image, crop, margin, quality } = state.settings;
  const name = `${photo.name.replace(/\.[^.]*$/, "")}-cutout.${ENDINGS[format]}`;
  const behind = { none: null, colour, image, blur: "blur" }[background];
  if (format === "png" && !behind && !crop) return { name, content: photo.cutout! };
  const lifter = await writer();
  const { blob } = await lifter.compose(photo.file, photo.cutout!, {
    background: behind,
    crop,
    margin: crop ? margin : 0,
    format,
    quality: format === "png" ? null : quality,
  });
  return { name, content: blob };
}

async function saving(of: number, work: () => Promise<void>): Promise<void> {
  state.saving = { done: 0, of };
  changed();
  try {
    await work();
  } catch (error) {
    tell(t("save.failed", { why: phrased((error as Error).message) }));
  } finally {
    state.saving = null;
    changed();
  }
}

function offer(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
