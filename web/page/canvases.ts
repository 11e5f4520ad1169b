/** The two pictures on the stage, the photo and its cutout, drawn from their files and painted over while a brush paints. */
import { blurredScene } from "../src/compose/blur.js";
import type { Box } from "../src/compose/subjects.js";
import { subjectNear, type Size } from "./bitmaps.js";
import type { AlphaEdit } from "./brush.js";

const MOST_PIXELS = 16_000_000; // phones refuse larger canvases
const BLUR_SIDE = 512;

let before = new OffscreenCanvas(1, 1);
let after = new OffscreenCanvas(1, 1);
let ofPhoto = contextOf(before);
let ofCutout = contextOf(after);
let latestTurn = 0; // of drawing: a later one makes an earlier one void

/** Draw on these from now on: they are those that the page shows. */
export function takeCanvases(forPhoto: OffscreenCanvas, forCutout: OffscreenCanvas): void {
  [before, after] = [forPhoto, forCutout];
  // once: Firefox refuses to give the context of a canvas that a page shows a second time
  [ofPhoto, ofCutout] = [contextOf(before), contextOf(after)];
}

/** Size of the photo in its own pixels; null where another turn has begun. Throws where the browser cannot read it. */
export async function drawPhoto(turn: number, file: Blob): Promise<Size | null> {
  latestTurn = turn;
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  if (turn === latestTurn) draw(before, ofPhoto, bitmap, { width, height });
  bitmap.close();
  return turn === latestTurn ? { width, height } : null;
}

/**
 * The cutout of a photo of this size; it may be smaller. box: of its subject in pixels of the photo, where that is known.
 *
 * Gives the box, null without a subject; undefined where another turn has begun.
 */
export async function drawCutout(turn: number, file: Blob, { width, height }: Size, box: Box | null | undefined): Promise<Box | null | undefined> {
  latestTurn = turn;
  const bitmap = await createImageBitmap(file);
  let subject: Box | null | undefined;
  if (turn === latestTurn) {
    draw(after, ofCutout, bitmap, { width, height });
    subject = box === undefined ? subjectNear(bitmap, width, height) : box;
  }
  bitmap.close();
  return subject;
}

export function clear(turn: number): void {
  latestTurn = turn;
  for (const canvas of [before, after]) canvas.width = canvas.height = 1;
}

/** Bring a part of the cutout up to an edited alpha: colours that come back are the photo's. */
export function paintOver(edit: AlphaEdit, { left, top, right, bottom }: Box): void {
  const detail = after.width / edit.width;
  const [x0, y0] = [Math.floor(left * detail), Math.floor(top * detail)];
  const [x1, y1] = [Math.min(after.width, Math.ceil(right * detail)), Math.min(after.height, Math.ceil(bottom * detail))];
  if (x1 <= x0 || y1 <= y0) return;
  const [wide, high] = [x1 - x0, y1 - y0];
  const pixels = ofCutout.getImageData(x0, y0, wide, high);
  const photo = ofPhoto.getImageData(x0, y0, wide, high).data;
  for (let y = 0, i = 0; y < high; y++) {
    const row = Math.min(edit.height - 1, Math.floor((y0 + y + 0.5) / detail)) * edit.width;
    for (let x = 0; x < wide; x++, i += 4) {
      const level = Math.min(edit.alpha[row + Math.min(edit.width - 1, Math.floor((x0 + x + 0.5) / detail))]!, photo[i + 3]!);
      if (level === pixels.data[i + 3]) continue;
      if (level > pixels.data[i + 3]!) for (let c = 0; c < 3; c++) pixels.data[i + c] = photo[i + c]!;
      pixels.data[i + 3] = level;
    }
  }
  ofCutout.putImageData(pixels, x0, y0);
}

/** Draw a part of a cutout again, whose file has clean colours where a brush painted. part: in pixels of the cutout. */
export function redrawPart(cutout: ImageBitmap, { left, top, right, bottom }: Box): void {
  const detail = after.width / cutout.width;
  const [x0, y0] = [Math.floor(left * detail), Math.floor(top * detail)];
  const [wide, high] = [Math.ceil(right * detail) - x0, Math.ceil(bottom * detail) - y0];
  ofCutout.imageSmoothingQuality = "high";
  ofCutout.clearRect(x0, y0, wide, high);
  ofCutout.drawImage(cutout, x0 / detail, y0 / detail, wide / detail, high / detail, x0, y0, wide, high);
}

/** The photo on the stage without its subject and out of focus, small; null without a cutout. */
export async function blurred(): Promise<Blob | null> {
  if (after.width <= 1) return null;
  const scale = Math.min(1, BLUR_SIDE / Math.max(before.width, before.height));
  const [width, height] = [Math.max(1, Math.round(before.width * scale)), Math.max(1, Math.round(before.height * scale))];
  const read = (canvas: OffscreenCanvas): Uint8ClampedArray => {
    const context = contextOf(new OffscreenCanvas(width, height));
    context.drawImage(canvas, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  const [photo, cutout] = [read(before), read(after)];
  const rgb = new Uint8Array(width * height * 3).map((_, i) => photo[Math.floor(i / 3) * 4 + (i % 3)]!);
  const alpha = new Uint8Array(width * height).map((_, i) => cutout[i * 4 + 3]!);
  const pixels = blurredScene(rgb, alpha, width, height, { part: { left: 0, top: 0, width, height }, width, height });
  const canvas = new OffscreenCanvas(width, height);
  contextOf(canvas).putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.convertToBlob();
}

/** The cutout on the stage with at most so many pixels: uint8 RGBA [height, width, 4], straight alpha. */
export function cutoutOf(pixels: number): Size & { data: Uint8Array<ArrayBuffer> } {
  const scale = Math.min(1, Math.sqrt(pixels / (after.width * after.height)));
  const [width, height] = [Math.max(1, Math.round(after.width * scale)), Math.max(1, Math.round(after.height * scale))];
  const context = scale < 1 ? contextOf(new OffscreenCanvas(width, height)) : ofCutout;
  if (scale < 1) {
    context.imageSmoothingQuality = "high";
    context.drawImage(after, 0, 0, width, height);
  }
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: new Uint8Array(data.buffer) };
}

/** A part of the photo on the stage, drawn at a size. photo: its size; part: in its pixels. */
export function photoPart({ left, top, right, bottom }: Box, photo: Size, { width, height }: Size): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const detail = before.width / photo.width;
  const context = contextOf(canvas);
  context.imageSmoothingQuality = "high";
  context.drawImage(before, left * detail, top * detail, (right - left) * detail, (bottom - top) * detail, 0, 0, width, height);
  return canvas;
}

export function contextOf(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  return canvas.getContext("2d", { willReadFrequently: true })!;
}

/** A picture of a photo of this size, at the detail that a canvas may have. */
function draw(canvas: OffscreenCanvas, context: OffscreenCanvasRenderingContext2D, bitmap: ImageBitmap, { width, height }: Size): void {
  const detail = detailOf(width, height);
  canvas.width = Math.round(width * detail);
  canvas.height = Math.round(height * detail);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}

function detailOf(width: number, height: number): number {
  return Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
}
