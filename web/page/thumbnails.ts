/** The small pictures of photos in the strip, made by the painter. */
import { painter } from "./painter.js";
import { savePhoto } from "./persistence.js";
import { redraw, state, type Photo } from "./state.js";

const loading = new WeakMap<Photo, Promise<void>>();

/** Find out a photo's size and make its thumbnail, once. */
export function loadThumbnail(photo: Photo): Promise<void> {
  if (photo.width) return Promise.resolve();
  const load = loading.get(photo) ?? readThumbnail(photo);
  loading.set(photo, load);
  return load;
}

/** Take the thumbnail of another file for a photo: that of its cutout. */
export async function changeThumbnail(photo: Photo, file: Blob): Promise<void> {
  const { picture } = await painter.thumbnailOf(file);
  URL.revokeObjectURL(photo.thumb);
  photo.thumb = URL.createObjectURL(picture);
}

async function readThumbnail(photo: Photo): Promise<void> {
  try {
    const { picture, width, height } = await painter.thumbnailOf(photo.file);
    Object.assign(photo, { thumb: URL.createObjectURL(picture), width, height });
    redraw();
  } catch {
    // the cut will say why it cannot be read
  }
  if (state.photos.includes(photo)) void savePhoto(photo);
}
