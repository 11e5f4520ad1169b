/**
 * A custom element that shows the subject of a photo: `<lift-out src="photo.jpg" alt="A chair"></lift-out>`.
 *
 * Attributes: `src`, `alt`, `model`, `background`, `packs`, `base`, `crop`. It fires `load` and `error` as an image does; the event
 * `load` has the file in `detail`, `error` has the Error. Until then, and where it fails, its content is shown.
 */
import { follow } from "./cutout-state.js";
import type { OneCallOptions } from "./liftout.js";

const NAMES = ["src", "alt", "model", "background", "packs", "base", "crop"];

export class LiftOut extends HTMLElement {
  static observedAttributes = NAMES;
  #image = Object.assign(document.createElement("img"), { hidden: true });
  #content = document.createElement("slot");
  #end: () => void = () => undefined;

  constructor() {
    super();
    this.#image.part = "image";
    this.#image.style.maxWidth = "100%";
    this.attachShadow({ mode: "open" }).append(this.#image, this.#content);
  }

  connectedCallback(): void {
    this.#start();
  }

  disconnectedCallback(): void {
    this.#end();
  }

  attributeChangedCallback(name: string): void {
    this.#image.alt = this.getAttribute("alt") ?? "";
    if (this.isConnected && name !== "alt") this.#start();
  }

  #start(): void {
    this.#end();
    this.#end = follow(this.getAttribute("src"), this.#options(), ({ url, blob, error, busy }) => {
      this.ariaBusy = String(busy);
      this.#image.hidden = !url;
      this.#content.hidden = Boolean(url);
      this.#image.src = url ?? "";
      if (blob) this.dispatchEvent(new CustomEvent("load", { detail: blob }));
      if (error) this.dispatchEvent(new CustomEvent("error", { detail: error }));
    });
  }

  #options(): OneCallOptions {
    const options: OneCallOptions = { crop: this.hasAttribute("crop") };
    for (const name of ["model", "background", "packs", "base"] as const) {
      const value = this.getAttribute(name);
      if (value !== null) options[name] = value;
    }
    return options;
  }
}

if (!customElements.get("lift-out")) customElements.define("lift-out", LiftOut);
