/** Formats of files that the browser writes: those that it cannot write are not offered. */
import { element } from "./elements.js";
import { choose } from "./settings.js";
import { state, type Format } from "./state.js";

const ASKED: Format[] = ["webp", "avif"]; // every browser writes png and jpeg

export async function startFormats(): Promise<void> {
  for (const format of ASKED) {
    const isWritten = await canWrite(format);
    element(`format-${format}`).hidden = !isWritten;
    if (!isWritten && state.settings.format === format) choose({ format: "png" });
  }
}

/** Browsers write png where they do not know a format. */
async function canWrite(format: Format): Promise<boolean> {
  const type = `image/${format}`;
  const canvas = new OffscreenCanvas(1, 1);
  canvas.getContext("2d");
  return canvas.convertToBlob({ type }).then(
    (blob) => blob.type === type,
    () => false,
  );
}
