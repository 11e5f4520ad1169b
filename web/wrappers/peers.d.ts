// the little that the wrappers use of packages that only their users have
declare module "react" {
  export function useEffect(effect: () => void | (() => void), dependencies?: unknown[]): void;
  export function useState<T>(initial: T): [T, (value: T) => void];
}
declare module "vue" {
  export function shallowRef<T>(value: T): { value: T };
  export function toValue<T>(source: T | { readonly value: T } | (() => T)): T;
  export function watchEffect(effect: (onCleanup: (clean: () => void) => void) => void): void;
}
