/** The third picture of the stage: the cutout as it is composed, with its shadow and on its canvas, as files will have it but smaller. */
import { composed, type Effects, type Size } from "../src/compose/placed.js";
import { merged } from "../src/compose/layers.js";
import type { Box } from "../src/compose/subjects.js";
import { contextOf, cutoutOf } from "./canvases.js";

const MOST_PIXELS = 1_500_000; // of the scene, and of the cutout that it is made of

const UNSURE = 24; // alpha below which a canvas has lost the colour: a feathered edge takes its colours from further in

let scene = new OffscreenCanvas(1, 1);
let ofScene = contextOf(scene);

export function takeScene(canvas: OffscreenCanvas): void {
  scene = canvas;
  ofScene = contextOf(scene);
}

/** What was drawn, in pixels of the photo. */
export interface Scene {
  /** The subject with its shadow; null without a subject. */
  wide: Box | null;
}

/**
 * Draw the cutout on the stage with its effects. photo: its size; canvas: that of the canvas, null without one; shadowAlone: leave the
 * subject out.
 */
export async function drawScene(photo: Size, effects: Effects, canvas: Size | null, shadowAlone: boolean): Promise<Scene> {
  const cutout = cutoutOf(MOST_PIXELS);
  const ofPhoto = cutout.width / photo.width;
  const detail = canvas ? Math.min(1, Math.sqrt(MOST_PIXELS / (canvas.width * canvas.height))) : 1;
  const size = canvas && { width: Math.max(1, Math.round(canvas.width * detail)), height: Math.max(1, Math.round(canvas.height * detail)) };
  const alpha = new Uint8Array(cutout.width * cutout.height).map((_, i) => cutout.data[4 * i + 3]!);
  if (effects.feather) alpha.forEach((level, i) => level < UNSURE && cutout.data.fill(0, 4 * i, 4 * i + 4));
  const small = { ...effects, feather: effects.feather * ofPhoto, margin: Math.floor(effects.margin * detail), crop: false };
  const rows = async ([first, last]: [number, number]): Promise<Uint8Array<ArrayBuffer>> =>
    cutout.data.slice(first * cutout.width * 4, last * cutout.width * 4);
  const found = await composed(alpha, cutout, small, size, rows);
  const { data, width, height } = found.cutout;
  scene.width = width;
  scene.height = height;
  const pixels = merged(shadowAlone ? new Uint8Array(data.length) : data, null, found.shadow, 0);
  ofScene.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
  const across = photo.width / cutout.width;
  const down = photo.height / cutout.height;
  const { wide } = found;
  return { wide: wide && { left: wide.left * across, top: wide.top * down, right: wide.right * across, bottom: wide.bottom * down } };
}
