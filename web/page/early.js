// Before the first paint: language and colours, so that nothing moves or flashes afterwards.
(function () {
  var root = document.documentElement;
  var kept = null;
  try {
    kept = JSON.parse(localStorage.getItem("liftout-preferences"));
  } catch {
    // storage is switched off, or holds something else
  }
  kept = kept || {};
  var tags = { en: "en", zh: "zh-Hans" }; // of all languages in i18n.ts
  root.lang = tags[kept.language || navigator.language.split("-")[0].toLowerCase()] || "en";
  if (root.lang !== "en") root.dataset.untranslated = "";
  if (kept.theme && kept.theme !== "auto") root.dataset.theme = kept.theme;
})();
