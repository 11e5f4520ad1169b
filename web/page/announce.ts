/** What happens, in words: to screen readers through a live region, to everyone in a short notice. */
import { element, make } from "./elements.js";

const announcer = element("announcer");
const notice = element("notice");
const NOTICE_MS = 5000;
let hideTimer = 0;

/** For screen readers. The same text twice in a row is read twice. */
export function announce(text: string): void {
  announcer.textContent = announcer.textContent === text ? `${text} ` : text;
}

/** For everyone, for a moment; with a button it stays until another notice comes. */
export function notify(text: string, action?: { text: string; run: () => void }): void {
  clearTimeout(hideTimer);
  notice.replaceChildren(text);
  if (action) {
    const button = make("button", { type: "button", className: "link", textContent: action.text });
    button.onclick = () => {
      notice.replaceChildren();
      action.run();
    };
    notice.append(button);
  } else {
    hideTimer = window.setTimeout(() => notice.replaceChildren(), NOTICE_MS);
  }
}
