/** A picture behind a subject. */
import { UsageError } from "../errors.js";

/** An image file scaled and cropped to cover a size in pixels: uint8 RGBA [height, width, 4], opaque. Throws UsageError. */
export async function covering(file: Blob, width: number, height: number): Promise<Uint8ClampedArray> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new UsageError("this browser cannot read the background image; give a colour or another file");
  }
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [regionWidth, regionHeight] = [width / scale, height / scale];
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "#808080"; // behind transparent parts of the background itself
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  const [left, top] = [(bitmap.width - regionWidth) / 2, (bitmap.height - regionHeight) / 2];
  context.drawImage(bitmap, left, top, regionWidth, regionHeight, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height).data;
}
