"""The alpha of a WebM film, as Chromium shows it."""

from __future__ import annotations

import base64
import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.command import liftout
from tests.video.clips import RED, scene, write_film

SHOW = """
async source => {
  const video = document.createElement("video");
  video.muted = true;
  video.src = source;
  const shown = new Promise(resolve => video.requestVideoFrameCallback(resolve));
  await new Promise((resolve, reject) => { video.onloadeddata = resolve; video.onerror = () => reject(video.error.message); });
  video.play();
  await shown;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const pixel = (x, y) => [...context.getImageData(x, y, 1, 1).data];
  return { size: [canvas.width, canvas.height], subject: pixel(16, 24), ground: pixel(60, 2) };
}
"""


def test_chromium_shows_the_subject_and_nothing_behind_it(red: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Chromium and Playwright")
    from playwright.sync_api import sync_playwright

    clip = write_film(tmp_path / "clip.mp4", [scene(index)[0] for index in range(3)])
    assert liftout("video", clip, "-m", red, "--quiet") == 0
    content = base64.b64encode((tmp_path / "clip-cutout.webm").read_bytes()).decode()
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        shown = page.evaluate(SHOW, f"data:video/webm;base64,{content}")
        browser.close()
    assert shown["size"] == [64, 48]
    assert shown["ground"][3] == 0
    assert shown["subject"][3] == 255
    assert shown["subject"][:3] == pytest.approx(RED, abs=12)
