/** The dialog of models: what each costs and allows, shown before a byte of it is fetched. */
import { accepted, advance, choose, licenceKind } from "./cutting.js";
import { all, element, glyph, make } from "./elements.js";
import { prefer, preferences } from "./preferences.js";
import { bytes, number } from "./sizes.js";
import { state, view, type ListedModel } from "./state.js";
import { phrased, t } from "./words.js";

const dialog = element<HTMLDialogElement>("models");
const list = element<HTMLUListElement>("model-list");
let kept = new Set<string>();

export function startModels(): void {
  for (const button of all("[data-models]")) {
    button.onclick = () => {
      dialog.showModal();
      void look();
    };
  }
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  let drawn = "";
  view(() => {
    const seen = JSON.stringify([document.documentElement.lang, state.settings.model, state.models.length]);
    if (seen !== drawn) draw();
    drawn = seen;
  });
}

export async function listModels(): Promise<void> {
  try {
    const answer = await fetch("packs/index.json");
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    state.models = (await answer.json()) as ListedModel[];
  } catch (error) {
    state.unlisted = error as Error;
  }
}

async function look(): Promise<void> {
  draw();
  const { Lifter } = await import("./liftout.js");
  kept = new Set((await Lifter.kept()).packs.map(({ name }) => name));
  draw();
}

function draw(): void {
  if (state.unlisted) list.replaceChildren(make("li", {}, t("model.none", { why: state.unlisted.message })));
  else list.replaceChildren(...state.models.map(row));
}

function row(model: ListedModel): HTMLLIElement {
  const used = model.name === state.settings.model;
  const [height, width] = model.size;
  const facts = [
    kept.has(model.name) ? t("model.kept") : t("model.size", { bytes: bytes(model.bytes) }),
    ...(model.peak_bytes ? [t("model.memory", { bytes: bytes(model.peak_bytes) })] : []),
    `${t("model.sees", { width: number(width), height: number(height) })} · ${model.precision}`,
  ];
  const licence = licenceKind(model);
  const use = make("button", { type: "button", className: used ? "plain" : "primary", disabled: used || !accepted(model) });
  use.append(...(used ? [glyph("check")] : []), used ? t("model.used") : t("model.use"));
  use.setAttribute("aria-label", `${used ? t("model.used") : t("model.use")}: ${model.name}`);
  use.onclick = () => {
    choose(model.name);
    dialog.close();
    void advance();
  };
  const item = make(
    "li",
    { className: used ? "used" : "" },
    make("div", { className: "model-head" }, make("b", { textContent: model.name }), make("span", { className: "fine", textContent: phrased(model.summary) })),
    make("ul", { className: "pills" }, ...facts.map((text) => make("li", { textContent: text }))),
    make(
      "p",
      { className: licence === "free" ? "fine licence" : "fine licence restricted" },
      licence === "unknown" ? t("model.unknown") : `${t("model.licence", { licence: model.license.weights })} · ${t(`model.${licence}`)}`,
      ...(model.license.note ? [make("span", { textContent: ` ${model.license.note}` })] : []),
    ),
  );
  if (licence !== "free") {
    const box = make("input", { type: "checkbox", checked: accepted(model), disabled: used });
    box.onchange = () => {
      const others = (preferences.accepted ?? []).filter((name) => name !== model.name);
      prefer({ accepted: box.checked ? [...others, model.name] : others });
      use.disabled = !box.checked;
    };
    item.append(make("label", { className: "consent" }, box, t(`model.consent.${licence}`)));
  }
  item.append(use);
  return item;
}
