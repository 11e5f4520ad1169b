/**
 * PNG, read exactly: straight alpha, 16 bits and palettes as `liftout.images.decode` gives them. A canvas would premultiply, and
 * some browsers add noise to what is read back from one.
 *
 * Our own, as fast-png (8.0) would lose what is promised here: the limits, asked before anything is inflated, and no more inflated
 * than the image holds; animated files refused; EXIF orientation; the browser's inflate, which is faster than one in script. It would
 * leave low bit depths, palettes and transparent keys to us.
 *
 * Source: W3C Portable Network Graphics (third edition), sections 7 (order of samples), 8 (Adam7), 9 (filters), 11 (chunks).
 */
import { unzlibSync } from "fflate";
import { ImageAnimated, ImageUnreadable } from "../errors.js";
import { crc32 } from "../checksums.js";
import { checkSize } from "./limits.js";
import { orientationOf, upright } from "./orientation.js";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Pixels {
  width: number;
  height: number;
  /** uint8 [H, W, 3]. */
  rgb: Bytes;
  /** uint8 [H, W], or null where all is opaque. */
  alpha: Bytes | null;
  /** ICC profile of an RGB space. */
  icc: Bytes | null;
}

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS: Record<number, number[]> = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
/** First column, first row, step across, step down of the seven passes. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

interface Header {
  width: number;
  height: number;
  depth: number;
  type: number;
  interlaced: boolean;
  palette: Bytes;
  transparent: Bytes | null;
}

export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((value, i) => bytes[i] === value);
}

/** Decode a PNG file. name: of the photo, for messages. maxPixels: more are refused. Throws ImageUnreadable, ImageAnimated, ImageTooLarge; each names the file. */
export async function readPng(bytes: Bytes, name: string, maxPixels: number): Promise<Pixels> {
  const chunks = splitChunks(bytes, name);
  const start = chunks.find((chunk) => chunk.type === "IHDR")?.body;
  const parts = chunks.filter((chunk) => chunk.type === "IDAT").map((chunk) => chunk.body);
  if (!start || start.length !== 13 || !parts.length) throw new ImageUnreadable(`${name}: is a damaged PNG; save it again, or give another file`);
  const chunkOf = (type: string): Bytes | null => chunks.find((chunk) => chunk.type === type)?.body ?? null;
  const view = new DataView(start.buffer, start.byteOffset);
  const header: Header = {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: start[8]!,
    type: start[9]!,
    interlaced: start[12] === 1,
    palette: chunkOf("PLTE") ?? new Uint8Array(0),
    transparent: chunkOf("tRNS"),
  };
  if (!DEPTHS[header.type]?.includes(header.depth) || !header.width || !header.height) {
    throw new ImageUnreadable(`${name}: is a damaged PNG; save it again, or give another file`);
  }
  checkSize(header.height, header.width, maxPixels, name);
  const control = chunkOf("acTL");
  const frames = control ? new DataView(control.buffer, control.byteOffset).getUint32(0) : 1;
  if (frames > 1) {
    throw new ImageAnimated(`${name}: is animated (${frames} frames); save the frame you want as a separate image`);
  }
  const passes = passesOf(header);
  const pixels = expand(header, passes, await inflate(parts, rowsLength(passes), name));
  const profile = header.type === 2 || header.type === 6 || header.type === 3 ? iccOf(chunkOf("iCCP")) : null;
  const exif = chunkOf("eXIf");
  return { ...upright(pixels, exif ? orientationOf(exif) : 1), icc: profile };
}

function splitChunks(bytes: Bytes, name: string): { type: string; body: Bytes }[] {
  const chunks = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === "IEND") break;
    const end = at + 8 + length;
    if (end + 4 > bytes.length) throw new ImageUnreadable(`${name}: ends too early; the file is incomplete`);
    const critical = type === "IHDR" || type === "PLTE";
    if (critical && crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      throw new ImageUnreadable(`${name}: is a damaged PNG (${type}); save it again, or give another file`);
    }
    chunks.push({ type, body: bytes.subarray(at + 8, end) });
    at = end + 4;
  }
  return chunks;
}

