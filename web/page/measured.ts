/** What each model took for a photo on this device. */
import { preferences, savePreferences } from "./preferences.js";

export function remember(model: string, seconds: number): void {
  savePreferences({ seconds: { ...preferences.seconds, [model]: seconds } });
}
