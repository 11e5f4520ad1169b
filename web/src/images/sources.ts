/** What a caller may give as a photo, and how it travels to the worker. */
import { ImageUnreadable, UsageError } from "../errors.js";
import type { PhotoInput } from "./photo.js";

/** A photo: where it is, a file or its bytes, an element that shows it, or pixels. */
export type Photo =
  | string
  | URL
  | Blob
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | ImageData
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas;

/** Throws UsageError for what is no photo, ImageUnreadable for one that cannot be fetched or read. */
export async function inputOf(photo: Photo): Promise<PhotoInput> {
  if (photo instanceof Blob) return { kind: "file", file: photo, name: (photo as File).name || "the photo" };
  if (photo instanceof ImageData) return ofPixels(photo);
  if (photo instanceof ArrayBuffer || photo instanceof Uint8Array) return { kind: "file", file: new Blob([photo]), name: "the photo" };
  if (typeof photo === "string" || photo instanceof URL) return fetched(new URL(photo, globalThis.document?.baseURI ?? self.location.href));
  if (isA("HTMLImageElement", photo)) return ofElement(photo as HTMLImageElement);
  if (isA("ImageBitmap", photo) || isA("HTMLCanvasElement", photo) || isA("OffscreenCanvas", photo)) {
    return ofPixels(pixelsOf(photo as HTMLCanvasElement, "the canvas"));
  }
  throw new UsageError("a photo is a URL, a File, a Blob, encoded bytes, an img or canvas element, an ImageBitmap or ImageData");
}

/** Some of these do not exist in workers. */
function isA(name: string, thing: unknown): boolean {
  const type = (globalThis as unknown as Record<string, (abstract new () => object) | undefined>)[name];
  return type !== undefined && thing instanceof type;
}

function ofPixels({ data, width, height }: ImageData): PhotoInput {
  return { kind: "pixels", data: new Uint8Array(data), width, height };
}

async function fetched(url: URL): Promise<PhotoInput> {
  const name = url.protocol === "data:" || url.protocol === "blob:" ? "the photo" : decodeURIComponent(url.pathname.split("/").pop()!) || url.href;
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    const elsewhere = url.origin === self.location.origin ? "" : `, or ${url.host} does not allow other sites to read it (CORS)`;
    throw new ImageUnreadable(`${name}: ${url.href} cannot be downloaded: its host does not answer${elsewhere}`);
  }
  if (!response.ok) throw new ImageUnreadable(`${name}: ${url.href} answered ${response.status}; check the URL`);
  return { kind: "file", file: await response.blob(), name };
}

/** The file of an image, for all that it holds; its pixels where the file cannot be had again. */
async function ofElement(image: HTMLImageElement): Promise<PhotoInput> {
  const address = image.currentSrc || image.src;
  if (!address) throw new UsageError("the img element has no src");
  try {
    return await fetched(new URL(address, image.baseURI));
  } catch (error) {
    await image.decode().catch(() => undefined);
    if (!image.naturalWidth) throw error;
    return ofPixels(pixelsOf(image, address, image.naturalWidth, image.naturalHeight));
  }
}

function pixelsOf(source: CanvasImageSource & { width: number; height: number }, name: string, width = source.width, height = source.height): ImageData {
  if (!width || !height) throw new ImageUnreadable(`${name}: has no pixels`);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(source, 0, 0);
  try {
    return context.getImageData(0, 0, width, height);
  } catch {
    throw new ImageUnreadable(`${name}: comes from a host that does not allow other sites to read it (CORS); set crossorigin, or give a File`);
  }
}
