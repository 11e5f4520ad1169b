/**
 * The page's languages. English stands in index.html and en.ts, each other one in a file of its own and in `LANGUAGES`;
 * `data-t` names an element's text, `data-t-label` its accessible name, `data-t-alt` an image's description, `data-t-title` a tooltip, `data-t-group` a group of choices.
 */
import { all } from "./elements.js";
import { en } from "./en.js";
import { savePreferences } from "./preferences.js";
import { redraw } from "./state.js";
import { zh, zhMessages } from "./zh.js";

interface Texts {
  /** Its name in the language itself. */
  name: string;
  /** For the page's `lang`. */
  tag: string;
  /** For numbers. */
  locale: string;
  texts: Record<string, string>;
  /** What the module says in English, and the same in this language. */
  messages: [RegExp, string][];
}

/** By the first part of their tag. */
export const LANGUAGES = {
  en: { name: "English", tag: "en", locale: "en", texts: en, messages: [] },
  zh: { name: "简体中文", tag: "zh-Hans", locale: "zh-CN", texts: zh, messages: zhMessages },
} satisfies Record<string, Texts>;

export type Language = keyof typeof LANGUAGES;

let current = known(document.documentElement.lang.split("-")[0]);
const inPage = new Map<string, string>(); // the English of index.html

export function language(): Language {
  return current;
}

/** The text of a key in the page's language; `{name}` in it takes the value of that name. */
export function t(key: string, values: Record<string, string | number> = {}): string {
  const text = texts().texts[key] ?? en[key] ?? inPage.get(key) ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** A text for a count: that of `key.one` or `key.many`. */
export function plural(key: string, count: number): string {
  return t(count === 1 ? `${key}.one` : `${key}.many`, { count });
}

/** A message of the module, which speaks English, in the page's language as far as it is known. */
export function translate(message: string): string {
  return texts().messages.reduce((text, [pattern, translation]) => text.replace(pattern, translation), message);
}

export function formatNumber(value: number, digits = 0): string {
  return value.toLocaleString(texts().locale, { maximumFractionDigits: digits });
}

export function formatBytes(count: number): string {
  const [value, unit] = count >= 1e9 ? [count / 1e9, "GB"] : count >= 1e6 ? [count / 1e6, "MB"] : [count / 1e3, "kB"];
  return `${formatNumber(value, value < 10 ? 1 : 0)} ${unit}`;
}

export function setLanguage(language: Language): void {
  current = language;
  savePreferences({ language });
  document.documentElement.lang = texts().tag;
  translatePage();
  redraw();
}

/** Bring what index.html holds into the page's language. */
export function translatePage(): void {
  for (const [attribute, { read, write }] of TEXTS) {
    for (const item of all(`[${attribute}]`)) {
      const key = item.getAttribute(attribute)!;
      if (!inPage.has(key)) inPage.set(key, read(item));
      write(item, t(key));
    }
  }
  document.title = t("title");
  delete document.documentElement.dataset.untranslated;
}

function texts(): Texts {
  return LANGUAGES[current];
}

function known(name = "en"): Language {
  return name in LANGUAGES ? (name as Language) : "en";
}

interface Accessor {
  read(item: HTMLElement): string;
  write(item: HTMLElement, text: string): void;
}

const TEXTS: [string, Accessor][] = [
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
  ["data-t-alt", { read: (item) => (item as HTMLImageElement).alt, write: (item, text) => ((item as HTMLImageElement).alt = text) }],
  ["data-t-group", { read: (item) => (item as HTMLOptGroupElement).label, write: (item, text) => ((item as HTMLOptGroupElement).label = text) }],
  ["data-t-title", { read: (item) => item.title, write: (item, text) => (item.title = text) }],
];
