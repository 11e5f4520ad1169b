/**
 * Every error that liftout raises on purpose; each message is one line: what happened, to what, and what to do.
 *
 *     LiftoutError
 *     ├── UsageError              the call itself is wrong
 *     ├── InputError              one photo cannot be used; the others can
 *     │   ├── ImageUnreadable     not an image, empty, truncated
 *     │   ├── ImageAnimated       more than one frame
 *     │   └── ImageTooLarge       above the pixel limit
 *     ├── ModelUnavailable        the model cannot be had as things stand
 *     │   ├── ModelMissing        no pack of this name, or the host cannot be reached
 *     │   ├── ModelFileCorrupt    a file is not what its hash says
 *     │   └── LicenseNotAccepted  its licence asks for consent first
 *     └── EngineError             the engine refuses the network
 *         ├── NetworkRejected     shapes, names or operators do not fit the catalogue entry
 *         └── OutOfMemory         the network does not fit into memory
 *
 * A cancelled call rejects with its signal's reason instead, as `fetch` does.
 */
export class LiftoutError extends Error {
  override name = "LiftoutError";
}
export class UsageError extends LiftoutError {
  override name = "UsageError";
}
export class InputError extends LiftoutError {
  override name = "InputError";
}
export class ImageUnreadable extends InputError {
  override name = "ImageUnreadable";
}
export class ImageAnimated extends InputError {
  override name = "ImageAnimated";
}
export class ImageTooLarge extends InputError {
  override name = "ImageTooLarge";
}
export class ModelUnavailable extends LiftoutError {
  override name = "ModelUnavailable";
}
export class ModelMissing extends ModelUnavailable {
  override name = "ModelMissing";
}
export class ModelFileCorrupt extends ModelUnavailable {
  override name = "ModelFileCorrupt";
}
export class LicenseNotAccepted extends ModelUnavailable {
  override name = "LicenseNotAccepted";
}
export class EngineError extends LiftoutError {
  override name = "EngineError";
}
export class NetworkRejected extends EngineError {
  override name = "NetworkRejected";
}
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
