/** What a visitor chose and finds again at the next visit: language, colours, options, model, accepted licences. */

export interface Preferences {
  language?: string;
  theme?: "auto" | "light" | "dark";
  options?: Record<string, string | number | boolean>;
  model?: string;
  purpose?: string;
  /** What a photo took with each model on this device. */
  seconds?: Record<string, number>;
  /** Models whose licence was accepted. */
  accepted?: string[];
}

const KEY = "liftout-preferences"; // early.js reads it too

export const preferences: Preferences = read();

export function savePreferences(change: Preferences): void {
  Object.assign(preferences, change);
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // storage is switched off: it holds for this visit
  }
}

function read(): Preferences {
  try {
    return (JSON.parse(localStorage.getItem(KEY) ?? "{}") as Preferences) ?? {};
  } catch {
    return {};
  }
}
