/** What is used of the package sharp, which reads and writes formats other than PNG. */
import { optional } from "./optional.js";

export interface Sharp {
  metadata(): Promise<{ pages?: number }>;
  autoOrient(): Sharp;
  toColourspace(space: "srgb"): Sharp;
  ensureAlpha(): Sharp;
  flatten(options: { background: string }): Sharp;
  resize(options: { width: number; height: number; fit: "cover"; kernel: "cubic" }): Sharp;
  withMetadata(options: { density: number }): Sharp;
  raw(): Sharp;
  toFormat(format: "webp" | "avif" | "jpeg", options: { quality: number }): Sharp;
  toBuffer(options: { resolveWithObject: true }): Promise<{ data: Uint8Array<ArrayBuffer>; info: { width: number; height: number } }>;
}

type Open = (input: Uint8Array, options: { limitInputPixels?: false; raw?: { width: number; height: number; channels: 4 } }) => Sharp;

/** Throws UsageError where it is not installed. */
export function sharp(purpose: string): Promise<Open> {
  return optional<Open>("sharp", purpose);
}
