/** A loaded model with all that a photo needs: decode, prepare, network, finish, cutout, encode; as in `liftout.remover`. */
import type { Warn } from "./blocks.js";
import type { Subject } from "./compose/separate.js";
import { LiftoutError, NetworkRejected, UsageError } from "./errors.js";
import { PixelGraphs, type GraphImage } from "./graphs.js";
import { readPhoto, type Photo, type PhotoInput } from "./images/photo.js";
import { isPng } from "./images/png-read.js";
import { refine } from "./matting/refine.js";
import { Deflaters } from "./images/deflaters.js";
import { checkMemory, meansOutOfMemory, outOfMemory, type MemoryNeed } from "./memory.js";
import { findModel, smallerModel, type Model } from "./model.js";
import { Network } from "./network.js";
import { operatorsOf } from "./operators.js";
import type { CompleteOptions, Edges } from "./options.js";
import { Pointer, type Seen } from "./pointing/pointer.js";
import { promptsFor, type Prompts } from "./pointing/prompts.js";
import { separateTouching } from "./pointing/touching.js";
import { DownloadMeter, step, type OnProgress, type Phase } from "./progress.js";
import type { AlphaInput, AlphaResult, CutResult, ModelFacts, PromptInput, Seconds, Setup, SubjectsResult, Work, WorkResult } from "./protocol.js";
import { render } from "./render.js";
import { chooseEngine, runtimeFile, startRuntime, type Runtime } from "./runtime.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** What the GPU could not do; the page starts another worker without it. */
export class GpuFailure extends Error {}

interface Parts {
  setup: Setup;
  model: Model;
  runtime: Runtime;
  graphs: PixelGraphs;
  network: Network;
  deflaters: Deflaters;
  warn: Warn;
}

/** The built-in model is no better at edges than the network that reads prompts: they are one. */
const BUILT_IN = "pocket";

export class Pipeline {
  #parts: Parts;
  /** Opened with the first prompt. */
  #pointer: Promise<Pointer> | null = null;
  /** The photo that was pointed at last. */
  #pointedAt: { key: number; photo: Photo; seen: Seen } | null = null;
  /** The network and the pixel graphs share one heap and one set of threads: one photo at a time. Decoding runs ahead. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Throws what `Lifter.load` throws, or GpuFailure. */
  static async load(setup: Setup, onProgress: OnProgress, onWarning: (text: string) => void): Promise<Pipeline> {
    const model = await findModel(setup.source, setup, onWarning);
    if (setup.checkMemory) {
      const warning = await memoryWarning(setup, model);
      if (warning) onWarning(warning);
    }
    let runtime: Runtime | undefined;
    try {
      // which runtime to download depends on the graph, so the network comes first; the meter counts both
      const likely = await chooseEngine(setup.engine, setup.threads ?? undefined, new Set());
      const meter = new DownloadMeter(model.bytes + runtimeFile(likely, setup.runtime).bytes, onProgress);
      const files = await model.fetch(meter, onWarning);
      const choice = await chooseEngine(setup.engine, setup.threads ?? undefined, operatorsOf(files.graph));
      if (setup.engineNote) choice.reason = `${setup.engineNote}; ${choice.reason}`;
      meter.grow(runtimeFile(choice, setup.runtime).bytes - runtimeFile(likely, setup.runtime).bytes);
      runtime = await startRuntime(choice, setup.runtime, meter, onWarning);
      onProgress(step("load", 0, 2));
      const graphs = await PixelGraphs.open(runtime, setup.base);
      onProgress(step("load", 1, 2));
      const network = await Network.open(runtime, model, files);
      onProgress(step("load", 2, 2));
      return new Pipeline({ setup, model, runtime, graphs, network, deflaters: new Deflaters(setup.base), warn: onWarning });
    } catch (error) {
      throw await explained(error, { setup, model, runtime }, "load");
    }
  }

  get facts(): ModelFacts {
    const { model, runtime } = this.#parts;
    return {
      model: model.spec,
      precision: model.precision,
      bytes: model.bytes,
      peakBytes: model.peakBytes,
      engine: runtime.choice,
      heapBytes: runtime.heapBytes(),
    };
  }

  /** What comes of a request. Throws what the call of `Lifter` throws, or GpuFailure. */
  run(work: Work, onProgress: OnProgress): Promise<WorkResult> {
    const { photo, options } = work;
    if (work.act === "cut") return this.cut(photo, work.prompts, options, onProgress);
    if (work.act === "point") return this.point(photo, work.key, work.prompts, options);
    if (work.act === "subjects") return this.subjects(photo, work.key, work.alpha, options);
    return this.compose(photo, work.alpha, work.part, options, onProgress);
  }

