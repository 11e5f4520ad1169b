/** The whole in one call, for who needs no more: the model is loaded with the first photo and stays. */
import { levelsOf } from "./images/mask.js";
import type { Photo } from "./images/sources.js";
import { Lifter, type CutOptions, type LoadOptions } from "./lifter.js";
import type { OnnxSource } from "./setup.js";

/** Options of `removeBackground` and its like: those of `Lifter.load` and of `lifter.cut`. */
export interface OneCallOptions extends Omit<LoadOptions, "preview">, Omit<CutOptions, "onPreview"> {
  /** Name of a pack, or a plain ONNX file; `pocket` by default. */
  model?: string | OnnxSource;
}

const LOADING = ["packs", "base", "runtime", "engine", "threads", "acceptLicense", "checkMemory"] as const;

const lifters = new Map<string, Promise<Lifter>>();

/**
 * The subject of a photo without its background, as a PNG (or as `format` and `background` say).
 *
 *     const blob = await removeBackground("photo.jpg");
 *
 * Throws what `Lifter.load` and `lifter.cut` throw.
 */
export async function removeBackground(src: Photo, options: OneCallOptions = {}): Promise<Blob> {
  const { lifter, cut } = await loaded(options);
  return (await lifter.cut(src, cut)).blob;
}

/** The alpha of a photo's subject as a grey image: white is subject. */
export function segmentForeground(src: Photo, options: Omit<OneCallOptions, "mask"> = {}): Promise<Blob> {
  return removeBackground(src, { ...options, mask: true });
}

/**
 * The subject that a mask shows, with clean colours at its edges. No network runs.
 *
 * mask: an image of the photo's size, such as `segmentForeground` gives: its alpha, or its grey levels where it is opaque.
 */
export async function applySegmentationMask(src: Photo, mask: Blob | ImageData, options: OneCallOptions = {}): Promise<Blob> {
  const { lifter, cut } = await loaded(options);
  return (await lifter.compose(src, await levelsOf(mask), cut)).blob;
}

/** End the models that were loaded by these calls: all of their memory returns. */
export async function unload(): Promise<void> {
  const all = [...lifters.values()];
  lifters.clear();
  for (const lifter of await Promise.allSettled(all)) if (lifter.status === "fulfilled") lifter.value.close();
}

/** The lifter of these options, loaded once, and the options of the cut. */
async function loaded({ model = "pocket", onWarning, ...options }: OneCallOptions): Promise<{ lifter: Lifter; cut: CutOptions }> {
  const { load, cut } = divided(options);
  options.signal?.throwIfAborted();
  const key = JSON.stringify([model, load]);
  let lifter = lifters.get(key);
  if (!lifter) {
    lifter = Lifter.load(model, { ...load, ...(onWarning && { onWarning }), ...(options.onProgress && { onProgress: options.onProgress }) });
    lifters.set(key, lifter);
    lifter.catch(() => lifters.delete(key)); // the next call tries again
  }
  return { lifter: await lifter, cut };
}

function divided(options: Omit<OneCallOptions, "model" | "onWarning">): { load: LoadOptions; cut: CutOptions } {
  const isOfLoad = ([name]: [string, unknown]): boolean => (LOADING as readonly string[]).includes(name);
  const entries = Object.entries(options);
  return { load: Object.fromEntries(entries.filter(isOfLoad)), cut: Object.fromEntries(entries.filter((entry) => !isOfLoad(entry))) };
}
