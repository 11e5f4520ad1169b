/** Feathering: a soft edge, in alpha and in the colours under it, with the arithmetic of `liftout.compose.feather`. */
import type { Raster } from "../images/resampling.js";
import { gaussianBlur } from "./gaussian.js";

type Levels = Raster<Uint8Array<ArrayBuffer>>;

/**
 * A cutout whose alpha is blurred by a Gaussian with a standard deviation of `radius` pixels. What becomes visible has the average of
 * the subject's colours nearby, so that no background shows.
 *
 * cutout: uint8 RGBA [height, width, 4], straight alpha.
 */
export function feathered(cutout: Levels, radius: number): Levels {
  const soft = gaussianBlur({ ...cutout, data: premultiplied(cutout.data) }, radius);
  const { data } = soft;
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    const known = cutout.data[i + 3]! > 0;
    for (let c = i; c < i + 3; c++) {
      if (!alpha) data[c] = 0;
      else if (known) data[c] = cutout.data[c]!;
      else data[c] = Math.min(255, Math.floor((255 * data[c]!) / alpha));
    }
  }
  return soft;
}

/** As Pillow does it: rounded. */
function premultiplied(rgba: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rgba.length);
  for (let i = 0; i < rgba.length; i += 4) {
    const alpha = (out[i + 3] = rgba[i + 3]!);
    for (let c = i; c < i + 3; c++) {
      const product = rgba[c]! * alpha + 128;
      out[c] = ((product >> 8) + product) >> 8;
    }
  }
  return out;
}
