/** What lies behind the subject on the stage, as the files will have it. */
import { element } from "./elements.js";
import { painter } from "./painter.js";
import type { Settings } from "./state.js";

const backdrop = element("backdrop");
let url = "";

export async function drawBackdrop({ background, colour, image, gradientFrom, gradientTo, gradientWay }: Settings): Promise<void> {
  backdrop.style.backgroundColor = background === "colour" ? colour : "";
  const picture = background === "image" ? image : background === "blur" ? await painter.blurred() : null;
  if (url) URL.revokeObjectURL(url);
  url = picture ? URL.createObjectURL(picture) : "";
  const [shape, way] = gradientWay === "radial" ? ["radial", "farthest-corner"] : ["linear", `${gradientWay}deg`];
  backdrop.style.backgroundImage =
    background === "gradient" ? `${shape}-gradient(${shape === "radial" ? `circle ${way}` : way}, ${gradientFrom}, ${gradientTo})` : url && `url("${url}")`;
}
