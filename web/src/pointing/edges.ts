/** The prompted network decides which object, another model's alpha gives its edge; the arithmetic of `liftout.pointing.edges`. */
import { halfToEven } from "../compose/rounding.js";

type Bytes = Uint8Array<ArrayBuffer>;
type Reals = Float32Array<ArrayBuffer>;

const BAND = 0.012; // width of the band on both sides of the answer's edge in which the other alpha may decide, of the longer side
const AGREE = 0.35; // mean difference around a place from which the other alpha has no say there

/** The object of `answer` with the edges of `other`; both uint8 [height, width]. */
export function withEdgesOf(other: Bytes, answer: Bytes, width: number, height: number): Bytes {
  const radius = Math.max(2, halfToEven(BAND * Math.max(width, height)));
  const shares = (levels: Bytes): Reals => Float32Array.from(levels, (level) => level / 255);
  const [mine, theirs] = [shares(answer), shares(other)];
  const share = mean(mine.map((value) => (value >= 0.5 ? 1 : 0)), radius, width, height);
  const differ = mean(mine.map((value, i) => Math.abs(Math.fround(theirs[i]! - value))), 2 * radius, width, height);
  const half = Math.fround(AGREE / 2);
  return Uint8Array.from(mine, (value, i) => {
    const band = within(16 * Math.min(share[i]!, Math.fround(1 - share[i]!)));
    const trust = within(Math.fround(2 - Math.fround(differ[i]! / half)));
    const weight = Math.fround(band * trust);
    const moved = Math.fround(weight * Math.fround(theirs[i]! - value));
    return halfToEven(Math.fround(255 * Math.fround(value + moved)));
  });
}

function within(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Mean over squares of 2 radius + 1 pixels, smaller at the border. */
function mean(plane: Reals, radius: number, width: number, height: number): Reals {
  return along(along(plane, radius, height, width, width, 1), radius, width, 1, height, width);
}

/** Mean along lines of `length` values that are `step` apart; there are `lines` of them, `line` apart. */
function along(from: Reals, radius: number, length: number, step: number, lines: number, line: number): Reals {
  const out = new Float32Array(from.length);
  const totals = new Float64Array(length + 1);
  for (let n = 0; n < lines; n++) {
    const start = n * line;
    for (let i = 0; i < length; i++) totals[i + 1] = totals[i]! + from[start + i * step]!;
    for (let i = 0; i < length; i++) {
      const [first, last] = [Math.max(0, i - radius), Math.min(length, i + radius + 1)];
      out[start + i * step] = (totals[last]! - totals[first]!) / (last - first);
    }
  }
  return out;
}
