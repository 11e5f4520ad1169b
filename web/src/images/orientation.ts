/** EXIF orientation: how the pixels must be turned to stand upright. */

type Bytes = Uint8Array<ArrayBuffer>;

interface Picture {
  width: number;
  height: number;
  rgb: Bytes;
  alpha: Bytes | null;
}

const ORIENTATION = 0x0112;

/** Orientation 1..8 from a TIFF structure (EXIF without its `Exif` marker); 1 where there is none. */
export function orientationOf(exif: Uint8Array): number {
  try {
    const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(directory, little); i++) {
      const entry = directory + 2 + 12 * i;
      if (view.getUint16(entry, little) === ORIENTATION) {
        const value = view.getUint16(entry + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
    }
  } catch {
    return 1; // a broken EXIF block is no reason to refuse a photo
  }
  return 1;
}

/** Turn pixels as orientation says: 1 as it is, 3 half round, 6 and 8 a quarter, the others mirrored. */
export function upright(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture;
  const { width, height, rgb, alpha } = picture;
  const turned = orientation >= 5;
  const [columns, rows] = turned ? [height, width] : [width, height];
  const mirrored = [2, 3, 6, 7].includes(orientation);
  const flipped = [3, 4, 7, 8].includes(orientation);
  const out = { width: columns, height: rows, rgb: new Uint8Array(rgb.length), alpha: alpha && new Uint8Array(alpha.length) };
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const row = flipped ? rows - 1 - y : y;
      const column = mirrored ? columns - 1 - x : x;
      const from = turned ? column * width + row : row * width + column;
      const to = y * columns + x;
      out.rgb[3 * to] = rgb[3 * from]!;
      out.rgb[3 * to + 1] = rgb[3 * from + 1]!;
      out.rgb[3 * to + 2] = rgb[3 * from + 2]!;
      if (alpha) out.alpha![to] = alpha[from]!;
    }
  }
  return out;
}
