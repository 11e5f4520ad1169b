/** What a page can show while a call runs. */

/** `download` and `load` belong to the model, the others to a photo. */
export type Phase = "download" | "load" | "decode" | "prepare" | "network" | "finish" | "encode";

/** How far a call is. */
export interface Progress {
  phase: Phase;
  /** Bytes while downloading, steps otherwise. */
  loaded: number;
  total: number;
  /** Over the last seconds; null before there is a rate, and outside of downloads. */
  bytesPerSecond: number | null;
  /** Of the download; null where it cannot be told. */
  secondsLeft: number | null;
}

export type OnProgress = (progress: Progress) => void;

const WINDOW_MS = 3000;
const INTERVAL_MS = 100;

/** Counts bytes of a download and reports at most ten times a second, and once at its end. */
export class DownloadMeter {
  #loaded = 0;
  #reported = 0;
  #samples: { at: number; bytes: number }[] = [];

  constructor(
    private total: number,
    private onProgress: OnProgress,
  ) {}

  /** More bytes than known before: a file whose size no manifest says. */
  grow(bytes: number): void {
    this.total += bytes;
  }

  /** Bytes that were here already: they count, but not for the rate. */
  have(bytes: number): void {
    this.#loaded += bytes;
    this.#report(performance.now());
  }

  /** Bytes that arrived; negative where a damaged block is downloaded again. */
  add(bytes: number): void {
    const now = performance.now();
    this.#loaded += bytes;
    this.#samples.push({ at: now, bytes });
    while (this.#samples.length > 2 && now - this.#samples[0]!.at > WINDOW_MS) this.#samples.shift();
    this.#report(now);
  }

  #report(now: number): void {
    if (this.#loaded < this.total && now - this.#reported < INTERVAL_MS) return;
    this.#reported = now;
    const first = this.#samples[0];
    const elapsed = first ? (now - first.at) / 1000 : 0;
    const rate = first && elapsed > 0.05 ? this.#samples.slice(1).reduce((sum, s) => sum + s.bytes, 0) / elapsed : null;
    const left = this.total - this.#loaded;
    this.onProgress({
      phase: "download",
      loaded: this.#loaded,
      total: this.total,
      bytesPerSecond: rate === null ? null : Math.max(0, Math.round(rate)),
      secondsLeft: left <= 0 ? 0 : rate !== null && rate > 0 ? left / rate : null,
    });
  }
}

/** A step outside of downloads. */
export function step(phase: Phase, loaded: number, total: number): Progress {
  return { phase, loaded, total, bytesPerSecond: null, secondsLeft: null };
}
