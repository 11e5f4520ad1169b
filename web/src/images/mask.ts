/** Images that are masks. */
/** The alpha that an image shows, uint8 [height, width]: its own, or its grey levels where it is opaque. */
export async function levelsOf(mask: Blob | ImageData): Promise<Uint8Array<ArrayBuffer>> {
  const { data } = mask instanceof Blob ? await rgbaOf(mask) : mask;
  let opaque = true;
  for (let i = 3; opaque && i < data.length; i += 4) opaque = data[i] === 255;
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at + (opaque ? 0 : 3)]!);
}

/** uint8 RGBA [height, width, 4]. */
async function rgbaOf(mask: Blob): Promise<ImageData> {
  const bitmap = await createImageBitmap(mask, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  return pixels;
}
