/** The command line that makes the same file, for who has many photos or wants it in a script. */
import { notify } from "./announce.js";
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
export function commandOf(photo: Photo, { background, colour, image, crop, margin, format, quality }: Settings): string {
  const model = photo.model || state.settings.model;
  const behind = { none: "", colour, image: image?.name ?? "", blur: "blur" }[background];
  return [
    "liftout cut",
    quoted(photo.name),
    ...(model === DEFAULT_MODEL ? [] : [`-m ${quoted(model)}`]),
    ...(behind ? [`--background ${quoted(behind)}`] : []),
    ...(crop ? ["--crop", ...(margin ? [`--margin ${margin}`] : [])] : []),
    ...(format === "png" ? [] : [`--format ${format} --quality ${quality}`]),
  ].join(" ");
}

/** A word for a POSIX shell. */
function quoted(word: string): string {
  const safe = word.startsWith("-") ? `./${word}` : word;
  return /^[\w@%+=:,./-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", `'\\''`)}'`;
}
