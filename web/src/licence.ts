/** Whether a model may run without consent to its licence; the same rules and words as in Python. */
import type { ModelSpec } from "./spec.js";

/** What the licence asks consent for, in one sentence; null where it asks for none: a free licence, or a model that the user added. */
export function licenceProblem({ name, added, license }: Pick<ModelSpec, "name" | "added" | "license">): string | null {
  if (license.commercial || added) return null;
  if (license.weights === "unknown") {
    return `${name}: licence unknown; its authors do not say whether its weights may be used commercially`;
  }
  const where = license.url ? ` (${license.url})` : "";
  return `${name}: the licence of its weights, ${license.weights}${where}, does not allow commercial use`;
}
