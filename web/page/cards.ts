/** The cards on the stage: what runs now, with its cancel; and what went wrong, with what to do. */
import { element } from "./elements.js";
import { formatBytes, formatNumber, t, translate } from "./i18n.js";
import { fastModel, useModel } from "./lifters.js";
import { cancel, retry } from "./queue.js";
import { onRedraw, state } from "./state.js";

const stage = element("stage");
const card = element("doing");
const verdict = element("verdict");

export function startCards(): void {
  element("cancel").onclick = cancel;
  element("retry").onclick = () => state.selected && retry([state.selected]);
  element("smaller").onclick = () => {
    useModel(fastModel());
    if (state.selected) retry([state.selected]);
  };
  onRedraw(() => {
    drawActivity();
    drawVerdict();
  });
}

function drawActivity(): void {
  const { activity } = state;
  card.hidden = !activity;
  stage.classList.toggle("busy", Boolean(activity && state.selected?.stage === "working"));
  if (!activity) return;
  const { act, model, progress } = activity;
  const name = activity.photo?.name ?? "";
  const downloading = act === "load" && progress?.phase === "download";
  const waiting = state.photos.filter(({ stage }) => stage === "waiting").length;
  element("doing-title").textContent =
    act === "load" ? t(downloading ? "doing.load" : "doing.start", { model }) : t(`doing.${act}`, { name });
  const details: string[] = [];
  if (downloading) {
    const { loaded, total, bytesPerSecond, secondsLeft } = progress;
    details.push(t("bytes.of", { loaded: formatBytes(loaded), total: formatBytes(total) }));
    if (bytesPerSecond) details.push(t("bytes.rate", { rate: formatBytes(bytesPerSecond) }));
    if (secondsLeft) details.push(timeLeft(secondsLeft));
  } else if (act === "cut" && progress && progress.phase !== "load") details.push(t(`phase.${progress.phase}`));
  if (waiting && act === "cut") details.push(t("doing.queue", { count: waiting }));
  element("doing-detail").textContent = details.join(" · ");
  const bar = element<HTMLProgressElement>("progress");
  if (downloading || (progress && progress.total > 1)) [bar.max, bar.value] = [progress!.total || 1, progress!.loaded];
  else bar.removeAttribute("value");
}

function timeLeft(seconds: number): string {
  return seconds < 90
    ? t("time.seconds", { count: formatNumber(Math.ceil(seconds)) })
    : t("time.minutes", { count: formatNumber(Math.ceil(seconds / 60)) });
}

function drawVerdict(): void {
  const { selected, settings } = state;
  const failed = selected?.stage === "failed";
  const stopped = selected?.stage === "stopped";
  verdict.hidden = !failed && !stopped;
  verdict.classList.toggle("calm", Boolean(stopped));
  stage.classList.toggle("refused", verdict.hidden === false);
  if (verdict.hidden) return;
  const { name, message } = selected!.error ?? { name: "", message: "" };
  const model = /^(Model|License|Network|OutOf)/.test(name);
  setText("verdict-title", stopped ? t("stopped.title") : model ? t("failed.model") : t("failed.title"));
  setText("verdict-text", stopped ? t("stopped.text") : translate(message));
  setText("retry", stopped ? t("stopped.cut") : t("retry"));
  const smaller = element("smaller");
  smaller.hidden = !model || fastModel() === settings.model;
  smaller.textContent = t("use.instead", { model: fastModel() });
}

/** An alert is read out when its text changes, so only then. */
function setText(id: string, text: string): void {
  const item = element(id);
  if (item.textContent !== text) item.textContent = text;
}
