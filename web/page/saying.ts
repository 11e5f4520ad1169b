/** What happens, told: to screen readers through a live region, to everyone in a short notice. */
import { element, make } from "./elements.js";

const announcer = element("announcer");
const notice = element("notice");
const SHOWN_MS = 5000;
let hiding = 0;

/** For screen readers. The same text twice in a row is told twice. */
export function say(text: string): void {
  announcer.textContent = announcer.textContent === text ? `${text} ` : text;
}

/** For everyone, for a moment; with a button it stays until another notice comes. */
export function tell(text: string, action?: { text: string; run: () => void }): void {
  clearTimeout(hiding);
  notice.replaceChildren(text);
  if (action) {
    const button = make("button", { type: "button", className: "link", textContent: action.text });
    button.onclick = () => {
      notice.replaceChildren();
      action.run();
    };
    notice.append(button);
  } else {
    hiding = window.setTimeout(() => notice.replaceChildren(), SHOWN_MS);
  }
}
