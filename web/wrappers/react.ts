/**
 * A hook for React: `const { url, error, busy } = useCutout(file)`.
 *
 * photo: what `removeBackground` takes, or null for none. options: as for `removeBackground`; another object with the same values
 * cuts nothing anew.
 */
import { useEffect, useState } from "react";
import { EMPTY, follow, type CutoutState } from "./cutout-state.js";
import type { OneCallOptions, Photo } from "./liftout.js";

export type { CutoutState };

export function useCutout(photo: Photo | null | undefined, options: OneCallOptions = {}): CutoutState {
  const [state, tell] = useState<CutoutState>(EMPTY);
  useEffect(() => follow(photo, options, tell), [photo, JSON.stringify(options), options.background]); // a File has no JSON
  return state;
}
