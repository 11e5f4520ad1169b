/** What the panel asks for, as the options of the module: files, the stage and the command line follow the same ones. */
import { declared, type ResultOptions } from "../src/options.js";
import type { Settings } from "./state.js";

/** Those that say how a cutout is composed. */
export type Composed = Pick<
  Required<ResultOptions>,
  "crop" | "margin" | "canvas" | "position" | "enlarge" | "subjectSize" | "shadow" | "contactShadow" | "feather"
>;

const CENTRE = "50%,50%";

/** On a canvas the subject is as large as it may be. */
export function composedBy({ canvas, crop, margin, position, subjectSize, shadow, contactShadow, feather }: Settings): Composed {
  const onCanvas = canvas !== "";
  return {
    crop: crop && !onCanvas,
    margin: onCanvas || crop ? margin : declared.margin.default,
    canvas: canvas || null,
    position: onCanvas && position !== CENTRE ? position : declared.position.default,
    enlarge: onCanvas,
    subjectSize: onCanvas ? subjectSize : declared.subjectSize.default,
    shadow,
    contactShadow,
    feather,
  };
}

/** Whether a cutout stays as it is. */
export function isUnchanged({ crop, canvas, shadow, contactShadow, feather }: Composed): boolean {
  return !crop && canvas === null && !shadow && !contactShadow && !feather;
}

/** What lies behind the subject: text of the option, or the image. */
export function backgroundOf({ background, colour, gradientFrom, gradientTo, gradientWay, image }: Settings): string | File | null {
  if (background === "gradient") return gradientWay === "radial" ? `radial:${gradientFrom}:${gradientTo}` : `linear:${gradientFrom}:${gradientTo}:${gradientWay}`;
  return { none: null, colour, image, blur: "blur" }[background];
}
