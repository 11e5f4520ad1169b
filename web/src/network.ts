/** A loaded network: tensor in, tensor out. Nothing here knows pixels. */
import type * as Ort from "onnxruntime-web/wasm";
import { NetworkRejected } from "./errors.js";
import type { Model, NetworkBytes } from "./model.js";
import type { Runtime } from "./runtime.js";

export class Network {
  private constructor(
    private session: Ort.InferenceSession,
    private input: string,
    private output: string,
    private model: string,
  ) {}

  /** Throws NetworkRejected, or whatever the runtime throws where memory ends. */
  static async open(runtime: Runtime, model: Model, bytes: NetworkBytes): Promise<Network> {
    const extra: Record<string, unknown> = {
      // packed copies of the weights would cost as much heap again as the weights themselves
      session: { disable_prepacking: "1" },
    };
    // folded, fp16 weights would become fp32 in memory
    if (model.precision === "fp16") extra.optimization = { disable_specified_optimizers: "ConstantFolding" };
    const options: Ort.InferenceSession.SessionOptions = {
      executionProviders: runtime.choice.name === "webgpu" ? ["webgpu", "wasm"] : [runtime.cpu],
      // a run with the pattern takes one block for all tensors and still keeps the first run's blocks
      enableMemPattern: false,
      extra,
      logSeverityLevel: 3,
    };
    if (bytes.weights) options.externalData = [bytes.weights];
    const session = await runtime.ort.InferenceSession.create(bytes.graph, options);
    const [input, output] = signature(session, model);
    return new Network(session, input, output, model.spec.name);
  }

  /** Prediction float32 [1, C, h, w] for a tensor float32 [1, 3, h, w]. */
  async run(tensor: Ort.Tensor): Promise<{ data: Float32Array; dims: readonly number[] }> {
    const results = await this.session.run({ [this.input]: tensor }, [this.output]);
    const prediction = results[this.output]!;
    const data = singles(await prediction.getData(), prediction.type);
    const dims = prediction.dims.length === 3 ? [prediction.dims[0]!, 1, ...prediction.dims.slice(1)] : prediction.dims;
    prediction.dispose();
    if (dims.length !== 4 || !(prediction.type === "float32" || prediction.type === "float16")) {
      throw new NetworkRejected(
        `${this.model}: output \`${this.output}\` is ${prediction.type} [${dims}], not float32 [1, C, h, w]; choose another output`,
      );
    }
    return { data, dims };
  }
}

/** float16, which some graphs end in, as float32; browsers that have no arrays of it give its bits. */
function singles(data: unknown, type: string): Float32Array {
  if (type !== "float16") return data as Float32Array;
  return data instanceof Uint16Array ? Float32Array.from(data, fromHalf) : Float32Array.from(data as ArrayLike<number>);
}

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

function signature(session: Ort.InferenceSession, { spec }: Model): [string, string] {
  const [height, width] = spec.input.size;
  const meta = session.inputMetadata[0];
  if (session.inputNames.length !== 1 || !meta?.isTensor) {
    throw new NetworkRejected(`${spec.name}: the file has ${session.inputNames.length} inputs; it must have one, the photo`);
  }
  const expected = [1, 3, height, width];
  const fits = meta.shape.length === 4 && meta.shape.every((size, i) => typeof size === "string" || size < 0 || size === expected[i]);
  if (meta.type !== "float32" || !fits) {
    throw new NetworkRejected(
      `${spec.name}: the input \`${meta.name}\` is ${meta.type} [${meta.shape}], not float32 [${expected}] as its catalogue entry says`,
    );
  }
  const names = session.outputNames;
  if (spec.output.index === null && names.length !== 1) {
    throw new NetworkRejected(`${spec.name}: the file has ${names.length} outputs (${names}) and its entry does not say which to use; set output.index`);
  }
  const output = names[spec.output.index ?? 0];
  if (output === undefined) {
    throw new NetworkRejected(`${spec.name}: its entry says output ${spec.output.index}, but the file has ${names.length}`);
  }
  return [meta.name, output];
}
