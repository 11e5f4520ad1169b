/**
 * What is known about a model, as data: the `ModelSpec` of `liftout.catalog.spec`, as it stands in manifests and in
 * catalog.json. Keys at their default are left out there; `completeSpec` puts them back, with the defaults of the Python side.
 */
import { UsageError } from "./errors.js";

export interface InputSpec {
  /** [height, width] of the tensor. */
  size: [number, number];
  fit: "stretch" | "letterbox";
  resample: "bilinear-antialias" | "bilinear";
  quantize: "none" | "truncate";
  scale: "255" | "max";
  mean: [number, number, number];
  std: [number, number, number];
}

export interface OutputSpec {
  /** Which output is the prediction; null where the network has exactly one. */
  index: number | null;
  activation: "none" | "sigmoid" | "argmax";
  classes: number[];
  rescale: "none" | "minmax";
  rescale_when: "before-resize" | "after-resize";
  quantize: "round" | "truncate";
  resample: "bilinear" | "bilinear-antialias" | "bicubic";
}

export interface LicenseSpec {
  code: string;
  weights: string;
  /** Whether the weights may be used commercially; consent is asked where not. */
  commercial: boolean;
  note: string;
  url: string;
}

export interface ModelSpec {
  name: string;
  family: string;
  architecture: string;
  summary: string;
  /** Whether the user added it: then its licence is theirs to know. */
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

/** A partial entry, as written by `ModelSpec.to_dict`. */
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
