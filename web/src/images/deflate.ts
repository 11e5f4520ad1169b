/** Filters and deflates one strip of a PNG in its own thread. */
import { Deflate } from "fflate";
import { adler32 } from "../checksums.js";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Strip {
  rows: Bytes;
  /** The row above the first, or null at the top. */
  above: Bytes | null;
  rowBytes: number;
  /** Whether the image ends here. */
  last: boolean;
}

export interface Deflated {
  /** Raw deflate, ending at a byte. */
  bytes: Bytes;
  /** Adler-32 and length of what was deflated. */
  adler: number;
  length: number;
}

const LEVEL = 1; // a cutout is mostly empty: higher levels take several times as long for a few per cent

/** Name of the worker that serves strips, not photos. */
export const DEFLATE = "liftout-deflate";

export function serveDeflate(): void {
  self.onmessage = ({ data: { id, strip } }: MessageEvent<{ id: number; strip: Strip }>) => {
    const part = deflate(strip);
    self.postMessage({ id, part }, { transfer: [part.bytes.buffer] });
  };
}

export function deflate(strip: Strip): Deflated {
  const filtered = filterUp(strip);
  const pieces: Uint8Array[] = [];
  const stream = new Deflate({ level: LEVEL }, (piece) => pieces.push(piece));
  stream.push(filtered, strip.last);
  if (!strip.last) pieces.push(endAtByte(stream));
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return { bytes, adler: adler32(filtered), length: filtered.length };
}

/**
 * Flush, and an empty stored block (RFC 1951, 3.2.4), after which the next strip begins at a byte. The library's own `flush(true)`
 * (0.8.3) forgets the block's first bit and the bits that are pending, which breaks the stream.
 */
function endAtByte(stream: Deflate): Uint8Array {
  stream.flush();
  const pending = (stream as unknown as { s: { r: number } }).s.r; // count in the lower three bits, the bits above
  const header = (pending & 7) + 3 > 8 ? [pending >> 3, 0] : [pending >> 3];
  return Uint8Array.from([...header, 0, 0, 0xff, 0xff]);
}

/** Each row less the one above it: of the five filters the cheapest that helps, and the one that deflates fastest. */
function filterUp({ rows, above, rowBytes }: Strip): Bytes {
  const count = rows.length / rowBytes;
  const out = new Uint8Array(count * (rowBytes + 1));
  let to = 0;
  for (let row = 0; row < count; row++) {
    const at = row * rowBytes;
    const over = row ? rows.subarray(at - rowBytes, at) : above;
    if (!over) {
      out.set(rows.subarray(0, rowBytes), 1);
      to = rowBytes + 1;
      continue;
    }
    out[to++] = 2;
    for (let i = 0; i < rowBytes; i++) out[to + i] = rows[at + i]! - over[i]!;
    to += rowBytes;
  }
  return out;
}
