/** The plain test page: one model, one photo, one cutout. */
import { Lifter, type Progress } from "./liftout.js";

interface Listed {
  name: string;
  summary: string;
  bytes: number;
  commercial: boolean;
}

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const model = element<HTMLSelectElement>("model");
const photo = element<HTMLInputElement>("photo");
const consent = element<HTMLElement>("consent");
const accept = element<HTMLInputElement>("accept");
const cancel = element<HTMLButtonElement>("cancel");
const bar = element<HTMLProgressElement>("progress");
const status = element<HTMLElement>("status");
const picture = element<HTMLImageElement>("cutout");
const save = element<HTMLAnchorElement>("save");

let lifter: Lifter | null = null;
let loadedName = "";
let controller: AbortController | null = null;

const listed = (await (await fetch("packs/index.json")).json()) as Listed[];
for (const { name, summary, bytes } of listed) {
  model.add(new Option(`${name} (${(bytes / 1e6).toFixed(1)} MB): ${summary}`, name));
}
model.onchange = showConsent;
photo.onchange = () => void cut();
cancel.onclick = () => controller?.abort();
showConsent();

function showConsent(): void {
  consent.hidden = listed.find(({ name }) => name === model.value)?.commercial ?? true;
}

async function cut(): Promise<void> {
  const file = photo.files?.[0];
  if (!file) return;
  controller?.abort();
  const mine = (controller = new AbortController());
  const { signal } = mine;
  cancel.disabled = false;
  try {
    if (!lifter || loadedName !== model.value) {
      lifter?.close();
      lifter = null;
      const loading = await Lifter.load(model.value, { acceptLicense: accept.checked, onProgress: show, signal });
      lifter = loading;
      loadedName = model.value;
    }
    const { blob, width, height, seconds } = await lifter.cut(file, { onProgress: show, signal });
    URL.revokeObjectURL(picture.src);
    picture.src = save.href = URL.createObjectURL(blob);
    picture.alt = `Cutout of ${file.name}`;
    save.hidden = false;
    const total = Object.values(seconds).reduce((sum, value) => sum + value, 0);
    status.textContent = `${width} x ${height} in ${total.toFixed(1)} s. ${lifter.engine.reason}. ${lifter.warnings.join(". ")}`;
  } catch (error) {
    status.textContent = signal.aborted ? "Cancelled." : (error as Error).message;
  } finally {
    if (controller === mine) cancel.disabled = true;
  }
}

function show({ phase, loaded, total, bytesPerSecond, secondsLeft }: Progress): void {
  bar.max = total || 1;
  bar.value = loaded;
  const rate = bytesPerSecond === null ? "" : ` at ${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
  const left = secondsLeft === null ? "" : `, ${Math.ceil(secondsLeft)} s left`;
  status.textContent = phase === "download" ? `${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB${rate}${left}` : phase;
}
