/** Numbers as people read them, in the page's language. */
import { language } from "./words.js";

export function bytes(count: number): string {
  const [value, unit] = count >= 1e9 ? [count / 1e9, "GB"] : count >= 1e6 ? [count / 1e6, "MB"] : [count / 1e3, "kB"];
  return `${number(value, value < 10 ? 1 : 0)} ${unit}`;
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString(language() === "zh" ? "zh-CN" : "en", { maximumFractionDigits: digits });
}
