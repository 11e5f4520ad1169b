/** What the wrappers for React and Vue tell of a cutout. */
import { removeBackground, type OneCallOptions, type Photo } from "./liftout.js";

export interface CutoutState {
  /** Object URL of the image, for `src`; null until it is there. It lives as long as the photo is shown. */
  url: string | null;
  blob: Blob | null;
  error: Error | null;
  busy: boolean;
}

export const EMPTY: CutoutState = { url: null, blob: null, error: null, busy: false };

/** Cut out a photo and tell of it; returns what ends it and frees the image. */
export function follow(photo: Photo | null | undefined, options: OneCallOptions, tell: (state: CutoutState) => void): () => void {
  if (!photo) {
    tell(EMPTY);
    return () => undefined;
  }
  const abort = new AbortController();
  let url: string | null = null;
  tell({ ...EMPTY, busy: true });
  removeBackground(photo, { ...options, signal: abort.signal }).then(
    (blob) => {
      if (!abort.signal.aborted) tell({ url: (url = URL.createObjectURL(blob)), blob, error: null, busy: false });
    },
    (error: Error) => {
      if (!abort.signal.aborted) tell({ ...EMPTY, error });
    },
  );
  return () => {
    abort.abort();
    if (url) URL.revokeObjectURL(url);
  };
}
