/** Names by purpose, as in `liftout.models.purposes`: what people want a model for, and which are good at it. */
import json from "./options.json" with { type: "json" };

export interface Purpose {
  summary: string;
  /** In order, the best first. */
  models: string[];
  /** What there is where a host has none of them. */
  last: string;
}

export const purposes: Record<string, Purpose> = json.purposes;

/** The best of these packs for a purpose; undefined where there is none. */
export function bestFor<Pack extends { name: string; model: string }>(purpose: string, packs: Pack[]): Pack | undefined {
  const { models, last } = purposes[purpose]!;
  for (const model of [...models, last]) {
    const found = packs.find(({ name }) => name === model) ?? packs.find((pack) => pack.model === model);
    if (found) return found;
  }
  return undefined;
}
