/** Sizes that shops, offices and networks ask for, with what goes with them. */
import type { Settings } from "./state.js";

export interface Preset {
  id: string;
  canvas: string;
  /** Applied with the size. */
  also: Partial<Settings>;
}

const PRINT: Partial<Settings> = { background: "colour", colour: "#ffffff", margin: 0, position: "50%,100%", subjectSize: 90 };
const CENTRED: Partial<Settings> = { position: "50%,50%", subjectSize: 100 };

export const PRESETS: Preset[] = [
  { id: "market", canvas: "2000x2000", also: { ...CENTRED, background: "colour", colour: "#ffffff", margin: 100 } },
  { id: "square", canvas: "1080x1080", also: { ...CENTRED, margin: 80 } },
  { id: "portrait", canvas: "1080x1350", also: { ...CENTRED, margin: 80 } },
  { id: "story", canvas: "1080x1920", also: { ...CENTRED, margin: 120 } },
  { id: "banner", canvas: "1500x500", also: { ...CENTRED, margin: 40 } },
  { id: "passport", canvas: "35x45mm", also: PRINT },
  { id: "passport.square", canvas: "51x51mm", also: PRINT },
  { id: "passport.small", canvas: "25x35mm", also: PRINT },
];

/** The preset of this size; undefined where somebody chose the size freely. */
export function presetOf(canvas: string): Preset | undefined {
  return PRESETS.find((preset) => preset.canvas === canvas);
}
