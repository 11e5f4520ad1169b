/** Light, dark, or as the system has it. */
import { element } from "./elements.js";
import { t } from "./i18n.js";
import { preferences, savePreferences } from "./preferences.js";
import { onRedraw, redraw } from "./state.js";

const THEMES = ["auto", "light", "dark"] as const;
const button = element("theme");

export function startTheme(): void {
  button.onclick = () => {
    const index = THEMES.indexOf(preferences.theme ?? "auto");
    savePreferences({ theme: THEMES[(index + 1) % THEMES.length]! });
    redraw();
  };
  onRedraw(draw);
  draw();
}

function draw(): void {
  const theme = preferences.theme ?? "auto";
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  button.querySelector("use")!.setAttribute("href", `#g-${theme}`);
  button.ariaLabel = button.title = t(`theme.${theme}`);
}
