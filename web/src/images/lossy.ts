/** WebP, AVIF and JPEG files, written by the browser where it can. */
import { EngineError, UsageError } from "../errors.js";
import { withDensity } from "./jpeg-density.js";
import { QUALITY, type LossyFormat } from "./lossy-format.js";

type Bytes = Uint8Array<ArrayBuffer>;

export class LossyWriter {
  #canvas: OffscreenCanvas;
  #row = 0;

  /** Throws EngineError where the picture is too large. */
  constructor(
    private format: LossyFormat,
    width: number,
    height: number,
  ) {
    this.#canvas = new OffscreenCanvas(width, height);
    if (!this.#canvas.getContext("2d", { willReadFrequently: true })) {
      throw new EngineError(`this browser cannot draw ${width} x ${height} pixels; use format: "png"`);
    }
  }

  /** The next rows, uint8 RGBA [rows, W, 4]. */
  push(rgba: Bytes): void {
    const pixels = new ImageData(new Uint8ClampedArray(rgba.buffer, rgba.byteOffset, rgba.length), this.#canvas.width);
    this.#canvas.getContext("2d")!.putImageData(pixels, 0, this.#row);
    this.#row += pixels.height;
  }

  /** quality: 1 to 100, null for the usual one. dpi: of a print, else null. Throws UsageError where the browser does not know the format. */
  async finish(quality: number | null, dpi: number | null): Promise<Blob> {
    const { format } = this;
    const type = `image/${format}`;
    const blob = await this.#canvas.convertToBlob({ type, quality: (quality ?? QUALITY[format]) / 100 });
    if (blob.type !== type) throw new UsageError(`this browser cannot write ${format}; use format: "png"`);
    return dpi && format === "jpeg" ? withDensity(blob, dpi) : blob;
  }
}
