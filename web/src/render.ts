/** From alpha to the image file that a caller asked for, in the order of `liftout.render`. */
import { blend, blurRadius, readBackground, type Behind } from "./compose/background.js";
import { blurredScene, covering, type View } from "./compose/blur.js";
import { canvasSize } from "./compose/canvas.js";
import { fillHoles } from "./compose/holes.js";
import { merged } from "./compose/layers.js";
import { composed } from "./compose/placed.js";
import { spreadOut, type Subject } from "./compose/separate.js";
import { cropWindow, largestSubject, subjectBox, type Box } from "./compose/subjects.js";
import type { Deflaters } from "./images/deflaters.js";
import { LossyWriter } from "./images/lossy.js";
import type { Photo } from "./images/photo.js";
import { PngWriter } from "./images/png-write.js";
import type { OnStrip, PixelGraphs } from "./graphs.js";
import type { CompleteOptions } from "./options.js";
import type { CutResult } from "./protocol.js";

type Bytes = Uint8Array<ArrayBuffer>;

const STRIP_PIXELS = 250_000;

/** What a result is made with. */
interface Means {
  graphs: PixelGraphs;
  deflaters: Deflaters;
  /** Told after each strip of rows. */
  onStrip: OnStrip;
}

type Picture = Omit<CutResult, "seconds" | "heapBytes">;

/**
 * The image file, and what `Cutout` says of it.
 *
 * alpha: uint8 [H, W] of the photo. part: the one of its subjects that the image shows; all of them by default.
 * Throws UsageError for a background that is none, or a format that this browser cannot write.
 */
export async function render(photo: Photo, alpha: Bytes, options: CompleteOptions, means: Means, part: Subject | null = null): Promise<Picture> {
  const edit = edited(alpha, part, photo, options);
  const { feather, shadow, contactShadow, canvas } = options;
  const isPlain = !feather && !shadow && !contactShadow && canvas === null;
  return isPlain ? renderInStrips(photo, alpha, edit, options, means) : renderComposed(photo, alpha, edit, options, means);
}

/** A cutout as it lies in the photo, strip by strip. */
async function renderInStrips(photo: Photo, alpha: Bytes, edit: Edit, options: CompleteOptions, means: Means): Promise<Picture> {
  const box = subjectBox(edit.alpha, photo.width, photo.height);
  const window = windowOf(options.crop ? cropWindow(box, photo.width, photo.height, options.margin) : whole(photo));
  const { width, height, top } = window;
  const levels = cropped(edit.alpha, photo.width, 1, window);
  const facts = { alpha: levels, width, height, box: box && shifted(box, window) };
  if (options.mask) return { ...facts, blob: await encodeGrey(levels, [height, width], null, options, means.deflaters) };

  const behind = await behindOf(photo, alpha, options, { part: window, width, height });
  const output = new Output(photo, options, [width, height], behind !== null, null, means.deflaters);
  let row = 0;
  for await (const strip of cutoutStrips(photo, alpha, edit, options, [top, top + height], means.graphs)) {
    const rows = strip.length / 4 / photo.width;
    const rgba = cropped(strip, photo.width, 4, { ...window, top: 0, height: rows });
    output.push(behind ? blend(rgba, behind, row * width) : rgba);
    row += rows;
    means.onStrip(row, height);
  }
  return { ...facts, blob: await output.finish() };
}

/** A cutout with effects that reach beyond a strip, or on a canvas. */
async function renderComposed(photo: Photo, alpha: Bytes, edit: Edit, options: CompleteOptions, means: Means): Promise<Picture> {
  const size = options.canvas === null ? null : canvasSize(options.canvas);
  const read = async ([first, last]: Rows): Promise<Bytes> => {
    const rgba = new Uint8Array((last - first) * photo.width * 4);
    let at = 0;
    for await (const strip of cutoutStrips(photo, alpha, edit, options, [first, last], means.graphs)) {
      rgba.set(strip, at);
      at += strip.length;
      means.onStrip(at / 4 / photo.width, last - first + 1);
    }
    return rgba;
  };
  const { cutout, shadow, box, part } = await composed(edit.alpha, photo, options, size, read);
  const { data, width, height } = cutout;
  const levels = new Uint8Array(width * height).map((_, i) => data[4 * i + 3]!);
  const facts = { alpha: levels, width, height, box };
  const dpi = size && size.dpi;
  if (options.mask) return { ...facts, blob: await encodeGrey(levels, [height, width], dpi, options, means.deflaters) };
  const view = part ? { part: windowOf(part), width, height } : covering(photo, width, height);
  const behind = await behindOf(photo, alpha, options, view);
  const output = new Output(photo, options, [width, height], behind !== null, dpi, means.deflaters);
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  for (let top = 0; top < height; top += rows) {
    const strip = data.subarray(top * width * 4, Math.min(height, top + rows) * width * 4);
    output.push(merged(strip, behind, shadow, top * width));
  }
  means.onStrip(1, 1);
  return { ...facts, blob: await output.finish() };
}

