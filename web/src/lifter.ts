/** Lifter: a loaded model in a worker of its own, ready for any number of photos. */
import type { Subject } from "./compose/separate.js";
import { UsageError, type LiftoutError } from "./errors.js";
import { inputOf, type Photo } from "./images/sources.js";
import { dropAll, dropPack, keptModels, type KeptModels } from "./kept-models.js";
import { completeOptions, type Edges, type ResultOptions } from "./options.js";
import { isAsked, type Asked } from "./pointing/prompts.js";
import type { OnProgress, Progress } from "./progress.js";
import type { AlphaInput, AlphaResult, CutResult, ModelFacts, SubjectsResult } from "./protocol.js";
import { JobQueue, MOST_IN_WORKER } from "./queue.js";
import type { EngineChoice } from "./engine.js";
import { manifestUrl, setupOf, type EngineOptions, type OnnxSource, type Places } from "./setup.js";
import type { ModelSpec } from "./spec.js";

/** Options of `Lifter.load`. */
export interface LoadOptions extends Places, EngineOptions {
  onProgress?: OnProgress;
  /** Cancels the load. */
  signal?: AbortSignal;
  /** Told of each thing that is not as it should be but stops nothing; `lifter.warnings` holds the same texts. */
  onWarning?: (text: string) => void;
  /** A small model that answers first; see `onPreview` of `cut`. */
  preview?: string | OnnxSource;
}

/** Options of `cut`. Points and a box say what the subject is. */
export interface CutOptions extends ResultOptions, Asked {
  /** The alpha that points correct; without it `keep` and `box` select, and `drop` alone corrects what the model finds. */
  start?: AlphaInput | null;
  onProgress?: OnProgress;
  /** Cancels this photo at any moment; others go on. */
  signal?: AbortSignal;
  /** Given the preview model's cutout before the chosen model begins. */
  onPreview?: (preview: Cutout) => void;
}

/** Options of `compose`. */
export interface ComposeOptions extends Omit<CutOptions, "onPreview" | "start" | keyof Asked> {
  /** One of the alpha's `subjects`: the image shows it alone. */
  part?: Subject | null;
}

/** Options of `cutAll`. */
export interface CutAllOptions extends Omit<CutOptions, "onProgress" | "onPreview"> {
  /** Photos in memory at the same time, 1 to 4; 2 by default. The network runs on one at a time. */
  concurrency?: number;
  onProgress?: (index: number, progress: Progress) => void;
}

/** A photo's cutout: the image file, the alpha and what is known of them. */
export type Cutout = CutResult;

/** What became of the photo at `index` of those that `cutAll` was given. */
export type Outcome = { ok: true; index: number; cutout: Cutout } | { ok: false; index: number; error: LiftoutError };

let lastKey = 0; // of photos that were pointed at

/** A loaded model. Photos are cut one after the other; the page stays responsive, as all work is in a worker. */
export class Lifter {
  /** Texts about what is not as it should be but stops nothing. */
  readonly warnings: string[] = [];
  #queue: JobQueue;
  #preview: Lifter | null = null;
  #keys = new WeakMap<object, number>();