/** One pass over the image: where it begins, its steps, and its size. */
interface Pass {
  left: number;
  top: number;
  across: number;
  down: number;
  columns: number;
  rows: number;
  /** Of one row, without the number of its filter. */
  rowBytes: number;
}

function passesOf({ width, height, depth, type, interlaced }: Header): Pass[] {
  const bits = depth * CHANNELS[type]!;
  return (interlaced ? ADAM7 : ([[0, 0, 1, 1]] as const))
    .map(([left, top, across, down]) => {
      const columns = Math.max(0, Math.ceil((width - left) / across));
      const rows = Math.max(0, Math.ceil((height - top) / down));
      return { left, top, across, down, columns, rows, rowBytes: Math.ceil((columns * bits) / 8) };
    })
    .filter(({ columns, rows }) => columns && rows);
}

function rowsLength(passes: Pass[]): number {
  return passes.reduce((sum, { rows, rowBytes }) => sum + rows * (rowBytes + 1), 0);
}

/** The rows, `length` bytes; what a file holds beyond them is not read. Throws ImageUnreadable where there are fewer. */
async function inflate(parts: Bytes[], length: number, name: string): Promise<Bytes> {
  const data = new Uint8Array(length);
  let at = 0;
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  try {
    while (at < length) {
      const { done, value } = await reader.read();
      if (done) break;
      data.set(value.subarray(0, length - at), at);
      at += value.length;
    }
  } catch (error) {
    throw new ImageUnreadable(`${name}: cannot be decoded (${(error as Error).message}); save it again, or give another file`);
  }
  if (at < length) throw new ImageUnreadable(`${name}: cannot be decoded (rows are missing); save it again, or give another file`);
  void reader.cancel().catch(() => undefined);
  return data;
}

function expand(header: Header, passes: Pass[], data: Bytes): Omit<Pixels, "icc"> {
  const { width, height, depth, type } = header;
  const unit = Math.max(1, (depth * CHANNELS[type]!) >> 3);
  const rgb = new Uint8Array(width * height * 3);
  const hasAlpha = type === 4 || type === 6 || (header.transparent !== null && !(type === 0 && depth === 16));
  const alpha = hasAlpha ? new Uint8Array(width * height).fill(255) : null;
  const put = placer(header, rgb, alpha);
  let at = 0;
  for (const { left, top, across, down, columns, rows, rowBytes } of passes) {
    unfilter(data, at, rowBytes, rows, unit);
    for (let row = 0; row < rows; row++) {
      put(data, at + row * (rowBytes + 1) + 1, columns, (top + row * down) * width + left, across);
    }
    at += rows * (rowBytes + 1);
  }
  return { width, height, rgb, alpha: alpha?.some((value) => value !== 255) ? alpha : null };
}

/** Undo the filters of `rows` rows in place. Each row begins with its filter's number. */
function unfilter(data: Bytes, at: number, rowBytes: number, rows: number, unit: number): void {
  for (let row = 0; row < rows; row++) {
    const filter = data[at]!;
    const start = at + 1;
    const end = start + rowBytes;
    const above = row ? rowBytes + 1 : 0;
    if (filter === 1 || (filter === 4 && !row)) {
      for (let i = start + unit; i < end; i++) data[i] = data[i]! + data[i - unit]!;
    } else if (filter === 2 && row) {
      for (let i = start; i < end; i++) data[i] = data[i]! + data[i - above]!;
    } else if (filter === 3) {
      for (let i = start; i < end; i++) {
        const left = i - start < unit ? 0 : data[i - unit]!;
        data[i] = data[i]! + ((left + (row ? data[i - above]! : 0)) >> 1);
      }
    } else if (filter === 4) {
      const first = Math.min(start + unit, end);
      for (let i = start; i < first; i++) data[i] = data[i]! + data[i - above]!;
      for (let i = first; i < end; i++) {
        const left = data[i - unit]!;
        const up = data[i - above]!;
        const corner = data[i - above - unit]!;
        const toLeft = Math.abs(up - corner);
        const toUp = Math.abs(left - corner);
        const toCorner = Math.abs(left + up - 2 * corner);
        data[i] = data[i]! + (toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner);
      }
    }
    at = end;
  }
}

