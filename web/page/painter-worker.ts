/** The painter's worker: the pictures of the stage, strokes on them, thumbnails. Each function of `painter` is a call of the page. */
import { reduced, thumbnailOf } from "./bitmaps.js";
import { blurred, clear, drawCutout, drawPhoto, takeCanvases } from "./canvases.js";
import { pictureOf } from "./layer-picture.js";
import { drawScene, takeScene } from "./scene.js";
import { closeEdit, hideEdit, levelsOf, openEdit, renew, stroke } from "./edits.js";

const painter = {
  thumbnailOf,
  reduced,
  drawPhoto,
  drawCutout,
  clear,
  blurred,
  drawScene,
  pictureOf,
  openEdit,
  stroke,
  levelsOf,
  renew,
  hideEdit,
  closeEdit,
};

export type Painter = typeof painter;

/** What a call came to. */
export interface Answer {
  id: number;
  value?: unknown;
  error?: { name: string; message: string };
}

interface Call {
  id: number;
  name: keyof Painter;
  given: unknown[];
}

self.onmessage = ({ data }: MessageEvent<Call | { before: OffscreenCanvas; after: OffscreenCanvas; scene: OffscreenCanvas }>) => {
  if ("before" in data) {
    takeCanvases(data.before, data.after);
    takeScene(data.scene);
  } else void answer(data);
};

async function answer({ id, name, given }: Call): Promise<void> {
  try {
    const value: unknown = await (painter[name] as (...given: unknown[]) => unknown)(...given);
    self.postMessage({ id, value } satisfies Answer);
  } catch (thrown) {
    const { name: kind, message } = thrown as Error;
    self.postMessage({ id, error: { name: kind, message } } satisfies Answer);
  }
}
