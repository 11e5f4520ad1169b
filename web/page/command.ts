/** The command line that makes the same file, for who has many photos or wants it in a script. */
import { declared } from "../src/options.js";
import { notify } from "./announce.js";
import { backgroundOf, composedBy } from "./chosen.js";
import { element } from "./elements.js";
import { t } from "./i18n.js";
import { onRedraw, state, type Photo, type Settings } from "./state.js";

const DEFAULT_MODEL = "pocket";

export function startCommand(): void {
  const line = element("command");
  onRedraw(() => {
    const { selected, settings } = state;
    line.textContent = selected ? commandOf(selected, settings) : "";
    element("command-note").hidden = !selected?.edited;
  });
  element("copy-command").onclick = async () => {
    try {
      await navigator.clipboard.writeText(line.textContent);
      notify(t("copied"));
    } catch {
      notify(t("copy.none"));
    }
  };
}

/** What `liftout cut` is to be told so that it gives what the page gives; strokes by hand are not part of it. */
export function commandOf(photo: Photo, settings: Settings): string {
  const model = photo.model || state.settings.model;
  const behind = backgroundOf(settings);
  const { format, quality } = settings;
  const options: Record<string, string | number | boolean | null> = {
    background: behind instanceof File ? behind.name : behind,
    ...composedBy(settings),
    subjects: settings.each ? "each" : "all",
    ...(format === "png" ? {} : { format, quality }),
  };
  const words = Object.entries(options).flatMap(([name, value]) => {
    const { name: inPython, default: usual } = declared[name as keyof typeof declared];
    if (value === usual) return [];
    const flag = `--${inPython.replaceAll("_", "-")}`;
    return [value === true ? flag : `${flag} ${quoted(String(value))}`];
  });
  return ["liftout cut", quoted(photo.name), ...(model === DEFAULT_MODEL ? [] : [`-m ${quoted(model)}`]), ...words].join(" ");
}

/** A word for a POSIX shell. */
function quoted(word: string): string {
  const safe = word.startsWith("-") ? `./${word}` : word;
  return /^[\w@%+=:,./-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", `'\\''`)}'`;
}
