/**
 * The page's languages. English stands in index.html and en.ts, Chinese in zh.ts; `data-t` names an element's text,
 * `data-t-label` its accessible name, `data-t-title` its tooltip.
 */
import { all } from "./elements.js";
import { en } from "./en.js";
import { prefer } from "./preferences.js";
import { changed } from "./state.js";
import { zh, zhPhrases } from "./zh.js";

export type Language = "en" | "zh";

let now: Language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
const written = new Map<string, string>(); // the English that index.html came with

export function language(): Language {
  return now;
}

/** The text of a key in the page's language; `{name}` takes a value. */
export function t(key: string, values: Record<string, string | number> = {}): string {
  const text = (now === "zh" ? zh[key] : undefined) ?? en[key] ?? written.get(key) ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** A text for a count: `key.one` or `key.many`. */
export function counted(key: string, count: number): string {
  return t(count === 1 ? `${key}.one` : `${key}.many`, { count });
}

/** What the module says in English, in the page's language as far as its phrases are known. */
export function phrased(text: string): string {
  if (now === "en") return text;
  return zhPhrases.reduce((said, [pattern, instead]) => said.replace(pattern, instead), text);
}

export function speak(next: Language): void {
  now = next;
  prefer({ language: next });
  document.documentElement.lang = next === "zh" ? "zh-Hans" : "en";
  write();
  changed();
}

/** Bring what index.html holds into the page's language. */
export function write(): void {
  for (const [attribute, put] of PLACES) {
    for (const item of all(`[${attribute}]`)) {
      const key = item.getAttribute(attribute)!;
      if (!written.has(key)) written.set(key, put.read(item));
      put.write(item, t(key));
    }
  }
  document.title = t("title");
  delete document.documentElement.dataset.untranslated;
}

interface Place {
  read(item: HTMLElement): string;
  write(item: HTMLElement, text: string): void;
}

const PLACES: [string, Place][] = [
  ["data-t", { read: (item) => item.textContent, write: (item, text) => (item.textContent = text) }],
  [
    "data-t-label",
    {
      read: (item) => item.ariaLabel ?? "",
      write(item, text) {
        item.ariaLabel = text;
        if (item.matches("button")) item.title = text;
      },
    },
  ],
  ["data-t-title", { read: (item) => item.title, write: (item, text) => (item.title = text) }],
];
