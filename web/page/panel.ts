/** The panel: what is behind the subject, its edge and shadows, the size, the file; which model, and what it runs on. */
import { canvasPosition, canvasSize } from "../src/compose/canvas.js";
import { notify } from "./announce.js";
import { all, choice, element, make } from "./elements.js";
import { formatBytes, formatNumber, plural, t, translate } from "./i18n.js";
import { fastModel, isAccepted, licenceKind, modelNamed } from "./lifters.js";
import { loadBackground, saveBackground } from "./persistence.js";
import { mostMargin } from "./placing.js";
import { preferences } from "./preferences.js";
import { recallPurpose } from "./purposes.js";
import { PRESETS, presetOf } from "./presets.js";
import { retry } from "./queue.js";
import { choose } from "./settings.js";
import { finishedPhotos, onRedraw, redraw, state, type BackgroundKind, type Format, type ListedModel, type Photo } from "./state.js";

const SWATCHES = ["#ffffff", "#111111", "#e4572e", "#f2b134", "#2f9e6e", "#2d7dd2", "#7b5ea7"];

const colour = element<HTMLInputElement>("colour");
const crop = element<HTMLInputElement>("crop");
const margin = element<HTMLInputElement>("margin");
const quality = element<HTMLInputElement>("quality");
const shadow = element<HTMLInputElement>("shadow");
const contact = element<HTMLInputElement>("contact-shadow");
const feather = element<HTMLInputElement>("feather");
const gradient = { from: element<HTMLInputElement>("gradient-from"), to: element<HTMLInputElement>("gradient-to"), way: element<HTMLSelectElement>("gradient-way") };
const canvas = element<HTMLSelectElement>("canvas");
const own = { width: element<HTMLInputElement>("canvas-width"), height: element<HTMLInputElement>("canvas-height"), unit: element<HTMLSelectElement>("canvas-unit") };
const subjectSize = element<HTMLInputElement>("subject-size");
const positions = [0, 0.5, 1].flatMap((down) => [0, 0.5, 1].map((across) => [across, down] as const));
const spots = positions.map(([across, down]) => {
  const button = make("button", { type: "button" });
  button.onclick = () => choose({ position: `${100 * across}%,${100 * down}%` });
  return button;
});
const backgroundInput = element<HTMLInputElement>("background-input");
const swatches = SWATCHES.map((value) => {
  const button = make("button", { type: "button", className: "swatch", title: value, ariaLabel: value });
  button.style.setProperty("--swatch", value);
  button.onclick = () => choose({ colour: value });
  return button;
});

export function startPanel(): void {
  recall();
  const background = choice<BackgroundKind>("background", (value) => {
    choose({ background: value });
    if (value === "image" && !state.settings.image) backgroundInput.click();
  });
  const format = choice<Format>("format", (value) => choose({ format: value }));
  element("swatches").append(...swatches);
  element("spots").append(...spots);
  colour.oninput = () => choose({ colour: colour.value });
  gradient.from.oninput = () => choose({ gradientFrom: gradient.from.value });
  gradient.to.oninput = () => choose({ gradientTo: gradient.to.value });
  gradient.way.onchange = () => choose({ gradientWay: gradient.way.value });
  crop.onchange = () => choose({ crop: crop.checked });
  margin.oninput = () => choose({ margin: within(margin, 0, mostMargin(state.settings)) });
  shadow.onchange = () => choose({ shadow: shadow.checked });
  contact.onchange = () => choose({ contactShadow: contact.checked });
  feather.oninput = () => choose({ feather: within(feather, 0, 1000) });
  subjectSize.oninput = () => choose({ subjectSize: within(subjectSize, 1, 100) });
  quality.oninput = () => choose({ quality: Number(quality.value) });
  canvas.onchange = chooseCanvas;
  for (const field of Object.values(own)) field.onchange = chooseOwnCanvas;
  element("choose-background").onclick = () => backgroundInput.click();
  backgroundInput.onchange = () => void chooseBackground(backgroundInput.files?.[0]);
  element("again").onclick = () => retry(state.selected ? [state.selected] : []);
  element("again-all").onclick = () => retry(others());
  background.value = state.settings.background;
  format.value = state.settings.format;
  onRedraw(() => {
    draw();
    background.value = state.settings.background; // an undo may have changed it
    format.value = state.settings.format;
  });
}

