/** Lifter: a loaded model in a worker of its own, ready for any number of photos. */
import type { Box } from "./compose/subjects.js";
import { fromPlain, ModelMissing, OutOfMemory, UsageError, type LiftoutError } from "./errors.js";
import type { Given } from "./images/photo.js";
import type { Source } from "./model.js";
import { completeOptions, type Result, type ResultOptions } from "./options.js";
import type { OnProgress } from "./progress.js";
import type { CutResult, GivenAlpha, Loaded, Reply, Request, Seconds, Setup } from "./protocol.js";
import type { EngineChoice, EngineName } from "./runtime.js";
import type { ModelSpec, SpecEntry } from "./spec.js";
import { startWorker, workerAddress } from "./start-worker.js";
import * as store from "./store.js";

/** A plain ONNX file, with the catalogue entry (or its name) that says what goes in and comes out. */
export interface OnnxSource {
  onnx: string | URL;
  like: string | SpecEntry;
  /** External data of the file, where it has any. */
  data?: string | URL;
  /** Checked where given. */
  sha256?: string;
}

export interface LoadOptions {
  /** Address of the folder that holds the packs; `packs/` beside liftout.js by default. */
  packs?: string | URL;
  /** Address of the folder that holds liftout-worker.js, `ort/` and `graphs/`; that of liftout.js by default. */
  base?: string | URL;
  onProgress?: OnProgress;
  signal?: AbortSignal;
  /** Told what goes on although something is not as it should be; `lifter.warnings` holds the same texts. */
  onWarning?: (text: string) => void;
  /** Consent to a licence that does not allow commercial use. */
  acceptLicense?: boolean;
  /** `auto` takes WebGPU where the device and the network suit it, else WASM. */
  engine?: EngineName;
  /** Of WASM; as many as the page's isolation and the processor allow by default. */
  threads?: number;
  /** false: try also where the model should not fit into memory. */
  checkMemory?: boolean;
  /** A small model that answers first; see `onPreview` of `cut`. */
  preview?: string | OnnxSource;
}

export interface CutOptions extends ResultOptions {
  onProgress?: OnProgress;
  signal?: AbortSignal;
  /** Given the preview model's cutout, before the chosen model begins. */
  onPreview?: (preview: Cutout) => void;
}

export interface CutAllOptions extends Omit<CutOptions, "onProgress" | "onPreview"> {
  /** Photos that are in memory at the same time, 1 to 4. The network runs on one at a time. */
  concurrency?: number;
  onProgress?: (index: number, progress: Parameters<OnProgress>[0]) => void;
}

export interface Cutout {
  /** The picture file. */
  blob: Blob;
  /** Opacity of the subject, uint8 [height, width], row by row. */
  alpha: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  /** Where the subject is in the picture, in pixels, right and bottom exclusive; null without a subject. Specks do not widen it. */
  box: Box | null;
  /** Seconds that each step took. */
  seconds: Seconds;
  /** Size of the WebAssembly heap afterwards; it never shrinks while the lifter lives. */
  heapBytes: number;
}

/** A pack that is kept whole for later visits. */
export interface KeptPack {
  name: string;
  /** Address of its manifest. */
  url: string;
  bytes: number;
}

/** A photo: a file, encoded bytes, or straight RGBA pixels. */
export type Photo = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | ImageData;

export type Outcome = { ok: true; index: number; cutout: Cutout } | { ok: false; index: number; error: LiftoutError };

interface Job {
  given: Given;
  alpha: GivenAlpha | null;
  options: Result;
  onProgress: OnProgress | undefined;
  resolve: (result: CutResult) => void;
  reject: (reason: unknown) => void;
}

const IN_FLIGHT = 4;
const HERE = import.meta.url;

/** What a load rejects with that was ended on purpose. */
const ENDED = new UsageError("this lifter was closed");

export class Lifter {
  #setup: Setup;
  #worker: Worker | null = null;
  #loading: Promise<void> | null = null;
  /** Whether the present worker has loaded the model. */
  #ready = false;
  /** What the last worker told; it stays when that worker ends. */
  #loaded: Loaded | null = null;
  #waiting: Job[] = [];
  #running = new Map<number, Job>();
  #next = 0;
  #closed = false;
  #preview: Lifter | null = null;
  #onLoadProgress: OnProgress | undefined;
  #onLoadEnd: ((error: unknown) => void) | null = null;
  #onWarning: ((text: string) => void) | undefined;

  /** Texts about what goes on although something is not as it should be. */
  readonly warnings: string[] = [];

