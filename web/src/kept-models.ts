/** The models that this browser keeps for later visits. */
import * as storage from "./storage.js";

/** A pack that is kept whole. */
export interface KeptPack {
  name: string;
  /** URL of its manifest. */
  url: string;
  bytes: number;
}

/** What is stored for later visits. */
export interface KeptModels {
  /** URLs of files that are kept by URL. */
  files: string[];
  packs: KeptPack[];
  /** All that this site stores, as the browser estimates it. */
  bytes: number;
}

interface Manifest {
  files: { bytes: number; blocks: string[] }[];
}

export async function keptModels(): Promise<KeptModels> {
  const [{ files, blocks }, estimate] = await Promise.all([storage.kept(), navigator.storage?.estimate?.()]);
  const keptBlocks = new Set(blocks);
  const packs: KeptPack[] = [];
  for (const url of files.filter(isManifest)) {
    const { files: parts } = await readManifest(url);
    if (!parts.every((part) => part.blocks.every((block) => keptBlocks.has(block)))) continue;
    const name = decodeURIComponent(new URL(".", url).pathname.split("/").at(-2)!);
    packs.push({ name, url, bytes: parts.reduce((sum, part) => sum + part.bytes, 0) });
  }
  return { files, packs, bytes: estimate?.usage ?? 0 };
}

/** Delete a pack. manifestUrl: URL of its manifest. Blocks that another pack shares stay. */
export async function dropPack(manifestUrl: string): Promise<void> {
  const blocks = await blocksOf(manifestUrl);
  await storage.dropFile(manifestUrl);
  const { files } = await storage.kept();
  const shared = new Set((await Promise.all(files.filter(isManifest).map(blocksOf))).flat());
  await Promise.all(blocks.filter((block) => !shared.has(block)).map(storage.dropBlock));
}

/** Delete everything. */
export async function dropAll(): Promise<void> {
  await storage.dropAll();
}

function isManifest(file: string): boolean {
  return file.endsWith("/manifest.json");
}

async function readManifest(url: string): Promise<Manifest> {
  const file = await storage.readFile(url);
  return file ? (JSON.parse(new TextDecoder().decode(file.bytes)) as Manifest) : { files: [] };
}

async function blocksOf(manifestUrl: string): Promise<string[]> {
  return (await readManifest(manifestUrl)).files.flatMap((file) => file.blocks);
}
