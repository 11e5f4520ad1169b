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
  var language = kept.language || (/^zh/i.test(navigator.language) ? "zh" : "en");
  root.lang = language === "zh" ? "zh-Hans" : "en";
  if (language !== "en") root.dataset.untranslated = "";
  if (kept.theme && kept.theme !== "auto") root.dataset.theme = kept.theme;
})();
