/** How large a photo may be; the same limits as in Python, asked before any graph runs. */
import { limits } from "../options.js";
import { ImageTooLarge, ImageUnreadable } from "../errors.js";

/** height, width: in pixels. name: of the photo, for messages. Throws ImageUnreadable, ImageTooLarge. */
export function checkSize(height: number, width: number, maxPixels: number, name: string): void {
  const [shorter, longer] = [Math.min(height, width), Math.max(height, width)];
  const start = `${name}: ${width} x ${height} pixels`;
  if (shorter < 1) throw new ImageUnreadable(`${start}; there is nothing to cut out`);
  if (longer > limits.longestSide) throw new ImageTooLarge(`${start}; a side may have at most ${limits.longestSide}; crop it first`);
  if (longer > limits.largestRatio * shorter) {
    throw new ImageTooLarge(`${start}; one side may be at most ${limits.largestRatio} times as long as the other; crop it first`);
  }
  if (height * width > maxPixels) {
    const megapixels = Math.round((height * width) / 1e6);
    throw new ImageTooLarge(
      `${name}: ${width} x ${height} = ${megapixels} megapixels, above the limit of ${maxPixels / 1e6}; raise it with maxPixels`,
    );
  }
}
