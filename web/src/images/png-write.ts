/**
 * PNG, written exactly: straight alpha, colours under partial alpha as they are. Rows arrive in strips from the top; each strip
 * is deflated on its own by a worker, so that the processor's other cores help and the next strip can be made meanwhile.
 *
 * Source: W3C Portable Network Graphics (third edition), sections 5 (chunks), 9 (filters); RFC 1950 (zlib).
 */
import { zlibSync } from "fflate";
import { crc32, joinAdler32 } from "../checksums.js";
import type { Deflated } from "./deflate.js";
import type { Deflaters } from "./deflaters.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** Colour type and channels. */
const KINDS = { grey: [0, 1], rgb: [2, 3], rgba: [6, 4] } as const;

export class PngWriter {
  #parts: Promise<Deflated>[] = [];
  #rows = 0;
  #above: Bytes | null = null;

  constructor(
    private deflaters: Deflaters,
    private width: number,
    private height: number,
    private kind: keyof typeof KINDS,
    private icc: Bytes | null = null,
    private dpi: number | null = null,
  ) {}

  /** The next rows, uint8 [rows, W, channels]. They are handed over: the caller may not use them afterwards. */
  push(rows: Bytes): void {
    const bytes = this.width * KINDS[this.kind][1];
    const owned = rows.byteLength === rows.buffer.byteLength ? rows : rows.slice();
    const above = this.#above;
    this.#above = owned.slice(owned.length - bytes);
    this.#rows += owned.length / bytes;
    const last = this.#rows === this.height;
    this.#parts.push(this.deflaters.run({ rows: owned, above, rowBytes: bytes, last }));
  }

  /** The file, once all rows have been pushed. */
  async finish(): Promise<Blob> {
    const parts = await Promise.all(this.#parts);
    const header = new DataView(new ArrayBuffer(13));
    header.setUint32(0, this.width);
    header.setUint32(4, this.height);
    header.setUint8(8, 8);
    header.setUint8(9, KINDS[this.kind][0]);
    const sum = new DataView(new ArrayBuffer(4));
    sum.setUint32(0, parts.reduce((whole, part) => joinAdler32(whole, part.adler, part.length), 1));
    const pieces: Bytes[] = [
      Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
      ...chunk("IHDR", new Uint8Array(header.buffer)),
      ...(this.icc ? chunk("iCCP", concat(Uint8Array.from("ICC\0\0", (c) => c.charCodeAt(0)), zlibSync(this.icc) as Bytes)) : []),
      ...(this.dpi ? chunk("pHYs", resolution(this.dpi)) : []),
      ...chunk("IDAT", Uint8Array.of(0x78, 0x01)),
      ...parts.flatMap((part) => chunk("IDAT", part.bytes)),
      ...chunk("IDAT", new Uint8Array(sum.buffer)),
      ...chunk("IEND", new Uint8Array(0)),
    ];
    return new Blob(pieces, { type: "image/png" });
  }
}

/** Pixels per metre, across and down. */
function resolution(dpi: number): Bytes {
  const body = new DataView(new ArrayBuffer(9));
  for (const at of [0, 4]) body.setUint32(at, Math.round(dpi / 0.0254));
  body.setUint8(8, 1);
  return new Uint8Array(body.buffer);
}

function chunk(type: string, body: Bytes): Bytes[] {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, body.length);
  for (let i = 0; i < 4; i++) head[4 + i] = type.charCodeAt(i);
  const tail = new Uint8Array(4);
  new DataView(tail.buffer).setUint32(0, crc32(body, crc32(head.subarray(4))));
  return [head, body, tail];
}

function concat(a: Bytes, b: Bytes): Bytes {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
