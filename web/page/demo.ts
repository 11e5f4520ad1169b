/** The live comparison on the empty screen. */
import { element } from "./elements.js";

const split = element<HTMLInputElement>("demo-split");

export function startDemo(): void {
  split.oninput = draw;
  draw();
}

function draw(): void {
  element("demo").style.setProperty("--split", `${split.value}%`);
}
