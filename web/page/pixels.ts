/** Pictures of blobs, small and large, and where the subject is. */

const THUMB_SIDE = 160;
const SEARCH_SIDE = 512;
const BOX_ALPHA = 16; // as in render.ts of the module

/** A small picture as an address, and the size of the large one. Throws where the browser cannot read it. */
export async function thumbOf(file: Blob): Promise<{ url: string; width: number; height: number }> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const canvas = fitted(bitmap, THUMB_SIDE);
  bitmap.close();
  return { url: URL.createObjectURL(await canvas.convertToBlob({ type: "image/webp", quality: 0.85 })), width, height };
}

/** A photo no larger than `side` on its longer side, for a quick look. */
export async function reduced(file: Blob, side: number): Promise<ImageData> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const canvas = fitted(bitmap, side);
  bitmap.close();
  return canvas.getContext("2d", { willReadFrequently: true })!.getImageData(0, 0, canvas.width, canvas.height);
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The part of a cutout that holds its subject, in shares of its sides; all of it without a subject. */
export function subjectOf(cutout: CanvasImageSource & { width: number; height: number }): Box {
  const canvas = fitted(cutout, SEARCH_SIDE);
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d", { willReadFrequently: true })!.getImageData(0, 0, width, height);
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0, at = 3; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      if (data[at]! < BOX_ALPHA) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  if (!bottom) return { left: 0, top: 0, width: 1, height: 1 };
  return { left: left / width, top: top / height, width: (right - left) / width, height: (bottom - top) / height };
}

/** Alpha of a cutout, uint8 [height, width]. */
export async function alphaOf(cutout: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const bitmap = await createImageBitmap(cutout);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const alpha = new Uint8Array(width * height);
  for (let i = 0; i < alpha.length; i++) alpha[i] = data[i * 4 + 3]!;
  return alpha;
}

function fitted(source: CanvasImageSource & { width: number; height: number }, side: number): OffscreenCanvas {
  const scale = Math.min(1, side / Math.max(source.width, source.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(source.width * scale)), Math.max(1, Math.round(source.height * scale)));
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}
