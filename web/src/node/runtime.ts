/** ONNX Runtime in Node: the package onnxruntime-node, on the processor. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type * as Ort from "onnxruntime-web/wasm";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockFile } from "../blocks.js";
import type { EngineChoice, EngineName } from "../engine.js";
import { UsageError } from "../errors.js";
import { optional } from "./optional.js";

export interface Runtime {
  ort: typeof Ort;
  choice: EngineChoice;
  cpu: "wasm" | "cpu";
  heapBytes(): number;
}

/** Throws UsageError where the package is not installed. */
export async function startRuntime(choice: EngineChoice): Promise<Runtime> {
  const ort = await optional<typeof Ort>("onnxruntime-node", "liftout in Node");
  const create = ort.InferenceSession.create.bind(ort.InferenceSession) as typeof ort.InferenceSession.create;
  const sessions = {
    create: (graph: Uint8Array, options: Ort.InferenceSession.SessionOptions) => withWeights(create, graph, { ...options, intraOpNumThreads: choice.threads }),
  };
  return { ort: { ...ort, Tensor: ort.Tensor, InferenceSession: sessions } as unknown as typeof Ort, choice, cpu: "cpu", heapBytes: () => process.memoryUsage().rss };
}

/** This package reads weights beside a graph only from files. */
async function withWeights(
  create: typeof Ort.InferenceSession.create,
  graph: Uint8Array,
  { externalData, ...options }: Ort.InferenceSession.SessionOptions,
): Promise<Ort.InferenceSession> {
  if (!externalData?.length) return create(graph, options);
  const folder = await mkdtemp(join(tmpdir(), "liftout-"));
  try {
    await writeFile(join(folder, "network.onnx"), graph);
    for (const { path, data } of externalData as { path: string; data: Uint8Array }[]) await writeFile(join(folder, path), data);
    return await create(join(folder, "network.onnx"), options);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Nothing is downloaded: the package has it. */
export function runtimeFile(): BlockFile {
  return { model: "onnxruntime", url: "", bytes: 0, blockBytes: 1, blocks: [] };
}

export async function chooseEngine(engine: EngineName, threads: number | undefined): Promise<EngineChoice> {
  if (engine === "webgpu") throw new UsageError('engine is "webgpu", which Node does not have; leave it out');
  const { availableParallelism } = await import("node:os");
  const count = threads ?? availableParallelism();
  return { name: "wasm", threads: count, reason: `ONNX Runtime for Node; ${count} threads` };
}
