/** A file becomes a photo: upright pixels in their own colour space, straight alpha, and what the network sees of them. */
import { ImageAnimated, ImageUnreadable } from "../errors.js";
import { checkSize } from "./limits.js";
import { isPng, isRgbProfile, readPng, type Pixels } from "./png-read.js";
import { profileOf } from "./profile.js";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Photo extends Pixels {
  /** uint8 [H, W, 3] in sRGB. */
  srgb: Bytes;
  /** `srgb` as the network sees it; transparent parts are grey, whatever colours hide under them. */
  seen: Bytes;
}

/** What `cut` takes, as it travels to the worker. */
export type Given = { kind: "file"; file: Blob; called: string } | { kind: "pixels"; data: Bytes; width: number; height: number };

const HIDDEN = 128; // grey level that the network sees where the photo itself is transparent
const SAME = 2; // a profile that moves no colour by more than this many levels is sRGB under another name
const READABLE = "JPEG, PNG, WebP, AVIF, GIF or BMP";
const READ_PIXELS = 2_000_000; // at once: a canvas of a whole large photo is refused on some phones

/** Throws ImageUnreadable, ImageAnimated, ImageTooLarge; each names the file. */
export async function readPhoto(given: Given, maxPixels: number): Promise<Photo> {
  if (given.kind === "pixels") {
    checkSize(given.height, given.width, maxPixels, "the pixels");
    return withSeen({ ...split(given.data), width: given.width, height: given.height, icc: null }, null);
  }
  const { file, called } = given;
  if (!file.size) throw new ImageUnreadable(`${called}: is empty`);
  const bytes = new Uint8Array(await file.arrayBuffer().catch(() => refuse(called, "the file cannot be read any more")));
  if (isPng(bytes)) {
    const pixels = await readPng(bytes, called, maxPixels);
    const converted = pixels.icc && (await viaCanvas(file, called, maxPixels, "default").catch(() => null));
    return withSeen(pixels, converted);
  }
  const type = typeOf(bytes);
  await refuseAnimated(bytes, type, called);
  const profile = profileOf(bytes);
  const icc = profile && isRgbProfile(profile);
  const pixels = await viaCanvas(file, called, maxPixels, profile && !icc ? "default" : "none");
  return withSeen({ ...pixels, icc }, icc && (await viaCanvas(file, called, maxPixels, "default")));
}

/** Type of the formats that hold alpha or several frames, by their first bytes: names and headers of files may lie. */
function typeOf(bytes: Bytes): string {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (head.startsWith("GIF8")) return "image/gif";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "image/webp";
  return /^....ftypavi[fs]/s.test(head) ? "image/avif" : "";
}

function refuse(called: string, why: string): never {
  throw new ImageUnreadable(`${called}: ${why}`);
}

/** Pixels through the browser's own decoder, upright. */
async function viaCanvas(file: Blob, called: string, maxPixels: number, colour: ColorSpaceConversion): Promise<Pixels> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: colour,
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
    });
  } catch {
    return refuse(called, `not an image that this browser can read, or not whole; give a ${READABLE} file`);
  }
  try {
    checkSize(bitmap.height, bitmap.width, maxPixels, called);
    const pixels = readBitmap(bitmap, "unorm8");
    // a canvas premultiplies: with eight bits, colours under little alpha are lost; with half floats they are not
    return pixels.alpha ? readBitmap(bitmap, "float16") : pixels;
  } finally {
    bitmap.close();
  }
}

/** colorType: browsers that do not know it use eight bits. */
function readBitmap(bitmap: ImageBitmap, colorType: "unorm8" | "float16"): Pixels {
  const { width, height } = bitmap;
  const rgb = new Uint8Array(width * height * 3);
  const alpha = new Uint8Array(width * height);
  const rows = Math.max(1, Math.min(height, Math.floor(READ_PIXELS / width)));
  const canvas = new OffscreenCanvas(width, rows);
  const settings: CanvasRenderingContext2DSettings & { colorType: string } = { willReadFrequently: true, colorType };
  const context = canvas.getContext("2d", settings)!;
  let opaque = true;
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const { data } = context.getImageData(0, 0, width, count);
    opaque = splitInto(data, rgb, alpha, top * width) && opaque;
  }
  return { width, height, rgb, alpha: opaque ? null : alpha, icc: null };
}

function split(rgba: Uint8Array): { rgb: Bytes; alpha: Bytes | null } {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  const alpha = new Uint8Array(rgba.length / 4);
  return splitInto(rgba, rgb, alpha, 0) ? { rgb, alpha: null } : { rgb, alpha };
}

/** RGBA to colours and alpha from pixel `at` on; whether all is opaque. */
function splitInto(rgba: Uint8Array | Uint8ClampedArray, rgb: Bytes, alpha: Bytes, at: number): boolean {
  let all = 255;
  for (let i = 0, to = at * 3; i < rgba.length; i += 4, to += 3, at++) {
    rgb[to] = rgba[i]!;
    rgb[to + 1] = rgba[i + 1]!;
    rgb[to + 2] = rgba[i + 2]!;
    alpha[at] = rgba[i + 3]!;
    all &= rgba[i + 3]!;
  }
  return all === 255;
}

async function refuseAnimated(bytes: Bytes, type: string, called: string): Promise<void> {
  if (typeof ImageDecoder === "undefined" || !type) return;
  let frames = 1;
  const decoder = new ImageDecoder({ data: bytes, type });
  try {
    await decoder.completed; // a GIF tells its frames only at its end,
    await decoder.tracks.ready; // and a track may be known later than that
    frames = decoder.tracks.selectedTrack?.frameCount ?? 1;
  } catch {
    // decoding proper will say what is wrong
  } finally {
    decoder.close();
  }
  if (frames > 1) throw new ImageAnimated(`${called}: has ${frames} frames; save the one to cut out as a file of its own`);
}

/** converted: the same photo brought to sRGB by its profile, or null. */
function withSeen(pixels: Pixels, converted: Pixels | null): Photo {
  const moved = converted !== null && converted.rgb.length === pixels.rgb.length && differs(pixels.rgb, converted.rgb);
  const srgb = moved ? converted.rgb : pixels.rgb;
  if (!pixels.alpha) return { ...pixels, srgb, seen: srgb };
  const seen = new Uint8Array(srgb.length);
  for (let i = 0, at = 0; at < pixels.alpha.length; at++) {
    const weight = pixels.alpha[at]!;
    const grey = HIDDEN * (255 - weight) + 127;
    for (const end = i + 3; i < end; i++) seen[i] = Math.floor((srgb[i]! * weight + grey) / 255);
  }
  return { ...pixels, srgb, seen };
}

function differs(a: Bytes, b: Bytes): boolean {
  return a.some((value, i) => Math.abs(value - b[i]!) > SAME);
}
