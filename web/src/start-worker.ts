/** A worker from liftout's own script, which may stand on another host than the page. */

const SCRIPT = "liftout-worker.js";

/** base: URL of the folder that holds the script. */
export function workerUrl(base: string): string {
  return new URL(SCRIPT, base).href;
}

export function startWorker(base: string, name: string): Worker {
  const url = workerUrl(base);
  if (new URL(url).origin === self.location.origin) return new Worker(url, { type: "module", name });
  // a worker's script must be of the page's own origin; a module that imports the real one is
  const local = URL.createObjectURL(new Blob([`import ${JSON.stringify(url)};`], { type: "text/javascript" }));
  const worker = new Worker(local, { type: "module", name });
  worker.addEventListener("message", () => URL.revokeObjectURL(local), { once: true });
  return worker;
}
