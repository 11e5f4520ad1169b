/**
 * Photos and cutouts between visits, in IndexedDB of this browser: a reload loses nothing that was finished.
 *
 * Where there is no storage or no room, the page works on and says so once.
 */
import { notify } from "./announce.js";
import { t } from "./i18n.js";
import type { Photo } from "./state.js";

const NAME = "liftout-page";
const VERSION = 1;

type Row = Omit<Photo, "thumb" | "preview" | "error"> & { thumb: Blob | null };

let database: Promise<IDBDatabase> | null = null;
let warned = false;
let keeps = true;

/** For a visit that leaves nothing in the browser, and finds nothing there. */
export function keepNothing(): void {
  keeps = false;
}

export async function savePhoto(photo: Photo): Promise<void> {
  const thumb = await readThumb(photo.thumb);
  // read after the wait: a later call may have been faster, and must not be undone
  const { id, name, file, stage, cutout, width, height, box, model, seconds, edited, empty, wanted, added } = photo;
  const row: Row = { id, name, file, stage, cutout, width, height, box, model, seconds, edited, empty, wanted, added, thumb };
  await change("photos", (store) => store.put(row));
}

export async function deletePhoto(id: string): Promise<void> {
  await change("photos", (store) => store.delete(id));
}

export async function deletePhotos(): Promise<void> {
  await change("photos", (store) => store.clear());
}

/** In the order in which they were added. What was not finished is `stopped`: a photo that broke the page must not do so again. */
export async function loadPhotos(): Promise<Photo[]> {
  if (!keeps) return [];
  try {
    const store = (await open()).transaction("photos").objectStore("photos");
    const rows = await resultOf(store.getAll() as IDBRequest<Row[]>);
    rows.sort((a, b) => a.added - b.added);
    return rows.map(({ thumb, ...row }) => ({
      ...row,
      wanted: row.wanted ?? false, // rows of an earlier version say nothing
      stage: row.cutout ? "done" : "stopped",
      thumb: thumb ? URL.createObjectURL(thumb) : "",
      preview: null,
      error: null,
    }));
  } catch {
    return [];
  }
}

/** The image behind the subjects. */
export async function saveBackground(file: File | null): Promise<void> {
  await change("settings", (store) => (file ? store.put(file, "background") : store.delete("background")));
}

export async function loadBackground(): Promise<File | null> {
  try {
    const store = (await open()).transaction("settings").objectStore("settings");
    return (await resultOf(store.get("background") as IDBRequest<File | undefined>)) ?? null;
  } catch {
    return null;
  }
}

async function change(name: "photos" | "settings", write: (store: IDBObjectStore) => void): Promise<void> {
  if (!keeps) return;
  try {
    const transaction = (await open()).transaction(name, "readwrite");
    write(transaction.objectStore(name));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } catch {
    if (!warned) notify(t("keep.failed"));
    warned = true;
  }
}

function open(): Promise<IDBDatabase> {
  return (database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("photos", { keyPath: "id" });
      request.result.createObjectStore("settings");
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close(); // a newer page in another tab
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  }));
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function readThumb(url: string): Promise<Blob | null> {
  if (!url) return null;
  return fetch(url).then(
    (response) => response.blob(),
    () => null, // another picture has taken its place
  );
}
