/** Pictures of blobs, small and large, and where the subject is. */
import { subjectBox, type Box } from "../src/compose/subjects.js";

const THUMB_SIDE = 160;
const SEARCH_SIDE = 512;

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

/** Where the subject of a cutout is, nearly, in pixels of `width` x `height`; null without one. */
export function subjectNear(cutout: CanvasImageSource & { width: number; height: number }, width: number, height: number): Box | null {
  const canvas = fitted(cutout, SEARCH_SIDE);
  const { data } = canvas.getContext("2d", { willReadFrequently: true })!.getImageData(0, 0, canvas.width, canvas.height);
  const alpha = Uint8Array.from({ length: data.length / 4 }, (_, i) => data[i * 4 + 3]!);
  const box = subjectBox(alpha, canvas.width, canvas.height);
  if (!box) return null;
  const [across, down] = [width / canvas.width, height / canvas.height];
  return { left: box.left * across, top: box.top * down, right: box.right * across, bottom: box.bottom * down };
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