  private constructor(model: string | OnnxSource, options: LoadOptions) {
    this.#queue = new JobQueue(setupOf(model, options), (text) => {
      this.warnings.push(text);
      options.onWarning?.(text);
    });
  }

  /**
   * Load a model: the name of a pack, or a plain ONNX file.
   *
   *     const lifter = await Lifter.load("pocket", { packs: "/packs/", onProgress });
   *     const { blob } = await lifter.cut(file);
   *
   * Throws UsageError, ModelMissing, ModelFileCorrupt, LicenseNotAccepted, NetworkRejected, OutOfMemory, or the signal's reason.
   */
  static async load(model: string | OnnxSource, options: LoadOptions = {}): Promise<Lifter> {
    const { signal, onProgress, preview, ...rest } = options;
    signal?.throwIfAborted();
    const lifter = new Lifter(model, rest);
    const stop = (): void => lifter.close();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      if (preview !== undefined) lifter.#preview = await Lifter.load(preview, { ...rest, ...(signal && { signal }) });
      await lifter.#queue.load(onProgress);
    } catch (error) {
      lifter.close();
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
    return lifter;
  }

  /** What this browser keeps for later visits: files by their URL, packs that are whole, and bytes in all. */
  static kept(): Promise<KeptModels> {
    return keptModels();
  }

  /** Delete one pack from what is kept, or everything. Blocks that another pack shares stay. */
  static evict(name?: string, places: Places = {}): Promise<void> {
    return name === undefined ? dropAll() : dropPack(manifestUrl(name, places));
  }

  /** What is known about the model. */
  get model(): ModelSpec {
    return this.#facts.model;
  }

  /** What runs the network, with how many threads, and why. */
  get engine(): EngineChoice {
    return this.#facts.engine;
  }

  /** fp32, fp16 or int8. */
  get precision(): string {
    return this.#facts.precision;
  }

  /** Peak memory of one run in bytes, estimated; null where it is not known. */
  get peakBytes(): number | null {
    return this.#facts.peakBytes;
  }

  /**
   * Cut out one photo.
   *
   * Throws UsageError, InputError (unreadable, animated, too large), EngineError, or the signal's reason. After a cancelled call,
   * or one that ran out of memory, the next call works: it loads the model again from what is kept.
   */
  async cut(photo: Photo, options: CutOptions = {}): Promise<Cutout> {
    const { onProgress, signal, onPreview, keep, drop, box, start = null, ...rest } = options;
    const complete = completeOptions(rest);
    this.#refuseClosed();
    signal?.throwIfAborted();
    const asked = { keep, drop, box, start };
    const prompts = isAsked(asked) || start ? asked : null;
    const work = { act: "cut", photo: await inputOf(photo), prompts, options: complete } as const;
    signal?.throwIfAborted();
    if (onPreview && this.#preview) onPreview(await this.#preview.cut(photo, { ...rest, ...(signal && { signal }) }));
    return this.#queue.add(work, onProgress, signal);
  }

  /**
   * The alpha alone that points and a box ask for. The last photo stays decoded and seen, so that the next call with the same object
   * costs as much as a click may.
   *
   *     const { alpha } = await lifter.point(file, { start: cutout.alpha, keep: [[300, 200]] });
   *
   * Throws what `cut` throws, and UsageError where points, box or start do not fit the photo.
   */
  async point(photo: Photo, prompts: Asked & { start?: AlphaInput | null; edges?: Edges; signal?: AbortSignal }): Promise<AlphaResult> {
    const { keep, drop, box, start = null, edges, signal } = prompts;
    const options = completeOptions(edges ? { edges } : {});
    this.#refuseClosed();
    signal?.throwIfAborted();
    const work = { act: "point", photo: await inputOf(photo), key: this.#keyOf(photo), prompts: { keep, drop, box, start }, options } as const;
    signal?.throwIfAborted();
    return this.#queue.add(work, undefined, signal);
  }

  /**
   * The subjects of a photo whose alpha is known, the largest first; together they are that alpha. Those that touch are told apart by
   * the network that reads points. With `part`, `compose` makes the image of one of them.
   *
   *     for (const part of await lifter.subjects(file, cutout.alpha)) {
   *       const { blob } = await lifter.compose(file, cutout.alpha, { part });
   *     }
   *
   * alpha: as for `compose`. Throws what `compose` throws.
   */
  async subjects(photo: Photo, alpha: AlphaInput, { signal }: { signal?: AbortSignal } = {}): Promise<Subject[]> {
    this.#refuseClosed();
    signal?.throwIfAborted();
    const work = { act: "subjects", photo: await inputOf(photo), key: this.#keyOf(photo), alpha, options: completeOptions({}) } as const;
    signal?.throwIfAborted();
    return (await this.#queue.add<SubjectsResult>(work, undefined, signal)).subjects;
  }

  /**
   * The image of a photo whose alpha is known: that of an earlier cut, perhaps edited. No network runs.
   *
   * alpha: uint8 [height, width] of the whole photo, as values or in a Blob, or a cutout as a PNG file of the photo's size.
   * Throws what `cut` throws, and UsageError where the sizes differ.
   */
  async compose(photo: Photo, alpha: AlphaInput, options: ComposeOptions = {}): Promise<Cutout> {
    const { onProgress, signal, part = null, ...rest } = options;
    const complete = completeOptions(rest);
    this.#refuseClosed();
    signal?.throwIfAborted();
    const work = { act: "compose", photo: await inputOf(photo), alpha, part, options: complete } as const;
    signal?.throwIfAborted();
    return this.#queue.add(work, onProgress, signal);
  }

  /**
   * Cut out several photos. Yields outcomes in their order, each with a cutout or with an error of its own.
   *
   * Throws UsageError for options that are wrong, or the signal's reason.
   */
  async *cutAll(photos: Iterable<Photo>, options: CutAllOptions = {}): AsyncGenerator<Outcome> {
    const { concurrency = 2, onProgress, ...rest } = options;
    if (!(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= MOST_IN_WORKER)) {
      throw new UsageError(`concurrency is ${concurrency}; it must be from 1 to ${MOST_IN_WORKER}`);
    }
    const ahead: Promise<Outcome>[] = [];
    let count = 0;
    for (const photo of photos) {
      if (ahead.length === concurrency) yield await ahead.shift()!;
      rest.signal?.throwIfAborted();
      const index = count++;
      const outcome = this.cut(photo, { ...rest, ...(onProgress && { onProgress: (p) => onProgress(index, p) }) }).then(
        (cutout): Outcome => ({ ok: true, index, cutout }),
        (error): Outcome => {
          if (rest.signal?.aborted) throw rest.signal.reason;
          return { ok: false, index, error };
        },
      );
      outcome.catch(() => undefined); // it is reported when its turn comes
      ahead.push(outcome);
    }
    for (const outcome of ahead) yield await outcome;
  }

  /** End the worker: all of its memory returns. Calls that still wait are refused with a UsageError. */
  close(): void {
    this.#preview?.close();
    this.#queue.close();
  }

  /** The same for the same photo, so that it stays decoded and seen. */
  #keyOf(photo: Photo): number {
    if (typeof photo !== "object") return ++lastKey;
    const key = this.#keys.get(photo) ?? ++lastKey;
    this.#keys.set(photo, key);
    return key;
  }

  get #facts(): ModelFacts {
    if (!this.#queue.facts) throw new UsageError("this lifter is not loaded");
    return this.#queue.facts;
  }

  #refuseClosed(): void {
    if (this.#queue.closed) throw new UsageError("this lifter is closed; load another");
  }
}
