/** The worker of one lifter: started when there is work, ended for its memory, started again with the next work. */
import { fromPlain, ModelMissing, OutOfMemory, UsageError, type LiftoutError } from "./errors.js";
import type { OnProgress, Progress } from "./progress.js";
import { LOAD, type ModelFacts, type Reply, type Request, type Setup, type WorkResult } from "./protocol.js";
import { startWorker, workerUrl } from "./start-worker.js";

/** What a load rejects with that was ended on purpose. */
export const CLOSED = new UsageError("this lifter was closed");

/** Told what the worker says of photos; a photo is named by the id of its request. */
export interface WorkerEvents {
  onProgress(id: number, progress: Progress): void;
  onDone(id: number, result: WorkResult): void;
  /** ended: whether the worker has been ended over it; other photos that it had must be sent again. */
  onFailed(id: number, error: LiftoutError, ended: boolean): void;
  /** The worker ended before it finished what it had: it is to be sent again. */
  onRestart(): void;
  /** The worker ended by itself. */
  onCrash(error: LiftoutError): void;
  onWarning(text: string): void;
}

interface Load {
  done: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
  onProgress: OnProgress | undefined;
}

export class WorkerConnection {
  /** Whether the present worker has loaded the model. */
  ready = false;
  /** What the last worker told of the model; it stays when that worker ends. */
  facts: ModelFacts | null = null;
  #setup: Setup;
  #events: WorkerEvents;
  #worker: Worker | null = null;
  #load: Load | null = null;

  constructor(setup: Setup, events: WorkerEvents) {
    this.#setup = setup;
    this.#events = events;
  }

  /** Start a worker and load the model, unless one is loading or has loaded it. Throws what `Lifter.load` throws, or CLOSED. */
  load(onProgress: OnProgress | undefined): Promise<void> {
    if (this.#load) {
      this.#load.onProgress = onProgress;
      return this.#load.done;
    }
    const load = { onProgress } as Load;
    load.done = new Promise((resolve, reject) => Object.assign(load, { resolve, reject }));
    this.#load = load;
    this.#start();
    return load.done;
  }

  /** Give the worker a photo. The model must be loaded. */
  post(request: Request): void {
    this.#worker!.postMessage(request);
  }

  /** End the worker: all of its memory returns. A load that is under way rejects with CLOSED. */
  end(): void {
    this.#stop();
    this.#load?.reject(CLOSED);
    this.#load = null;
  }

  #stop(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.ready = false;
  }

  #start(): void {
    const worker = startWorker(this.#setup.base, "liftout");
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (worker !== this.#worker) return;
      if (data.id === LOAD) this.#onLoadReply(data);
      else this.#onPhotoReply(data);
    };
    worker.onerror = (event) => {
      if (worker !== this.#worker) return;
      event.preventDefault();
      // a script that could not be fetched has no message
      const error = event.message ? crashed(this.#setup, event.message) : notStarted(this.#setup);
      this.#fail(error);
      this.#events.onCrash(error);
    };
    this.post({ id: LOAD, act: "load", setup: this.#setup });
  }

  #onLoadReply(reply: Reply): void {
    switch (reply.act) {
      case "progress":
        return this.#load?.onProgress?.(reply.progress);
      case "warning":
        return this.#events.onWarning(reply.text);
      case "loaded":
        this.facts = reply.facts;
        this.ready = true;
        return this.#load?.resolve();
      case "failed":
        return this.#fail(fromPlain(reply.error));
      case "gpu-failed":
        this.#stop();
        this.#doWithoutGpu(reply.reason);
        this.#start();
    }
  }

  #onPhotoReply(reply: Reply): void {
    switch (reply.act) {
      case "progress":
        return this.#events.onProgress(reply.id, reply.progress);
      case "done":
        return this.#events.onDone(reply.id, reply.result);
      case "failed":
        if (reply.endWorker) this.end();
        return this.#events.onFailed(reply.id, fromPlain(reply.error), reply.endWorker);
      case "gpu-failed":
        this.end();
        this.#doWithoutGpu(reply.reason);
        this.#events.onRestart();
    }
  }

  #doWithoutGpu(reason: string): void {
    this.#setup = { ...this.#setup, engine: "wasm", engineNote: `WebGPU failed (${reason})` };
  }

  #fail(error: LiftoutError): void {
    const load = this.#load;
    this.#load = null;
    this.#stop();
    load?.reject(error);
  }
}

function notStarted(setup: Setup): LiftoutError {
  const url = workerUrl(setup.base);
  if (navigator.onLine === false) {
    return new ModelMissing(`${nameOf(setup)}: this device is offline and ${url} cannot be downloaded; go online once`);
  }
  return new UsageError(`the worker ${url} cannot be started; copy all files of liftout beside liftout.js, or give \`base\``);
}

function crashed(setup: Setup, message: string): LiftoutError {
  return new OutOfMemory(`${nameOf(setup)}: the worker crashed (${message}), probably for lack of memory; choose a smaller model`);
}

function nameOf({ source }: Setup): string {
  return source.kind === "pack" ? source.name : source.onnx;
}
