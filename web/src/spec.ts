/**
 * What is known about a model, as data: the `ModelSpec` of `liftout.models.spec`, as it stands in manifests and in
 * catalog.json. Keys at their default are left out there; `completeSpec` puts them back, with the defaults of the Python side.
 */
import { UsageError } from "./errors.js";

/** How a photo becomes the network's input. */
export interface InputSpec {
  /** [height, width] of the tensor in pixels. */
  size: [number, number];
  /** stretch to the size, or letterbox: keep the proportions and fill the rest with black. */
  fit: "stretch" | "letterbox";
  /** lanczos only with stretch. */
  resample: "bilinear-antialias" | "bilinear" | "lanczos";
  /** Whether levels are cut to whole numbers after resizing. */
  quantize: "none" | "truncate";
  /** What levels are divided by: 255, or the photo's largest level. */
  scale: "255" | "max";
  /** Subtracted from red, green and blue, which are in 0..1 then. */
  mean: [number, number, number];
  /** What red, green and blue are divided by after that. */
  std: [number, number, number];
}

/** How the network's output becomes an alpha. */
export interface OutputSpec {
  /** Which output is the prediction; null where the network has exactly one. */
  index: number | null;
  activation: "none" | "sigmoid" | "argmax";
  /** With argmax: the classes that are subject. */
  classes: number[];
  /** minmax stretches the prediction to 0..1, unless its range is below 0.05. */
  rescale: "none" | "minmax";
  rescale_when: "before-resize" | "after-resize";
  quantize: "round" | "truncate";
  resample: "bilinear" | "bilinear-antialias" | "bicubic" | "bilinear-corners";
}

export interface LicenseSpec {
  /** Licence of the authors' code, an SPDX identifier where there is one; `unknown` where they say none. */
  code: string;
  /** Licence of the weights, likewise. */
  weights: string;
  /** Whether the weights may be used commercially; consent is asked where not. */
  commercial: boolean;
  note: string;
  url: string;
}

/** A whole entry of the catalogue. */
export interface ModelSpec {
  name: string;
  family: string;
  architecture: string;
  summary: string;
  /** Whether the user added it; then its licence asks for no consent. */
  added: boolean;
  input: InputSpec;
  output: OutputSpec;
  license: LicenseSpec;
}

const INPUT: Omit<InputSpec, "size"> = {
  fit: "stretch",
  resample: "bilinear-antialias",
  quantize: "none",
  scale: "255",
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

const OUTPUT: OutputSpec = {
  index: null,
  activation: "none",
  classes: [],
  rescale: "none",
  rescale_when: "before-resize",
  quantize: "round",
  resample: "bilinear",
};

/** Of an entry that says nothing of its licence. */
export const LICENSE: LicenseSpec = { code: "unknown", weights: "unknown", commercial: false, note: "", url: "" };

/** An entry as it stands in manifests and in catalog.json: what is left out has its default. */
export interface SpecEntry {
  name: string;
  family?: string;
  architecture?: string;
  summary?: string;
  added?: boolean;
  input: Partial<InputSpec> & Pick<InputSpec, "size">;
  output?: Partial<OutputSpec>;
  license?: Partial<LicenseSpec>;
}

/** The whole spec of an entry. Throws UsageError where it has no name or no input size. */
export function completeSpec(entry: SpecEntry): ModelSpec {
  if (typeof entry?.name !== "string" || !Array.isArray(entry.input?.size)) {
    throw new UsageError("a model needs at least `name` and `input.size`; give an entry of catalog.json");
  }
  return {
    name: entry.name,
    family: entry.family ?? "",
    architecture: entry.architecture ?? "",
    summary: entry.summary ?? "",
    added: entry.added ?? false,
    input: { ...INPUT, ...entry.input },
    output: { ...OUTPUT, ...entry.output },
    license: { ...LICENSE, ...entry.license },
  };
}

/** What the licence asks consent for, in one sentence; null where it asks for none: a free licence, or a model that the user added. */
export function licenceProblem({ name, added, license }: Pick<ModelSpec, "name" | "added" | "license">): string | null {
  if (license.commercial || added) return null;
  if (license.weights === "unknown") {
    return `${name}: licence unknown; its authors do not say whether its weights may be used commercially`;
  }
  const where = license.url ? ` (${license.url})` : "";
  return `${name}: the licence of its weights, ${license.weights}${where}, does not allow commercial use`;
}
