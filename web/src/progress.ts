/** What a page can show while it waits. */

export type Phase = "download" | "load" | "decode" | "prepare" | "network" | "finish" | "encode";

export interface Progress {
  phase: Phase;
  /** Bytes while downloading, steps otherwise. */
  loaded: number;
  total: number;
  /** Of the last seconds; null before there is a rate, and outside of downloads. */
  bytesPerSecond: number | null;
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
    private report: OnProgress,
  ) {}

  /** More bytes than thought: a file whose size no manifest told. */
  grow(bytes: number): void {
    this.total += bytes;
  }

  /** Bytes that were here already: they count, but not towards the rate. */
  have(bytes: number): void {
    this.#loaded += bytes;
    this.#tell(performance.now());
  }

  /** Bytes that arrived; negative where a damaged block is fetched again. */
  add(bytes: number): void {
    const now = performance.now();
    this.#loaded += bytes;
    this.#samples.push({ at: now, bytes });
    while (this.#samples.length > 2 && now - this.#samples[0]!.at > WINDOW_MS) this.#samples.shift();
    this.#tell(now);
  }

  #tell(now: number): void {
    if (this.#loaded < this.total && now - this.#reported < INTERVAL_MS) return;
    this.#reported = now;
    const first = this.#samples[0];
    const elapsed = first ? (now - first.at) / 1000 : 0;
    const rate = first && elapsed > 0.05 ? this.#samples.slice(1).reduce((sum, s) => sum + s.bytes, 0) / elapsed : null;
    const left = this.total - this.#loaded;
    this.report({
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
