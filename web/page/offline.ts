/** The service worker, which makes the page work offline and gives it its isolation, and installing the page as an app. */
import { notify } from "./announce.js";
import { element } from "./elements.js";
import { t } from "./i18n.js";
import { state } from "./state.js";

interface InstallPrompt extends Event {
  prompt(): Promise<unknown>;
}

const RELOADED = "liftout-isolating";

let stays = false;
let reloading = false;

/** A visitor has begun to give photos, or chooses some now: the page must not reload any more. */
export function stay(): void {
  stays = true;
  if (reloading) window.stop(); // the old page stays as it is, with one thread
  reloading = false;
}

export async function startOffline(): Promise<void> {
  const install = element("install");
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    install.hidden = false;
    install.onclick = async () => {
      await (event as InstallPrompt).prompt();
      install.hidden = true;
    };
  });
  const { serviceWorker } = navigator as { serviceWorker?: ServiceWorkerContainer }; // missing where the page is not secure
  if (!serviceWorker) return;
  const isUpdate = Boolean(serviceWorker.controller);
  serviceWorker.addEventListener("controllerchange", () => {
    if (isUpdate) notify(t("update.ready"), { text: t("update.reload"), run: () => location.reload() });
    else isolate();
  });
  try {
    const registration = await serviceWorker.register("sw.js", { updateViaCache: "none" });
    await serviceWorker.ready;
    registration.active?.postMessage("keep");
    if (serviceWorker.controller) isolate();
  } catch {
    // it goes on without: online, and with one thread where the host sends no headers
  }
}

/** One reload gives a host without the headers all cores; not while there is something to lose, and not twice. */
function isolate(): void {
  if (crossOriginIsolated || stays || state.photos.length || sessionStorage.getItem(RELOADED)) return;
  sessionStorage.setItem(RELOADED, "yes");
  reloading = true;
  location.reload();
}
