/** What is known of a photo before it is cut: its size and a small picture. Found out once. */
import { keepPhoto } from "./keeping.js";
import { thumbOf } from "./pixels.js";
import { changed, state, type Photo } from "./state.js";

const asked = new WeakMap<Photo, Promise<void>>();

export function describe(photo: Photo): Promise<void> {
  if (photo.width) return Promise.resolve();
  const known = asked.get(photo) ?? look(photo);
  asked.set(photo, known);
  return known;
}

async function look(photo: Photo): Promise<void> {
  try {
    const { url, width, height } = await thumbOf(photo.file);
    Object.assign(photo, { thumb: url, width, height });
    changed();
  } catch {
    // the cut will say why it cannot be read
  }
  if (state.photos.includes(photo)) void keepPhoto(photo);
}
