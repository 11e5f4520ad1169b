/** The page: everything starts here, nothing that a photo needs is fetched before there is one. */
import { startCards } from "./cards.js";
import { startCommand } from "./command.js";
import { startDemo } from "./demo.js";
import { element } from "./elements.js";
import { startGestures } from "./gestures.js";
import { LANGUAGES, language, setLanguage, translatePage, type Language } from "./i18n.js";
import { startIntake } from "./intake.js";
import { listModels, startModelDialog } from "./model-dialog.js";
import { startOffline } from "./offline.js";
import { startOffer } from "./offer.js";
import { startOutput } from "./output.js";
import { recallModel, startPanel } from "./panel.js";
import { loadPhotos } from "./persistence.js";
import { startPlacing } from "./placing.js";
import { startPointing } from "./pointing.js";
import { openQueue } from "./queue.js";
import { startRetouch } from "./retouch.js";
import { startStage } from "./stage.js";
import { redraw, state, onRedraw } from "./state.js";
import { startStorageDialog } from "./storage-dialog.js";
import { startStrip } from "./strip.js";
import { startTheme } from "./theme.js";

translatePage();
const languages = element<HTMLSelectElement>("language");
for (const [value, { name, tag }] of Object.entries(LANGUAGES)) {
  languages.append(Object.assign(new Option(name, value), { lang: tag }));
}
languages.value = language();
languages.onchange = () => setLanguage(languages.value as Language);

startTheme();
startDemo();
startStrip();
startStage();
startCards();
startRetouch();
startGestures();
startPlacing();
startPointing();
startPanel();
startModelDialog();
startOffer();
startOutput();
startCommand();
startStorageDialog();
startIntake();
const photos = loadPhotos();
await listModels();
recallModel();
state.photos.unshift(...(await photos));
state.selected ??= state.photos.at(-1) ?? null;
onRedraw(() => (document.documentElement.dataset["ready"] = ""));
redraw();
openQueue();
void startOffline();
