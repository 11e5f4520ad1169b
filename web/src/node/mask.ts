/** Images that are masks. */
import { readPhoto } from "../images/photo.js";

/** The alpha that an image shows, uint8 [height, width]: its own, or its grey levels where it is opaque. */
export async function levelsOf(mask: Blob | { data: Uint8Array | Uint8ClampedArray; width: number; height: number }): Promise<Uint8Array<ArrayBuffer>> {
  const input =
    mask instanceof Blob
      ? ({ kind: "file", file: mask, name: "the mask" } as const)
      : ({ kind: "pixels", data: new Uint8Array(mask.data), width: mask.width, height: mask.height } as const);
  const { rgb, alpha } = await readPhoto(input, Infinity);
  return alpha ?? new Uint8Array(rgb.length / 3).map((_, i) => rgb[3 * i]!);
}
