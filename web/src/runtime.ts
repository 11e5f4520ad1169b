/** ONNX Runtime Web: which build runs, with how many threads, and why. Its files are our own, beside this module. */
import type * as Ort from "onnxruntime-web/wasm";
import { fetchFiles, type BlockFile, type Warn } from "./blocks.js";
import type { EngineChoice, EngineName } from "./engine.js";
import type { DownloadMeter } from "./progress.js";

/** A built file of the runtime; filled in by the build from the files that it copies. */
export interface RuntimeFile {
  name: string;
  bytes: number;
  sha256: string;
}

declare const __RUNTIME__: Record<"wasm" | "webgpu", { module: string; glue: string; binary: RuntimeFile }>;

export interface Runtime {
  ort: typeof Ort;
  choice: EngineChoice;
  /** What it calls its provider of the processor. */
  cpu: "wasm" | "cpu";
  /** Size of the WebAssembly heap in bytes; it never shrinks. */
  heapBytes(): number;
}

const MOST_THREADS = 8; // beyond this, waiting for each other costs more than it brings

/** Start the runtime that `choice` names. folder: URL of its files. */
export async function startRuntime(choice: EngineChoice, folder: string, meter: DownloadMeter, warn: Warn): Promise<Runtime> {
  const files = __RUNTIME__[choice.name];
  const [ort, [binary]] = await Promise.all([
    import(/* @vite-ignore */ new URL(files.module, folder).href) as Promise<typeof Ort>,
    fetchFiles([runtimeFile(choice, folder)], meter, warn),
  ]);
  ort.env.wasm.numThreads = choice.threads;
  ort.env.wasm.wasmPaths = { mjs: new URL(files.glue, folder).href };
  ort.env.wasm.wasmBinary = binary!;
  ort.env.logLevel = "error";
  return { ort, choice, cpu: "wasm", heapBytes: watchHeap() };
}

export function runtimeFile(choice: EngineChoice, folder: string): BlockFile {
  const { name, bytes, sha256 } = __RUNTIME__[choice.name].binary;
  return { model: "onnxruntime", url: new URL(name, folder).href, bytes, blockBytes: bytes, blocks: [sha256] };
}

/** WebAssembly with as many threads as isolation allows. */
export function wasmChoice(threads: number | undefined, why: string): EngineChoice {
  const cores = navigator.hardwareConcurrency || 1;
  if (!self.crossOriginIsolated) {
    const reason = "1 thread: the page is not cross-origin isolated (it needs the headers COOP same-origin and COEP require-corp)";
    return { name: "wasm", threads: 1, reason: `${why}; ${reason}` };
  }
  if (typeof SharedArrayBuffer === "undefined") {
    return { name: "wasm", threads: 1, reason: `${why}; 1 thread: this browser has no SharedArrayBuffer` };
  }
  const count = Math.max(1, threads ?? Math.min(cores, MOST_THREADS));
  const reason = threads === undefined ? `${count} of ${cores} cores` : `${count} threads as requested`;
  return { name: "wasm", threads: count, reason: `${why}; ${reason}` };
}

/**
 * WebGPU where there is a real adapter and it has kernels for every operator of the network, else WebAssembly.
 *
 * operators: of the network's graph.
 */
export async function chooseEngine(
  engine: EngineName,
  threads: number | undefined,
  operators: Set<string>,
): Promise<EngineChoice> {
  if (engine === "wasm") return wasmChoice(threads, "WebAssembly as requested");
  const gpu = (navigator as { gpu?: GPU }).gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  const obstacle = !gpu
    ? "this browser has no WebGPU"
    : !adapter
      ? "WebGPU found no graphics card"
      : engine === "auto" && adapter.info.isFallbackAdapter
        ? "WebGPU is only emulated here"
        : missingKernels(operators);
  if (engine === "auto" && obstacle) return wasmChoice(threads, `WebAssembly, because ${obstacle}`);
  if (!adapter) return wasmChoice(threads, `WebAssembly instead of WebGPU, because ${obstacle}`);
  const card = [adapter.info.vendor, adapter.info.architecture].filter(Boolean).join(" ") || "a graphics card";
  const note = obstacle ? `; ${obstacle}` : "";
  return { name: "webgpu", threads: wasmChoice(threads, "").threads, reason: `WebGPU on ${card}${note}` };
}

/** Operators of our networks that ONNX Runtime's WebGPU provider has (1.30); data for others would travel between GPU and CPU. */
const WEBGPU_KERNELS = new Set(
  (
    "Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose Div Erf Expand Flatten FusedConv Gather Gelu " +
    "Gemm GlobalAveragePool HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu MatMul MaxPool Mul Pad " +
    "Pow Relu Reshape Resize Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze ReduceMean Sum"
  ).split(" "),
);

function missingKernels(operators: Set<string>): string | null {
  const missing = [...operators].filter((name) => !WEBGPU_KERNELS.has(name));
  return missing.length ? `the network uses ${missing.slice(0, 3).join(", ")}, which WebGPU does not support` : null;
}

/** The runtime makes its memory itself; the next growable one is it. */
function watchHeap(): () => number {
  const Memory = WebAssembly.Memory;
  let heap: WebAssembly.Memory | undefined;
  WebAssembly.Memory = new Proxy(Memory, {
    construct(target, [descriptor]: [WebAssembly.MemoryDescriptor]) {
      const memory = new target(descriptor);
      if (descriptor.initial > 0 && descriptor.maximum !== descriptor.initial) {
        heap = memory;
        WebAssembly.Memory = Memory;
      }
      return memory;
    },
  });
  return () => heap?.buffer.byteLength ?? 0;
}
