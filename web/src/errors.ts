/**
 * Every error that liftout throws on purpose; each message is one line: what happened, to what, and what to do.
 *
 *     LiftoutError
 *     ├── UsageError              the call itself is wrong
 *     ├── InputError              one photo cannot be used; the others can
 *     │   ├── ImageUnreadable     not an image, empty, truncated
 *     │   ├── ImageAnimated       more than one frame
 *     │   └── ImageTooLarge       above the limits of size
 *     ├── ModelUnavailable        the model cannot be loaded
 *     │   ├── ModelMissing        no pack of this name, or its server cannot be reached
 *     │   ├── ModelFileCorrupt    a file is not what its hash says
 *     │   └── LicenseNotAccepted  its licence asks for consent first
 *     └── EngineError             the network cannot run
 *         ├── NetworkRejected     shapes, names or operators do not fit the catalogue entry
 *         └── OutOfMemory         the network does not fit into memory
 *
 * A cancelled call rejects with its signal's reason instead, as `fetch` does.
 */
/** The base of all of them. */
export class LiftoutError extends Error {
  override name = "LiftoutError";
}
/** The call itself is wrong: an option, a name, a type. */
export class UsageError extends LiftoutError {
  override name = "UsageError";
}
/** One photo cannot be used; the others can. */
export class InputError extends LiftoutError {
  override name = "InputError";
}
/** Not an image, empty, truncated, or in a format that the browser does not know. */
export class ImageUnreadable extends InputError {
  override name = "ImageUnreadable";
}
/** An image of more than one frame. */
export class ImageAnimated extends InputError {
  override name = "ImageAnimated";
}
/** More pixels than `maxPixels`, a side above 65,535 pixels, or one above 200 times the other. */
export class ImageTooLarge extends InputError {
  override name = "ImageTooLarge";
}
/** The model cannot be loaded. */
export class ModelUnavailable extends LiftoutError {
  override name = "ModelUnavailable";
}
/** No pack of this name, or its server cannot be reached. */
export class ModelMissing extends ModelUnavailable {
  override name = "ModelMissing";
}
/** A file is not what its hash says, or a manifest cannot be read. */
export class ModelFileCorrupt extends ModelUnavailable {
  override name = "ModelFileCorrupt";
}
/** The licence asks for consent first: load with `acceptLicense: true`. */
export class LicenseNotAccepted extends ModelUnavailable {
  override name = "LicenseNotAccepted";
}
/** The network cannot run. */
export class EngineError extends LiftoutError {
  override name = "EngineError";
}
/** Its shapes, names or operators do not fit the catalogue entry or the runtime. */
export class NetworkRejected extends EngineError {
  override name = "NetworkRejected";
}
/** The network does not fit into memory. */
export class OutOfMemory extends EngineError {
  override name = "OutOfMemory";
}

const KINDS: Record<string, new (message: string) => LiftoutError> = {
  UsageError,
  InputError,
  ImageUnreadable,
  ImageAnimated,
  ImageTooLarge,
  ModelUnavailable,
  ModelMissing,
  ModelFileCorrupt,
  LicenseNotAccepted,
  EngineError,
  NetworkRejected,
  OutOfMemory,
};

/** An error on its way between the worker and the page, which share no classes. */
export interface PlainError {
  name: string;
  message: string;
}

export function toPlain(error: unknown): PlainError {
  if (error instanceof Error) return { name: error.name, message: error.message };
  return { name: "Error", message: String(error) };
}

export function fromPlain(plain: PlainError): LiftoutError {
  return new (KINDS[plain.name] ?? LiftoutError)(plain.message);
}
