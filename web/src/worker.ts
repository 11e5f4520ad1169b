/** The worker's side of a lifter: answers the page's requests. Its script also serves the threads that deflate. */
import { EngineError, toPlain } from "./errors.js";
import { DEFLATE, serveDeflate } from "./images/deflate.js";
import { GpuFailure, Pipeline } from "./pipeline.js";
import type { Progress } from "./progress.js";
import { LOAD, type Reply, type Request, type WorkResult } from "./protocol.js";

let pipeline: Pipeline | null = null;

if (self.name === DEFLATE) serveDeflate();
else self.onmessage = (event: MessageEvent<Request>) => void answer(event.data);

async function answer(request: Request): Promise<void> {
  const { id } = request;
  const onProgress = (progress: Progress): void => send({ id, act: "progress", progress });
  try {
    if (request.act === "load") {
      pipeline = await Pipeline.load(request.setup, onProgress, (text) => send({ id: LOAD, act: "warning", text }));
      send({ id: LOAD, act: "loaded", facts: pipeline.facts });
      return;
    }
    const result = await pipeline!.run(request, onProgress);
    send({ id, act: "done", result }, alphasOf(result));
  } catch (error) {
    if (error instanceof GpuFailure) send({ id, act: "gpu-failed", reason: error.message });
    else send({ id, act: "failed", error: toPlain(error), endWorker: error instanceof EngineError });
  }
}

/** What need not be copied on its way to the page. */
function alphasOf(result: WorkResult): Transferable[] {
  return "subjects" in result ? result.subjects.map(({ alpha }) => alpha.buffer) : [result.alpha.buffer];
}

function send(reply: Reply, transfer: Transferable[] = []): void {
  self.postMessage(reply, { transfer });
}