type Rows = [first: number, last: number];

/** Rows of the cutout under its edited alpha, uint8 RGBA [rows, W, 4], strip by strip. */
async function* cutoutStrips(
  photo: Photo,
  alpha: Bytes,
  edit: Edit,
  options: CompleteOptions,
  rows: Rows,
  graphs: PixelGraphs,
): AsyncGenerator<Bytes> {
  const rgb = coloursOf(photo, options);
  // a photo with an alpha of its own has the subject's colours already; what hides under it must not be read
  const edges = photo.alpha ? "plain" : options.edges;
  let at = rows[0] * photo.width;
  for await (const strip of graphs.cutout({ rgb, size: [photo.height, photo.width] }, alpha, edges, rows)) {
    if (edit.alpha !== alpha) takeOver(strip, edit, rgb, at);
    at += strip.length / 4;
    yield strip;
  }
}

/** The file keeps the photo's own levels and profile; without its profile a picture must be sRGB. */
function isExact({ format, background }: CompleteOptions): boolean {
  return format === "png" && background === null;
}

function coloursOf(photo: Photo, options: CompleteOptions): Bytes {
  return isExact(options) ? photo.rgb : photo.srgb;
}

/** What lies behind a result; null where nothing does. view: which part of the photo it shows. */
async function behindOf(photo: Photo, alpha: Bytes, options: CompleteOptions, view: View): Promise<Behind | null> {
  const background = options.background ?? (options.format === "jpeg" ? "white" : null);
  if (background === null) return null;
  const radius = blurRadius(background);
  if (radius === null) return readBackground(background, view.width, view.height);
  return blurredScene(coloursOf(photo, options), alpha, photo.width, photo.height, view, radius);
}

/** The image file, written row by row from the top. */
class Output {
  #writer: PngWriter | null = null;
  #lossy: LossyWriter | null = null;

  /** opaque: whether rows are rgb instead of rgba. dpi: of a print, else null. */
  constructor(
    photo: Photo,
    private options: CompleteOptions,
    [width, height]: [number, number],
    private opaque: boolean,
    private dpi: number | null,
    deflaters: Deflaters,
  ) {
    const icc = isExact(options) ? photo.icc : null;
    if (options.format === "png") this.#writer = new PngWriter(deflaters, width, height, opaque ? "rgb" : "rgba", icc, dpi);
    else this.#lossy = new LossyWriter(options.format, width, height);
  }

  push(pixels: Bytes): void {
    this.#writer?.push(pixels);
    this.#lossy?.push(this.opaque ? opaque(pixels) : pixels);
  }

  finish(): Promise<Blob> {
    return this.#writer ? this.#writer.finish() : this.#lossy!.finish(this.options.quality, this.dpi);
  }
}

interface Edit {
  /** uint8 [H, W] of the photo. */
  alpha: Bytes;
  /** Where the photo's own colours show, of every pixel; null where nowhere. */
  restored: Uint8Array | null;
}

/** The alpha as the options want it, in the order that Python has. */
function edited(alpha: Bytes, part: Subject | null, { width, height }: Photo, { subjects, fillHoles: fill, threshold }: CompleteOptions): Edit {
  const own = part ? spreadOut(part, width, height) : alpha;
  const kept = subjects === "all" ? own : largestSubject(own, width, height, subjects === "largest" ? 1 : subjects);
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

/** A part of a photo, in whole pixels. */
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

async function encodeGrey(
  alpha: Bytes,
  [height, width]: [number, number],
  dpi: number | null,
  options: CompleteOptions,
  deflaters: Deflaters,
): Promise<Blob> {
  if (options.format === "png") {
    const writer = new PngWriter(deflaters, width, height, "grey", null, dpi);
    writer.push(alpha.slice());
    return writer.finish();
  }
  const lossy = new LossyWriter(options.format, width, height);
  const grey = new Uint8Array(alpha.length * 3);
  alpha.forEach((level, i) => grey.fill(level, 3 * i, 3 * i + 3));
  lossy.push(opaque(grey));
  return lossy.finish(options.quality, dpi);
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
