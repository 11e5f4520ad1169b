/**
 * Which object is meant: the network that reads prompts, and how its answer becomes an alpha; as in `liftout.pointing`.
 *
 * Two graphs: the first sees the photo, once; the second reads the prompts, for every click.
 */
import type * as Ort from "onnxruntime-web/wasm";
import { fetchFiles, type Warn } from "../blocks.js";
import { ModelFileCorrupt, ModelMissing } from "../errors.js";
import { NotFound } from "../fetching.js";
import type { GraphImage, PixelGraphs, Prediction } from "../graphs.js";
import { smallFile } from "../model.js";
import { DownloadMeter } from "../progress.js";
import type { Edges } from "../options.js";
import type { Runtime } from "../runtime.js";
import { completeSpec, type ModelSpec, type SpecEntry } from "../spec.js";
import { change, corrected, extentOf, places, select, type Size } from "./correct.js";
import { withEdgesOf } from "./edges.js";
import type { Point, Prompts } from "./prompts.js";

type Bytes = Uint8Array<ArrayBuffer>;

const NAME = "points";
const MAP = 160; // side of the maps that the network works on, in cells
const MOST_READ = 48; // points of one kind that the network reads
const GREY = completeSpec({ name: NAME, input: { size: [MAP, MAP], mean: [0, 0, 0], std: [1, 1, 1] } });

interface Manifest {
  model: SpecEntry;
  block_bytes: number;
  files: { path: string; bytes: number; blocks: string[] }[];
}

/** A photo as the network knows it. */
export interface Seen {
  image: GraphImage;
  details: Ort.Tensor;
}

/** How an answer is made an alpha. */
export interface Finish {
  edges: Edges;
  /** uint8 [height, width]: what the points correct; without it, points and box select. */
  start: Bytes | null;
  /** uint8 [height, width]: the alpha of another model, whose edges are taken. */
  edgesOf: Bytes | null;
}

export class Pointer {
  private constructor(
    private ort: typeof Ort,
    private graphs: PixelGraphs,
    private spec: ModelSpec,
    private encode: Ort.InferenceSession,
    private prompt: Ort.InferenceSession,
  ) {}

  /** base: URL of the folder that holds `points/`. Throws ModelMissing, ModelFileCorrupt. */
  static async open(runtime: Runtime, graphs: PixelGraphs, base: string, warn: Warn): Promise<Pointer> {
    const folder = new URL(`${NAME}/`, base).href;
    const manifest = await manifestOf(new URL("manifest.json", folder).href);
    const files = ["encode.onnx", "prompt.onnx"].map((name) => {
      const file = manifest.files.find(({ path }) => path === name);
      if (!file) throw new ModelFileCorrupt(`${folder}manifest.json: lists no ${name}; publish it again`);
      return { model: NAME, url: new URL(name, folder).href, bytes: file.bytes, blockBytes: manifest.block_bytes, blocks: file.blocks };
    });
    const meter = new DownloadMeter(files.reduce((sum, { bytes }) => sum + bytes, 0), () => undefined);
    const [first, second] = await fetchFiles(files, meter, warn);
    const open = (bytes: Bytes): Promise<Ort.InferenceSession> =>
      runtime.ort.InferenceSession.create(bytes, { executionProviders: [runtime.cpu], enableCpuMemArena: false, logSeverityLevel: 3 });
    const spec = completeSpec(manifest.model);
    return new Pointer(runtime.ort, graphs, spec, await open(first!), await open(second!));
  }

  /** Height and width of what the network sees. */
  get inputSize(): readonly [number, number] {
    return this.spec.input.size;
  }

  /** Encode a photo, as the networks see it. */
  async see(image: GraphImage): Promise<Seen> {
    const { tensor } = await this.graphs.prepare(image, this.spec.input);
    const { [this.encode.outputNames[0]!]: details } = await this.encode.run({ [this.encode.inputNames[0]!]: tensor });
    tensor.dispose();
    return { image, details: details! };
  }

