/** What the page and its worker say to each other. */
import type { Box } from "./compose/subjects.js";
import type { PlainError } from "./errors.js";
import type { Given } from "./images/photo.js";
import type { Source } from "./model.js";
import type { Result } from "./options.js";
import type { Progress } from "./progress.js";
import type { EngineChoice, EngineName } from "./runtime.js";
import type { ModelSpec } from "./spec.js";

export interface Setup {
  source: Source;
  /** Address of the folder that holds `ort/` and `graphs/`. */
  base: string;
  engine: EngineName;
  /** Why this engine, where an earlier worker found out that another does not work. */
  engineNote: string;
  threads: number | null;
  acceptLicense: boolean;
  checkMemory: boolean;
}

export type Request = { id: number } & ({ act: "load"; setup: Setup } | { act: "cut"; given: Given; options: Result; alpha: GivenAlpha | null });

/** An alpha to take instead of the network's: levels, or a PNG with a transparency of its own. */
export type GivenAlpha = Uint8Array<ArrayBuffer> | Blob;

export interface Loaded {
  model: ModelSpec;
  precision: string;
  /** Bytes of the network's files. */
  bytes: number;
  peakBytes: number | null;
  engine: EngineChoice;
  heapBytes: number;
}

/** Seconds that each step took. */
export type Seconds = Record<"decode" | "prepare" | "network" | "finish" | "encode", number>;

export interface CutResult {
  blob: Blob;
  alpha: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  box: Box | null;
  seconds: Seconds;
  heapBytes: number;
}

export type Reply = { id: number } & (
  | { act: "loaded"; loaded: Loaded }
  | { act: "done"; result: CutResult }
  | { act: "failed"; error: PlainError; fatal: boolean }
  | { act: "gpu-failed"; reason: string }
  | { act: "progress"; progress: Progress }
  | { act: "warning"; text: string }
);
