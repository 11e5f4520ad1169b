/** A subject placed on a canvas of a given size, by the rules of `liftout.compose.canvas`. */
import { UsageError } from "../errors.js";
import { resized, type Raster } from "../images/resampling.js";
import json from "../options.json" with { type: "json" };
import { halfToEven } from "./rounding.js";
import type { Box } from "./subjects.js";

type Levels = Raster<Uint8Array<ArrayBuffer>>;

const { longestSide: LONGEST_SIDE, maxPixels: MOST_PIXELS, canvasDpi: PRINT_DPI } = json.limits;
const LEVEL = Math.fround(1 / 255);

const ACROSS: Record<string, number> = { left: 0, right: 1 };
const DOWN: Record<string, number> = { top: 0, bottom: 1 };
const POSITIONS: string[] = json.positions;

export interface CanvasSize {
  width: number;
  height: number;
  /** Pixels per inch where the size is one in print, else null. */
  dpi: number | null;
}

/** Size in pixels of `WIDTHxHEIGHT`, or of `WIDTHxHEIGHTmm` in print. Throws UsageError. */
export function canvasSize(text: string): CanvasSize {
  const match = /^(\d{1,9})x(\d{1,9})(mm)?$/i.exec(text);
  if (!match) throw new UsageError(`canvas \`${text}\` is not a size; give WIDTHxHEIGHT in pixels, as in 1200x1200, or in millimetres, as in 35x45mm`);
  const printed = match[3] !== undefined;
  // an inch has 25.4 mm
  const [width, height] = match.slice(1, 3).map((side) => (printed ? Math.floor((Number(side) * PRINT_DPI * 20 + 254) / 508) : Number(side)));
  if (Math.min(width!, height!) < 1 || Math.max(width!, height!) > LONGEST_SIDE) {
    throw new UsageError(`canvas is ${width}x${height}; each side must be from 1 to ${LONGEST_SIDE} pixels`);
  }
  if (width! * height! > MOST_PIXELS) throw new UsageError(`canvas is ${width}x${height}; it may have up to ${MOST_PIXELS / 1e6} megapixels`);
  return { width: width!, height: height!, dpi: printed ? PRINT_DPI : null };
}

/** How much of the free space is left of the subject and above it, each 0 to 1, from a word or `X%,Y%`. Throws UsageError. */
export function canvasPosition(text: string): [across: number, down: number] {
  if (POSITIONS.includes(text)) {
    const words = text.split("-");
    const shareIn = (shares: Record<string, number>): number => words.map((word) => shares[word]).find((share) => share !== undefined) ?? 0.5;
    return [shareIn(ACROSS), shareIn(DOWN)];
  }
  const match = /^\s*(\d+(?:\.\d+)?)%\s*,\s*(\d+(?:\.\d+)?)%\s*$/.exec(text);
  const shares = match?.slice(1).map((share) => Number(share) / 100) ?? [];
  if (shares.length === 2 && shares.every((share) => share <= 1)) return shares as [number, number];
  throw new UsageError(`position is \`${text}\`; it must be one of ${POSITIONS.join(", ")}, or two shares of 0% to 100%, as in 30%,80%`);
}

/** How a subject is placed. */
export interface Placing {
  /** See `canvasPosition`. */
  position: string;
  /** Pixels to leave free on each side. */
  margin: number;
  /** Whether a small subject is made larger. */
  enlarge: boolean;
  /** Share of what is between the margins that it may take, above 0 up to 1. */
  fill: number;
}

/** Where a subject goes. Lengths in pixels of the canvas. */
export interface Place {
  scale: number;
  left: number;
  top: number;
  width: number;
  height: number;
}

/** How to place what lies in `box` on a canvas. Throws UsageError where the margin leaves no room. */
export function placeOf(box: Box, { width, height }: { width: number; height: number }, { position, margin, enlarge, fill }: Placing): Place {
  const [roomAcross, roomDown] = [width - 2 * margin, height - 2 * margin];
  if (roomAcross < 1 || roomDown < 1) throw new UsageError(`margin ${margin} leaves no room on a canvas of ${width} x ${height}; make it smaller`);
  const [across, down] = [box.right - box.left, box.bottom - box.top];
  const fitting = fill * Math.min(roomAcross / across, roomDown / down);
  const scale = enlarge ? fitting : Math.min(1, fitting);
  const wide = Math.min(roomAcross, Math.max(1, halfToEven(across * scale)));
  const high = Math.min(roomDown, Math.max(1, halfToEven(down * scale)));
  const [left, top] = canvasPosition(position);
  return {
    scale,
    left: margin + halfToEven((roomAcross - wide) * left),
    top: margin + halfToEven((roomDown - high) * top),
    width: wide,
    height: high,
  };
}

/** A cutout at another size: bicubic, colours weighted by alpha, so that those of transparent pixels never reach an edge. uint8 RGBA. */
export function resizedCutout({ data, width, height }: Levels, wide: number, high: number): Levels {
  if (wide === width && high === height) return { data, width, height, channels: 4 };
  const plane = (value: (i: number) => number): Raster<Float32Array<ArrayBuffer>> => {
    const values = new Float32Array(width * height);
    for (let i = 0, at = 0; i < values.length; i++, at += 4) values[i] = value(at);
    return resized({ data: values, width, height, channels: 1 }, wide, high, "bicubic");
  };
  const opacity = (at: number): number => Math.fround(data[at + 3]! * LEVEL);
  const small = plane(opacity).data;
  const out = new Uint8Array(wide * high * 4);
  for (let c = 0; c < 3; c++) {
    const weighted = plane((at) => data[at + c]! * opacity(at)).data;
    for (let i = 0; i < small.length; i++) {
      if (small[i]! > 0) out[4 * i + c] = level(Math.fround(weighted[i]! / small[i]!));
    }
  }
  for (let i = 0; i < small.length; i++) {
    const alpha = level(Math.fround(Math.min(1, Math.max(0, small[i]!)) * 255));
    out[4 * i + 3] = alpha;
    if (!alpha) out.fill(0, 4 * i, 4 * i + 3);
  }
  return { data: out, width: wide, height: high, channels: 4 };
}

function level(value: number): number {
  return halfToEven(Math.min(255, Math.max(0, value)));
}
