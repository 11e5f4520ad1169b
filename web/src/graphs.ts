/**
 * The pixel graphs, the same .onnx files that Python runs, in the order and with the feeds of `liftout.graphs`: always on the
 * CPU provider, all but the whole-photo ones in strips of rows, so that memory follows the strip.
 */
import type * as Ort from "onnxruntime-web/wasm";
import { InputError } from "./errors.js";
import { smallFile } from "./model.js";
import type { Edges } from "./options.js";
import type { Runtime } from "./runtime.js";
import type { InputSpec, OutputSpec } from "./spec.js";

/** A strip holds about this many pixels; Python uses the same numbers. */
export const STRIP_PIXELS = 250_000;
/** The same for `finish` where the photo is not higher than the prediction: there, each strip resizes all of it anew. */
const WHOLE_STRIP_PIXELS = 2_000_000;

const NAMES = ["prepare", "guide", "refine", "finish", "coarse", "cutout", "plain"] as const;
const ACTIVATION = { none: 0, sigmoid: 1, argmax: 2 };
const RESAMPLE = { bilinear: 0, "bilinear-antialias": 1, bicubic: 2, "bilinear-corners": 3 };

/** Told after each strip how many rows of how many are done. */
export type OnStrip = (done: number, of: number) => void;

type Name = (typeof NAMES)[number];
type Bytes = Uint8Array<ArrayBuffer>;
type Feed = Record<string, Ort.Tensor>;

/** The network's output, float32 [1, C, h, w]. */
export interface Prediction {
  data: Float32Array;
  dims: readonly number[];
}

/** A photo for the graphs: uint8 [H, W, 3] and its [H, W]. */
export interface GraphImage {
  rgb: Bytes;
  size: Size;
}

type Size = [height: number, width: number];
type Rows = [first: number, last: number];

export class PixelGraphs {
  /** Few models need it, so it is fetched with the first photo. */
  private lanczos: Ort.InferenceSession | undefined;

  private constructor(
    private runtime: Runtime,
    private base: string,
    private sessions: Record<Name, Ort.InferenceSession>,
  ) {}

  private get ort(): typeof Ort {
    return this.runtime.ort;
  }

  /** base: URL of the folder that holds `graphs/`. */
  static async open(runtime: Runtime, base: string): Promise<PixelGraphs> {
    const files = await Promise.all(NAMES.map((name) => fileOf(name, base)));
    const sessions = {} as Record<Name, Ort.InferenceSession>;
    for (const [i, name] of NAMES.entries()) sessions[name] = await opened(runtime, files[i]!);
    return new PixelGraphs(runtime, base, sessions);
  }

  /** The network's input for a photo in sRGB: float32 [1, 3, h, w], and where the photo lies in it. */
  async prepare({ rgb, size }: GraphImage, spec: InputSpec): Promise<{ tensor: Ort.Tensor; box: Ort.Tensor }> {
    let image = this.tensor("uint8", rgb, [...size, 3]);
    if (spec.resample === "lanczos") {
      this.lanczos ??= await opened(this.runtime, await fileOf("lanczos", this.base));
      image = (await this.lanczos.run({ image, size: this.int64(spec.size) })).small!;
    }
    const [tensor, box] = await this.run("prepare", {
      image,
      size: this.int64(spec.size),
      antialias: this.bool(spec.resample !== "bilinear"),
      letterbox: this.bool(spec.fit === "letterbox"),
      truncate: this.bool(spec.quantize === "truncate"),
      by_max: this.bool(spec.scale === "max"),
      mean: this.float32(spec.mean),
      std: this.float32(spec.std),
    });
    return { tensor: tensor!, box: box! };
  }

  /**
   * The photo's alpha, uint8 [H, W], from a prediction; crisp at the photo's resolution where edges are refined and the prediction
   * is smaller than the photo. image: the photo that `prepare` was given. box: from there, or null for the whole prediction.
   * onStrip: told after every strip.
   */
  async finish(
    prediction: Prediction,
    image: GraphImage,
    spec: OutputSpec,
    box: Ort.Tensor | null,
    edges: Edges,
    onStrip: OnStrip,
  ): Promise<Bytes> {
    if (!prediction.data.every(Number.isFinite)) {
      throw new InputError('the network produced values that are not numbers; load it with engine: "wasm", or as an fp32 pack');
    }
    const part = box ?? this.int64([0, 0, prediction.dims[2]!, prediction.dims[3]!]);
    const [, , height, width] = Array.from(part.data as BigInt64Array, Number);
    const feed: Feed = {
      prediction: this.tensor("float32", prediction.data, prediction.dims),
      box: part,
      activation: this.int64(ACTIVATION[spec.activation]),
      classes: this.int64(spec.classes),
    };
    const smaller = height! < image.size[0] || width! < image.size[1];
    return edges !== "plain" && smaller
      ? this.refined(feed, image, spec, onStrip)
      : this.resized(feed, image.size, spec, onStrip, height! < image.size[0] ? STRIP_PIXELS : WHOLE_STRIP_PIXELS);
  }

