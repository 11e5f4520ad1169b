/** A file becomes a photo: upright pixels in their own colour space, straight alpha, and what the network sees of them. */
import { ImageAnimated, ImageUnreadable } from "../errors.js";
import { checkSize } from "./limits.js";
import { isPng, isRgbProfile, readPng, type Pixels } from "./png-read.js";
import { profileOf } from "./profile.js";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Photo extends Pixels {
  /** uint8 [H, W, 3] in sRGB. */
  srgb: Bytes;
  /** `srgb` for the network, uint8 [H, W, 3]: transparent parts are grey, whatever colours hide under them. */
  networkRgb: Bytes;
}

/** A photo as it travels to the worker. name: of the photo, for messages. data: uint8 RGBA [height, width, 4], straight alpha. */
export type PhotoInput = { kind: "file"; file: Blob; name: string } | { kind: "pixels"; data: Bytes; width: number; height: number };

const HIDDEN = 128; // grey level for the network where the photo itself is transparent
const SAME = 2; // a profile that moves no colour by more than this many levels is sRGB under another name
const READABLE = "JPEG, PNG, WebP, AVIF, GIF or BMP";
const HEIC = /^....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/s;
const READ_PIXELS = 2_000_000; // at once: a canvas of a whole large photo is refused on some phones

/** Decode a photo. maxPixels: more are refused. Throws ImageUnreadable, ImageAnimated, ImageTooLarge; each names the file. */
export async function readPhoto(input: PhotoInput, maxPixels: number): Promise<Photo> {
  if (input.kind === "pixels") {
    checkSize(input.height, input.width, maxPixels, "the pixels");
    return withNetworkRgb({ ...split(input.data), width: input.width, height: input.height, icc: null }, null);
  }
  const { file, name } = input;
  if (!file.size) throw new ImageUnreadable(`${name}: is empty`);
  const bytes = new Uint8Array(await file.arrayBuffer().catch(() => refuse(name, "the file can no longer be read")));
  if (isPng(bytes)) {
    const pixels = await readPng(bytes, name, maxPixels);
    const converted = pixels.icc && (await viaCanvas(file, name, maxPixels, "default").catch(() => null));
    return withNetworkRgb(pixels, converted);
  }
  const type = typeOf(bytes);
  if (HEIC.test(head(bytes)) && !(await isReadable(file))) {
    refuse(name, "is a HEIC photo, which this browser cannot read; save it as JPEG, or open this page in Safari");
  }
  await refuseAnimated(bytes, type, name);
  const profile = profileOf(bytes);
  const icc = profile && isRgbProfile(profile);
  const pixels = await viaCanvas(file, name, maxPixels, profile && !icc ? "default" : "none");
  return withNetworkRgb({ ...pixels, icc }, icc && (await viaCanvas(file, name, maxPixels, "default")));
}

/** Type of the formats that hold alpha or several frames, by their first bytes: names and headers of files may lie. */
function typeOf(bytes: Bytes): string {
  const first = head(bytes);
  if (first.startsWith("GIF8")) return "image/gif";
  if (first.startsWith("RIFF") && first.endsWith("WEBP")) return "image/webp";
  return /^....ftypavi[fs]/s.test(first) ? "image/avif" : "";
}

function head(bytes: Bytes): string {
  return String.fromCharCode(...bytes.subarray(0, 12));
}

/** Some browsers know formats that others do not. */
async function isReadable(file: Blob): Promise<boolean> {
  return createImageBitmap(file).then(
    (bitmap) => (bitmap.close(), true),
    () => false,
  );
}

function refuse(name: string, why: string): never {
  throw new ImageUnreadable(`${name}: ${why}`);
}

/** Pixels through the browser's own decoder, upright. */
async function viaCanvas(file: Blob, name: string, maxPixels: number, colour: ColorSpaceConversion): Promise<Pixels> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: colour,
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
    });
  } catch {
    return refuse(name, `not an image that this browser can read, or incomplete; give a ${READABLE} file`);
  }
  try {
    checkSize(bitmap.height, bitmap.width, maxPixels, name);
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

async function refuseAnimated(bytes: Bytes, type: string, name: string): Promise<void> {
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
  if (frames > 1) throw new ImageAnimated(`${name}: is animated (${frames} frames); save the frame you want as a separate image`);
}

/** converted: the same photo brought to sRGB by its profile, or null. */
function withNetworkRgb(pixels: Pixels, converted: Pixels | null): Photo {
  const differ = converted !== null && converted.rgb.length === pixels.rgb.length && differs(pixels.rgb, converted.rgb);
  const srgb = differ ? converted.rgb : pixels.rgb;
  if (!pixels.alpha) return { ...pixels, srgb, networkRgb: srgb };
  const networkRgb = new Uint8Array(srgb.length);
  for (let i = 0, at = 0; at < pixels.alpha.length; at++) {
    const weight = pixels.alpha[at]!;
    const grey = HIDDEN * (255 - weight) + 127;
    for (const end = i + 3; i < end; i++) networkRgb[i] = Math.floor((srgb[i]! * weight + grey) / 255);
  }
  return { ...pixels, srgb, networkRgb };
}

function differs(a: Bytes, b: Bytes): boolean {
  return a.some((value, i) => Math.abs(value - b[i]!) > SAME);
}
