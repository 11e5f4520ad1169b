/** Photos that wait for the worker or are in it, in their order; each can be cancelled alone. */
import { CLOSED, WorkerConnection } from "./connection.js";
import { UsageError, type LiftoutError } from "./errors.js";
import type { OnProgress } from "./progress.js";
import type { ModelFacts, Setup, Work, WorkResult } from "./protocol.js";

interface Job {
  work: Work;
  onProgress: OnProgress | undefined;
  resolve(result: WorkResult): void;
  reject(reason: unknown): void;
}

/** Photos in the worker at one time: one in the network, the next ones decoded meanwhile. */
export const MOST_IN_WORKER = 4;

export class JobQueue {
  #connection: WorkerConnection;
  #waiting: Job[] = [];
  #running = new Map<number, Job>();
  #lastId = 0;
  #closed = false;

  constructor(setup: Setup, onWarning: (text: string) => void) {
    if (typeof Worker === "undefined") throw new UsageError("liftout.js needs a browser's workers; in Node, import the package `liftout`, whose entry for Node is dist/node.js");
    this.#connection = new WorkerConnection(setup, {
      onWarning,
      onProgress: (id, progress) => this.#running.get(id)?.onProgress?.(progress),
      onDone: (id, result) => {
        this.#take(id)?.resolve(result);
        this.#advance();
      },
      onFailed: (id, error, ended) => {
        this.#take(id)?.reject(error);
        if (ended) this.#putBack();
        this.#advance();
      },
      onRestart: () => {
        this.#putBack();
        this.#advance();
      },
      onCrash: (error) => this.#failAll(error),
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What the worker told of the model; null before the first load. */
  get facts(): ModelFacts | null {
    return this.#connection.facts;
  }

  load(onProgress: OnProgress | undefined): Promise<void> {
    return this.#connection.load(onProgress);
  }

  /** Do the work when its turn comes; its act says what comes of it. Rejects with the signal's reason where that aborts, at any moment. */
  add<Result extends WorkResult>(work: Work, onProgress: OnProgress | undefined, signal: AbortSignal | undefined): Promise<Result> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        job.reject(signal!.reason);
        this.#cancel(job);
      };
      const job: Job = {
        work,
        onProgress,
        resolve(result) {
          signal?.removeEventListener("abort", abort);
          resolve(result as Result);
        },
        reject(reason) {
          signal?.removeEventListener("abort", abort);
          reject(reason);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(job);
      this.#advance();
    });
  }

  /** End the worker and refuse what waits. */
  close(): void {
    this.#closed = true;
    this.#connection.end();
    this.#failAll(CLOSED);
  }

  /** Hand waiting photos to the worker, which is started where there is none. */
  #advance(): void {
    if (this.#closed || !this.#waiting.length) return;
    if (!this.#connection.ready) {
      this.#connection.load(this.#waiting[0]!.onProgress).then(
        () => this.#advance(),
        (error) => {
          if (error !== CLOSED) for (const job of this.#waiting.splice(0)) job.reject(error);
        },
      );
      return;
    }
    while (this.#waiting.length && this.#running.size < MOST_IN_WORKER) {
      const job = this.#waiting.shift()!;
      const id = ++this.#lastId;
      this.#running.set(id, job);
      this.#connection.post({ id, ...job.work });
    }
  }

  /** A run cannot be stopped but by ending its worker; the photos beside it go to the next one. */
  #cancel(job: Job): void {
    const at = this.#waiting.indexOf(job);
    if (at >= 0) this.#waiting.splice(at, 1);
    const id = [...this.#running].find(([, running]) => running === job)?.[0];
    if (id !== undefined) {
      this.#running.delete(id);
      this.#connection.end();
      this.#putBack();
    } else if (!this.#connection.ready && !this.#waiting.length) {
      this.#connection.end(); // nobody waits for this load any more
    }
    this.#advance();
  }

  #take(id: number): Job | undefined {
    const job = this.#running.get(id);
    this.#running.delete(id);
    return job;
  }

  /** What was in a worker that has ended waits again, in its order. */
  #putBack(): void {
    this.#waiting.unshift(...this.#running.values());
    this.#running.clear();
  }

  #failAll(error: LiftoutError): void {
    this.#putBack();
    for (const job of this.#waiting.splice(0)) job.reject(error);
  }
}
