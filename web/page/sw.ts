/**
 * The service worker: the page's own files, from the host where it answers and as they were kept where not, always with the
 * headers that isolate the page, which some static hosts cannot send. Models and graphs are kept by the module itself.
 */
declare const self: ServiceWorkerGlobalScope;
/** The page's files, and a hash over them: another version of any is another version of this script. */
declare const __SHELL__: string[];
declare const __VERSION__: string;

const PREFIX = "liftout-page-";
const CACHE = PREFIX + __VERSION__;
const SHELL = new Set(__SHELL__.map((path) => new URL(path, self.registration.scope).href));
const HOME = new URL("./", self.registration.scope).href;

self.addEventListener("install", () => void self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => {
  if (event.data === "keep") event.waitUntil(keep());
});
self.addEventListener("fetch", (event) => {
  const url = event.request.url.replace(/[?#].*$/, "");
  if (event.request.method === "GET" && SHELL.has(url)) event.respondWith(answer(url, event.request));
});

/** All files of this version, and none of an older one. */
async function keep(): Promise<void> {
  const cache = await caches.open(CACHE);
  const stored = new Set((await cache.keys()).map(({ url }) => url));
  const missing = [...SHELL].filter((url) => !stored.has(url));
  await cache.addAll(missing.map((url) => new Request(url, { cache: "no-cache" })));
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
}

async function answer(url: string, request: Request): Promise<Response> {
  const name = url === new URL("index.html", HOME).href ? HOME : url;
  try {
    const fresh = await fetch(request);
    if (!fresh.ok) throw new Error(fresh.statusText);
    return isolated(fresh);
  } catch (error) {
    const stored = await caches.match(name, { ignoreSearch: true });
    if (!stored) throw error;
    return isolated(stored);
  }
}

function isolated(response: Response): Response {
  if (response.type === "opaqueredirect" || response.redirected) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

export {};
