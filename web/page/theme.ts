/** Light, dark, or as the system has it. */
import { element } from "./elements.js";
import { prefer, preferences } from "./preferences.js";
import { changed, view } from "./state.js";
import { t } from "./words.js";

const THEMES = ["auto", "light", "dark"] as const;
const button = element("theme");

export function startTheme(): void {
  button.onclick = () => {
    const now = THEMES.indexOf(preferences.theme ?? "auto");
    prefer({ theme: THEMES[(now + 1) % THEMES.length]! });
    changed();
  };
  view(draw);
  draw();
}

function draw(): void {
  const theme = preferences.theme ?? "auto";
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  button.querySelector("use")!.setAttribute("href", `#g-${theme}`);
  button.ariaLabel = button.title = t(`theme.${theme}`);
}
