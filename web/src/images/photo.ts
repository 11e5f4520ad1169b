/** A file becomes a photo: upright pixels in their own colour space, straight alpha, and what the network sees of them. */
import { ImageAnimated, ImageUnreadable } from "../errors.js";
import { checkSize } from "./limits.js";
import { splitInto } from "./split.js";
import { decoded, framesOf, isReadable } from "./decoding.js";
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
const HEIC = /^....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/s;

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
    const converted = pixels.icc && (await decoded(file, name, maxPixels, "default").catch(() => null));
    return withNetworkRgb(pixels, converted);
  }
  const type = typeOf(bytes);
  if (HEIC.test(head(bytes)) && !(await isReadable(file))) {
    refuse(name, "is a HEIC photo, which this browser cannot read; save it as JPEG, or open this page in Safari");
  }
  const frames = await framesOf(bytes, type);
  if (frames > 1) throw new ImageAnimated(`${name}: is animated (${frames} frames); save the frame you want as a separate image`);
  const profile = profileOf(bytes);
  const icc = profile && isRgbProfile(profile);
  const pixels = await decoded(file, name, maxPixels, profile && !icc ? "default" : "none");
  return withNetworkRgb({ ...pixels, icc }, icc && (await decoded(file, name, maxPixels, "default")));
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

function refuse(name: string, why: string): never {
  throw new ImageUnreadable(`${name}: ${why}`);
}

function split(rgba: Uint8Array): { rgb: Bytes; alpha: Bytes | null } {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  const alpha = new Uint8Array(rgba.length / 4);
  return splitInto(rgba, rgb, alpha, 0) ? { rgb, alpha: null } : { rgb, alpha };
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
