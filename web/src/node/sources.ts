/** What a caller in Node may give as a photo. */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageUnreadable, UsageError } from "../errors.js";
import type { PhotoInput } from "../images/photo.js";

/** A path, a URL, a file's bytes or Blob, or pixels: RGBA with straight alpha. */
export type Photo = string | URL | Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | { data: Uint8Array | Uint8ClampedArray; width: number; height: number };

/** Throws UsageError for what is no photo, ImageUnreadable for one that cannot be read. */
export async function inputOf(photo: Photo): Promise<PhotoInput> {
  if (photo instanceof Blob) return { kind: "file", file: photo, name: (photo as File).name || "the photo" };
  if (photo instanceof ArrayBuffer || photo instanceof Uint8Array) return { kind: "file", file: new Blob([photo]), name: "the photo" };
  if (typeof photo === "string" && !/^[a-z][a-z+.-]+:/i.test(photo)) return ofPath(photo);
  if (typeof photo === "string" || photo instanceof URL) return fetched(new URL(photo));
  if (photo?.data instanceof Uint8Array || photo?.data instanceof Uint8ClampedArray) {
    return { kind: "pixels", data: new Uint8Array(photo.data), width: photo.width, height: photo.height };
  }
  throw new UsageError("a photo is a path, a URL, a Blob, encoded bytes, or { data, width, height }");
}

async function ofPath(path: string): Promise<PhotoInput> {
  try {
    return { kind: "file", file: new Blob([await readFile(path)]), name: basename(path) };
  } catch (error) {
    throw new ImageUnreadable(`${path}: cannot be read (${(error as { code?: string }).code ?? "unknown"}); check the path`);
  }
}

async function fetched(url: URL): Promise<PhotoInput> {
  if (url.protocol === "file:") return ofPath(fileURLToPath(url));
  const name = decodeURIComponent(url.pathname.split("/").pop()!) || url.href;
  const response = await fetch(url).catch(() => null);
  if (!response) throw new ImageUnreadable(`${name}: ${url.href} cannot be downloaded: its host does not answer`);
  if (!response.ok) throw new ImageUnreadable(`${name}: ${url.href} answered ${response.status}; check the URL`);
  return { kind: "file", file: await response.blob(), name };
}
