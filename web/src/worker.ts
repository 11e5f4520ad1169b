/** The worker of one lifter: loads its model, then cuts photos, one network run at a time. Ended, all of its memory returns. */
import { EngineError, LiftoutError, NetworkRejected, toPlain, UsageError } from "./errors.js";
import { PixelGraphs, type Pixels } from "./graphs.js";
import { DEFLATE, serveDeflate } from "./images/deflate.js";
import { readPhoto } from "./images/photo.js";
import { Deflaters } from "./images/png-write.js";
import { checkMemory, meansOutOfMemory, outOfMemory, type MemoryNeed } from "./memory.js";
import { findModel, smallerModel, type Model } from "./model.js";
import { Network } from "./network.js";
import { operatorsOf } from "./operators.js";
import { DownloadMeter, step, type Phase, type Progress } from "./progress.js";
import type { CutResult, Loaded, Reply, Request, Seconds, Setup } from "./protocol.js";
import { render } from "./render.js";
import { chooseEngine, runtimeFile, startRuntime, type Runtime } from "./runtime.js";

interface Ready {
  setup: Setup;
  model: Model;
  runtime: Runtime;
  graphs: PixelGraphs;
  network: Network;
  deflaters: Deflaters;
}

/** What the GPU could not do; the page starts another worker without it. */
class GpuFailure extends Error {}

let ready: Ready | null = null;

if (self.name === DEFLATE) serveDeflate();
else self.onmessage = (event: MessageEvent<Request>) => void serve(event.data);

async function serve(request: Request): Promise<void> {
  const { id } = request;
  try {
    if (request.act === "load") {
      send({ id, act: "loaded", loaded: await load(id, request.setup) });
    } else {
      const result = await (request.alpha ? compose : cut)(id, request);
      send({ id, act: "done", result }, [result.alpha.buffer]);
    }
  } catch (error) {
    if (error instanceof GpuFailure) send({ id, act: "gpu-failed", reason: error.message });
    else send({ id, act: "failed", error: toPlain(error), fatal: error instanceof EngineError });
  }
}

function send(reply: Reply, transfer: Transferable[] = []): void {
  self.postMessage(reply, { transfer });
}

async function load(id: number, setup: Setup): Promise<Loaded> {
  const report = (progress: Progress): void => send({ id, act: "progress", progress });
  const warn = (text: string): void => send({ id, act: "warning", text });
  const model = await findModel(setup.source, setup.acceptLicense, warn);
  if (setup.checkMemory) {
    const warning = await checkedMemory(setup, model);
    if (warning) warn(warning);
  }
  let runtime: Runtime | undefined;
  try {
    // which runtime to fetch depends on the graph, so the network comes first; the meter counts both
    const likely = await chooseEngine(setup.engine, setup.threads ?? undefined, new Set());
    const meter = new DownloadMeter(model.bytes + runtimeFile(likely, setup.base).bytes, report);
    const bytes = await model.fetch(meter, warn);
    const choice = await chooseEngine(setup.engine, setup.threads ?? undefined, operatorsOf(bytes.graph));
    if (setup.engineNote) choice.reason = `${setup.engineNote}; ${choice.reason}`;
    meter.grow(runtimeFile(choice, setup.base).bytes - runtimeFile(likely, setup.base).bytes);
    runtime = await startRuntime(choice, setup.base, meter, warn);
    report(step("load", 0, 2));
    const graphs = await PixelGraphs.open(runtime, setup.base);
    report(step("load", 1, 2));
    const network = await Network.open(runtime, model, bytes);
    report(step("load", 2, 2));
    ready = { setup, model, runtime, graphs, network, deflaters: new Deflaters(setup.base) };
  } catch (error) {
    throw await explained(error, setup, model, runtime, "load");
  }
  return {
    model: model.spec,
    precision: model.precision,
    bytes: model.bytes,
    peakBytes: model.peakBytes,
    engine: ready.runtime.choice,
    heapBytes: ready.runtime.heapBytes(),
  };
}

/** Names of smaller models are fetched only where they are needed for a message. */
async function checkedMemory(setup: Setup, model: Model): Promise<string | null> {
  try {
    return checkMemory(needOf(model, ""));
  } catch {
    return checkMemory(needOf(model, await smallerModel(setup.source, model.peakBytes)));
  }
}

function needOf(model: Model, alternative: string): MemoryNeed {
  return { model: model.spec.name, peakBytes: model.peakBytes, alternative };
}

