/** What a caller says of a model and of where its files are, checked and with absolute URLs. */
import { UsageError } from "./errors.js";
import type { ModelSource } from "./model.js";
import type { Setup } from "./protocol.js";
import type { EngineName } from "./engine.js";
import { pageUrl } from "./transport.js";
import type { SpecEntry } from "./spec.js";

/** A plain ONNX file, with the catalogue entry (or its name) that says what goes in and comes out. */
export interface OnnxSource {
  onnx: string | URL;
  like: string | SpecEntry;
  /** URL of the file's external data, where it has any. */
  data?: string | URL;
  /** Hex digest of the ONNX file; checked where given. */
  sha256?: string;
}

/** Where liftout's files are. */
export interface Places {
  /** URL of the folder that holds the packs; `packs/` in `base` by default. */
  packs?: string | URL;
  /** URL of the folder that holds liftout-worker.js, `ort/` and `graphs/`; that of liftout.js by default. */
  base?: string | URL;
  /** URL of the folder of ONNX Runtime Web's files; `ort/` in `base` by default, or the package beside this one on a CDN. */
  runtime?: string | URL;
}

/** How the network runs, and what may be loaded. */
export interface EngineOptions {
  /** `auto` takes WebGPU where the device and the network suit it, else WebAssembly. */
  engine?: EngineName;
  /** Of WebAssembly, from 1; by default as many as isolation and the processor allow, at most 8. */
  threads?: number;
  /** Accept a licence that forbids commercial use, or that is unknown. */
  acceptLicense?: boolean;
  /** false: try also where the model should not fit into memory. */
  checkMemory?: boolean;
}

const ENGINES = ["auto", "wasm", "webgpu"];
const HERE = import.meta.url;
/** The npm package, on a CDN or in node_modules; without `@version` its neighbour has none either. */
const IN_PACKAGE = /(?:\/npm\/|\/node_modules\/)liftout(@[^/]*)?\/dist\/[^/]*$|\/liftout(@[^/]+)\/dist\/[^/]*$/;
declare const __RUNTIME_VERSION__: string;

/** Throws UsageError. */
export function setupOf(model: string | OnnxSource, options: Places & EngineOptions): Setup {
  const { engine = "auto", threads, acceptLicense = false, checkMemory = true } = options;
  if (!ENGINES.includes(engine)) {
    throw new UsageError(`engine is ${JSON.stringify(engine)}; it must be one of ${ENGINES.join(", ")}`);
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new UsageError(`threads is ${threads}; it must be at least 1`);
  }
  return {
    source: sourceOf(model, options),
    base: baseOf(options),
    runtime: runtimeOf(options),
    engine,
    engineNote: "",
    threads: threads ?? null,
    acceptLicense,
    checkMemory,
  };
}

/** URL of a pack's manifest. */
export function manifestUrl(name: string, places: Places): string {
  return new URL(`${encodeURIComponent(name)}/manifest.json`, packsOf(places)).href;
}

function baseOf({ base }: Places): string {
  return folder(base ?? new URL(".", HERE));
}

function runtimeOf(places: Places): string {
  if (places.runtime !== undefined) return folder(places.runtime);
  const found = places.base === undefined ? IN_PACKAGE.exec(new URL(HERE).pathname) : null;
  if (!found) return new URL("ort/", baseOf(places)).href;
  const version = (found[1] ?? found[2]) === undefined ? "" : `@${__RUNTIME_VERSION__}`;
  return new URL(`../../onnxruntime-web${version}/dist/`, HERE).href;
}

function packsOf(places: Places): string {
  return folder(places.packs ?? new URL("packs/", baseOf(places)));
}

function folder(url: string | URL): string {
  const absolute = new URL(url, pageUrl());
  if (!absolute.pathname.endsWith("/")) absolute.pathname += "/";
  return absolute.href;
}

function sourceOf(model: string | OnnxSource, places: Places): ModelSource {
  if (typeof model === "string") {
    if (!/^[\w.+-]+$/.test(model)) throw new UsageError(`\`${model}\` is not the name of a model, such as pocket`);
    return { kind: "pack", name: model, packs: packsOf(places) };
  }
  if (!model?.onnx || !model.like) throw new UsageError("give the name of a pack, or { onnx: URL, like: name of a model }");
  const absolute = (url: string | URL): string => new URL(url, pageUrl()).href;
  return {
    kind: "onnx",
    onnx: absolute(model.onnx),
    data: model.data === undefined ? null : absolute(model.data),
    sha256: model.sha256 ?? null,
    like: model.like,
    catalog: new URL("catalog.json", baseOf(places)).href,
  };
}
