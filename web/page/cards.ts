/** The cards on the stage: what runs now, with its cancel; and what went wrong, with what to do. */
import { element } from "./elements.js";
import { formatBytes, formatNumber, t, translate } from "./i18n.js";
import { fastModel, useModel } from "./lifters.js";
import { openModels } from "./model-dialog.js";
import { cancel, cancelAll, remove, retry } from "./queue.js";
import { savePhoto } from "./persistence.js";
import { takeBrush } from "./retouch.js";
import { onRedraw, redraw, state, type Photo } from "./state.js";

const stage = element("stage");
const card = element("doing");
const verdict = element("verdict");

export function startCards(): void {
  element("cancel").onclick = cancel;
  element("cancel-all").onclick = cancelAll;
  element("resume-all").onclick = () => retry(stopped());
  element("discard").onclick = () => state.selected && remove(state.selected);
  element("retry").onclick = () => state.selected && retry([state.selected]);
  element("other-model").onclick = openModels;
  element("keep-empty").onclick = () => state.selected && want(state.selected);
  element("paint-empty").onclick = () => {
    if (!state.selected) return;
    want(state.selected);
    takeBrush("restore");
  };
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
  element("cancel-all").hidden = !activity.photo || !waiting;
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
  const isStopped = selected?.stage === "stopped";
  const isEmpty = selected?.stage === "done" && selected.empty && !selected.wanted;
  verdict.hidden = !failed && !isStopped && !isEmpty;
  verdict.classList.toggle("calm", !failed);
  stage.classList.toggle("refused", verdict.hidden === false);
  for (const item of verdict.querySelectorAll<HTMLElement>(".row > *")) item.hidden = true;
  if (verdict.hidden) return;
  if (isEmpty) {
    setText("verdict-title", t("empty.title"));
    setText("verdict-text", t("empty.text"));
    for (const id of ["other-model", "paint-empty", "keep-empty"]) element(id).hidden = false;
    return;
  }
  const { name, message } = selected!.error ?? { name: "", message: "" };
  const ofModel = /^(Model|License|Network|OutOf)/.test(name);
  const hopeless = /^Image/.test(name); // the file stays what it is
  setText("verdict-title", isStopped ? t("stopped.title") : ofModel ? t("failed.model") : t("failed.title"));
  setText("verdict-text", isStopped ? t("stopped.text") : translate(message));
  setText("retry", isStopped ? t("stopped.cut") : t("retry"));
  element("retry").hidden = hopeless;
  element("discard").hidden = !hopeless;
  element("resume-all").hidden = !isStopped || stopped().length < 2;
  setText("resume-all", t("stopped.cut.all", { count: stopped().length }));
  const smaller = element("smaller");
  smaller.hidden = !ofModel || fastModel() === settings.model;
  smaller.textContent = t("use.instead", { model: fastModel() });
}

/** A cutout without a subject is kept all the same. */
function want(photo: Photo): void {
  photo.wanted = true;
  void savePhoto(photo);
  redraw();
}

function stopped(): Photo[] {
  return state.photos.filter(({ stage }) => stage === "stopped");
}

/** An alert is read out when its text changes, so only then. */
function setText(id: string, text: string): void {
  const item = element(id);
  if (item.textContent !== text) item.textContent = text;
}
