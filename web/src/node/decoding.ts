/** Image files other than PNG, through the package sharp; in sRGB. */
import { ImageUnreadable, UsageError } from "../errors.js";
import { checkSize } from "../images/limits.js";
import type { Pixels } from "../images/png-read.js";
import { splitInto } from "../images/split.js";
import { sharp } from "./sharp.js";

export const READABLE = "JPEG, PNG, WebP, AVIF, GIF or TIFF";
const PURPOSE = "in Node, reading a photo that is not PNG";

/** Upright pixels. Throws ImageUnreadable, UsageError where sharp is not installed. */
export async function decoded(file: Blob, name: string, maxPixels: number): Promise<Pixels> {
  const open = await sharp(PURPOSE);
  try {
    const image = open(new Uint8Array(await file.arrayBuffer()), { limitInputPixels: false });
    const { data, info } = await image.autoOrient().toColourspace("srgb").ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    checkSize(height, width, maxPixels, name);
    const rgb = new Uint8Array(width * height * 3);
    const alpha = new Uint8Array(width * height);
    const opaque = splitInto(data, rgb, alpha, 0);
    return { width, height, rgb, alpha: opaque ? null : alpha, icc: null };
  } catch (error) {
    if (error instanceof Error && error.name.startsWith("Image")) throw error;
    throw new ImageUnreadable(`${name}: not an image that sharp can read, or incomplete; give a ${READABLE} file`);
  }
}

export async function isReadable(file: Blob): Promise<boolean> {
  return decoded(file, "", Infinity).then(
    () => true,
    (error: unknown) => {
      if (error instanceof UsageError) throw error;
      return false;
    },
  );
}

export async function framesOf(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<number> {
  if (!type) return 1;
  const open = await sharp(PURPOSE);
  return (await open(bytes, { limitInputPixels: false }).metadata().catch(() => ({ pages: 1 }))).pages ?? 1;
}
