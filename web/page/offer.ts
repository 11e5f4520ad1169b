/** After a first result: the offer of a better model, in plain words, with what it costs. */
import { element } from "./elements.js";
import { formatBytes, formatNumber, t, translate } from "./i18n.js";
import { licenceKind, modelNamed, useModel } from "./lifters.js";
import { preferences } from "./preferences.js";
import { retry } from "./queue.js";
import { onRedraw, redraw, state, type ListedModel } from "./state.js";

const LARGER = 4; // times: a model that is hardly larger is hardly better
const GIB = 2 ** 30;
const SHARE = 0.5; // of the device's memory that a model may take

let refused = false;

export function startOffer(): void {
  element("offer-take").onclick = () => {
    const better = betterModel();
    if (!better || !state.selected) return;
    useModel(better.name);
    retry([state.selected]);
  };
  element("offer-later").onclick = () => {
    refused = true;
    redraw();
  };
  onRedraw(draw);
}

function draw(): void {
  const better = betterModel();
  const isDone = state.selected?.stage === "done";
  element("offer").hidden = refused || !better || !isDone;
  if (!better || !isDone) return;
  const { model, seconds } = state.selected!;
  const costs = [t("offer.bytes", { bytes: formatBytes(better.bytes) })];
  if (better.peak_bytes) costs.push(t("model.memory", { bytes: formatBytes(better.peak_bytes) }));
  const measured = preferences.seconds?.[better.name];
  costs.push(
    measured === undefined
      ? t("offer.slower", { seconds: formatNumber(seconds, seconds < 10 ? 1 : 0), name: model })
      : t("offer.seconds", { seconds: formatNumber(measured, measured < 10 ? 1 : 0) }),
  );
  element("offer-text").textContent = `${t("offer", { purpose: translate(better.summary) })} ${costs.join(" · ")}`;
}

/** The largest free model of this site that is much larger than the chosen one and fits into the device's memory. */
function betterModel(): ListedModel | undefined {
  const now = modelNamed(state.settings.model);
  const memory = (navigator as { deviceMemory?: number }).deviceMemory;
  const room = memory === undefined ? Infinity : memory * GIB * SHARE;
  const fitting = state.models.filter(
    (model) => licenceKind(model) === "free" && (model.peak_bytes ?? 0) <= room && model.bytes > LARGER * (now?.bytes ?? Infinity),
  );
  return fitting.reduce<ListedModel | undefined>((best, model) => (model.bytes > (best?.bytes ?? 0) ? model : best), undefined);
}
