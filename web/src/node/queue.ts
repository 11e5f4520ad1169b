/** Photos one after the other, in this process: Node has no page that must stay free. */
import { fromPlain, LiftoutError, toPlain, UsageError } from "../errors.js";
import { Pipeline } from "../pipeline.js";
import type { OnProgress } from "../progress.js";
import type { ModelFacts, Setup, Work, WorkResult } from "../protocol.js";

/** Photos that may be in memory at one time. */
export const MOST_IN_WORKER = 4;

const CLOSED = new UsageError("this lifter was closed");

export class JobQueue {
  #pipeline: Promise<Pipeline> | null = null;
  #facts: ModelFacts | null = null;
  #closed = false;

  constructor(
    private setup: Setup,
    private onWarning: (text: string) => void,
  ) {}

  get closed(): boolean {
    return this.#closed;
  }

  get facts(): ModelFacts | null {
    return this.#facts;
  }

  async load(onProgress: OnProgress | undefined): Promise<void> {
    this.#pipeline ??= Pipeline.load({ ...this.setup, checkMemory: false }, onProgress ?? (() => undefined), this.onWarning);
    try {
      this.#facts = (await this.#pipeline).facts;
    } catch (error) {
      this.#pipeline = null; // the next try loads again
      throw known(error);
    }
  }

  /** A run goes on to its end, but its result is not waited for after the signal aborts. */
  async add<Result extends WorkResult>(work: Work, onProgress: OnProgress = () => undefined, signal: AbortSignal | undefined): Promise<Result> {
    await this.load(onProgress);
    if (this.#closed) throw CLOSED;
    const pipeline = await this.#pipeline!;
    const done = pipeline.run(work, onProgress) as Promise<Result>;
    done.catch(() => undefined);
    const aborted = new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
    return Promise.race([done, aborted]).catch((error: unknown) => {
      throw signal?.aborted ? signal.reason : known(error);
    });
  }

  close(): void {
    this.#closed = true;
    this.#pipeline = null;
  }
}

function known(error: unknown): unknown {
  return error instanceof LiftoutError ? error : fromPlain(toPlain(error));
}
