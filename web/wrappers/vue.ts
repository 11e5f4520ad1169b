/**
 * A composable for Vue: `const cutout = useCutout(() => props.file)`; `cutout.value` has `url`, `error` and `busy`.
 *
 * photo: what `removeBackground` takes, or null for none; a ref or a getter of it is followed. options: as for `removeBackground`.
 */
import { shallowRef, toValue, watchEffect } from "vue";
import { EMPTY, follow, type CutoutState } from "./cutout-state.js";
import type { OneCallOptions, Photo } from "./liftout.js";

export type { CutoutState };

type Source<T> = T | { readonly value: T } | (() => T);

export function useCutout(photo: Source<Photo | null | undefined>, options: Source<OneCallOptions> = {}): { readonly value: CutoutState } {
  const state = shallowRef<CutoutState>(EMPTY);
  watchEffect((onCleanup) => {
    onCleanup(follow(toValue(photo), toValue(options), (now) => (state.value = now)));
  });
  return state;
}
