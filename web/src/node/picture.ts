/** A picture behind a subject, through the package sharp. */
import { UsageError } from "../errors.js";
import { sharp } from "./sharp.js";

export async function covering(file: Blob, width: number, height: number): Promise<Uint8ClampedArray> {
  const open = await sharp("in Node, a background image");
  try {
    const image = open(new Uint8Array(await file.arrayBuffer()), {}).autoOrient().toColourspace("srgb");
    const { data } = await image
      .resize({ width, height, fit: "cover", kernel: "cubic" })
      .flatten({ background: "#808080" })
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return new Uint8ClampedArray(data.buffer, data.byteOffset, data.length);
  } catch {
    throw new UsageError("sharp cannot read the background image; give a colour or another file");
  }
}