  /** Rows [first, last) as straight-alpha RGBA, uint8 [rows, W, 4], strip by strip from the top. */
  async *cutout({ rgb, size }: GraphImage, alpha: Bytes, edges: Edges, [first, last]: Rows): AsyncGenerator<Bytes> {
    const width = size[1];
    const whole = { image: this.tensor("uint8", rgb, [...size, 3]), alpha: this.tensor("uint8", alpha, size) };
    const [colours] = edges === "plain" ? [] : await this.run("coarse", whole);
    for (const [top, bottom] of strips([last - first, width])) {
      const rows: Rows = [first + top, first + bottom];
      const feed = {
        image: this.strip(rgb, rows, width, 3),
        alpha: this.strip(alpha, rows, width, 1),
      };
      const [rgba] = colours
        ? await this.run("cutout", { ...feed, size: this.int64(size), rows: this.int64(rows), colours })
        : await this.run("plain", feed);
      yield rgba!.data as Bytes;
    }
  }

  private async refined(feed: Feed, image: GraphImage, spec: OutputSpec, onStrip: OnStrip): Promise<Bytes> {
    const { rgb, size } = image;
    const [model, soft] = await this.run("guide", {
      ...feed,
      image: this.tensor("uint8", rgb, [...size, 3]),
      rescale: this.bool(spec.rescale === "minmax"),
    });
    const fixed: Feed = {
      size: this.int64(size),
      model: model!,
      soft: soft!,
      truncate: this.bool(spec.quantize === "truncate"),
    };
    return this.inStrips(size, onStrip, STRIP_PIXELS, async (rows) => {
      const image = this.strip(rgb, rows, size[1], 3);
      return (await this.run("refine", { ...fixed, image, rows: this.int64(rows) }))[0]!;
    });
  }

  private async resized(
    feed: Feed,
    size: Size,
    spec: OutputSpec,
    onStrip: OnStrip,
    stripPixels: number,
  ): Promise<Bytes> {
    const after = spec.rescale === "minmax" && spec.rescale_when === "after-resize";
    const fixed: Feed = {
      ...feed,
      size: this.int64(size),
      resample: this.int64(RESAMPLE[spec.resample]),
      rescale: this.int64(spec.rescale === "none" ? 0 : after ? 2 : 1),
      truncate: this.bool(spec.quantize === "truncate"),
      span: this.float32([0, 1]),
    };
    if (after) {
      const span: [number, number] = [Infinity, -Infinity];
      const unscaled = { ...fixed, rescale: this.int64(0) };
      for (const rows of strips(size, stripPixels)) {
        const [, range] = await this.run("finish", { ...unscaled, rows: this.int64(rows) });
        const [low, high] = range!.data as Float32Array;
        span[0] = Math.min(span[0], low!);
        span[1] = Math.max(span[1], high!);
      }
      fixed.span = this.float32(span);
    }
    return this.inStrips(size, onStrip, stripPixels, async (rows) => {
      return (await this.run("finish", { ...fixed, rows: this.int64(rows) }))[0]!;
    });
  }

  private async inStrips(
    size: Size,
    onStrip: OnStrip,
    stripPixels: number,
    make: (rows: Rows) => Promise<Ort.Tensor>,
  ): Promise<Bytes> {
    const alpha = new Uint8Array(size[0] * size[1]);
    for (const rows of strips(size, stripPixels)) {
      alpha.set((await make(rows)).data as Bytes, rows[0] * size[1]);
      onStrip(rows[1], size[0]);
    }
    return alpha;
  }

  /** Outputs in the order of the graph: their names are the exporter's. */
  private async run(name: Name, feed: Feed): Promise<Ort.Tensor[]> {
    const session = this.sessions[name];
    const outputs = await session.run(feed);
    return session.outputNames.map((output) => outputs[output]!);
  }

  /** Rows of uint8 [H, W, channels], or of [H, W] where that is 1. */
  private strip(plane: Bytes, [first, last]: Rows, width: number, channels: number): Ort.Tensor {
    const row = width * channels;
    const dims = channels === 1 ? [last - first, width] : [last - first, width, channels];
    return this.tensor("uint8", plane.subarray(first * row, last * row), dims);
  }

  private tensor(type: "uint8" | "float32", data: Bytes | Float32Array, dims: readonly number[]): Ort.Tensor {
    return new this.ort.Tensor(type, data as never, dims);
  }

  private int64(values: number | readonly number[]): Ort.Tensor {
    const list = typeof values === "number" ? [values] : values;
    return new this.ort.Tensor("int64", BigInt64Array.from(list, BigInt), typeof values === "number" ? [] : [list.length]);
  }

  private float32(values: readonly number[]): Ort.Tensor {
    return new this.ort.Tensor("float32", Float32Array.from(values), [values.length]);
  }

  private bool(value: boolean): Ort.Tensor {
    return new this.ort.Tensor("bool", Uint8Array.of(value ? 1 : 0), []);
  }
}

/** [first, last) rows of every strip of a photo of `size` [H, W], top to bottom. */
function strips([height, width]: Size, pixels = STRIP_PIXELS): Rows[] {
  const rows = Math.max(1, Math.floor(pixels / Math.max(1, width)));
  const all: Rows[] = [];
  for (let first = 0; first < height; first += rows) all.push([first, Math.min(first + rows, height)]);
  return all;
}

function fileOf(name: string, base: string): Promise<Bytes> {
  return smallFile(name, new URL(`graphs/${name}.onnx`, base).href);
}

function opened(runtime: Runtime, file: Bytes): Promise<Ort.InferenceSession> {
  return runtime.ort.InferenceSession.create(file, {
    executionProviders: [runtime.cpu],
    enableCpuMemArena: false,
    graphOptimizationLevel: "disabled", // they are no faster with it, and load later
    logSeverityLevel: 3,
  });
}