let turn: Promise<unknown> = Promise.resolve();

/** The network and the pixel graphs share one heap and one set of threads: one photo at a time. Decoding runs ahead. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work);
  turn = mine.catch(() => undefined);
  return mine;
}

type CutRequest = Request & { act: "cut" };

async function cut(id: number, { given, options }: CutRequest): Promise<CutResult> {
  const { setup, model, runtime, graphs, network, deflaters } = ready!;
  const report = (phase: Phase, done: number, of: number): void => send({ id, act: "progress", progress: step(phase, done, of) });
  const seconds: Seconds = { decode: 0, prepare: 0, network: 0, finish: 0, encode: 0 };
  const timed = async <T>(phase: keyof Seconds, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    report(phase, 0, 1);
    const made = await work();
    seconds[phase] = (performance.now() - start) / 1000;
    report(phase, 1, 1);
    return made;
  };
  try {
    const photo = await timed("decode", () => readPhoto(given, options.maxPixels));
    const seen: Pixels = { rgb: photo.seen, size: [photo.height, photo.width] };
    return await inTurn(async () => {
      const { tensor, box } = await timed("prepare", () => graphs.prepare(seen, model.spec.input));
      const prediction = await timed("network", () => network.run(tensor)).catch((error: unknown) => {
        if (runtime.choice.name === "webgpu") throw new GpuFailure(wordsOf(error));
        throw error;
      });
      tensor.dispose();
      const alpha = await timed("finish", () =>
        graphs.finish(prediction, seen, model.spec.output, box, options.edges, (done, of) => report("finish", done, of)),
      );
      multiply(alpha, photo.alpha);
      const picture = await timed("encode", () =>
        render(photo, alpha, options, graphs, deflaters, (done, of) => report("encode", done, of)),
      );
      return { ...picture, seconds, heapBytes: runtime.heapBytes() };
    });
  } catch (error) {
    throw await explained(error, setup, model, runtime, "run");
  }
}

/** The picture of a photo whose alpha is known already: no network runs. */
async function compose(id: number, { given, options, alpha }: CutRequest): Promise<CutResult> {
  const { setup, model, runtime, graphs, deflaters } = ready!;
  const report = (done: number, of: number): void => send({ id, act: "progress", progress: step("encode", done, of) });
  try {
    const photo = await readPhoto(given, options.maxPixels);
    const levels = alpha instanceof Blob ? await alphaOf(alpha, options.maxPixels) : alpha!;
    if (levels.length !== photo.width * photo.height) {
      throw new UsageError(`the alpha has ${levels.length} levels; the photo has ${photo.width} x ${photo.height} pixels`);
    }
    // nothing becomes more opaque than the photo itself
    photo.alpha?.forEach((own, i) => (levels[i] = Math.min(levels[i]!, own)));
    const picture = await inTurn(() => render(photo, levels, options, graphs, deflaters, report));
    return { ...picture, seconds: { decode: 0, prepare: 0, network: 0, finish: 0, encode: 0 }, heapBytes: runtime.heapBytes() };
  } catch (error) {
    throw await explained(error, setup, model, runtime, "run");
  }
}

async function alphaOf(file: Blob, maxPixels: number): Promise<Uint8Array<ArrayBuffer>> {
  const { alpha, width, height } = await readPhoto({ kind: "file", file, called: "the alpha" }, maxPixels);
  return alpha ?? new Uint8Array(width * height).fill(255);
}

/** The subject's opacity times the photo's own. */
function multiply(alpha: Uint8Array, own: Uint8Array | null): void {
  own?.forEach((value, i) => (alpha[i] = Math.floor((alpha[i]! * value + 127) / 255)));
}

/** Errors of the runtime in words, with the model's name and what to do. */
async function explained(
  error: unknown,
  setup: Setup,
  model: Model,
  runtime: Runtime | undefined,
  act: "load" | "run",
): Promise<unknown> {
  if (error instanceof LiftoutError || error instanceof GpuFailure) return error;
  if (runtime?.choice.name === "webgpu" && act === "load") return new GpuFailure(wordsOf(error));
  if (meansOutOfMemory(error)) {
    const need = needOf(model, await smallerModel(setup.source, model.peakBytes));
    return outOfMemory(need, act, runtime?.heapBytes() ?? 0);
  }
  return new NetworkRejected(`${model.spec.name}: the runtime cannot ${act} it: ${wordsOf(error)}`);
}

function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").slice(0, 300);
}
