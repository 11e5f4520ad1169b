/** The two pictures on the stage, the photo and its cutout, drawn from their files and painted over while a brush paints. */
import { blurredScene } from "../src/compose/blur.js";
import type { Box } from "../src/compose/subjects.js";
import { subjectNear } from "./bitmaps.js";
import type { AlphaEdit } from "./brush.js";
import { element } from "./elements.js";

const MOST_PIXELS = 16_000_000; // phones refuse larger canvases
const BLUR_SIDE = 128;

export const before = element<HTMLCanvasElement>("before");
export const after = element<HTMLCanvasElement>("after");
const backdrop = element("backdrop");

/** Where the subject of the cutout on the stage is, in pixels of the photo; null without one. */
export let subject: Box | null = null;

let backdropUrl = "";

/** Size of the photo in its own pixels. Throws where the browser cannot read it. */
export async function drawPhoto(file: Blob, current: () => boolean): Promise<{ width: number; height: number } | null> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  if (current()) draw(before, bitmap, detailOf(width, height));
  bitmap.close();
  return current() ? { width, height } : null;
}

/** The cutout, which may be smaller than the photo. box: of its subject in pixels of the photo, where that is known. */
export async function drawCutout(
  file: Blob,
  { width, height }: { width: number; height: number },
  box: Box | null | undefined,
  current: () => boolean,
): Promise<boolean> {
  const bitmap = await createImageBitmap(file);
  const isCurrent = current();
  if (isCurrent) {
    const detail = detailOf(width, height);
    after.width = Math.round(width * detail);
    after.height = Math.round(height * detail);
    const context = after.getContext("2d", { willReadFrequently: true })!;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, after.width, after.height);
    subject = box === undefined ? subjectNear(bitmap, width, height) : box;
  }
  bitmap.close();
  return isCurrent;
}

export function clear(): void {
  for (const canvas of [before, after]) canvas.width = canvas.height = 1;
}

/** Bring a part of the cutout up to an edited alpha: colours that come back are the photo's. */
export function paintOver(edit: AlphaEdit, { left, top, right, bottom }: Box): void {
  const detail = after.width / edit.width;
  const [x0, y0] = [Math.floor(left * detail), Math.floor(top * detail)];
  const [x1, y1] = [Math.min(after.width, Math.ceil(right * detail)), Math.min(after.height, Math.ceil(bottom * detail))];
  if (x1 <= x0 || y1 <= y0) return;
  const [wide, high] = [x1 - x0, y1 - y0];
  const context = after.getContext("2d", { willReadFrequently: true })!;
  const pixels = context.getImageData(x0, y0, wide, high);
  const photo = before.getContext("2d", { willReadFrequently: true })!.getImageData(x0, y0, wide, high).data;
  for (let y = 0, i = 0; y < high; y++) {
    const row = Math.min(edit.height - 1, Math.floor((y0 + y + 0.5) / detail)) * edit.width;
    for (let x = 0; x < wide; x++, i += 4) {
      const level = Math.min(edit.alpha[row + Math.min(edit.width - 1, Math.floor((x0 + x + 0.5) / detail))]!, photo[i + 3]!);
      if (level === pixels.data[i + 3]) continue;
      if (level > pixels.data[i + 3]!) for (let c = 0; c < 3; c++) pixels.data[i + c] = photo[i + c]!;
      pixels.data[i + 3] = level;
    }
  }
  context.putImageData(pixels, x0, y0);
}

/** What lies behind the subject, as the files will have it. */
export async function drawBackdrop(kind: "none" | "colour" | "image" | "blur", colour: string, image: Blob | null): Promise<void> {
  if (kind !== "blur" && kind !== "image" && backdropUrl) {
    URL.revokeObjectURL(backdropUrl);
    backdropUrl = "";
  }
  backdrop.style.backgroundColor = kind === "colour" ? colour : "";
  if (kind === "image" && image) return show(image);
  if (kind === "blur" && after.width > 1) return show(await blurred());
  backdrop.style.backgroundImage = "";
}

function show(picture: Blob): void {
  if (backdropUrl) URL.revokeObjectURL(backdropUrl);
  backdropUrl = URL.createObjectURL(picture);
  backdrop.style.backgroundImage = `url("${backdropUrl}")`;
}

async function blurred(): Promise<Blob> {
  const scale = Math.min(1, BLUR_SIDE / Math.max(before.width, before.height));
  const [width, height] = [Math.max(1, Math.round(before.width * scale)), Math.max(1, Math.round(before.height * scale))];
  const read = (canvas: HTMLCanvasElement): Uint8ClampedArray => {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(canvas, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  const [photo, cutout] = [read(before), read(after)];
  const rgb = new Uint8Array(width * height * 3).map((_, i) => photo[Math.floor(i / 3) * 4 + (i % 3)]!);
  const alpha = new Uint8Array(width * height).map((_, i) => cutout[i * 4 + 3]!);
  const pixels = blurredScene(rgb, alpha, width, height, { left: 0, top: 0, width, height });
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")!.putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.convertToBlob();
}

function draw(canvas: HTMLCanvasElement, bitmap: ImageBitmap, detail: number): void {
  canvas.width = Math.round(bitmap.width * detail);
  canvas.height = Math.round(bitmap.height * detail);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}

function detailOf(width: number, height: number): number {
  return Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
}
