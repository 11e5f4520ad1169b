/** Putting a subject over a colour or a picture, with the arithmetic of `Cutout.over`. */
import { UsageError } from "../errors.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** A CSS colour, `blur`, or an image file that is scaled and cropped to cover. */
export type Background = string | Blob;

/** What lies behind: three levels, or uint8 RGBA [H, W, 4]. */
export type Behind = [number, number, number] | Uint8ClampedArray;

/** What lies behind an image of this size in pixels. Throws UsageError where the background is neither colour nor image. */
export async function readBackground(background: Background, width: number, height: number): Promise<Behind> {
  return typeof background === "string" ? readColour(background) : covering(background, width, height);
}

/** Blend a strip of straight-alpha RGBA, uint8 [rows, W, 4], over what lies behind from pixel `at` on: uint8 [rows, W, 3]. */
export function blend(rgba: Bytes, behind: Behind, at: number): Bytes {
  const out = new Uint8Array((rgba.length / 4) * 3);
  const flat = behind.length === 3;
  for (let i = 0, to = 0, from = flat ? 0 : at * 4; i < rgba.length; i += 4, to += 3) {
    const alpha = rgba[i + 3]!;
    for (let c = 0; c < 3; c++) {
      out[to + c] = Math.floor((rgba[i + c]! * alpha + behind[from + c]! * (255 - alpha) + 127) / 255);
    }
    if (!flat) from += 4;
  }
  return out;
}

function readColour(text: string): [number, number, number] {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })!;
  // an unknown colour leaves the old one standing
  const [first, second] = ["#000000", "#ffffff"].map((before) => {
    context.fillStyle = before;
    context.fillStyle = text;
    return context.fillStyle;
  });
  if (first !== second) throw new UsageError(`background \`${text}\` is not a colour; try white, #1e90ff, or an image file`);
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 1, 1);
  return [data[0]!, data[1]!, data[2]!];
}

async function covering(file: Blob, width: number, height: number): Promise<Uint8ClampedArray> {
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
