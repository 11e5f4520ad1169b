/** What runs a network: which build of the runtime, with how many threads, and why. */

/** What is asked for: `auto` takes WebGPU where it suits. */
export type EngineName = "auto" | "wasm" | "webgpu";

/** What runs the network. */
export interface EngineChoice {
  name: "wasm" | "webgpu";
  /** Of WebAssembly, which also runs the pixel graphs. */
  threads: number;
  /** Why this engine and this number of threads, for a person. */
  reason: string;
}
