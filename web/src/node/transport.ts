/** Files in Node: of the disk by `file:` URLs, of hosts by `fetch`. */
import { readFile } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";

export async function get(url: string, init?: RequestInit): Promise<Response> {
  if (!url.startsWith("file:")) return fetch(url, init?.method ? { method: init.method } : {});
  try {
    return new Response(await readFile(fileURLToPath(url)));
  } catch {
    return new Response(null, { status: 404 });
  }
}

export function isOffline(): boolean {
  return false; // nobody knows
}

/** Hosts ask nothing of a program that they would ask of a page. */
export function ownOrigin(): { origin: string; host: string } {
  return { origin: "null", host: "" };
}

export async function alone(_name: string, work: () => Promise<void>): Promise<void> {
  await work();
}

/** Relative URLs are paths in the current folder. */
export function pageUrl(): string {
  return pathToFileURL(`${process.cwd()}/`).href;
}
