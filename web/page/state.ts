/** All that the page knows, in one place. Views read it and draw themselves again after `redraw`. */
import type { Box, EngineChoice, Progress } from "./liftout.js";

/** `stopped`: ended by a cancel or a reload before it was done. */
export type Stage = "waiting" | "working" | "done" | "failed" | "stopped";

export interface Photo {
  id: string;
  name: string;
  file: Blob;
  stage: Stage;
  /** The whole photo with its subject's alpha, as a PNG of the photo's size; the last finished one. */
  cutout: Blob | null;
  /** A cutout at a lower resolution, shown until the real one is there. */
  preview: Blob | null;
  /** URL of a small picture for the strip. */
  thumb: string;
  width: number;
  height: number;
  /** Where the cutout's subject is, in pixels; null without one, undefined where it is not known. */
  box: Box | null | undefined;
  /** The model that made the cutout, and how long it took. */
  model: string;
  seconds: number;
  edited: boolean;
  /** No subject was found. */
  empty: boolean;
  /** Kept although it has no subject. */
  wanted: boolean;
  error: { name: string; message: string } | null;
  /** When it was added, in milliseconds since 1970; photos are in this order. */
  added: number;
}

export interface ListedModel {
  name: string;
  model: string;
  summary: string;
  size: [number, number];
  precision: string;
  bytes: number;
  peak_bytes: number | null;
  /** Whether the host's owner added it: then its licence asks for nothing. */
  added?: boolean;
  commercial: boolean;
  license: { code: string; weights: string; note: string; url: string };
}

export type BackgroundKind = "none" | "colour" | "gradient" | "image" | "blur";
export type Format = "png" | "webp" | "avif" | "jpeg";
export type Tool = "look" | "point" | "erase" | "restore";

export interface Settings {
  background: BackgroundKind;
  colour: string;
  gradientFrom: string;
  gradientTo: string;
  /** Degrees, or `radial`. */
  gradientWay: string;
  image: File | null;
  crop: boolean;
  /** Pixels of the photo, or of the canvas. */
  margin: number;
  /** Size as the option takes it; empty without a canvas. */
  canvas: string;
  /** On the canvas, as the option takes it. */
  position: string;
  /** Percent of the canvas within the margins. */
  subjectSize: number;
  shadow: boolean;
  contactShadow: boolean;
  /** Pixels of the photo. */
  feather: number;
  /** Each subject is a layer and a file of its own. */
  each: boolean;
  format: Format;
  quality: number;
  model: string;
  /** What the model was chosen for; empty where it was chosen by its name. */
  purpose: string;
}

/** What runs now, for the progress card. */
export interface Activity {
  act: "load" | "preview" | "cut";
  /** The photo that it is about; null for a load. */
  photo: Photo | null;
  model: string;
  progress: Progress | null;
}

export const state = {
  photos: [] as Photo[],
  selected: null as Photo | null,
  models: [] as ListedModel[],
  settings: {
    background: "none",
    colour: "#ffffff",
    gradientFrom: "#ffffff",
    gradientTo: "#c3ced6",
    gradientWay: "180",
    image: null,
    crop: false,
    margin: 0,
    canvas: "",
    position: "50%,50%",
    subjectSize: 100,
    shadow: false,
    contactShadow: false,
    feather: 0,
    each: false,
    format: "png",
    quality: 90,
    model: "pocket",
    purpose: "",
  } as Settings,
  tool: "look" as Tool,
  activity: null as Activity | null,
  /** Files that are being written, and how many are. */
  saving: null as { what: "download" | "copy" | "zip"; done: number; of: number } | null,
  engine: null as EngineChoice | null,
  warnings: [] as string[],
  /** Why the list of models could not be loaded. */
  listError: null as Error | null,
};

const views: (() => void)[] = [];
let scheduled = false;

/** Draw again whenever something has changed. */
export function onRedraw(draw: () => void): void {
  views.push(draw);
}

/** Something has changed: draw again. Several changes in a row draw once. */
export function redraw(): void {
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() => {
    scheduled = false;
    for (const draw of views) draw();
  });
}

/** What can be shown of a photo now. */
export function resultOf(photo: Photo): Blob | null {
  return photo.cutout ?? photo.preview;
}

export function finishedPhotos(): Photo[] {
  return state.photos.filter((photo) => photo.cutout);
}

/** Finished photos that go into a zip: those without a subject only where that was wanted. */
export function savedPhotos(): Photo[] {
  return finishedPhotos().filter(({ empty, wanted }) => !empty || wanted);
}
