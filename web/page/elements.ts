/** Elements of the page by their id. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export function all<T extends HTMLElement = HTMLElement>(selector: string, within: ParentNode = document): T[] {
  return [...within.querySelectorAll<T>(selector)];
}

/** One of the page's icons. */
export function glyph(name: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#g-${name}`);
  svg.setAttribute("class", "glyph");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A new element with properties and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const item = Object.assign(document.createElement(tag), properties);
  item.append(...children);
  return item;
}

/** The radio button of a group that is checked, and what to do when another is. */
export function choice<T extends string>(name: string, onChange: (value: T) => void): { value: T } {
  const radios = all<HTMLInputElement>(`input[name=${name}]`);
  for (const radio of radios) radio.onchange = () => onChange(radio.value as T);
  return {
    get value() {
      return radios.find((radio) => radio.checked)!.value as T;
    },
    set value(value: T) {
      for (const radio of radios) radio.checked = radio.value === value;
    },
  };
}
