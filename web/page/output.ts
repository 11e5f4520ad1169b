/** Results leave the page: one file, the clipboard, a zip of all, with the options of the panel. */
import { downloadZip } from "client-zip";
import { notify } from "./announce.js";
import { backgroundOf, composedBy, isUnchanged } from "./chosen.js";
import { element } from "./elements.js";
import { t, translate } from "./i18n.js";
import { layersNow, layersOf, type Layer } from "./layers.js";
import { writer } from "./lifters.js";
import { settle } from "./retouch.js";
import { onRedraw, redraw, savedPhotos, state, type Format, type Photo } from "./state.js";

interface OutputFile {
  name: string;
  content: Blob;
}

const ENDINGS: Record<Format, string> = { png: "png", webp: "webp", avif: "avif", jpeg: "jpg" };

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
      const files = name === "download" ? (layersNow() ?? []).filter(({ shown }) => shown).length : 1;
      const usual = files > 1 ? t("download.each", { count: files }) : t(name);
      button.lastElementChild!.textContent = !isMine ? usual : of > 1 ? `${done} / ${of}` : t(`${name}.busy`);
    }
  });
}

async function saveOne(): Promise<void> {
  const photo = state.selected!;
  await settle();
  const files = await filesOf(photo, (done, of) => {
    state.saving = { what: "download", done, of };
    redraw();
  });
  if (files.length === 1) return give(files[0]!);
  await giveZip(files, `${stemOf(photo)}-cutouts.zip`);
}

/** Save one layer of the photo on the stage. number: counted from 1. */
export function saveLayer(layer: Layer, number: number): void {
  const photo = state.selected!;
  void save("download", 1, async () => {
    await settle();
    give(await fileOf(photo, state.settings.format, { layer, number }));
  });
}

async function saveAll(): Promise<void> {
  const files: OutputFile[] = [];
  await settle();
  for (const photo of savedPhotos()) {
    files.push(...(await filesOf(photo)));
    state.saving!.done++;
    redraw();
  }
  await giveZip(files, "cutouts.zip");
}

async function giveZip(files: OutputFile[], name: string): Promise<void> {
  const names = distinct(files.map((file) => file.name));
  // pictures are compressed already: client-zip stores them as they are
  const zip = downloadZip(files.map(({ content }, i) => ({ name: names[i]!, input: content, lastModified: new Date() })));
  give({ content: await zip.blob(), name });
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

/** The files of a finished photo, as the panel asks for them: one, or one of each layer that is shown. */
async function filesOf(photo: Photo, onDone: (done: number, of: number) => void = () => undefined): Promise<OutputFile[]> {
  const { each, format } = state.settings;
  if (!each) return [await fileOf(photo, format)];
  const chosen = (await layersOf(photo)).map((layer, i) => ({ layer, number: i + 1 })).filter(({ layer }) => layer.shown);
  if (!chosen.length) return [await fileOf(photo, format, { layer: null, number: 1 })];
  const files: OutputFile[] = [];
  for (const one of chosen) {
    onDone(files.length, chosen.length);
    files.push(await fileOf(photo, format, one));
  }
  return files;
}

/** The file of a finished photo, or of one layer of it; names are those of the command line. */
async function fileOf(photo: Photo, format: Format, one: { layer: Layer | null; number: number } | null = null): Promise<OutputFile> {
  const { quality } = state.settings;
  const name = `${stemOf(photo)}-cutout${one ? `-${one.number}` : ""}.${ENDINGS[format]}`;
  const [background, composed] = [backgroundOf(state.settings), composedBy(state.settings)];
  const part = one?.layer?.subject ?? null;
  if (format === "png" && !background && !part && isUnchanged(composed)) return { name, content: photo.cutout! };
  const lifter = await writer();
  const { blob } = await lifter.compose(photo.file, photo.cutout!, {
    ...composed,
    background,
    format,
    quality: format === "png" ? null : quality,
    part,
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

function stemOf({ name }: Photo): string {
  return name.replace(/\.[^.]*$/, "");
}

function give({ content, name }: OutputFile): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  notify(t("saved", { name }));
}
