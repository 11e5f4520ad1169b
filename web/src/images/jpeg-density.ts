/**
 * How large a JPEG is in print: browsers write none.
 *
 * Source: JPEG File Interchange Format 1.02, ITU-T T.871, section 10.1.
 */
type Bytes = Uint8Array<ArrayBuffer>;

const START = [0xff, 0xd8];
const JFIF = [0x4a, 0x46, 0x49, 0x46, 0];
const PER_INCH = 1;

/** The file with `dpi` pixels per inch, across and down. */
export async function withDensity(file: Blob, dpi: number): Promise<Blob> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const density = [PER_INCH, dpi >> 8, dpi & 255, dpi >> 8, dpi & 255];
  const header = JFIF.every((value, i) => bytes[6 + i] === value);
  if (header) bytes.set(density, 13);
  const pieces: Bytes[] = header
    ? [bytes]
    : [Uint8Array.from([...START, 0xff, 0xe0, 0, 16, ...JFIF, 1, 2, ...density, 0, 0]), bytes.subarray(START.length)];
  return new Blob(pieces, { type: file.type });
}
