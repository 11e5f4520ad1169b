/** What a caller may ask for; names, defaults and limits are those of `liftout.options`. */
import { UsageError } from "./errors.js";
import type { Edges } from "./graphs.js";
import type { Background } from "./images/background.js";

export interface ResultOptions {
  /** The alpha as a grey picture instead of the cutout. */
  mask?: boolean;
  /** Put the subject over a colour, an image file, or `blur`, the photo itself out of focus. */
  background?: Background | null;
  /** Crop to the subject. */
  crop?: boolean;
  /** Pixels to leave around the subject when cropping. */
  margin?: number;
  /** plain keeps alpha and colours as the network and the photo have them. */
  edges?: Edges;
  /** jpeg has no transparency: it goes over white. webp and jpeg are written by the browser, png by liftout. */
  format?: "png" | "webp" | "jpeg";
  /** Quality of webp and jpeg, 1 to 100. */
  quality?: number | null;
  /** Refuse photos with more pixels. */
  maxPixels?: number;
}

export type Result = Required<ResultOptions>;

const DEFAULTS: Result = {
  mask: false,
  background: null,
  crop: false,
  margin: 0,
  edges: "auto",
  format: "png",
  quality: null,
  maxPixels: 200_000_000,
};

/** Options with their defaults. Throws UsageError for an unknown one or a value outside its limits. */
export function completeOptions(given: ResultOptions): Result {
  const options = { ...DEFAULTS };
  for (const [name, value] of Object.entries(given)) {
    if (!(name in DEFAULTS)) {
      throw new UsageError(`there is no option \`${name}\`; there are ${Object.keys(DEFAULTS).join(", ")}`);
    }
    if (value !== undefined) Object.assign(options, { [name]: value });
  }
  const { background, edges, format, margin, quality, maxPixels } = options;
  if (!["png", "webp", "jpeg"].includes(format)) {
    throw new UsageError(`format is ${JSON.stringify(format)}; it must be one of png, webp, jpeg`);
  }
  if (!["auto", "plain", "refined"].includes(edges)) {
    throw new UsageError(`edges is ${JSON.stringify(edges)}; it must be one of auto, plain, refined`);
  }
  if (background !== null && typeof background !== "string" && !(background instanceof Blob)) {
    throw new UsageError("background must be a colour or an image file");
  }
  if (!Number.isInteger(margin) || margin < 0) throw new UsageError(`margin is ${margin}; it must be 0 or more pixels`);
  if (quality !== null && !(quality >= 1 && quality <= 100)) {
    throw new UsageError(`quality is ${quality}; it must be from 1 to 100`);
  }
  if (!(maxPixels >= 1)) throw new UsageError(`maxPixels is ${maxPixels}; it must be at least 1`);
  return options;
}