type Placer = (data: Bytes, at: number, columns: number, pixel: number, step: number) => void;

/** Writes one row of samples to pixels `pixel`, `pixel + step`, ... */
function placer(header: Header, rgb: Bytes, alpha: Bytes | null): Placer {
  const { depth, type, palette, transparent } = header;
  const wide = depth === 16 ? 2 : 1;
  const key = transparent && type !== 3 ? new DataView(transparent.buffer, transparent.byteOffset, transparent.length) : null;
  if (type === 2 || type === 6) {
    const stride = CHANNELS[type]! * wide;
    return (data, at, columns, pixel, step) => {
      for (let x = 0; x < columns; x++, at += stride, pixel += step) {
        const to = pixel * 3;
        rgb[to] = level(data, at, wide);
        rgb[to + 1] = level(data, at + wide, wide);
        rgb[to + 2] = level(data, at + 2 * wide, wide);
        if (type === 6) alpha![pixel] = level(data, at + 3 * wide, wide);
        else if (key && [0, 1, 2].every((c) => sample(data, at + c * wide, wide) === key.getUint16(2 * c))) alpha![pixel] = 0;
      }
    };
  }
  if (type === 4) {
    return (data, at, columns, pixel, step) => {
      for (let x = 0; x < columns; x++, at += 2 * wide, pixel += step) {
        rgb.fill(level(data, at, wide), pixel * 3, pixel * 3 + 3);
        alpha![pixel] = level(data, at + wide, wide);
      }
    };
  }
  const most = 2 ** depth - 1;
  return (data, at, columns, pixel, step) => {
    for (let x = 0; x < columns; x++, pixel += step) {
      const value = depth >= 8 ? sample(data, at + x * wide, wide) : (data[at + ((x * depth) >> 3)]! >> (8 - depth - ((x * depth) & 7))) & most;
      if (type === 3) {
        rgb.set(palette.subarray(value * 3, value * 3 + 3), pixel * 3);
        if (alpha) alpha[pixel] = transparent![value] ?? 255;
      } else {
        rgb.fill(depth === 16 ? eightBits(value) : (value * 255) / most, pixel * 3, pixel * 3 + 3);
        if (key && alpha && value === key.getUint16(0)) alpha[pixel] = 0;
      }
    }
  };
}

function level(data: Bytes, at: number, wide: number): number {
  return wide === 2 ? eightBits(sample(data, at, 2)) : data[at]!;
}

/** 0..65535 to 0..255, rounded. */
function eightBits(value: number): number {
  return Math.floor((value * 255 + 32767) / 65535);
}

function sample(data: Bytes, at: number, wide: number): number {
  return wide === 2 ? (data[at]! << 8) | data[at + 1]! : data[at]!;
}

/** The profile in an iCCP chunk: a name, a zero, the method (0), deflated bytes. */
function iccOf(chunk: Bytes | null): Bytes | null {
  if (!chunk) return null;
  const end = chunk.indexOf(0);
  try {
    return isRgbProfile(unzlibSync(chunk.subarray(end + 2)) as Bytes);
  } catch {
    return null; // a broken profile is no reason to refuse a photo
  }
}

/** The profile where its colour space (ICC.1, header bytes 16 to 19) is RGB, else null. */
export function isRgbProfile(profile: Bytes): Bytes | null {
  return String.fromCharCode(...profile.subarray(16, 20)) === "RGB " ? profile : null;
}
