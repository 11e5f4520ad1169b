/** liftout in the browser: lift the subject out of any photo; nothing leaves the visitor's machine. */
export {
  EngineError,
  ImageAnimated,
  ImageTooLarge,
  ImageUnreadable,
  InputError,
  LicenseNotAccepted,
  LiftoutError,
  ModelFileCorrupt,
  ModelMissing,
  ModelUnavailable,
  NetworkRejected,
  OutOfMemory,
  UsageError,
} from "./errors.js";
export type { Subject } from "./compose/separate.js";
export type { Box } from "./compose/subjects.js";
export { Lifter } from "./lifter.js";
export type { KeptModels, KeptPack } from "./kept-models.js";
export type { ComposeOptions, CutAllOptions, CutOptions, Cutout, LoadOptions, Outcome } from "./lifter.js";
export type { Photo } from "./images/sources.js";
export { applySegmentationMask, removeBackground, segmentForeground, unload, type OneCallOptions } from "./one-call.js";
export type { Asked, BoxInput, PointInput } from "./pointing/prompts.js";
export type { AlphaInput, AlphaResult, Seconds } from "./protocol.js";
export type { EngineOptions, OnnxSource, Places } from "./setup.js";
export type { ResultOptions } from "./options.js";
export type { OnProgress, Phase, Progress } from "./progress.js";
export type { EngineChoice, EngineName } from "./engine.js";
export type { InputSpec, LicenseSpec, ModelSpec, OutputSpec, SpecEntry } from "./spec.js";