  /** Throws what `Lifter.cut` throws, or GpuFailure. */
  async cut(input: PhotoInput, prompts: PromptInput | null, options: CompleteOptions, onProgress: OnProgress): Promise<CutResult> {
    const { runtime, graphs, deflaters } = this.#parts;
    const timer = new Timer(onProgress);
    try {
      const photo = await timer.of("decode", () => readPhoto(input, options.maxPixels));
      return await this.#inTurn(async () => {
        const found = prompts ? await this.#prompted(photo, prompts, options, timer) : await this.#automatic(photo, options, timer);
        const alpha = await timer.of("finish", () => settled(found, photo, options.edges));
        const picture = await timer.of("encode", () =>
          render(photo, alpha, options, { graphs, deflaters, onStrip: (done, of) => timer.report("encode", done, of) }),
        );
        return { ...picture, seconds: timer.seconds, heapBytes: runtime.heapBytes() };
      });
    } catch (error) {
      throw await explained(error, this.#parts, "run");
    }
  }

  /** Throws what `Lifter.point` throws. */
  async point(input: PhotoInput, key: number, prompts: PromptInput, options: CompleteOptions): Promise<AlphaResult> {
    try {
      return await this.#inTurn(async () => {
        const photo = await this.#photoOf(input, key, options);
        const { pointer, seen } = await this.#seen(photo, key);
        const start = prompts.start && (await levelsOf(prompts.start, photo, options.maxPixels));
        const answer = await pointer.answer(seen, promptsFor(prompts, photo.width, photo.height), { edges: options.edges, start, edgesOf: null });
        const alpha = settled({ alpha: answer, cell: cellOf(photo, pointer.inputSize) }, photo, options.edges);
        return { alpha, width: photo.width, height: photo.height };
      });
    } catch (error) {
      throw await explained(error, this.#parts, "run");
    }
  }

  /** Throws what `Lifter.subjects` throws. */
  async subjects(input: PhotoInput, key: number, alpha: AlphaInput, options: CompleteOptions): Promise<SubjectsResult> {
    try {
      return await this.#inTurn(async () => {
        const photo = await this.#photoOf(input, key, options);
        const levels = await levelsOf(alpha, photo, options.maxPixels);
        const answer = async (prompts: Prompts): Promise<Bytes> => {
          const { pointer, seen } = await this.#seen(photo, key);
          return pointer.answer(seen, prompts, { edges: "auto", start: null, edgesOf: null });
        };
        return { subjects: await separateTouching(levels, photo, answer) };
      });
    } catch (error) {
      throw await explained(error, this.#parts, "run");
    }
  }

  async #photoOf(input: PhotoInput, key: number, { maxPixels }: CompleteOptions): Promise<Photo> {
    return this.#pointedAt?.key === key ? this.#pointedAt.photo : readPhoto(input, maxPixels);
  }

  /** A photo as the network that reads prompts knows it. */
  async #seen(photo: Photo, key: number): Promise<{ pointer: Pointer; seen: Seen }> {
    const pointer = await this.#openPointer();
    const seen = this.#pointedAt?.key === key ? this.#pointedAt.seen : await pointer.see(seenByNetwork(photo));
    this.#pointedAt = { key, photo, seen };
    return { pointer, seen };
  }

  /** What the model finds. */
  async #automatic(photo: Photo, { edges }: CompleteOptions, timer: Timer): Promise<Found> {
    const { model, runtime, graphs, network } = this.#parts;
    const image = seenByNetwork(photo);
    const { tensor, box } = await timer.of("prepare", () => graphs.prepare(image, model.spec.input));
    const prediction = await timer.of("network", () => network.run(tensor)).catch((error: unknown) => {
      if (runtime.choice.name === "webgpu") throw new GpuFailure(messageOf(error));
      throw error;
    });
    tensor.dispose();
    const alpha = await timer.of("finish", () =>
      graphs.finish(prediction, image, model.spec.output, box, edges, (done, of) => timer.report("finish", done, of)),
    );
    const [, , height, width] = Array.from(box.data as BigInt64Array, Number);
    return { alpha, cell: cellOf(photo, [height!, width!]) };
  }

  /** What is pointed at: the network that reads prompts decides which object, the model gives its edges. */
  async #prompted(photo: Photo, asked: PromptInput, options: CompleteOptions, timer: Timer): Promise<Found> {
    const prompts: Prompts = promptsFor(asked, photo.width, photo.height);
    const start = asked.start && (await levelsOf(asked.start, photo, options.maxPixels));
    const corrects = !start && !prompts.keep.length && !prompts.box;
    const hasEdges = this.#parts.model.spec.name !== BUILT_IN;
    const automatic = corrects || hasEdges ? await this.#automatic(photo, options, timer) : null;
    const pointer = await this.#openPointer();
    const seen = await timer.of("network", () => pointer.see(seenByNetwork(photo)));
    const levels = automatic?.alpha ?? null;
    const alpha = await timer.of("finish", () =>
      pointer.answer(seen, prompts, { edges: options.edges, start: corrects ? levels : start, edgesOf: hasEdges ? levels : null }),
    );
    return { alpha, cell: Math.min(cellOf(photo, pointer.inputSize), automatic?.cell ?? Infinity) };
  }

  #openPointer(): Promise<Pointer> {
    const { runtime, graphs, setup, warn } = this.#parts;
    this.#pointer ??= Pointer.open(runtime, graphs, setup.base, warn);
    this.#pointer.catch(() => (this.#pointer = null)); // the next call tries again
    return this.#pointer;
  }

  /** Throws what `Lifter.compose` throws. */
  async compose(input: PhotoInput, alpha: AlphaInput, part: Subject | null, options: CompleteOptions, onProgress: OnProgress): Promise<CutResult> {
    const { runtime, graphs, deflaters } = this.#parts;
    try {
      const photo = await readPhoto(input, options.maxPixels);
      const levels = await levelsOf(alpha, photo, options.maxPixels);
      // nothing becomes more opaque than the photo itself
      photo.alpha?.forEach((own, i) => (levels[i] = Math.min(levels[i]!, own)));
      const picture = await this.#inTurn(() =>
        render(photo, levels, options, { graphs, deflaters, onStrip: (done, of) => onProgress(step("encode", done, of)) }, part),
      );
      return { ...picture, seconds: { decode: 0, prepare: 0, network: 0, finish: 0, encode: 0 }, heapBytes: runtime.heapBytes() };
    } catch (error) {
      throw await explained(error, this.#parts, "run");
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Names of smaller models are looked up only where a message needs them. */
async function memoryWarning(setup: Setup, model: Model): Promise<string | null> {
  try {
    return checkMemory(needOf(model, ""));
  } catch {
    return checkMemory(needOf(model, await smallerModel(setup.source, model.peakBytes)));
  }
}

function needOf(model: Model, alternative: string): MemoryNeed {
  return { model: model.spec.name, peakBytes: model.peakBytes, alternative };
}

/** Seconds that each step takes, told as it goes. */
class Timer {
  readonly seconds: Seconds = { decode: 0, prepare: 0, network: 0, finish: 0, encode: 0 };

  constructor(private onProgress: OnProgress) {}

  report(phase: Phase, done: number, of: number): void {
    this.onProgress(step(phase, done, of));
  }

  async of<T>(phase: keyof Seconds, work: () => T | Promise<T>): Promise<T> {
    const start = performance.now();
    this.report(phase, 0, 1);
    const result = await work();
    this.seconds[phase] += (performance.now() - start) / 1000;
    this.report(phase, 1, 1);
    return result;
  }
}

function seenByNetwork(photo: Photo): GraphImage {
  return { rgb: photo.networkRgb, size: [photo.height, photo.width] };
}

/** An alpha of a photo's size: uint8 [H, W]. Throws UsageError where it has another. */
async function levelsOf(alpha: AlphaInput, photo: Photo, maxPixels: number): Promise<Bytes> {
  const levels = alpha instanceof Blob ? await readAlpha(alpha, photo, maxPixels) : alpha;
  if (levels.length === photo.width * photo.height) return levels;
  throw new UsageError(`the alpha has ${levels.length} values, but the photo has ${photo.width} x ${photo.height} pixels`);
}

async function readAlpha(file: Blob, { width, height }: Photo, maxPixels: number): Promise<Uint8Array<ArrayBuffer>> {
  if (file.size === width * height && !isPng(new Uint8Array(await file.slice(0, 8).arrayBuffer()))) {
    return new Uint8Array(await file.arrayBuffer());
  }
  const { alpha, ...image } = await readPhoto({ kind: "file", file, name: "the alpha" }, maxPixels);
  return alpha ?? new Uint8Array(image.width * image.height).fill(255);
}

/** An alpha, uint8 [H, W], and how many of the photo's pixels one pixel of the prediction covers. */
interface Found {
  alpha: Bytes;
  cell: number;
}

/** predicted: height and width of the prediction, without what was added around the photo. */
function cellOf({ width, height }: Photo, predicted: readonly [number, number]): number {
  return Math.max(1, height / predicted[0], width / predicted[1]);
}

/** An alpha with refined edges where the options say so, within the photo's own alpha. */
function settled({ alpha, cell }: Found, photo: Photo, edges: Edges): Bytes {
  const { rgb, size } = seenByNetwork(photo);
  const levels = edges === "refined" ? refine(alpha, rgb, size, cell) : alpha;
  multiply(levels, photo.alpha);
  return levels;
}

/** The subject's opacity times the photo's own. */
function multiply(alpha: Uint8Array, own: Uint8Array | null): void {
  own?.forEach((value, i) => (alpha[i] = Math.floor((alpha[i]! * value + 127) / 255)));
}

/** What the runtime threw, with the model's name and what to do. */
async function explained(
  error: unknown,
  { setup, model, runtime }: Pick<Parts, "setup" | "model"> & { runtime: Runtime | undefined },
  act: "load" | "run",
): Promise<unknown> {
  if (error instanceof LiftoutError || error instanceof GpuFailure) return error;
  if (runtime?.choice.name === "webgpu" && act === "load") return new GpuFailure(messageOf(error));
  if (meansOutOfMemory(error)) {
    const need = needOf(model, await smallerModel(setup.source, model.peakBytes));
    return outOfMemory(need, act, runtime?.heapBytes() ?? 0);
  }
  return new NetworkRejected(`${model.spec.name}: ONNX Runtime cannot ${act} it: ${messageOf(error)}`);
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").slice(0, 300);
}
