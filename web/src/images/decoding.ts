/** Image files through the browser's own decoder. */
import { ImageUnreadable } from "../errors.js";
import { checkSize } from "./limits.js";
import type { Pixels } from "./png-read.js";
import { splitInto } from "./split.js";

type Bytes = Uint8Array<ArrayBuffer>;

export const READABLE = "JPEG, PNG, WebP, AVIF, GIF or BMP";
const READ_PIXELS = 2_000_000; // at once: a canvas of a whole large photo is refused on some phones

/** Pixels through the browser's own decoder, upright. */
export async function decoded(file: Blob, name: string, maxPixels: number, colour: ColorSpaceConversion): Promise<Pixels> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: colour,
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new ImageUnreadable(`${name}: not an image that this browser can read, or incomplete; give a ${READABLE} file`);
  }
  try {
    checkSize(bitmap.height, bitmap.width, maxPixels, name);
    const pixels = readBitmap(bitmap, "unorm8");
    // a canvas premultiplies: with eight bits, colours under little alpha are lost; with half floats they are not
    return pixels.alpha ? readBitmap(bitmap, "float16") : pixels;
  } finally {
    bitmap.close();
  }
}

/** colorType: browsers that do not know it use eight bits. */
function readBitmap(bitmap: ImageBitmap, colorType: "unorm8" | "float16"): Pixels {
  const { width, height } = bitmap;
  const rgb = new Uint8Array(width * height * 3);
  const alpha = new Uint8Array(width * height);
  const rows = Math.max(1, Math.min(height, Math.floor(READ_PIXELS / width)));
  const canvas = new OffscreenCanvas(width, rows);
  const settings: CanvasRenderingContext2DSettings & { colorType: string } = { willReadFrequently: true, colorType };
  const context = canvas.getContext("2d", settings)!;
  let opaque = true;
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const { data } = context.getImageData(0, 0, width, count);
    opaque = splitInto(data, rgb, alpha, top * width) && opaque;
  }
  return { width, height, rgb, alpha: opaque ? null : alpha, icc: null };
}

/** Some browsers know formats that others do not. */
export async function isReadable(file: Blob): Promise<boolean> {
  return createImageBitmap(file).then(
    (bitmap) => (bitmap.close(), true),
    () => false,
  );
}

/** How many frames a file has; 1 where the browser does not say. type: of a format that may have several, else empty. */
export async function framesOf(bytes: Bytes, type: string): Promise<number> {
  if (typeof ImageDecoder === "undefined" || !type) return 1;
  let frames = 1;
  const decoder = new ImageDecoder({ data: bytes, type });
  try {
    await decoder.completed; // a GIF tells its frames only at its end,
    await decoder.tracks.ready; // and a track may be known later than that
    frames = decoder.tracks.selectedTrack?.frameCount ?? 1;
  } catch {
    // decoding proper will say what is wrong
  } finally {
    decoder.close();
  }
  return frames;
}
