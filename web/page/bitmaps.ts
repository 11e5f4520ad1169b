/** What can be read from pictures: small copies, where the subject is, the alpha of a cutout. Only the painter's worker reads pixels. */
import { subjectBox, type Box } from "../src/compose/subjects.js";

const THUMB_SIDE = 160; // pixels
const SEARCH_SIDE = 512;

export interface Size {
  width: number;
  height: number;
}

/** A small picture of a file, and the size of the large one in pixels. Throws where the browser cannot read it. */
export async function thumbnailOf(file: Blob): Promise<Size & { picture: Blob }> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const canvas = fitted(bitmap, THUMB_SIDE);
  bitmap.close();
  return { picture: await canvas.convertToBlob({ type: "image/webp", quality: 0.85 }), width, height };
}

/** A photo no larger than `side` pixels on its longer side, for a preview. */
export async function reduced(file: Blob, side: number): Promise<ImageData> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const canvas = fitted(bitmap, side);
  bitmap.close();
  return canvas.getContext("2d", { willReadFrequently: true })!.getImageData(0, 0, canvas.width, canvas.height);
}

/** Where the subject of a cutout is, nearly, in pixels of `width` x `height`; null without one. */
export function subjectNear(cutout: ImageBitmap, width: number, height: number): Box | null {
  const canvas = fitted(cutout, SEARCH_SIDE);
  const { data } = canvas.getContext("2d", { willReadFrequently: true })!.getImageData(0, 0, canvas.width, canvas.height);
  const alpha = Uint8Array.from({ length: data.length / 4 }, (_, i) => data[i * 4 + 3]!);
  const box = subjectBox(alpha, canvas.width, canvas.height);
  if (!box) return null;
  const [across, down] = [width / canvas.width, height / canvas.height];
  return { left: box.left * across, top: box.top * down, right: box.right * across, bottom: box.bottom * down };
}

/** Alpha of a cutout, uint8 [height, width], and its size. */
export async function alphaOf(cutout: Blob): Promise<Size & { alpha: Uint8Array<ArrayBuffer> }> {
  const bitmap = await createImageBitmap(cutout);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const alpha = new Uint8Array(width * height);
  for (let i = 0; i < alpha.length; i++) alpha[i] = data[i * 4 + 3]!;
  return { alpha, width, height };
}

function fitted(source: ImageBitmap, side: number): OffscreenCanvas {
  const scale = Math.min(1, side / Math.max(source.width, source.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(source.width * scale)), Math.max(1, Math.round(source.height * scale)));
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}
