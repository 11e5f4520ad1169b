/** Where a network comes from: a pack with its manifest, or a plain ONNX file with a catalogue entry that it is like. */
import { fetchFiles, type BlockFile, type Warn } from "./blocks.js";
import { LicenseNotAccepted, ModelFileCorrupt, ModelMissing, UsageError } from "./errors.js";
import { fetchVersion, fetchWhole, NotFound } from "./fetching.js";
import { fits } from "./memory.js";
import type { DownloadMeter } from "./progress.js";
import { sha256 } from "./checksums.js";
import { bestFor, purposes } from "./purposes.js";
import { completeSpec, licenceProblem, type ModelSpec, type SpecEntry } from "./spec.js";
import { keepFile, readFile } from "./storage.js";

/** Which model, as it travels to the worker: URLs are absolute. */
export type ModelSource =
  | { kind: "pack"; name: string; packs: string }
  | { kind: "onnx"; onnx: string; data: string | null; sha256: string | null; like: string | SpecEntry; catalog: string };

type PackSource = ModelSource & { kind: "pack" };

/** What is known before a byte of the network is downloaded. */
export interface Model {
  spec: ModelSpec;
  precision: string;
  peakBytes: number | null;
  /** Bytes to download; 0 where that is not known. */
  bytes: number;
  fetch(meter: DownloadMeter, warn: Warn): Promise<NetworkBytes>;
}

export interface NetworkBytes {
  graph: Uint8Array<ArrayBuffer>;
  /** External data with the name that the graph calls it by. */
  weights: { path: string; data: Uint8Array<ArrayBuffer> } | null;
}

interface Manifest {
  schema: number;
  name: string;
  model: SpecEntry;
  precision: string;
  block_bytes: number;
  files: { path: string; bytes: number; sha256: string; blocks: string[] }[];
  memory?: { peak_bytes?: number | null };
}

const SCHEMA = 1;
const GRAPH = "network.onnx";

/** What a model is asked before it is loaded. */
interface Asks {
  acceptLicense: boolean;
  checkMemory: boolean;
}

/** Throws ModelMissing, ModelFileCorrupt, UsageError, LicenseNotAccepted. */
export async function findModel(source: ModelSource, asks: Asks, warn: Warn): Promise<Model> {
  const model = source.kind === "pack" ? await fromPack(await meant(source, asks)) : await fromOnnx(source, warn);
  const problem = asks.acceptLicense ? null : licenceProblem(model.spec);
  if (problem) throw new LicenseNotAccepted(`${problem}; load it with acceptLicense: true if you accept that`);
  return model;
}

/** One pack of a host's list. */
interface Listed {
  name: string;
  model: string;
  commercial: boolean;
  added: boolean;
  peak_bytes: number | null;
}

/**
 * A name by purpose as the best model for it that the host has, that asks for no consent and that fits into memory; a pack of that very
 * name comes first.
 */
async function meant(source: PackSource, { acceptLicense, checkMemory }: Asks): Promise<PackSource> {
  if (!Object.hasOwn(purposes, source.name)) return source;
  const packs = await listed(source);
  if (packs.some(({ name }) => name === source.name)) return source;
  const allowed = packs.filter(({ commercial, added }) => commercial || added || acceptLicense);
  const found = bestFor(source.name, checkMemory ? allowed.filter((pack) => fits(pack.peak_bytes)) : allowed);
  if (found) return { ...source, name: found.name };
  const { models, last } = purposes[source.name]!;
  throw new ModelMissing(
    `${source.name}: of ${[...new Set([...models, last])].join(", ")} none that can be used is at ${source.packs}; write one there with \`liftout site DIR --models ${last}\``,
  );
}

async function listed(source: PackSource): Promise<Listed[]> {
  const url = new URL("index.json", source.packs).href;
  return parse<Listed[]>(source.name, url, await smallText(source.name, url));
}

