/** The dialog of models: what each costs and allows, shown before a byte of it is downloaded. */
import { purposes } from "../src/purposes.js";
import { all, element, glyph, make } from "./elements.js";
import { formatBytes, formatNumber, t, translate } from "./i18n.js";
import { isAccepted, licenceKind, useModel } from "./lifters.js";
import { preferences, savePreferences } from "./preferences.js";
import { offeredPurposes, type Offered } from "./purposes.js";
import { onRedraw, redraw, state, type ListedModel } from "./state.js";
import { advance } from "./queue.js";

const dialog = element<HTMLDialogElement>("models");
const list = element<HTMLUListElement>("model-list");
const byPurpose = element<HTMLUListElement>("purpose-list");
let keptNames = new Set<string>();

export function startModelDialog(): void {
  for (const button of all("[data-models]")) button.onclick = openModels;
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  let drawnFor = "";
  onRedraw(() => {
    const facts = JSON.stringify([document.documentElement.lang, state.settings.model, state.settings.purpose, state.models.length, preferences.accepted]);
    if (facts !== drawnFor) draw();
    drawnFor = facts;
  });
}

export function openModels(): void {
  dialog.showModal();
  void refresh();
}

export async function listModels(): Promise<void> {
  try {
    const response = await fetch("packs/index.json");
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    state.models = (await response.json()) as ListedModel[];
  } catch (error) {
    state.listError = error as Error;
  }
}

async function refresh(): Promise<void> {
  draw();
  const { Lifter } = await import("./liftout.js");
  keptNames = new Set((await Lifter.kept()).packs.map(({ name }) => name));
  draw();
}

function draw(): void {
  if (state.listError) list.replaceChildren(make("li", {}, t("model.none", { why: state.listError.message })));
  else list.replaceChildren(...state.models.map(row));
  const offered = offeredPurposes();
  byPurpose.hidden = element("models-all").hidden = !offered.length;
  byPurpose.replaceChildren(...offered.map(purposeRow));
}

/** What a purpose means on this site. */
function purposeRow({ name, model }: Offered): HTMLLIElement {
  const inUse = state.settings.purpose === name;
  const cost = keptNames.has(model.name) ? t("model.kept") : t("model.size", { bytes: formatBytes(model.bytes) });
  const use = make("button", { type: "button", className: inUse ? "plain" : "primary", disabled: inUse });
  use.append(...(inUse ? [glyph("check")] : []), inUse ? t("model.used") : t("purpose.use"));
  use.setAttribute("aria-label", `${inUse ? t("model.used") : t("purpose.use")}: ${t(`purpose.${name}`)}`);
  use.onclick = () => take(model.name, name);
  return make(
    "li",
    { className: inUse ? "used" : "" },
    make("div", {}, make("b", { textContent: t(`purpose.${name}`) }), make("p", { className: "fine", textContent: translate(purposes[name]!.summary) })),
    make("p", { className: "fine", textContent: `${model.name} · ${cost}` }),
    use,
  );
}

function take(model: string, purpose = ""): void {
  useModel(model, purpose);
  dialog.close();
  void advance();
}

function row(model: ListedModel): HTMLLIElement {
  const inUse = model.name === state.settings.model;
  const [height, width] = model.size;
  const facts = [
    keptNames.has(model.name) ? t("model.kept") : t("model.size", { bytes: formatBytes(model.bytes) }),
    ...(model.peak_bytes ? [t("model.memory", { bytes: formatBytes(model.peak_bytes) })] : []),
    ...(preferences.seconds?.[model.name] ? [t("offer.seconds", { seconds: formatNumber(preferences.seconds[model.name]!, 1) })] : []),
  ];
  const details = `${t("model.sees", { width: formatNumber(width), height: formatNumber(height) })} · ${model.precision}`;
  const licence = licenceKind(model);
  const use = make("button", { type: "button", className: inUse ? "plain" : "primary", disabled: inUse || !isAccepted(model) });
  use.append(...(inUse ? [glyph("check")] : []), inUse ? t("model.used") : t("model.use"));
  use.setAttribute("aria-label", `${inUse ? t("model.used") : t("model.use")}: ${model.name}`);
  use.onclick = () => take(model.name);
  const item = make(
    "li",
    { className: inUse ? "used" : "" },
    make("div", { className: "model-head" }, make("b", { textContent: translate(model.summary) || model.name }), make("span", { className: "fine", textContent: model.name })),
    make("ul", { className: "pills" }, ...facts.map((text) => make("li", { textContent: text }))),
    make(
      "p",
      { className: licence === "free" ? "fine licence" : "fine licence restricted" },
      licence === "unknown" ? t("model.unknown") : `${t("model.licence", { licence: model.license.weights })} · ${t(`model.${licence}`)}`,
      ...(model.license.note ? [make("span", { textContent: ` ${model.license.note}` })] : []),
    ),
  );
  item.append(make("details", { className: "fine" }, make("summary", { textContent: t("details") }), make("p", { textContent: details })));
  if (licence !== "free") {
    const box = make("input", { type: "checkbox", id: `consent-${model.name}`, checked: isAccepted(model), disabled: inUse });
    box.onchange = () => {
      const others = (preferences.accepted ?? []).filter((name) => name !== model.name);
      savePreferences({ accepted: box.checked ? [...others, model.name] : others });
      redraw();
      queueMicrotask(() => element(box.id).focus()); // in the list that is drawn anew
    };
    item.append(make("label", { className: "consent" }, box, t(`model.consent.${licence}`)));
  }
  item.append(use);
  return item;
}
