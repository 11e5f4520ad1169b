/** Colours as CSS writes them. */
import type { Colour } from "./gradient.js";

/** Levels of an opaque CSS colour, or null. */
export function colourOf(text: string): Colour | null {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })!;
  // an unknown colour leaves the old one standing
  const [first, second] = ["#000000", "#ffffff"].map((before) => {
    context.fillStyle = before;
    context.fillStyle = text;
    return context.fillStyle;
  });
  if (first !== second) return null;
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 1, 1);
  return [data[0]!, data[1]!, data[2]!];
}
