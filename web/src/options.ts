/**
 * The options of one cutout: which of Python's there are in the browser, with Python's defaults and limits. options.json is written
 * by web/options.py from `liftout.options`.
 */
import type { Background } from "./compose/background.js";
import { canvasPosition, canvasSize } from "./compose/canvas.js";
import { UsageError } from "./errors.js";
import json from "./options.json" with { type: "json" };

/** One option: its values are its choices, or of its type within its limits; of type integer, both. */
export interface Declaration {
  /** In Python. */
  name: string;
  type: string;
  nullable: boolean;
  default: unknown;
  choices?: Record<string, unknown>;
  minimum?: number;
  maximum?: number;
}

export const declared = { ...json.result, ...json.run };
export const limits = json.limits;

type Declared = typeof declared;

/** The values that an option may have. */
export type Value<Name extends keyof Declared> = Declared[Name] extends { choices: infer Choices }
  ? keyof Choices | (Declared[Name] extends { minimum: number } ? number : never)
  : Declared[Name] extends { minimum: number }
    ? number | (Declared[Name]["default"] & null)
    : Declared[Name]["default"] extends boolean
      ? boolean
      : string | (Declared[Name]["default"] & null);

/**
 * `auto` follows the photo's edges; `refined` also solves for hair and fur; `plain` keeps alpha and colours as the network and the photo
 * have them.
 */
export type Edges = Value<"edges">;

/** How one cutout becomes an image file. */
export interface ResultOptions {
  /** The alpha as a grey picture instead of the cutout. */
  mask?: Value<"mask">;
  /**
   * Put the subject over a CSS colour, an image file, a gradient (`linear:white:#ccc`, `linear:white:#ccc:45`, `radial:white:#ccc`), or
   * `blur` or `blur:RADIUS`, the photo itself out of focus.
   */
  background?: Background | null;
  /** Crop to the subject. */
  crop?: Value<"crop">;
  /** Pixels to leave around the subject, 0 or more: when cropping, less where the photo ends; on a canvas, on each of its sides. */
  margin?: Value<"margin">;
  /** Place the subject on a canvas of `WIDTHxHEIGHT` pixels, or in print at 300 dpi: `35x45mm`. A larger subject is scaled down. */
  canvas?: Value<"canvas">;
  /** Of the subject on the canvas: `center`, `top`, `bottom-left`, ..., or the free space left of it and above it: `30%,80%`. */
  position?: Value<"position">;
  /** Scale a small subject up to fill the canvas. */
  enlarge?: Value<"enlarge">;
  /** Percent of the canvas within the margins that the subject may take. */
  subjectSize?: Value<"subjectSize">;
  /** A soft shadow behind the subject. */
  shadow?: Value<"shadow">;
  /** A flat shadow where the subject stands on the ground. */
  contactShadow?: Value<"contactShadow">;
  /** Keep all subjects, the largest alone, or so many of the largest. */
  subjects?: Exclude<Value<"subjects">, "each">;
  /** Fill holes inside the subject. */
  fillHoles?: Value<"fillHoles">;
  /** A hard edge: opaque from this alpha up, 1 to 255, empty below. */
  threshold?: Value<"threshold">;
  /** Blur the edge by a Gaussian of this standard deviation in pixels, 0 to 1000. */
  feather?: Value<"feather">;
  edges?: Edges;
  /**
   * jpeg has no transparency: the background becomes white. png (default) is written by liftout; webp, avif and jpeg by the browser, where
   * it can.
   */
  format?: Exclude<Value<"format">, "tiff">;
  /** Of webp, avif and jpeg, 1 to 100; 90, 80 and 92 by default. */
  quality?: Value<"quality">;
  /** Refuse photos with more pixels; 200 million by default. */
  maxPixels?: Value<"maxPixels">;
}

export type CompleteOptions = Required<ResultOptions>;

/** Options with their defaults. Throws UsageError for an unknown one or a value outside its limits. */
export function completeOptions(chosen: ResultOptions): CompleteOptions {
  const options = { ...DEFAULTS };
  for (const [name, value] of Object.entries(chosen)) {
    if (!Object.hasOwn(DEFAULTS, name)) {
      throw new UsageError(`there is no option \`${name}\`; there are ${Object.keys(DEFAULTS).join(", ")}`);
    }
    if (value !== undefined) Object.assign(options, { [name]: value });
  }
  for (const name of Object.keys(DEFAULTS) as Name[]) {
    const problem = problemOf(name, options[name]);
    if (problem) throw new UsageError(`${name} is ${JSON.stringify(options[name])}; ${problem}`);
  }
  return options;
}

type Name = keyof CompleteOptions;

const DEFAULTS: CompleteOptions = {
  mask: declared.mask.default,
  background: declared.background.default,
  crop: declared.crop.default,
  margin: declared.margin.default,
  canvas: declared.canvas.default,
  position: declared.position.default,
  enlarge: declared.enlarge.default,
  subjectSize: declared.subjectSize.default,
  shadow: declared.shadow.default,
  contactShadow: declared.contactShadow.default,
  subjects: declared.subjects.default as CompleteOptions["subjects"],
  fillHoles: declared.fillHoles.default,
  threshold: declared.threshold.default,
  feather: declared.feather.default,
  edges: declared.edges.default as Edges,
  format: "png", // Python takes that of the output's name, which there is none of here
  quality: declared.quality.default,
  maxPixels: declared.maxPixels.default,
};

/** Choices that Python has and the browser cannot do, and what to do instead. */
const UNAVAILABLE: Partial<Record<Name, Record<string, string>>> = {
  format: { tiff: "" },
  subjects: { each: 'a call gives one picture; use "all", "largest" or a number, or `lifter.subjects` and `compose` with each `part`' },
};

/** Values that are text of a form of its own. */
const PARSERS: Partial<Record<Name, (text: string) => unknown>> = { canvas: canvasSize, position: canvasPosition };

/** What is wrong with a text: the part of the message that says what to do; or null. */
function problemWith(parse: () => unknown): string | null {
  try {
    parse();
    return null;
  } catch (error) {
    return (error as Error).message.split("; ").slice(1).join("; ");
  }
}

/** What is wrong with a value, or null. */
function problemOf(name: Name, value: unknown): string | null {
  const { type, nullable, choices, minimum, maximum }: Declaration = declared[name];
  if (value === null && nullable && DEFAULTS[name] === null) return null;
  const numeric = type === "integer";
  if (choices) {
    const unavailable = UNAVAILABLE[name] ?? {};
    const available = Object.keys(choices).filter((choice) => !Object.hasOwn(unavailable, choice));
    if (available.includes(value as string)) return null;
    if (!numeric || typeof value !== "number") {
      return unavailable[value as string] || `it must be one of ${available.join(", ")}${numeric ? ", or a whole number" : ""}`;
    }
  }
  if (type === "boolean") return typeof value === "boolean" ? null : "it must be true or false";
  if (name === "background") {
    return typeof value === "string" || value instanceof Blob ? null : "it must be a colour, a gradient, blur, or an image file";
  }
  const parse = PARSERS[name];
  if (parse) return typeof value === "string" ? problemWith(() => parse(value)) : "it must be text";
  if (!Number.isInteger(value)) return "it must be a whole number";
  const [low, high] = [minimum ?? -Infinity, maximum ?? Infinity];
  if ((value as number) >= low && (value as number) <= high) return null;
  return high === Infinity ? `it must be at least ${low}` : `it must be from ${low} to ${high}`;
}
