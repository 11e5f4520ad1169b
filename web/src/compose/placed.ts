/**
 * A cutout with its edge feathered, its shadow, and cropped or placed on a canvas, in this order, as `liftout.render.compose` does it.
 *
 * Work is done on the part of the photo that the subject takes: what lies around it is empty.
 */
import type { Raster } from "../images/resampling.js";
import { placeOf, resizedCutout, type Placing } from "./canvas.js";
import { feathered } from "./feather.js";
import { reachOf } from "./gaussian.js";
import { around, castShadow, scaledShadow, shadowOf, type Shadow } from "./shadow.js";
import { cropWindow, subjectBox, type Box } from "./subjects.js";

type Bytes = Uint8Array<ArrayBuffer>;
type Levels = Raster<Bytes>;

export interface Size {
  width: number;
  height: number;
}

/** What is done to a cutout; the names are those of the options. */
export interface Effects extends Omit<Placing, "fill"> {
  feather: number;
  shadow: boolean;
  contactShadow: boolean;
  crop: boolean;
  subjectSize: number;
}

export interface Composed {
  /** uint8 RGBA [height, width, 4], straight alpha, without the shadow. */
  cutout: Levels;
  /** Opacity of the shadow, float32 [height, width]; null without one. */
  shadow: Float32Array | null;
  /** Of the subject in it; null without one. */
  box: Box | null;
  /** The part of the photo that it shows; null on a canvas. */
  part: Box | null;
  /** Where the subject and its shadow are in the photo; null without a subject. */
  wide: Box | null;
}

/**
 * alpha: uint8 [height, width] of the photo. canvas: its size, null without one. read: gives rows [first, last) of the cutout as uint8
 * RGBA [rows, width, 4]. Throws UsageError where the margin leaves no room on the canvas.
 */
export async function composed(
  alpha: Bytes,
  { width, height }: Size,
  effects: Effects,
  canvas: Size | null,
  read: (rows: [first: number, last: number]) => Promise<Bytes>,
): Promise<Composed> {
  const area = touched(alpha, width, height, effects.feather ? reachOf(effects.feather) : 0);
  const high = area.bottom - area.top;
  const rows: Levels = { data: await read([area.top, area.bottom]), width, height: high, channels: 4 };
  const sharp = partOf(rows, { ...area, top: 0, bottom: high });
  const layer = effects.feather ? feathered(sharp, effects.feather) : sharp;
  const found = subjectBox(alphaOf(layer), layer.width, layer.height);
  const box = found && moved(found, area.left, area.top);
  const photo = { left: 0, top: 0, right: width, bottom: height };
  const shadow = effects.shadow || effects.contactShadow ? shadowOf(box ?? photo, effects.shadow, effects.contactShadow) : null;
  const wide = box && (shadow ? around(box, shadow) : box);
  const take = (part: Box): Levels => partOf(layer, moved(part, -area.left, -area.top));
  if (!canvas) {
    const part = effects.crop ? cropWindow(wide, width, height, effects.margin) : photo;
    return { ...finished(take(part), shadow), part, wide };
  }
  if (!wide) return { ...finished({ data: new Uint8Array(canvas.width * canvas.height * 4), ...canvas, channels: 4 }, shadow), part: null, wide };
  const place = placeOf(wide, canvas, { ...effects, fill: effects.subjectSize / 100 });
  const small = resizedCutout(take(wide), place.width, place.height);
  const cutout = partOf(small, { left: -place.left, top: -place.top, right: canvas.width - place.left, bottom: canvas.height - place.top });
  return { ...finished(cutout, shadow && scaledShadow(shadow, place.scale)), part: null, wide };
}

function finished(cutout: Levels, shadow: Shadow | null): Omit<Composed, "part" | "wide"> {
  const { width, height } = cutout;
  const alpha = alphaOf(cutout);
  return { cutout, shadow: shadow && castShadow(alpha, width, height, shadow), box: subjectBox(alpha, width, height) };
}

/** The part of an alpha that is not empty, wider by `reach` on each side where the photo has that; one pixel where all is empty. */
function touched(alpha: Bytes, width: number, height: number, reach: number): Box {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (!alpha[at]) continue;
      if (x < box.left) box.left = x;
      if (x >= box.right) box.right = x + 1;
      if (y < box.top) box.top = y;
      box.bottom = y + 1;
    }
  }
  if (!box.bottom) return { left: 0, top: 0, right: 1, bottom: 1 };
  return {
    left: Math.max(0, box.left - reach),
    top: Math.max(0, box.top - reach),
    right: Math.min(width, box.right + reach),
    bottom: Math.min(height, box.bottom + reach),
  };
}

/** The part of a cutout in a box, empty where the box reaches beyond it. */
function partOf({ data, width, height }: Levels, { left, top, right, bottom }: Box): Levels {
  const [wide, high] = [right - left, bottom - top];
  if (left === 0 && top === 0 && wide === width && high === height) return { data, width, height, channels: 4 };
  const out = new Uint8Array(wide * high * 4);
  const [first, last] = [Math.max(0, left), Math.min(width, right)];
  for (let y = Math.max(0, top); y < Math.min(height, bottom) && last > first; y++) {
    out.set(data.subarray((y * width + first) * 4, (y * width + last) * 4), ((y - top) * wide + first - left) * 4);
  }
  return { data: out, width: wide, height: high, channels: 4 };
}

function alphaOf({ data }: Levels): Bytes {
  return new Uint8Array(data.length / 4).map((_, i) => data[4 * i + 3]!);
}

function moved({ left, top, right, bottom }: Box, across: number, down: number): Box {
  return { left: left + across, top: top + down, right: right + across, bottom: bottom + down };
}
