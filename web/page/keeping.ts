/**
 * Photos and cutouts between visits, in IndexedDB of this browser: a reload loses nothing that was finished.
 *
 * Where there is no storage or no room, all goes on and a person is told once.
 */
import type { Photo } from "./state.js";
import { tell } from "./saying.js";
import { t } from "./words.js";

const NAME = "liftout-page";
const VERSION = 1;

type Stored = Omit<Photo, "thumb" | "preview" | "error"> & { thumb: Blob | null };

let opened: Promise<IDBDatabase> | null = null;
let told = false;

export async function keepPhoto(photo: Photo): Promise<void> {
  const thumb = await fetchedThumb(photo.thumb);
  // read after the wait: a later call may have been faster, and must not be undone
  const { id, name, file, stage, cutout, width, height, box, model, seconds, edited, empty, added } = photo;
  const stored: Stored = { id, name, file, stage, cutout, width, height, box, model, seconds, edited, empty, added, thumb };
  await write("photos", (store) => store.put(stored));
}

export async function forgetPhoto(id: string): Promise<void> {
  await write("photos", (store) => store.delete(id));
}

export async function forgetPhotos(): Promise<void> {
  await write("photos", (store) => store.clear());
}

/** In the order in which they were added. What was not finished is `stopped`: a photo that broke the page must not do so again. */
export async function keptPhotos(): Promise<Photo[]> {
  try {
    const rows = await answered((await database()).transaction("photos").objectStore("photos").getAll() as IDBRequest<Stored[]>);
    rows.sort((a, b) => a.added - b.added);
    return rows.map(({ thumb, ...row }) => ({
      ...row,
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
export async function keepBackground(file: File | null): Promise<void> {
  await write("settings", (store) => (file ? store.put(file, "background") : store.delete("background")));
}

export async function keptBackground(): Promise<File | null> {
  try {
    const found = (await database()).transaction("settings").objectStore("settings").get("background") as IDBRequest<File | undefined>;
    return (await answered(found)) ?? null;
  } catch {
    return null;
  }
}

async function write(name: "photos" | "settings", change: (store: IDBObjectStore) => void): Promise<void> {
  try {
    const transaction = (await database()).transaction(name, "readwrite");
    change(transaction.objectStore(name));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } catch {
    if (!told) tell(t("keep.failed"));
    told = true;
  }
}

function database(): Promise<IDBDatabase> {
  return (opened ??= new Promise((resolve, reject) => {
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

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function fetchedThumb(url: string): Promise<Blob | null> {
  if (!url) return null;
  return fetch(url).then(
    (answer) => answer.blob(),
    () => null, // another picture has taken its place
  );
}