  private constructor(setup: Setup, options: LoadOptions) {
    this.#setup = setup;
    this.#onWarning = options.onWarning;
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
    const { signal, onProgress, preview } = options;
    signal?.throwIfAborted();
    const lifter = new Lifter(setupOf(model, options), options);
    const stop = (): void => lifter.close();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      if (preview !== undefined) {
        lifter.#preview = await Lifter.load(preview, { ...options, preview: undefined as never, onProgress: undefined as never });
      }
      lifter.#onLoadProgress = onProgress;
      await lifter.#load();
    } catch (error) {
      lifter.close();
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", stop);
      lifter.#onLoadProgress = undefined;
    }
    return lifter;
  }

  /** What is kept for later visits: files by their address, the packs that are whole, and bytes in all. */
  static async kept(): Promise<{ files: string[]; packs: KeptPack[]; bytes: number }> {
    const [{ files, blocks }, estimate] = await Promise.all([store.kept(), navigator.storage?.estimate?.()]);
    const held = new Set(blocks);
    const packs: KeptPack[] = [];
    for (const url of files.filter(isManifest)) {
      const { files: parts } = await manifestOf(url);
      if (!parts.every((part) => part.blocks.every((block) => held.has(block)))) continue;
      const name = decodeURIComponent(new URL(".", url).pathname.split("/").at(-2)!);
      packs.push({ name, url, bytes: parts.reduce((sum, part) => sum + part.bytes, 0) });
    }
    return { files, packs, bytes: estimate?.usage ?? 0 };
  }

  /** Give the storage of one pack back, or of everything that liftout kept. Blocks that another pack shares stay. */
  static async evict(name?: string, options: Pick<LoadOptions, "packs" | "base"> = {}): Promise<void> {
    if (name === undefined) return store.dropAll();
    const url = new URL(`${encodeURIComponent(name)}/manifest.json`, packsOf(options)).href;
    const gone = await blocksOf(url);
    await store.dropFile(url);
    const { files } = await store.kept();
    const shared = new Set((await Promise.all(files.filter(isManifest).map(blocksOf))).flat());
    await Promise.all(gone.filter((block) => !shared.has(block)).map(store.dropBlock));
  }

  /** What is known about the model. */
  get model(): ModelSpec {
    return this.#facts().model;
  }

  /** What runs the network, with how many threads, and why. */
  get engine(): EngineChoice {
    return this.#facts().engine;
  }

  get precision(): string {
    return this.#facts().precision;
  }

  /** Estimate of the peak memory of one run; null where it is not known. */
  get peakBytes(): number | null {
    return this.#facts().peakBytes;
  }

  /**
   * Cut out one photo.
   *
   * Throws UsageError, InputError (unreadable, animated, too large), EngineError, or the signal's reason. After a cancelled call
   * or one that ran out of memory the next call works: it loads the model again from what is kept.
   */
  async cut(photo: Photo, options: CutOptions = {}): Promise<Cutout> {
    const { onProgress, signal, onPreview, ...rest } = options;
    const result = completeOptions(rest);
    const given = givenOf(photo);
    if (this.#closed) throw new UsageError("this lifter is closed; load another");
    signal?.throwIfAborted();
    if (onPreview && this.#preview) onPreview(await this.#preview.cut(photo, { ...rest, ...(signal && { signal }) }));
    return this.#enqueue({ given, alpha: null, options: result, onProgress }, signal);
  }

  /**
   * The picture of a photo whose alpha is known: of an earlier cut, perhaps edited. No network runs.
   *
   * alpha: uint8 [height, width] of the whole photo, or a cutout as a PNG file of the photo's size.
   * Throws what `cut` throws, UsageError where the sizes differ.
   */
  async compose(photo: Photo, alpha: GivenAlpha, options: Omit<CutOptions, "onPreview"> = {}): Promise<Cutout> {
    const { onProgress, signal, ...rest } = options;
    const result = completeOptions(rest);
    const given = givenOf(photo);
    if (this.#closed) throw new UsageError("this lifter is closed; load another");
    signal?.throwIfAborted();
    return this.#enqueue({ given, alpha, options: result, onProgress }, signal);
  }

  /** Cut out several photos: outcomes in their order, each with a cutout or an error of its own. */
  async *cutAll(photos: Iterable<Photo>, options: CutAllOptions = {}): AsyncGenerator<Outcome> {
    const { concurrency = 2, onProgress, ...rest } = options;
    if (!(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= IN_FLIGHT)) {
      throw new UsageError(`concurrency is ${concurrency}; it must be from 1 to ${IN_FLIGHT}`);
    }
    const ahead: Promise<Outcome>[] = [];
    let index = 0;
    for (const photo of photos) {
      if (ahead.length === concurrency) yield await ahead.shift()!;
      rest.signal?.throwIfAborted();
      const at = index++;
      const outcome = this.cut(photo, { ...rest, ...(onProgress && { onProgress: (p) => onProgress(at, p) }) }).then(
        (cutout): Outcome => ({ ok: true, index: at, cutout }),
        (error): Outcome => {
          if (rest.signal?.aborted) throw rest.signal.reason;
          return { ok: false, index: at, error };
        },
      );
      outcome.catch(() => undefined); // it is reported when its turn comes
      ahead.push(outcome);
    }
    for (const outcome of ahead) yield await outcome;
  }

  /** End the worker: all memory returns. Calls that still wait are refused. */
  close(): void {
    this.#closed = true;
    this.#preview?.close();
    this.#endWorker();
    for (const job of this.#waiting.splice(0)) job.reject(ENDED);
  }

  #facts(): Loaded {
    if (!this.#loaded) throw new UsageError("this lifter is not loaded");
    return this.#loaded;
  }

  #enqueue(job: Omit<Job, "resolve" | "reject">, signal: AbortSignal | undefined): Promise<Cutout> {
    return new Promise<CutResult>((resolve, reject) => {
      const full: Job = { ...job, resolve, reject };
      const cancel = (): void => {
        reject(signal!.reason);
        const queued = this.#waiting.indexOf(full);
        if (queued >= 0) this.#waiting.splice(queued, 1);
        for (const [id, running] of this.#running) {
          if (running !== full) continue;
          this.#running.delete(id);
          this.#endWorker();
        }
        if (!this.#ready && !this.#waiting.length) this.#endWorker();
        this.#advance();
      };
      const settled = (): void => signal?.removeEventListener("abort", cancel);
      full.resolve = (result) => (settled(), resolve(result));
      full.reject = (reason) => (settled(), reject(reason));
      signal?.addEventListener("abort", cancel, { once: true });
      this.#waiting.push(full);
      this.#advance();
    });
  }

  /** Hand waiting photos to the worker, which is started again where it has ended. */
  #advance(): void {
    if (this.#closed || !this.#waiting.length) return;
    if (!this.#ready) {
      this.#onLoadProgress = this.#waiting[0]!.onProgress;
      this.#load().then(
        () => this.#advance(),
        (error) => {
          if (error !== ENDED) for (const job of this.#waiting.splice(0)) job.reject(error);
        },
      );
      return;
    }
    while (this.#waiting.length && this.#running.size < IN_FLIGHT) {
      const job = this.#waiting.shift()!;
      const id = this.#next++;
      this.#running.set(id, job);
      this.#post({ id, act: "cut", given: job.given, options: job.options, alpha: job.alpha });
    }
  }

  #load(): Promise<void> {
    if (this.#loading) return this.#loading;
    const loading = this.#start().then(
      (loaded) => {
        this.#loaded = loaded;
        this.#ready = true;
      },
      (error) => {
        if (this.#loading === loading) this.#endWorker();
        throw error;
      },
    );
    this.#loading = loading;
    return loading;
  }

  #start(): Promise<Loaded> {
    return new Promise((resolve, reject) => {
      const worker = startWorker(this.#setup.base, "liftout");
      this.#worker = worker;
      this.#onLoadEnd = reject;
      worker.onmessage = ({ data }: MessageEvent<Reply>) => {
        if (worker === this.#worker) this.#hear(data, resolve, reject);
      };
      worker.onerror = (event) => {
        if (worker !== this.#worker) return;
        event.preventDefault();
        // a script that could not be fetched has no message
        const error = event.message ? crashed(this.#setup, event.message) : notStarted(this.#setup);
        reject(error);
        this.#failAll(error);
      };
      this.#post({ id: this.#next++, act: "load", setup: this.#setup });
    });
  }

  #hear(reply: Reply, loaded: (facts: Loaded) => void, failed: (error: unknown) => void): void {
    const job = this.#running.get(reply.id);
    switch (reply.act) {
      case "progress":
        (job ? job.onProgress : this.#onLoadProgress)?.(reply.progress);
        break;
      case "warning":
        this.warnings.push(reply.text);
        this.#onWarning?.(reply.text);
        break;
      case "loaded":
        this.#onLoadEnd = null;
        loaded(reply.loaded);
        break;
      case "done":
        this.#running.delete(reply.id);
        job?.resolve(reply.result);
        this.#advance();
        break;
      case "failed": {
        const error = fromPlain(reply.error);
        this.#running.delete(reply.id);
        if (job) {
          job.reject(error);
          // what ran out of memory holds it until its worker ends; the photos beside it get another one
          if (reply.fatal) this.#endWorker();
          this.#advance();
        } else {
          failed(error);
        }
        break;
      }
      case "gpu-failed":
        this.#setup = { ...this.#setup, engine: "wasm", engineNote: `WebGPU failed (${reply.reason})` };
        if (job) {
          this.#endWorker();
          this.#advance();
        } else {
          this.#worker?.terminate();
          this.#start().then(loaded, failed);
        }
    }
  }

  #failAll(error: LiftoutError): void {
    const jobs = [...this.#running.values(), ...this.#waiting.splice(0)];
    this.#running.clear();
    this.#endWorker();
    for (const job of jobs) job.reject(error);
  }

  /** Photos that were running wait again, in their order. */
  #endWorker(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#loading = null;
    this.#ready = false;
    this.#onLoadEnd?.(ENDED);
    this.#onLoadEnd = null;
    this.#waiting.unshift(...this.#running.values());
    this.#running.clear();
  }

  #post(request: Request): void {
    this.#worker!.postMessage(request);
  }
}

function notStarted(setup: Setup): LiftoutError {
  const where = workerAddress(setup.base);
  if (navigator.onLine === false) {
    return new ModelMissing(`${nameOf(setup)}: this device is offline and ${where} cannot be fetched; go online once`);
  }
  return new UsageError(`the worker ${where} cannot be started; copy all files of liftout beside liftout.js, or give \`base\``);
}

function crashed(setup: Setup, message: string): LiftoutError {
  return new OutOfMemory(`${nameOf(setup)}: its worker ended (${message}), most likely for want of memory; choose a smaller model`);
}

function nameOf({ source }: Setup): string {
  return source.kind === "pack" ? source.name : source.onnx;
}

function baseOf(options: Pick<LoadOptions, "base">): string {
  return folder(options.base ?? new URL(".", HERE));
}

function packsOf(options: Pick<LoadOptions, "packs" | "base">): string {
  return folder(options.packs ?? new URL("packs/", baseOf(options)));
}

function folder(address: string | URL): string {
  const url = new URL(address, document.baseURI);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url.href;
}

function setupOf(model: string | OnnxSource, options: LoadOptions): Setup {
  const base = baseOf(options);
  const { engine = "auto", threads } = options;
  if (!["auto", "wasm", "webgpu"].includes(engine)) {
    throw new UsageError(`engine is ${JSON.stringify(engine)}; it must be one of auto, wasm, webgpu`);
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new UsageError(`threads is ${threads}; it must be at least 1`);
  }
  return {
    source: sourceOf(model, options, base),
    base,
    engine,
    engineNote: "",
    threads: threads ?? null,
    acceptLicense: options.acceptLicense ?? false,
    checkMemory: options.checkMemory ?? true,
  };
}

function sourceOf(model: string | OnnxSource, options: LoadOptions, base: string): Source {
  if (typeof model === "string") {
    if (!/^[\w.+-]+$/.test(model)) throw new UsageError(`\`${model}\` is not the name of a model, such as pocket`);
    return { kind: "pack", name: model, packs: packsOf(options) };
  }
  if (!model?.onnx || !model.like) throw new UsageError("give the name of a pack, or { onnx: address, like: name of a model }");
  const absolute = (address: string | URL): string => new URL(address, document.baseURI).href;
  return {
    kind: "onnx",
    onnx: absolute(model.onnx),
    data: model.data === undefined ? null : absolute(model.data),
    sha256: model.sha256 ?? null,
    like: model.like,
    catalog: new URL("catalog.json", base).href,
  };
}

function givenOf(photo: Photo): Given {
  if (photo instanceof Blob) return { kind: "file", file: photo, called: (photo as File).name || "the photo" };
  if (photo instanceof ImageData) {
    return { kind: "pixels", data: new Uint8Array(photo.data), width: photo.width, height: photo.height };
  }
  if (photo instanceof ArrayBuffer || photo instanceof Uint8Array) {
    return { kind: "file", file: new Blob([photo]), called: "the photo" };
  }
  throw new UsageError("a photo is a File, a Blob, encoded bytes or ImageData");
}

interface KeptManifest {
  files: { bytes: number; blocks: string[] }[];
}

function isManifest(file: string): boolean {
  return file.endsWith("/manifest.json");
}

async function manifestOf(url: string): Promise<KeptManifest> {
  const held = await store.readFile(url);
  return held ? (JSON.parse(new TextDecoder().decode(held.bytes)) as KeptManifest) : { files: [] };
}

async function blocksOf(manifestUrl: string): Promise<string[]> {
  return (await manifestOf(manifestUrl)).files.flatMap((file) => file.blocks);
}
