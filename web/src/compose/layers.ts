/** A subject and its shadow over what lies behind them, with the arithmetic of `liftout.compose.blend`: float32, rounded once. */
import { blend, type Behind } from "./background.js";
import { halfToEven } from "./rounding.js";

type Bytes = Uint8Array<ArrayBuffer>;

const LEVEL = Math.fround(1 / 255);

/**
 * Rows of a picture: rgb over what lies behind, else rgba with the shadow in it.
 *
 * rgba: uint8 [rows, W, 4], straight alpha, of the pixels from `at` on. shadow: opacity of a black one, of the whole picture.
 */
export function merged(rgba: Bytes, behind: Behind | null, shadow: Float32Array | null, at: number): Bytes {
  if (!shadow) return behind ? blend(rgba, behind, at) : rgba;
  return behind ? overGround(rgba, behind, shadow, at) : withShadow(rgba, shadow, at);
}

function overGround(rgba: Bytes, behind: Behind, shadow: Float32Array, at: number): Bytes {
  const out = new Uint8Array((rgba.length / 4) * 3);
  const flat = behind.length === 3;
  for (let i = 0, to = 0, from = flat ? 0 : at * 4; i < rgba.length; i += 4, to += 3, at++) {
    const opacity = Math.fround(rgba[i + 3]! * LEVEL);
    for (let c = 0; c < 3; c++) {
      const below = behind[from + c]!;
      const ground = Math.fround(below + Math.fround(-below * shadow[at]!));
      out[to + c] = halfToEven(Math.fround(ground + Math.fround(Math.fround(rgba[i + c]! - ground) * opacity)));
    }
    if (!flat) from += 4;
  }
  return out;
}

/** Porter and Duff 1984, "Compositing digital images", doi:10.1145/800031.808606: subject over shadow. */
function withShadow(rgba: Bytes, shadow: Float32Array, at: number): Bytes {
  const out = new Uint8Array(rgba.length);
  for (let i = 0; i < rgba.length; i += 4, at++) {
    const subject = Math.fround(rgba[i + 3]! * LEVEL);
    const both = Math.fround(subject + Math.fround(shadow[at]! * Math.fround(1 - subject)));
    const total = halfToEven(Math.fround(both * 255));
    if (!total) continue;
    const share = Math.fround(subject / both);
    for (let c = 0; c < 3; c++) out[i + c] = halfToEven(Math.fround(rgba[i + c]! * share));
    out[i + 3] = total;
  }
  return out;
}
