/** Whether a model can fit into memory, asked before a byte of it is downloaded. */
import { OutOfMemory } from "./errors.js";

/** wasm32 addresses 4 GiB, and the runtime needs some of it. */
const WASM_LIMIT = 4 * 2 ** 30;
const PAGE = 65536;

export interface MemoryNeed {
  model: string;
  /** Peak of one run in bytes, weights included; null where it is not known. */
  peakBytes: number | null;
  /** A smaller model; empty where none is known. */
  alternative: string;
}

/**
 * Throws OutOfMemory where the device certainly cannot hold the model. Returns a warning where it may not, or where the browser
 * does not say: not knowing is no reason to refuse.
 */
export function checkMemory(need: MemoryNeed): string | null {
  if (need.peakBytes === null) return null;
  const needs = `${need.model} needs ${megabytes(need.peakBytes)} of memory`;
  if (need.peakBytes > WASM_LIMIT) {
    throw new OutOfMemory(`${needs}, but a browser tab can use at most 4096 MB; ${instead(need)}`);
  }
  if (!reservable(need.peakBytes)) {
    throw new OutOfMemory(`${needs}, more than this browser can provide; ${instead(need)}`);
  }
  const gibibytes = (navigator as { deviceMemory?: number }).deviceMemory;
  if (gibibytes === undefined) {
    return need.peakBytes > 2 ** 30
      ? `${needs}; this browser does not say how much this device has`
      : null;
  }
  const device = gibibytes * 2 ** 30; // rounded to a power of two by the browser
  if (need.peakBytes > device) {
    throw new OutOfMemory(`${needs}, but this device has about ${megabytes(device)}; ${instead(need)}`);
  }
  return need.peakBytes > device / 2
    ? `${needs}, and this device has about ${megabytes(device)}; close other programs if it fails`
    : null;
}

/** Whether a model may fit, as far as is known. peakBytes: as in `MemoryNeed`. */
export function fits(peakBytes: number | null): boolean {
  try {
    checkMemory({ model: "", peakBytes, alternative: "" });
    return true;
  } catch {
    return false;
  }
}

/** The error for a model that ran out of memory after all. */
export function outOfMemory(need: MemoryNeed, act: string, heapBytes: number): OutOfMemory {
  const facts = [
    ...(need.peakBytes === null ? [] : [`it needs about ${megabytes(need.peakBytes)}`]),
    ...(heapBytes ? [`it had used ${megabytes(heapBytes)}`] : []),
  ];
  const details = facts.length ? `: ${facts.join(", ")}` : "";
  return new OutOfMemory(`${need.model}: not enough memory to ${act} it${details}; ${instead(need)}`);
}

/** Whether what a runtime threw means that memory ran out; old runtimes throw the address of a C++ exception for it. */
export function meansOutOfMemory(error: unknown): boolean {
  if (typeof error === "number") return true;
  const text = error instanceof Error ? `${error.name} ${error.message}` : String(error);
  return /bad_alloc|out of memory|OOM|allocation failed|shape is too large|Failed to allocate|could not allocate|Aborted\(\)|^\d+$|Maximum memory/i.test(
    text,
  );
}

function instead(need: MemoryNeed): string {
  return need.alternative ? `choose ${need.alternative}` : "choose a smaller model or size, or close other tabs";
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`;
}

/** Address space only: pages that are never touched cost nothing. */
function reservable(bytes: number): boolean {
  try {
    const pages = Math.ceil(bytes / PAGE);
    return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer.byteLength >= bytes;
  } catch {
    return false;
  }
}
