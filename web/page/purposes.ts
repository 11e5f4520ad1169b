/** Choosing a model by what it is for: the names and models of `liftout.models.purposes`, as far as this site has them. */
import { fits } from "../src/memory.js";
import { bestFor, purposes } from "../src/purposes.js";
import { all } from "./elements.js";
import { t } from "./i18n.js";
import { isAccepted, useModel } from "./lifters.js";
import { preferences } from "./preferences.js";
import { onRedraw, state, type ListedModel } from "./state.js";

/** A purpose, and the best model for it that may be used here. */
export interface Offered {
  name: string;
  model: ListedModel;
}

const selects = all<HTMLSelectElement>("[data-purpose]");

export function startPurposes(): void {
  for (const select of selects) {
    select.onchange = () => {
      const chosen = offeredPurposes().find(({ name }) => name === select.value);
      if (chosen) useModel(chosen.model.name, chosen.name);
    };
  }
  let drawnFor = "";
  onRedraw(() => {
    const { model, purpose } = state.settings;
    const facts = JSON.stringify([document.documentElement.lang, model, purpose, state.models.length, preferences.accepted]);
    if (facts !== drawnFor) draw();
    drawnFor = facts;
  });
}

/** The purposes for which this site has a model of their own, unless that is a single one: then there is nothing to choose. */
export function offeredPurposes(): Offered[] {
  const usable = state.models.filter((model) => isAccepted(model) && fits(model.peak_bytes));
  const offered = Object.entries(purposes).flatMap(([name, { models }]) => {
    const model = bestFor(name, usable);
    return model && (models.includes(model.name) || models.includes(model.model)) ? [{ name, model }] : [];
  });
  return offered.length > 1 ? offered : [];
}

/** Take the model of the purpose that was chosen at the last visit; whether this site still has one. */
export function recallPurpose(): boolean {
  const chosen = offeredPurposes().find(({ name }) => name === preferences.purpose);
  if (chosen) Object.assign(state.settings, { model: chosen.model.name, purpose: chosen.name });
  return chosen !== undefined;
}

function draw(): void {
  const offered = offeredPurposes();
  const { purpose } = state.settings;
  for (const row of all("[data-purpose-row]")) row.hidden = !offered.length;
  for (const select of selects) {
    const options = offered.map(({ name }) => new Option(t(`purpose.${name}`), name));
    select.replaceChildren(...(purpose ? [] : [new Option(t("purpose.none"), "")]), ...options);
    select.value = purpose;
  }
}
