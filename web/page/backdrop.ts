/** What lies behind the subject on the stage, as the files will have it. */
import { element } from "./elements.js";
import { painter } from "./painter.js";
import type { BackgroundKind } from "./state.js";

const backdrop = element("backdrop");
let url = "";

export async function drawBackdrop(kind: BackgroundKind, colour: string, image: Blob | null): Promise<void> {
  backdrop.style.backgroundColor = kind === "colour" ? colour : "";
  const picture = kind === "image" ? image : kind === "blur" ? await painter.blurred() : null;
  if (url) URL.revokeObjectURL(url);
  url = picture ? URL.createObjectURL(picture) : "";
  backdrop.style.backgroundImage = url && `url("${url}")`;
}
