/** The options of one cutout; names, defaults and limits are those of `liftout.options`. */
import { UsageError } from "./errors.js";
import type { Edges } from "./graphs.js";
import type { Background } from "./compose/background.js";

/** How one cutout becomes an image file. */
export interface ResultOptions {
  /** The alpha as a grey picture instead of the cutout. */
  mask?: boolean;
  /** Put the subject over a colour, an image file, or `blur`, the photo itself out of focus. */
  background?: Background | null;
  /** Crop to the subject. */
  crop?: boolean;
  /** Pixels to leave around the subject when cropping, 0 or more; less where the photo ends. */
  margin?: number;
  /** auto follows the photo's edges; plain keeps alpha and colours as the network and the photo have them. */
  edges?: Edges;
  /** jpeg has no transparency: the background becomes white. webp and jpeg are written by the browser, png by liftout. */
  format?: "png" | "webp" | "jpeg";
  /** Of webp and jpeg, 1 to 100; 90 and 92 by default. */
  quality?: number | null;
  /** Refuse photos with more pixels; 200 million by default. */
  maxPixels?: number;
}

export type CompleteOptions = Required<ResultOptions>;

const DEFAULTS: CompleteOptions = {
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
export function completeOptions(chosen: ResultOptions): CompleteOptions {
  const options = { ...DEFAULTS };
  for (const [name, value] of Object.entries(chosen)) {
    if (!Object.hasOwn(DEFAULTS, name)) {
      throw new UsageError(`there is no option \`${name}\`; there are ${Object.keys(DEFAULTS).join(", ")}`);
    }
    if (value !== undefined) Object.assign(options, { [name]: value });
  }
  for (const [name, check] of Object.entries(CHECKS)) {
    const value = options[name as keyof CompleteOptions];
    const problem = value === null && DEFAULTS[name as keyof CompleteOptions] === null ? null : check(value);
    if (problem) throw new UsageError(`${name} is ${JSON.stringify(value)}; ${problem}`);
  }
  return options;
}

type Check = (value: unknown) => string | null;

const flag: Check = (value) => (typeof value === "boolean" ? null : "it must be true or false");

function oneOf(...values: string[]): Check {
  return (value) => (values.includes(value as string) ? null : `it must be one of ${values.join(", ")}`);
}

function integer(low: number, high: number): Check {
  const range = high === Infinity ? `at least ${low}` : `from ${low} to ${high}`;
  return (value) => {
    if (!Number.isInteger(value)) return "it must be a whole number";
    return (value as number) >= low && (value as number) <= high ? null : `it must be ${range}`;
  };
}

const edges: Check = (value) =>
  value === "refined"
    ? 'the browser cannot do that; use "auto", or `liftout cut --edges refined` on the command line'
    : oneOf("auto", "plain")(value);

const CHECKS: Record<keyof CompleteOptions, Check> = {
  mask: flag,
  background: (value) => (typeof value === "string" || value instanceof Blob ? null : "it must be a colour, blur, or an image file"),
  crop: flag,
  margin: integer(0, Infinity),
  edges,
  format: oneOf("png", "webp", "jpeg"),
  quality: integer(1, 100),
  maxPixels: integer(1, Infinity),
};
