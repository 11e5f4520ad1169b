/**
 * Files in blocks: downloaded in parallel, hashed as they arrive, kept by hash. What is kept is never downloaded again, so a
 * download resumes where it ended, in this tab or another.
 */
import { ModelFileCorrupt } from "./errors.js";
import { fetchWhole, NotFound, readBody, refusal, unreachable } from "./fetching.js";
import type { DownloadMeter } from "./progress.js";
import { sha256 } from "./checksums.js";
import { dropBlock, keepBlock, readBlock } from "./storage.js";
import { alone, get } from "./transport.js";

/** A file with the hash of each of its blocks. */
export interface BlockFile {
  model: string;
  /** URL of the whole file; blocks of a published file stand at `<url>.000`, `<url>.001`, ... */
  url: string;
  bytes: number;
  blockBytes: number;
  blocks: string[];
}

export type Warn = (text: string) => void;

const PARALLEL = 4;

/**
 * The bytes of files, in their order.
 *
 * Throws ModelMissing, ModelFileCorrupt. warn: told once where a block could not be kept for the next visit.
 */
export async function fetchFiles(files: BlockFile[], meter: DownloadMeter, warn: Warn): Promise<Uint8Array<ArrayBuffer>[]> {
  const targets = files.map((file) => new Uint8Array(allocate(file)));
  const keeper = new Keeper(warn);
  const parts = files.flatMap((file, f) =>
    file.blocks.map((_, index) => ({ file, index, target: blockOf(file, targets[f]!, index) })),
  );
  const asOneFile = new Set<BlockFile>();
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    for (;;) {
      const part = parts[next++];
      if (!part || failed) return;
      if (asOneFile.has(part.file)) continue;
      try {
        // two tabs that want the same block: the second waits, then finds it kept
        await alone(`liftout ${part.file.blocks[part.index]!}`, () => fetchBlock(part.file, part.index, part.target, meter, keeper));
      } catch (error) {
        if (error instanceof NotFound && part.file.blocks.length > 1) {
          asOneFile.add(part.file); // the pack was copied as it is, not published block by block
          continue;
        }
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  for (const file of asOneFile) await fetchAsOneFile(file, targets[files.indexOf(file)]!, meter, keeper);
  return targets;
}

function allocate(file: BlockFile): ArrayBuffer {
  try {
    return new ArrayBuffer(file.bytes);
  } catch {
    throw new RangeError(`Array buffer allocation failed for ${file.bytes} bytes`);
  }
}

function blockOf(file: BlockFile, whole: Uint8Array<ArrayBuffer>, index: number): Uint8Array<ArrayBuffer> {
  return whole.subarray(index * file.blockBytes, Math.min((index + 1) * file.blockBytes, file.bytes));
}

async function fetchBlock(
  file: BlockFile,
  index: number,
  target: Uint8Array<ArrayBuffer>,
  meter: DownloadMeter,
  keeper: Keeper,
): Promise<void> {
  const hash = file.blocks[index]!;
  if (await fromStore(hash, target, meter)) return;
  const url = file.blocks.length > 1 ? `${file.url}.${String(index).padStart(3, "0")}` : file.url;
  // a cache on the way may hold a damaged copy: the second attempt goes past it
  for (const cache of ["default", "reload"] as const) {
    const onBytes = (count: number): void => meter.add(count);
    const { bytes } = await fetchWhole({ model: file.model, url, bytes: target.length, cache, onBytes });
    if (bytes.length === target.length && (await sha256(bytes)) === hash) {
      target.set(bytes);
      await keeper.keep(hash, bytes);
      return;
    }
    meter.add(-bytes.length);
    if (cache === "reload") throw corrupt(file, url, `has ${bytes.length} of ${target.length} bytes`, await sha256(bytes), hash);
  }
}

async function fromStore(hash: string, target: Uint8Array, meter: DownloadMeter): Promise<boolean> {
  const block = await readBlock(hash);
  if (!block) return false;
  if (block.length !== target.length || (await sha256(block)) !== hash) {
    await dropBlock(hash);
    return false;
  }
  target.set(block);
  meter.have(block.length);
  return true;
}

/** A file of several blocks from one URL, from the first block that is not kept. */
async function fetchAsOneFile(
  file: BlockFile,
  whole: Uint8Array<ArrayBuffer>,
  meter: DownloadMeter,
  keeper: Keeper,
): Promise<void> {
  let index = 0;
  while (index < file.blocks.length && (await fromStore(file.blocks[index]!, blockOf(file, whole, index), meter))) index++;
  if (index === file.blocks.length) return;
  const start = index * file.blockBytes;
  const request = { model: file.model, url: file.url };
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    const response = await get(file.url, start ? { headers: { range: `bytes=${start}-` } } : {});
    if (!response.ok) throw refusal(request, response);
    const skipped = response.status === 206 ? start : 0;
    bytes = await readBody(response, file.bytes - skipped, (count) => meter.add(count));
    if (!skipped) bytes = bytes.subarray(start);
  } catch (error) {
    throw error instanceof NotFound || (error as Error).name === "ModelMissing" ? error : await unreachable(request);
  }
  for (; index < file.blocks.length; index++) {
    const target = blockOf(file, whole, index);
    const at = index * file.blockBytes - start;
    const block = bytes.slice(at, at + target.length);
    const hash = await sha256(block);
    if (hash !== file.blocks[index]) throw corrupt(file, file.url, `has a damaged block ${index}`, hash, file.blocks[index]!);
    target.set(block);
    await keeper.keep(hash, block);
  }
}

function corrupt(file: BlockFile, url: string, what: string, hash: string, expected: string): ModelFileCorrupt {
  return new ModelFileCorrupt(
    `${file.model}: ${url} ${what} and its sha256 is ${hash.slice(0, 8)}..., not ${expected.slice(0, 8)}...; publish the pack again`,
  );
}

/** Keeps blocks until the browser refuses, and warns once. */
class Keeper {
  #full = false;

  constructor(private warn: Warn) {}

  async keep(hash: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#full) return;
    try {
      await keepBlock(hash, bytes);
    } catch (error) {
      this.#full = true;
      const estimate = await navigator.storage?.estimate?.().catch(() => undefined);
      const room = estimate?.quota === undefined ? "" : `, ${Math.round(estimate.quota / 1e6)} MB for this site`;
      const why = (error as Error).name === "QuotaExceededError" ? `storage is full${room}` : (error as Error).message;
      this.warn(`the browser could not store the model, so it will be downloaded again next time (${why}); free some space, or choose a smaller model`);
    }
  }
}
