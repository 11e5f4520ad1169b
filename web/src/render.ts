/** From alpha to the image file that a caller asked for. */
import { EngineError, UsageError } from "./errors.js";
import { blend, readBackground } from "./compose/background.js";
import { blurredScene } from "./compose/blur.js";
import { fillHoles } from "./compose/holes.js";
import { cropWindow, largestSubject, subjectBox, type Box } from "./compose/subjects.js";
import type { Photo } from "./images/photo.js";
import { PngWriter, type Deflaters } from "./images/png-write.js";
import type { OnStrip, PixelGraphs } from "./graphs.js";
import type { CompleteOptions } from "./options.js";
import type { CutResult } from "./protocol.js";

type Bytes = Uint8Array<ArrayBuffer>;

const QUALITY = { webp: 90, jpeg: 92 };

/**
 * The image file, and what `Cutout` says of it.
 *
 * alpha: uint8 [H, W] of the photo. onStrip: told after each strip of rows.
 * Throws UsageError for a background that is none, or a format that this browser cannot write.
 */
export async function render(
  photo: Photo,
  alpha: Bytes,
  options: CompleteOptions,
  graphs: PixelGraphs,
  deflaters: Deflaters,
  onStrip: OnStrip,
): Promise<Omit<CutResult, "seconds" | "heapBytes">> {
  const edit = edited(alpha, photo, options);
  const box = subjectBox(edit.alpha, photo.width, photo.height);
  const window = windowOf(options.crop ? cropWindow(box, photo.width, photo.height, options.margin) : whole(photo));
  const { width, height, top } = window;
  const levels = cropped(edit.alpha, photo.width, 1, window);
  const facts = { alpha: levels, width, height, box: box && shifted(box, window) };
  if (options.mask) return { ...facts, blob: await encodeGrey(levels, [height, width], options, deflaters) };

  const background = options.background ?? (options.format === "jpeg" ? "white" : null);
  const png = options.format === "png";
  const exact = png && background === null;
  const rgb = exact ? photo.rgb : photo.srgb; // without its profile a picture must be sRGB
  const behind =
    background === null
      ? null
      : background === "blur"
        ? blurredScene(rgb, alpha, photo.width, photo.height, window)
        : await readBackground(background, width, height);
  const writer = png ? new PngWriter(deflaters, width, height, behind ? "rgb" : "rgba", exact ? photo.icc : null) : null;
  const canvas = png ? null : canvasOf(width, height);
  let row = 0;
  // a photo with an alpha of its own has the subject's colours already; what hides under it must not be read
  const edges = photo.alpha ? "plain" : options.edges;
  for await (const strip of graphs.cutout({ rgb, size: [photo.height, photo.width] }, alpha, edges, [top, top + height])) {
    const rows = strip.length / 4 / photo.width;
    if (edit.alpha !== alpha) takeOver(strip, edit, rgb, (top + row) * photo.width);
    const rgba = cropped(strip, photo.width, 4, { ...window, top: 0, height: rows });
    const pixels = behind ? blend(rgba, behind, row * width) : rgba;
    if (writer) writer.push(pixels);
    else draw(canvas!, behind ? opaque(pixels) : rgba, row);
    row += rows;
    onStrip(row, height);
  }
  return { ...facts, blob: writer ? await writer.finish() : await viaBrowser(canvas!, options) };
}

interface Edit {
  /** uint8 [H, W] of the photo. */
  alpha: Bytes;
  /** Where the photo's own colours show, of every pixel; null where nowhere. */
  restored: Uint8Array | null;
}

/** The alpha as the options want it, in the order that Python has. */
function edited(alpha: Bytes, { width, height }: Photo, { subjects, fillHoles: fill, threshold }: CompleteOptions): Edit {
  const kept = subjects === "all" ? alpha : largestSubject(alpha, width, height, subjects === "largest" ? 1 : subjects);
  const filled = fill ? fillHoles(kept, width, height) : kept;
  const restored = fill ? filled.map((level, i) => (level === kept[i] ? 0 : 1)) : null;
  return { alpha: threshold === null ? filled : filled.map((level) => (level >= threshold ? 255 : 0)), restored };
}

/** Bring a strip of a cutout, uint8 RGBA [rows, W, 4] from pixel `first` on, to an edited alpha. */
function takeOver(strip: Bytes, { alpha, restored }: Edit, rgb: Bytes, first: number): void {
  for (let i = 0, at = first; i < strip.length; i += 4, at++) {
    strip[i + 3] = alpha[at]!;
    if (!alpha[at]) strip.fill(0, i, i + 3);
    else if (restored?.[at]) for (let c = 0; c < 3; c++) strip[i + c] = rgb[3 * at + c]!;
  }
}

/** A part of a photo, in pixels. */
interface Window {
  left: number;
  top: number;
  width: number;
  height: number;
}

function whole({ width, height }: Photo): Box {
  return { left: 0, top: 0, right: width, bottom: height };
}

function windowOf({ left, top, right, bottom }: Box): Window {
  return { left, top, width: right - left, height: bottom - top };
}

function shifted(box: Box, { left, top }: Window): Box {
  return { left: box.left - left, top: box.top - top, right: box.right - left, bottom: box.bottom - top };
}

/** The window out of uint8 rows [.., wide, channels]; the same array where that is all of it. */
function cropped(plane: Bytes, wide: number, channels: number, { left, top, width, height }: Window): Bytes {
  if (plane.length === width * height * channels) return plane;
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * wide + left) * channels;
    out.set(plane.subarray(from, from + width * channels), y * width * channels);
  }
  return out;
}

async function encodeGrey(alpha: Bytes, [height, width]: [number, number], options: CompleteOptions, deflaters: Deflaters): Promise<Blob> {
  if (options.format === "png") {
    const writer = new PngWriter(deflaters, width, height, "grey");
    writer.push(alpha.slice());
    return writer.finish();
  }
  const canvas = canvasOf(width, height);
  const grey = new Uint8Array(alpha.length * 3);
  alpha.forEach((level, i) => grey.fill(level, 3 * i, 3 * i + 3));
  draw(canvas, opaque(grey), 0);
  return viaBrowser(canvas, options);
}

function canvasOf(width: number, height: number): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  if (!canvas.getContext("2d", { willReadFrequently: true })) {
    throw new EngineError(`this browser cannot draw ${width} x ${height} pixels; use format: "png"`);
  }
  return canvas;
}

function draw(canvas: OffscreenCanvas, rgba: Bytes, row: number): void {
  const pixels = new ImageData(new Uint8ClampedArray(rgba.buffer, rgba.byteOffset, rgba.length), canvas.width);
  canvas.getContext("2d")!.putImageData(pixels, 0, row);
}

function opaque(rgb: Bytes): Bytes {
  const rgba = new Uint8Array((rgb.length / 3) * 4).fill(255);
  for (let i = 0, to = 0; i < rgb.length; i += 3, to += 4) {
    rgba[to] = rgb[i]!;
    rgba[to + 1] = rgb[i + 1]!;
    rgba[to + 2] = rgb[i + 2]!;
  }
  return rgba;
}

async function viaBrowser(canvas: OffscreenCanvas, options: CompleteOptions): Promise<Blob> {
  const format = options.format as "webp" | "jpeg";
  const type = `image/${format}`;
  const blob = await canvas.convertToBlob({ type, quality: (options.quality ?? QUALITY[format]) / 100 });
  if (blob.type !== type) throw new UsageError(`this browser cannot write ${format}; use format: "png"`);
  return blob;
}
