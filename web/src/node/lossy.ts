/** WebP, AVIF and JPEG files, written by the package sharp. */
import { QUALITY, type LossyFormat } from "../images/lossy-format.js";
import { sharp } from "./sharp.js";

type Bytes = Uint8Array<ArrayBuffer>;

export class LossyWriter {
  #pixels: Bytes;
  #at = 0;

  constructor(
    private format: LossyFormat,
    private width: number,
    private height: number,
  ) {
    this.#pixels = new Uint8Array(width * height * 4);
  }

  push(rgba: Bytes): void {
    this.#pixels.set(rgba, this.#at);
    this.#at += rgba.length;
  }

  /** Throws UsageError where sharp is not installed. */
  async finish(quality: number | null, dpi: number | null): Promise<Blob> {
    const { format, width, height } = this;
    const open = await sharp(`in Node, writing ${format}`);
    const image = open(this.#pixels, { raw: { width, height, channels: 4 } });
    const printed = dpi ? image.withMetadata({ density: dpi }) : image;
    const { data } = await printed.toFormat(format, { quality: quality ?? QUALITY[format] }).toBuffer({ resolveWithObject: true });
    return new Blob([data], { type: `image/${format}` });
  }
}
