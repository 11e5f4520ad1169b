/**
 * What is kept between visits, in the browser's Cache API: blocks of files under their sha256, so that two tabs, two models
 * or two versions of a pack can never mix, and small files (manifests, graphs) under their URL for visits without network.
 *
 * A page that is not secure (http on a local network) has no Cache API: then nothing is kept, and everything still works.
 */

const CACHE = "liftout-1";
const BLOCK = "https://liftout.invalid/block/";
const FILE = "https://liftout.invalid/file/";

async function open(): Promise<Cache | null> {
  try {
    return globalThis.caches ? await caches.open(CACHE) : null;
  } catch {
    return null; // storage is switched off, as in some private windows
  }
}

/** The bytes of a block, or null. */
export async function readBlock(sha256: string): Promise<Uint8Array<ArrayBuffer> | null> {
  return read(BLOCK + sha256);
}

/** Keep a block; false where nothing can be kept. Throws what the browser throws where there is no room (QuotaExceededError). */
export async function keepBlock(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  return keep(BLOCK + sha256, bytes, {});
}

export async function dropBlock(sha256: string): Promise<void> {
  await (await open())?.delete(BLOCK + sha256);
}

/** A file that is kept by its URL, and its version as the host said it. */
export async function readFile(url: string): Promise<{ bytes: Uint8Array<ArrayBuffer>; version: string } | null> {
  const key = FILE + encodeURIComponent(url);
  const response = await (await open())?.match(key);
  if (!response) return null;
  return { bytes: new Uint8Array(await response.arrayBuffer()), version: response.headers.get("x-version") ?? "" };
}

export async function keepFile(url: string, bytes: Uint8Array<ArrayBuffer>, version = ""): Promise<boolean> {
  return keep(FILE + encodeURIComponent(url), bytes, { "x-version": version });
}

export interface Kept {
  /** URLs of files that are kept by URL, manifests among them. */
  files: string[];
  /** sha256 of the blocks that are kept. */
  blocks: string[];
}

export async function kept(): Promise<Kept> {
  const keys = (await (await open())?.keys()) ?? [];
  const urls = keys.map((request) => request.url);
  return {
    files: urls.filter((url) => url.startsWith(FILE)).map((url) => decodeURIComponent(url.slice(FILE.length))),
    blocks: urls.filter((url) => url.startsWith(BLOCK)).map((url) => url.slice(BLOCK.length)),
  };
}

export async function dropFile(url: string): Promise<void> {
  await (await open())?.delete(FILE + encodeURIComponent(url));
}

export async function dropAll(): Promise<void> {
  await globalThis.caches?.delete(CACHE);
}

async function read(key: string): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const response = await (await open())?.match(key);
    return response ? new Uint8Array(await response.arrayBuffer()) : null;
  } catch {
    return null; // an entry that cannot be read is as good as none: it is downloaded again
  }
}

async function keep(key: string, bytes: Uint8Array<ArrayBuffer>, headers: Record<string, string>): Promise<boolean> {
  const cache = await open();
  if (!cache) return false;
  await cache.put(key, new Response(bytes, { headers: { "content-type": "application/octet-stream", ...headers } }));
  return true;
}
