/** The messages between a page and its worker. */
import type { Subject } from "./compose/separate.js";
import type { Box } from "./compose/subjects.js";
import type { PlainError } from "./errors.js";
import type { PhotoInput } from "./images/photo.js";
import type { ModelSource } from "./model.js";
import type { CompleteOptions } from "./options.js";
import type { Asked } from "./pointing/prompts.js";
import type { Progress } from "./progress.js";
import type { EngineChoice, EngineName } from "./engine.js";
import type { ModelSpec } from "./spec.js";

/** What a worker needs to load a model. */
export interface Setup {
  source: ModelSource;
  /** URL of the folder that holds the worker and `graphs/`. */
  base: string;
  /** URL of the folder of ONNX Runtime Web's files. */
  runtime: string;
  engine: EngineName;
  /** Why this engine, where an earlier worker found that another does not work; else empty. */
  engineNote: string;
  threads: number | null;
  acceptLicense: boolean;
  checkMemory: boolean;
}

/** The id of the request that loads the model; photos have ids from 1. */
export const LOAD = 0;

export type Request = { id: typeof LOAD; act: "load"; setup: Setup } | ({ id: number } & Work);

/**
 * `cut` runs the network; `compose` makes the image from an alpha that is known, or of one of its subjects; `point` gives the alpha alone
 * that prompts ask for; `subjects` tells the subjects of an alpha apart.
 */
export type Work =
  | { act: "cut"; photo: PhotoInput; prompts: PromptInput | null; options: CompleteOptions }
  | { act: "compose"; photo: PhotoInput; alpha: AlphaInput; part: Subject | null; options: CompleteOptions }
  | { act: "subjects"; photo: PhotoInput; key: number; alpha: AlphaInput; options: CompleteOptions }
  /** key: the same for the same photo, which is decoded and seen once. */
  | { act: "point"; photo: PhotoInput; key: number; prompts: PromptInput; options: CompleteOptions };

/** Points, a box, and the alpha that they correct; null where they select. */
export interface PromptInput extends Asked {
  start: AlphaInput | null;
}

/** An alpha that is known: uint8 [height, width], as values or as the bytes of a Blob, or a PNG file with an alpha channel. */
export type AlphaInput = Uint8Array<ArrayBuffer> | Blob;

/** What is known of a model once it is loaded. */
export interface ModelFacts {
  model: ModelSpec;
  precision: string;
  /** Bytes of the network's files. */
  bytes: number;
  peakBytes: number | null;
  engine: EngineChoice;
  heapBytes: number;
}

/** The subjects of a photo. */
export interface SubjectsResult {
  subjects: Subject[];
}

/** What comes of work: an alpha, with an image or without one, or subjects. */
export type WorkResult = AlphaResult | SubjectsResult;

/** Seconds that each step took. */
export type Seconds = Record<"decode" | "prepare" | "network" | "finish" | "encode", number>;

/** An alpha alone. */
export interface AlphaResult {
  /** Opacity of the subject, uint8 [height, width], row by row; 255 is subject. */
  alpha: Uint8Array<ArrayBuffer>;
  /** Of the image, in pixels. */
  width: number;
  height: number;
}

export interface CutResult extends AlphaResult {
  /** The image file. */
  blob: Blob;
  /** Where the subject is in the image, in pixels, right and bottom exclusive; null without a subject. Specks do not widen it. */
  box: Box | null;
  seconds: Seconds;
  /** Size of the WebAssembly heap afterwards. It never shrinks while the worker lives. */
  heapBytes: number;
}

export type Reply = { id: number } & (
  | { act: "loaded"; facts: ModelFacts }
  | { act: "done"; result: WorkResult }
  /** endWorker: its memory is worth nothing any more. */
  | { act: "failed"; error: PlainError; endWorker: boolean }
  | { act: "gpu-failed"; reason: string }
  | { act: "progress"; progress: Progress }
  | { act: "warning"; text: string }
);
