/**
 * Shadows of a subject, with the arithmetic of `liftout.compose.shadow`: its outline, moved, blurred and darkened; and a flat one where
 * it stands on the ground.
 */
import { resized } from "../images/resampling.js";
import { gaussianBlur } from "./gaussian.js";
import { halfToEven } from "./rounding.js";
import { subjectBox, type Box } from "./subjects.js";

type Bytes = Uint8Array<ArrayBuffer>;

const OPACITY = 0.5; // where each is darkest
const CONTACT = 0.6;
const DROP = 0.02; // of the longer side of the subject
const SOFTNESS = 0.025;
const SEEN_SIGMAS = 2;
const FOOT = 0.1; // of the subject's height: what casts the contact shadow
const FLAT = 0.035; // its height, of the shorter side of the subject
const CONTACT_SOFTNESS = 0.01;

/** How a black shadow falls. Lengths in pixels. */
export interface Shadow {
  /** 0 to 1, where it is darkest; 0 for none. */
  opacity: number;
  /** How far it is moved. */
  down: number;
  /** Standard deviation. */
  blur: number;
  /** Opacity of the flat one, 0 to 1; 0 for none. */
  contact: number;
}

/** The shadow of a subject in a box. */
export function shadowOf({ left, top, right, bottom }: Box, soft: boolean, contact: boolean): Shadow {
  const longest = Math.max(right - left, bottom - top);
  return { opacity: soft ? OPACITY : 0, down: longest * DROP, blur: Math.max(longest * SOFTNESS, 1), contact: contact ? CONTACT : 0 };
}

/** The same shadow of a subject that is `scale` times as large. */
export function scaledShadow(shadow: Shadow, scale: number): Shadow {
  return { ...shadow, down: shadow.down * scale, blur: shadow.blur * scale };
}

/** The box of a subject, widened by its shadow as far as that can be seen. */
export function around(box: Box, { opacity, down, blur, contact }: Shadow): Box {
  const wide = { ...box };
  if (opacity) {
    const reach = SEEN_SIGMAS * blur;
    wide.left = Math.min(wide.left, halfToEven(box.left - reach));
    wide.top = Math.min(wide.top, halfToEven(box.top + down - reach));
    wide.right = Math.max(wide.right, halfToEven(box.right + reach));
    wide.bottom = Math.max(wide.bottom, halfToEven(box.bottom + down + reach));
  }
  if (contact) {
    const lengths = contactLengths(box);
    const reach = SEEN_SIGMAS * lengths.blur;
    wide.left = Math.min(wide.left, halfToEven(box.left - reach));
    wide.right = Math.max(wide.right, halfToEven(box.right + reach));
    wide.bottom = Math.max(wide.bottom, halfToEven(box.bottom + lengths.flat / 2 + reach));
  }
  return wide;
}

/** Opacity of the shadow behind a subject, float32 [height, width], 0 to 1. alpha: uint8 [height, width]. */
export function castShadow(alpha: Bytes, width: number, height: number, shadow: Shadow): Float32Array {
  const darkness = shadow.opacity ? dropped(alpha, width, height, shadow) : new Float32Array(alpha.length);
  const box = shadow.contact ? subjectBox(alpha, width, height) : null;
  if (!box) return darkness;
  const ground = pressedFlat(alpha, width, height, box);
  const factor = Math.fround(shadow.contact / 255);
  for (let i = 0; i < darkness.length; i++) {
    if (!ground[i]) continue;
    const contact = Math.fround(ground[i]! * factor);
    darkness[i] = darkness[i]! + Math.fround(contact * Math.fround(1 - darkness[i]!));
  }
  return darkness;
}

/** The outline, moved and blurred. */
function dropped(alpha: Bytes, width: number, height: number, { opacity, down, blur }: Shadow): Float32Array {
  const by = halfToEven(down);
  const reach = Math.ceil(3 * blur);
  const [wide, high] = [width + 2 * reach, height + 2 * reach];
  const outline = new Uint8Array(wide * high);
  for (let y = 0; y < height && reach + by + y < high; y++) {
    outline.set(alpha.subarray(y * width, (y + 1) * width), (reach + by + y) * wide + reach);
  }
  const soft = gaussianBlur({ data: outline, width: wide, height: high, channels: 1 }, blur).data;
  const darkness = new Float32Array(alpha.length);
  const factor = Math.fround(opacity / 255);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, from = (reach + y) * wide + reach; x < width; x++) darkness[to++] = soft[from++]! * factor;
  }
  return darkness;
}

/** The lowest part of what lies in a box, pressed flat about the box's lower edge and blurred: uint8 [height, width]. */
function pressedFlat(alpha: Bytes, width: number, height: number, { left, top, right, bottom }: Box): Bytes {
  const { flat, blur } = contactLengths({ left, top, right, bottom });
  const rows = Math.max(1, Math.floor((bottom - top) * FOOT + 0.5));
  const wide = right - left;
  const foot = new Uint8Array(rows * wide);
  for (let y = 0; y < rows; y++) {
    const from = (bottom - rows + y) * width + left;
    foot.set(alpha.subarray(from, from + wide), y * wide);
  }
  const pressed = resized({ data: foot, width: wide, height: rows, channels: 1 }, wide, flat, "bilinear").data;
  const ground = new Uint8Array(width * height);
  const first = bottom - Math.floor(flat / 2);
  for (let y = 0; y < flat && first + y < height; y++) ground.set(pressed.subarray(y * wide, (y + 1) * wide), (first + y) * width + left);
  return gaussianBlur({ data: ground, width, height, channels: 1 }, blur).data;
}

/** Height of the flat shadow of a subject in a box, in pixels, and the standard deviation of its blur. */
function contactLengths({ left, top, right, bottom }: Box): { flat: number; blur: number } {
  const shorter = Math.min(right - left, bottom - top);
  return { flat: Math.max(1, Math.floor(shorter * FLAT + 0.5)), blur: Math.max(shorter * CONTACT_SOFTNESS, 1) };
}
