/**
 * The ICC profile inside a JPEG or WebP file. (PNG has its own reader; browsers tell profiles of other formats nobody.)
 *
 * Source: ICC.1:2022 annex B.4 (JPEG, APP2 in numbered pieces); WebP container specification (RIFF chunk ICCP).
 */

type Bytes = Uint8Array<ArrayBuffer>;

const MARKER = "ICC_PROFILE\0";

/** Null where there is none, or it is not whole. */
export function profileOf(file: Bytes): Bytes | null {
  try {
    if (file[0] === 0xff && file[1] === 0xd8) return fromJpeg(file);
    if (text(file, 0, 4) === "RIFF" && text(file, 8, 12) === "WEBP") return fromWebp(file);
  } catch {
    return null; // a broken profile is no reason to refuse a photo
  }
  return null;
}

function fromJpeg(file: Bytes): Bytes | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const pieces: Bytes[] = [];
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff; ) {
    const marker = file[at + 1]!;
    if (marker === 0xda || marker === 0xd9) break; // the picture itself
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === 0xe2 && text(file, at + 4, at + 4 + MARKER.length) === MARKER) {
      const head = at + 4 + MARKER.length;
      pieces[file[head]! - 1] = file.subarray(head + 2, end);
    }
    at = end;
  }
  if (!pieces.length || pieces.includes(undefined as never)) return null;
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function fromWebp(file: Bytes): Bytes | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 12; at + 8 <= file.length; ) {
    const length = view.getUint32(at + 4, true);
    if (text(file, at, at + 4) === "ICCP") return file.slice(at + 8, at + 8 + length);
    at += 8 + length + (length & 1);
  }
  return null;
}

function text(bytes: Bytes, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
