/**
 * The photo out of focus, without its subject: what `--background blur` shows.
 *
 * The subject's place takes the colours around it (a blur of the rest alone, normalised by how much of the rest it saw, wider where
 * it saw nothing), so that none of the subject's own bleed out. The work is done small: the blur leaves nothing of finer detail.
 */

type Bytes = Uint8Array<ArrayBuffer>;

/** Standard deviation of the blur, of the photo's longer side; Python uses the same share. */
const SHARE = 0.02;
const SIDE = 256;
const TOUCHED = 8; // alpha from which a pixel carries the subject's colours
const SEEN = 0.02; // share of the rest that a blur must have seen for its colour to count

export interface Part {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** uint8 RGBA of `part` of a photo, uint8 rgb [height, width, 3] with its alpha. */
export function blurredScene(rgb: Bytes, alpha: Bytes, width: number, height: number, part: Part): Uint8ClampedArray<ArrayBuffer> {
  const factor = Math.max(1, Math.max(width, height) / SIDE);
  const [wide, high] = [Math.max(1, Math.round(width / factor)), Math.max(1, Math.round(height / factor))];
  const rest = reduced(rgb, alpha, width, height, wide, high);
  const filled = new Uint8ClampedArray(wide * high * 4).fill(255);
  const missing = new Set(Array.from({ length: wide * high }, (_, at) => at));
  for (let sigma = SHARE * Math.max(wide, high); missing.size; sigma *= 3) {
    const soft = blurred(rest, wide, high, sigma);
    const widest = sigma > 2 * Math.max(wide, high);
    for (const at of missing) {
      const share = soft[at * 4 + 3]!;
      if (share < SEEN && !(widest && share > 0)) continue;
      for (let c = 0; c < 3; c++) filled[at * 4 + c] = soft[at * 4 + c]! / share;
      missing.delete(at);
    }
    if (widest) break;
  }
  return enlarged(filled, wide, high, width, height, part);
}

/** Mean colours of what is not subject, times its share, and that share: float32 [high, wide, 4]. Of all where all is subject. */
function reduced(rgb: Bytes, alpha: Bytes, width: number, height: number, wide: number, high: number): Float32Array {
  const whole = alpha.every((value) => value >= TOUCHED);
  const sums = new Float32Array(wide * high * 4);
  const counts = new Float32Array(wide * high);
  for (let y = 0, from = 0; y < height; y++) {
    const row = Math.floor((y * high) / height) * wide;
    for (let x = 0; x < width; x++, from++) {
      const to = row + Math.floor((x * wide) / width);
      counts[to]!++;
      if (alpha[from]! >= TOUCHED && !whole) continue;
      for (let c = 0; c < 3; c++) sums[to * 4 + c]! += rgb[from * 3 + c]!;
      sums[to * 4 + 3]!++;
    }
  }
  return sums.map((sum, i) => sum / counts[i >> 2]!);
}

/** Three box blurs in a row, which are a Gaussian to the eye. */
function blurred(plane: Float32Array, wide: number, high: number, sigma: number): Float32Array {
  const radius = Math.max(1, Math.round((Math.sqrt(4 * sigma * sigma + 1) - 1) / 2));
  let soft = plane;
  for (let pass = 0; pass < 3; pass++) {
    soft = boxed(soft, wide, high, 4, 4 * wide, radius);
    soft = boxed(soft, high, wide, 4 * wide, 4, radius);
  }
  return soft;
}

/** Means along one axis; the edge goes on beyond itself. */
function boxed(plane: Float32Array, length: number, lines: number, step: number, line: number, radius: number): Float32Array {
  const out = new Float32Array(plane.length);
  const last = length - 1;
  const size = 2 * radius + 1;
  for (let n = 0; n < lines; n++) {
    for (let c = 0; c < 4; c++) {
      const start = n * line + c;
      let sum = 0;
      for (let i = -radius; i <= radius; i++) sum += plane[start + Math.min(last, Math.max(0, i)) * step]!;
      for (let i = 0; i < length; i++) {
        out[start + i * step] = sum / size;
        sum += plane[start + Math.min(last, i + radius + 1) * step]! - plane[start + Math.max(0, i - radius) * step]!;
      }
    }
  }
  return out;
}

function enlarged(
  rgba: Uint8ClampedArray<ArrayBuffer>,
  wide: number,
  high: number,
  width: number,
  height: number,
  part: Part,
): Uint8ClampedArray<ArrayBuffer> {
  const small = new OffscreenCanvas(wide, high);
  small.getContext("2d")!.putImageData(new ImageData(rgba, wide, high), 0, 0);
  const context = new OffscreenCanvas(part.width, part.height).getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, -part.left, -part.top, width, height);
  return context.getImageData(0, 0, part.width, part.height).data as Uint8ClampedArray<ArrayBuffer>;
}