  /** The alpha that the prompts ask for, uint8 [height, width]. */
  async answer({ image, details }: Seen, prompts: Prompts, { edges, start, edgesOf }: Finish): Promise<Bytes> {
    const [height, width] = image.size;
    const size: Size = { width, height };
    const seen = start && (await this.shrink(start, image.size));
    let prediction = await this.predict(details, prompts, size, seen);
    const changed = seen && prompts.keep.length + prompts.drop.length ? change(prediction, prompts, seen, MAP, size) : null;
    if (!seen) prediction = select(prediction, prompts, size);
    else if (changed) prediction = changed.prediction;
    let alpha = await this.finish(prediction, image, edges);
    if (edgesOf) alpha = withEdgesOf(edgesOf, alpha, width, height);
    if (!start || !changed) return alpha;
    let result = start;
    for (const [region, kept] of [[changed.added, true], [changed.removed, false]] as const) {
      const extent = extentOf(region, prediction.dims);
      if (extent) result = corrected(result, alpha, await this.finish(extent, image, "plain", GREY), kept);
    }
    return result;
  }

  private finish(prediction: Prediction, image: GraphImage, edges: Edges, { output } = this.spec): Promise<Bytes> {
    return this.graphs.finish(prediction, image, output, null, edges, () => undefined);
  }

  /** An alpha as the network sees it: [160, 160] in [0, 1]. */
  private async shrink(alpha: Bytes, size: GraphImage["size"]): Promise<Float32Array> {
    const rgb = new Uint8Array(alpha.length * 3);
    alpha.forEach((level, i) => rgb.fill(level, 3 * i, 3 * i + 3));
    const { tensor } = await this.graphs.prepare({ rgb, size }, GREY.input);
    return (tensor.data as Float32Array).slice(0, MAP * MAP);
  }

  private async predict(details: Ort.Tensor, { keep, drop, box }: Prompts, size: Size, start: Float32Array | null): Promise<Prediction> {
    const tensor = (values: ArrayLike<number>, dims: number[]): Ort.Tensor => new this.ort.Tensor("float32", Float32Array.from(values), dims);
    const points = (given: Point[]): Ort.Tensor => {
      const at = given.length ? evenly(places(given, size)) : [[-1, -1]];
      return tensor(at.flat(), [at.length, 2, 1, 1]);
    };
    const { width, height } = size;
    const shares = box ? [box[0] / width, box[1] / height, box[2] / width, box[3] / height] : [0, 0, 0, 0];
    const outputs = await this.prompt.run({
      details,
      keep: points(keep),
      drop: points(drop),
      box: tensor(shares, [1, 4, 1, 1]),
      start: tensor(start ?? new Float32Array(MAP * MAP), [1, 1, MAP, MAP]),
      started: tensor([start ? 1 : 0], [1, 1, 1, 1]),
    });
    const { data, dims } = outputs[this.prompt.outputNames[0]!]!;
    return { data: data as Float32Array, dims };
  }
}

async function manifestOf(url: string): Promise<Manifest> {
  try {
    return JSON.parse(new TextDecoder().decode(await smallFile(NAME, url))) as Manifest;
  } catch (error) {
    if (error instanceof NotFound) throw new ModelMissing(`${NAME}: the network that reads points and boxes is not at ${url}; write it there with \`liftout site DIR\``);
    if (error instanceof SyntaxError) throw new ModelFileCorrupt(`${NAME}: ${url} is not JSON; publish it again`);
    throw error;
  }
}

/** As many points as the network reads, evenly taken, the last one always. */
function evenly(points: Point[]): Point[] {
  if (points.length <= MOST_READ) return points;
  return Array.from({ length: MOST_READ }, (_, i) => points[Math.round((i * (points.length - 1)) / (MOST_READ - 1))]!);
}
