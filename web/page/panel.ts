/** The panel: what is behind the subject, the crop, the file; which model, and what it runs on. */
import { notify } from "./announce.js";
import { all, choice, element, make } from "./elements.js";
import { formatBytes, formatNumber, plural, t, translate } from "./i18n.js";
import { fastModel, isAccepted, licenceKind, modelNamed } from "./lifters.js";
import { loadBackground, saveBackground } from "./persistence.js";
import { preferences, savePreferences } from "./preferences.js";
import { retry } from "./queue.js";
import { finishedPhotos, onRedraw, redraw, state, type BackgroundKind, type Format, type ListedModel, type Photo } from "./state.js";

const SWATCHES = ["#ffffff", "#111111", "#e4572e", "#f2b134", "#2f9e6e", "#2d7dd2", "#7b5ea7"];

const colour = element<HTMLInputElement>("colour");
const crop = element<HTMLInputElement>("crop");
const margin = element<HTMLInputElement>("margin");
const quality = element<HTMLInputElement>("quality");
const backgroundInput = element<HTMLInputElement>("background-input");
const swatches = SWATCHES.map((value) => {
  const button = make("button", { type: "button", className: "swatch", title: value, ariaLabel: value });
  button.style.setProperty("--swatch", value);
  button.onclick = () => set({ colour: value });
  return button;
});

export function startPanel(): void {
  recall();
  const background = choice<BackgroundKind>("background", (value) => {
    set({ background: value });
    if (value === "image" && !state.settings.image) backgroundInput.click();
  });
  const format = choice<Format>("format", (value) => set({ format: value }));
  element("swatches").append(...swatches);
  colour.oninput = () => set({ colour: colour.value });
  crop.onchange = () => set({ crop: crop.checked });
  margin.oninput = () => set({ margin: Math.min(5000, Math.max(0, Math.round(Number(margin.value)) || 0)) });
  quality.oninput = () => set({ quality: Number(quality.value) });
  element("choose-background").onclick = () => backgroundInput.click();
  backgroundInput.onchange = () => void chooseBackground(backgroundInput.files?.[0]);
  element("again").onclick = () => retry(state.selected ? [state.selected] : []);
  element("again-all").onclick = () => retry(others());
  background.value = state.settings.background;
  format.value = state.settings.format;
  onRedraw(draw);
}

function draw(): void {
  const { settings, selected } = state;
  element("colour-more").hidden = settings.background !== "colour";
  element("image-more").hidden = settings.background !== "image";
  element("background-name").textContent = settings.image?.name ?? "";
  element("colour-chip").style.background = settings.colour;
  colour.value = settings.colour;
  for (const [i, button] of swatches.entries()) button.ariaPressed = String(SWATCHES[i] === settings.colour);
  crop.checked = settings.crop;
  margin.disabled = !settings.crop;
  if (document.activeElement !== margin) margin.value = String(settings.margin);
  quality.value = element("quality-value").textContent = String(settings.quality);
  element("quality-field").hidden = settings.format === "png";
  element("format-note").hidden = settings.format !== "jpeg" || settings.background !== "none";

  const model = modelNamed(settings.model);
  const facts = model ? t("model.facts", { bytes: formatBytes(model.bytes), licence: t(`model.${licenceKind(model)}`) }) : "";
  for (const item of all("[data-model-purpose]")) item.textContent = purposeOf(model);
  for (const item of all("[data-model-name]")) item.textContent = settings.model;
  for (const item of all("[data-model-facts]")) item.textContent = facts;
  element("again-row").hidden = !others().length || !finishedPhotos().length;
  element<HTMLButtonElement>("again").disabled = !selected || !isOther(selected);
  element("engine").textContent = engineText();
  const warnings = element("warnings");
  warnings.hidden = !state.warnings.length;
  warnings.textContent = state.warnings.map(translate).join(" ");

  element("photo-name").textContent = selected?.name ?? "–";
  element("photo-facts").textContent = selected ? factsOf(selected) : "–";
}

/** What a model is good at: the first words of its summary. */
function purposeOf(model: ListedModel | undefined): string {
  return translate(model?.summary ?? "").split(/[:：]/)[0]!;
}

export function factsOf(photo: Photo): string {
  if (photo.stage !== "done") return photo.preview ? t("photo.preview") : t(`photo.${photo.stage}`);
  if (photo.empty) return t("photo.empty");
  const { width, height, model, seconds } = photo;
  const facts = t("photo.facts", { width, height, model, seconds: formatNumber(seconds, seconds < 10 ? 1 : 0) });
  return photo.edited ? `${facts} · ${t("photo.edited")}` : facts;
}

function engineText(): string {
  const { engine } = state;
  if (!engine) return t("engine.none");
  const name = engine.name === "webgpu" ? t("engine.webgpu") : plural("engine.wasm", engine.threads);
  return t("engine", { engine: name, reason: translate(engine.reason) });
}

/** Finished photos that another model cut and nobody has edited. */
function others(): Photo[] {
  return state.photos.filter((photo) => isOther(photo) && !photo.edited);
}

function isOther(photo: Photo): boolean {
  return photo.stage === "done" && photo.model !== state.settings.model;
}

async function chooseBackground(file: File | undefined): Promise<void> {
  backgroundInput.value = "";
  if (!file) return;
  try {
    (await createImageBitmap(file)).close();
  } catch {
    return notify(t("background.unreadable", { name: file.name }));
  }
  set({ image: file });
  await saveBackground(file);
}

function set(change: Partial<typeof state.settings>): void {
  Object.assign(state.settings, change);
  const { background, colour, crop, margin, format, quality } = state.settings;
  savePreferences({ options: { background, colour, crop, margin, format, quality } });
  redraw();
}

/** Take over what was chosen at the last visit. */
function recall(): void {
  Object.assign(state.settings, preferences.options);
  void loadBackground().then((file) => {
    if (file) state.settings.image = file;
    redraw();
  });
}

/** Take the model of the last visit, where this site still has it and its licence allows. */
export function recallModel(): void {
  const model = modelNamed(preferences.model ?? "");
  state.settings.model = model && isAccepted(model) ? model.name : fastModel();
}
