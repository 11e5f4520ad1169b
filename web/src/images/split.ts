/** Pixels as a browser gives them, as colours and alpha. */
type Bytes = Uint8Array<ArrayBuffer>;

/** RGBA to colours and alpha from pixel `at` on; whether all is opaque. */
export function splitInto(rgba: Uint8Array | Uint8ClampedArray, rgb: Bytes, alpha: Bytes, at: number): boolean {
  let all = 255;
  for (let i = 0, to = at * 3; i < rgba.length; i += 4, to += 3, at++) {
    rgb[to] = rgba[i]!;
    rgb[to + 1] = rgba[i + 1]!;
    rgb[to + 2] = rgba[i + 2]!;
    alpha[at] = rgba[i + 3]!;
    all &= rgba[i + 3]!;
  }
  return all === 255;
}