async function fromPack(source: PackSource): Promise<Model> {
  const folder = new URL(`${encodeURIComponent(source.name)}/`, source.packs).href;
  const url = new URL("manifest.json", folder).href;
  let text: string;
  try {
    text = await smallText(source.name, url);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    throw new ModelMissing(
      `${source.name}: there is no pack at ${folder}; write it there with \`liftout site DIR --models ${source.name}\``,
    );
  }
  const manifest = parse<Manifest>(source.name, url, text);
  if (manifest.schema > SCHEMA) {
    throw new ModelFileCorrupt(`${url}: schema ${manifest.schema} is newer than this version of liftout can read; update liftout.js`);
  }
  if (!Array.isArray(manifest.files) || !manifest.files.some((file) => file.path === GRAPH)) {
    throw new ModelFileCorrupt(`${url}: lists no ${GRAPH}; publish the pack again`);
  }
  const files = manifest.files.map((file): BlockFile => ({
    model: source.name,
    url: new URL(file.path, folder).href,
    bytes: file.bytes,
    blockBytes: manifest.block_bytes,
    blocks: file.blocks,
  }));
  return {
    spec: completeSpec({ ...manifest.model, name: manifest.name }),
    precision: manifest.precision,
    peakBytes: manifest.memory?.peak_bytes ?? null,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    async fetch(meter, warn) {
      const contents = await fetchFiles(files, meter, warn);
      const at = manifest.files.findIndex((file) => file.path === GRAPH);
      const beside = manifest.files.findIndex((file) => file.path !== GRAPH);
      return {
        graph: contents[at]!,
        weights: beside < 0 ? null : { path: manifest.files[beside]!.path, data: contents[beside]! },
      };
    },
  };
}

async function fromOnnx(source: ModelSource & { kind: "onnx" }, warn: Warn): Promise<Model> {
  const spec = { ...(await likeSpec(source)), added: true };
  return {
    spec,
    precision: "fp32",
    peakBytes: null,
    bytes: 0,
    async fetch(meter) {
      const graph = await plainFile(spec.name, source.onnx, meter, warn);
      if (source.sha256 !== null && (await sha256(graph)) !== source.sha256.toLowerCase()) {
        throw new ModelFileCorrupt(`${spec.name}: ${source.onnx} is not the file with sha256 ${source.sha256.slice(0, 8)}...`);
      }
      if (source.data === null) return { graph, weights: null };
      const path = decodeURIComponent(new URL(source.data).pathname.split("/").pop()!);
      return { graph, weights: { path, data: await plainFile(spec.name, source.data, meter, warn) } };
    },
  };
}

async function likeSpec(source: ModelSource & { kind: "onnx" }): Promise<ModelSpec> {
  if (typeof source.like !== "string") return completeSpec(source.like);
  const catalogue = parse<Record<string, SpecEntry>>(source.like, source.catalog, await smallText(source.like, source.catalog));
  const entry = catalogue[source.like];
  if (!entry) {
    throw new UsageError(`unknown model \`${source.like}\`; the catalogue has ${Object.keys(catalogue).join(", ")}`);
  }
  return completeSpec(entry);
}

/** A small text from its host, or as it was kept where the host cannot be reached. */
async function smallText(model: string, url: string): Promise<string> {
  return new TextDecoder().decode(await smallFile(model, url));
}

/** A small file from its host, or as it was kept where the host cannot be reached. */
export async function smallFile(model: string, url: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const { bytes } = await fetchWhole({ model, url, cache: "no-cache" });
    await keepFile(url, bytes).catch(() => false);
    return bytes;
  } catch (error) {
    const copy = error instanceof NotFound ? null : await readFile(url);
    if (copy) return copy.bytes;
    throw error;
  }
}

/** A file without known hash: the one that is kept, as long as its host says the same version or cannot be reached. */
async function plainFile(model: string, url: string, meter: DownloadMeter, warn: Warn): Promise<Uint8Array<ArrayBuffer>> {
  const copy = await readFile(url);
  const version = copy && (await fetchVersion(url));
  if (copy && (version === null || (version !== "" && version === copy.version))) {
    meter.grow(copy.bytes.length);
    meter.have(copy.bytes.length);
    return copy.bytes;
  }
  const answer = await fetchWhole({
    model,
    url,
    onBytes(count) {
      meter.grow(count); // the size is not known beforehand
      meter.add(count);
    },
  });
  try {
    await keepFile(url, answer.bytes, answer.version);
  } catch (error) {
    warn(`the browser could not store ${model}, so it will be downloaded again next time (${(error as Error).message})`);
  }
  return answer.bytes;
}

function parse<T>(model: string, url: string, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ModelFileCorrupt(`${model}: ${url} is not JSON; publish it again`);
  }
}

/** The largest pack beside this one that needs less memory; empty where the host lists none. */
export async function smallerModel(source: ModelSource, peakBytes: number | null): Promise<string> {
  if (source.kind !== "pack") return "";
  try {
    const list = await listed(source);
    const limit = peakBytes ?? list.find((item) => item.name === source.name)?.peak_bytes ?? Infinity;
    const smaller = list.filter((item) => item.name !== source.name && item.peak_bytes !== null && item.peak_bytes < limit);
    smaller.sort((a, b) => b.peak_bytes! - a.peak_bytes!);
    return smaller[0]?.name ?? "";
  } catch {
    return "";
  }
}
