/** The threads that deflate PNG files. */
import { startWorker } from "../start-worker.js";
import { DEFLATE, type Deflated, type Strip } from "./deflate.js";

const WORKERS = 2;

/** A few workers that deflate, started when first needed. */
export class Deflaters {
  #workers: Worker[] = [];
  #waiting = new Map<number, { resolve: (part: Deflated) => void; reject: (error: Error) => void }>();
  #next = 0;

  /** base: URL of the folder that holds the worker's script. */
  constructor(private base: string) {}

  run(strip: Strip): Promise<Deflated> {
    const id = this.#next++;
    const worker = (this.#workers[id % WORKERS] ??= this.#start());
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, strip }, [strip.rows.buffer]);
    });
  }

  #start(): Worker {
    const worker = startWorker(this.base, DEFLATE);
    worker.onmessage = ({ data }: MessageEvent<{ id: number; part: Deflated }>) => {
      this.#waiting.get(data.id)?.resolve(data.part);
      this.#waiting.delete(data.id);
    };
    worker.onerror = (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`deflate: ${event.message}`));
      this.#waiting.clear();
    };
    return worker;
  }
}
