/** Whole files from a web server, with failures in plain words. */
import { ModelMissing } from "./errors.js";
import { get, isOffline, ownOrigin } from "./transport.js";

/** Waits before the second, third and fourth attempt. */
const WAITS_MS = [300, 1000, 2500];

export interface FileRequest {
  /** For messages: the model that the file belongs to. */
  model: string;
  url: string;
  /** Size where it is known. */
  bytes?: number;
  cache?: RequestCache;
  /** Told of every piece that arrives, and of the loss where an attempt is thrown away. */
  onBytes?: (count: number) => void;
}

export interface FileAnswer {
  bytes: Uint8Array<ArrayBuffer>;
  /** ETag or date and size: what tells versions apart where no hash is known; empty where the host tells nothing. */
  version: string;
}

/**
 * The file at a URL, tried again where the connection breaks or the host is busy.
 *
 * Throws ModelMissing: offline, not there, not allowed by the host (CORS), a page instead of a file. `NotFound` is the form of
 * it for 404, so that a caller may try another name.
 */
export async function fetchWhole(request: FileRequest): Promise<FileAnswer> {
  for (let attempt = 0; ; attempt++) {
    let received = 0;
    const count = (bytes: number): void => {
      received += bytes;
      request.onBytes?.(bytes);
    };
    try {
      const response = await get(request.url, { cache: request.cache ?? "default" });
      if (!response.ok) throw refusal(request, response);
      const bytes = await readBody(response, request.bytes, count);
      refuseOtherContent(request, response, bytes);
      return { bytes, version: versionOf(response) };
    } catch (error) {
      if (received) request.onBytes?.(-received);
      const wait = WAITS_MS[attempt];
      const hopeless = error instanceof ModelMissing && !(error instanceof Busy);
      if (hopeless || wait === undefined || isOffline()) {
        throw error instanceof ModelMissing ? error : await unreachable(request);
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** Only what tells versions apart; null where the host cannot be reached. */
export async function fetchVersion(url: string): Promise<string | null> {
  try {
    const response = await get(url, { method: "HEAD", cache: "no-cache" });
    return response.ok ? versionOf(response) : "";
  } catch {
    return null;
  }
}

export class NotFound extends ModelMissing {}

class Busy extends ModelMissing {}

export async function readBody(
  response: Response,
  expected: number | undefined,
  onBytes: (count: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  let whole = new Uint8Array(expected ?? (Number(response.headers.get("content-length")) || 1 << 16));
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length > whole.length) {
      const larger = new Uint8Array(Math.max(length + value.length, whole.length * 2));
      larger.set(whole.subarray(0, length));
      whole = larger;
    }
    whole.set(value, length);
    length += value.length;
    onBytes(value.length);
  }
  return length === whole.length ? whole : whole.slice(0, length);
}

/** Why a URL could not be reached at all: `fetch` itself says only that it failed. */
export async function unreachable(request: FileRequest): Promise<ModelMissing> {
  const host = new URL(request.url).host;
  const start = `${request.model}: ${request.url} cannot be downloaded`;
  if (isOffline()) {
    return new ModelMissing(`${start}: this device is offline; go online once, then the model works offline`);
  }
  if (new URL(request.url).origin !== ownOrigin().origin && (await answersAtAll(request.url))) {
    return new ModelMissing(
      `${start}: ${host} does not allow other sites to read it (CORS); let it send Access-Control-Allow-Origin, ` +
        `or serve the file from ${ownOrigin().host}`,
    );
  }
  return new ModelMissing(
    `${start}: ${host} does not answer, or the connection broke; try again to resume the download`,
  );
}

async function answersAtAll(url: string): Promise<boolean> {
  try {
    await get(url, { mode: "no-cors", method: "HEAD" });
    return true;
  } catch {
    return false;
  }
}

export function refusal(request: FileRequest, response: Response): ModelMissing {
  const start = `${request.model}: ${request.url} answered ${response.status}`;
  if (response.status === 404 || response.status === 410) {
    return new NotFound(`${start}: no such file; check the URL of the packs`);
  }
  if (response.status === 401 || response.status === 403) return new ModelMissing(`${start}: access is refused`);
  if (response.status >= 500 || response.status === 429) {
    return new Busy(`${start}: the server is busy or has failed; try again later`);
  }
  return new ModelMissing(`${start}; check the URL of the packs`);
}

function refuseOtherContent(request: FileRequest, response: Response, bytes: Uint8Array): void {
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 64)).trimStart().toLowerCase();
  if (response.headers.get("content-type")?.startsWith("text/html") || /^<(!doctype|html)/.test(head)) {
    throw new ModelMissing(
      `${request.model}: ${request.url} is a web page, not a model: the server answers missing files with a page; ` +
        "check the URL of the packs",
    );
  }
  if (head.startsWith("version https://git-lfs")) {
    throw new ModelMissing(`${request.model}: ${request.url} is a Git LFS pointer, not the file; publish the file itself`);
  }
}

function versionOf(response: Response): string {
  const { headers } = response;
  return headers.get("etag") ?? [headers.get("last-modified"), headers.get("content-length")].filter(Boolean).join(" ");
}
