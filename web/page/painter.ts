/** The painter: the worker that reads and draws all pixels of the page, so that its own thread is free for the hand. */
import { element } from "./elements.js";
import type { Answer, Painter } from "./painter-worker.js";

type Calls = {
  [Name in keyof Painter]: (...given: Parameters<Painter[Name]>) => Promise<Awaited<ReturnType<Painter[Name]>>>;
};

const SCRIPT = "page-worker.js";

const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
let worker: Worker | null = null;
let lastId = 0;

/** What the worker can do. Calls begin in their order; each rejects with what it threw there. */
export const painter = new Proxy({} as Calls, {
  get:
    (_, name: string) =>
    (...given: unknown[]) =>
      call(name, given),
});

function call(name: string, given: unknown[]): Promise<unknown> {
  worker ??= start();
  const id = ++lastId;
  worker.postMessage({ id, name, given });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

/** With the first photo: until then there is nothing to draw. */
function start(): Worker {
  const started = new Worker(SCRIPT, { type: "module", name: "painter" });
  started.onmessage = ({ data: { id, value, error } }: MessageEvent<Answer>) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(Object.assign(new Error(error.message), { name: error.name }));
    else call?.resolve(value);
  };
  started.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || `${SCRIPT} cannot be started`));
    waiting.clear();
  };
  const [before, after, scene] = ["before", "after", "scene"].map((id) => element<HTMLCanvasElement>(id).transferControlToOffscreen());
  started.postMessage({ before, after, scene }, [before!, after!, scene!]);
  return started;
}