/** A whole number of a field, within limits. */
function within(field: HTMLInputElement, low: number, high: number): number {
  return Math.min(high, Math.max(low, Math.round(Number(field.value)) || 0));
}

function chooseCanvas(): void {
  const preset = PRESETS.find(({ id }) => id === canvas.value);
  ownSize = "";
  if (preset) return choose({ canvas: preset.canvas, ...preset.also });
  if (canvas.value === "own") return chooseOwnCanvas();
  choose({ canvas: "", margin: 0 });
}

function chooseOwnCanvas(): void {
  const [width, height] = [within(own.width, 1, 65_535), within(own.height, 1, 65_535)];
  const size = `${width}x${height}${own.unit.value}`;
  try {
    canvasSize(size);
  } catch (error) {
    return notify(translate((error as Error).message));
  }
  ownSize = size;
  choose({ canvas: size, margin: Math.min(state.settings.margin, mostMargin({ ...state.settings, canvas: size })) });
}

let ownSize = ""; // what was chosen freely last, also where a preset has the same

function draw(): void {
  drawComposition();
  const { settings, selected } = state;
  element("colour-more").hidden = settings.background !== "colour";
  element("image-more").hidden = settings.background !== "image";
  element("background-name").textContent = settings.image?.name ?? "";
  element("colour-chip").style.background = settings.colour;
  colour.value = settings.colour;
  for (const [i, button] of swatches.entries()) button.ariaPressed = String(SWATCHES[i] === settings.colour);
  crop.checked = settings.crop;
  margin.disabled = !settings.crop && !settings.canvas;
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

function drawComposition(): void {
  const { settings } = state;
  element("gradient-more").hidden = settings.background !== "gradient";
  [gradient.from.value, gradient.to.value, gradient.way.value] = [settings.gradientFrom, settings.gradientTo, settings.gradientWay];
  element("gradient-chip").style.background = `linear-gradient(${settings.gradientFrom}, ${settings.gradientTo})`;
  [shadow.checked, contact.checked] = [settings.shadow, settings.contactShadow];
  if (document.activeElement !== feather) feather.value = String(settings.feather);

  const preset = presetOf(settings.canvas);
  canvas.value = !settings.canvas ? "none" : preset && settings.canvas !== ownSize ? preset.id : "own";
  element("crop-row").hidden = settings.canvas !== "";
  element("canvas-more").hidden = settings.canvas === "";
  element("own-canvas").hidden = canvas.value !== "own";
  if (!settings.canvas) return;
  const match = /^(\d+)x(\d+)(\w*)$/.exec(settings.canvas)!;
  if (!Object.values(own).includes(document.activeElement as HTMLInputElement)) {
    [own.width.value, own.height.value, own.unit.value] = [match[1]!, match[2]!, match[3]!];
  }
  const { width, height, dpi } = canvasSize(settings.canvas);
  element("canvas-facts").textContent = dpi ? t("canvas.print", { width, height, dpi }) : "";
  subjectSize.value = element("subject-size-value").textContent = String(settings.subjectSize);
  const position = canvasPosition(settings.position);
  for (const [i, spot] of spots.entries()) {
    const [across, down] = positions[i]!;
    spot.ariaPressed = String(position[0] === across && position[1] === down);
    spot.ariaLabel = spot.title = t(`spot.${3 * 2 * down + 2 * across}`);
  }
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
  choose({ image: file });
  await saveBackground(file);
}

/** Take over what was chosen at the last visit. */
function recall(): void {
  Object.assign(state.settings, preferences.options);
  void loadBackground().then((file) => {
    if (file) state.settings.image = file;
    redraw();
  });
}

/** Take the purpose or the model of the last visit, where this site still has it and its licence allows. */
export function recallModel(): void {
  if (recallPurpose()) return;
  const model = modelNamed(preferences.model ?? "");
  state.settings.model = model && isAccepted(model) ? model.name : fastModel();
}
