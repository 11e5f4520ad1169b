"""The page, in a real Chromium with real photos: every control, both languages, a reload, a visit without network."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import hosting, slow
from PIL import Image
from visiting import Page, alpha_of

from liftout import site

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
PAGE_LIMIT = 80_000
LONGEST_TASK_MS = 100


def test_photos_are_cut_and_saved_one_by_one_and_as_a_zip(page: Page, examples: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin" / "cat.jpg"
    twin.parent.mkdir()
    shutil.copyfile(examples / "coffee.jpg", twin)
    page.cut(examples / "cat.jpg", twin)
    saved = page.saved("#download", tmp_path)
    assert saved.name == "cat-cutout.png"
    with Image.open(saved) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (451, 300))
        alpha = alpha_of(image)
    assert alpha.min() == 0
    assert alpha.max() == 255

    bundle = page.saved("#zip", tmp_path)
    with zipfile.ZipFile(bundle) as members:
        assert members.testzip() is None
        assert members.namelist() == ["cat-cutout.png", "cat-cutout-2.png"]
        assert members.read("cat-cutout.png") == saved.read_bytes()
        with Image.open(io.BytesIO(members.read("cat-cutout-2.png"))) as image:
            assert image.size == (600, 400)

    page.page.click("#copy")
    page.page.wait_for_function("document.getElementById('notice').textContent === 'Copied'")
    copied = page.page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          const { width, height } = await createImageBitmap(await item.getType("image/png"));
          return [width, height];
        }"""
    )
    assert copied == [451, 300]

    page.page.click("#strip li:nth-child(2) .thumb")
    assert re.search("600 . 400", page.page.inner_text("#photo-facts"))
    page.page.click("#strip li:nth-child(2) .remove")
    assert page.count("done") == 1
    assert "processor" in page.page.text_content("#engine")


def test_photos_are_dropped_and_pasted(page: Page, examples: Path) -> None:
    content = base64.b64encode((examples / "cat.jpg").read_bytes()).decode()
    page.page.evaluate(
        """async ([content]) => {
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const given = (name) => {
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, { type: "image/jpeg" }));
            return data;
          };
          dispatchEvent(new DragEvent("dragenter", { dataTransfer: given("a.jpg"), bubbles: true }));
          if (document.getElementById("dropping").hidden) throw new Error("no sign of a drop");
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: given("dropped.jpg"), bubbles: true, cancelable: true }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: given("pasted.jpg"), bubbles: true }));
        }""",
        [content],
    )
    page.wait("done", 2)
    assert page.page.locator("#dropping").is_hidden()
    assert page.page.inner_text("#photo-name") in ("dropped.jpg", "pasted.jpg")


def test_backgrounds_crop_and_formats_are_what_the_file_holds(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "cat.jpg")
    page.pick("background", "colour")
    page.page.click("#swatches button:nth-child(3)")
    image = page.picture(tmp_path)
    assert image.mode == "RGB"
    colours = np.asarray(image).reshape(-1, 3)
    assert (colours == (0xE4, 0x57, 0x2E)).all(axis=1).mean() > 0.05

    written = page.page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          const type = (name) => new Promise((done) => canvas.toBlob((blob) => done(blob.type), `image/${name}`));
          return [await type("webp") === "image/webp", await type("avif") === "image/avif"];
        }"""
    )
    assert [page.page.locator(f"#format-{name}").is_visible() for name in ("webp", "avif")] == written
    page.pick("format", "webp")
    page.page.fill("#quality", "60")
    assert page.picture(tmp_path).format == "WEBP"
    if written[1]:
        page.pick("format", "avif")
        assert page.picture(tmp_path).format == "AVIF"
    page.pick("format", "jpeg")
    jpeg = page.saved("#download", tmp_path)
    assert jpeg.name == "cat-cutout.jpg"
    with Image.open(jpeg) as image:
        assert image.format == "JPEG"

    page.pick("format", "png")
    with page.page.expect_file_chooser() as chooser:
        page.pick("background", "image")
    chooser.value.set_files(str(examples / "rocket.jpg"))
    page.page.wait_for_function("document.getElementById('background-name').textContent === 'rocket.jpg'")
    over_image = np.asarray(page.picture(tmp_path)).astype(int)
    page.pick("background", "blur")
    blurred = page.picture(tmp_path)
    assert blurred.mode == "RGB"
    assert np.abs(np.asarray(blurred).astype(int) - over_image).mean() > 5

    page.pick("background", "none")
    page.page.check("#crop", force=True)
    image = page.picture(tmp_path)
    whole = alpha_of(image)
    assert image.width < 451 or image.height < 300
    page.page.fill("#margin", "12")
    assert alpha_of(page.picture(tmp_path)).size > whole.size
    assert page.page.locator("#crop-frame").is_visible()


def test_brushes_erase_and_restore_with_undo(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "coffee.jpg")
    untouched = alpha_of(page.picture(tmp_path))
    page.stroke("erase", (0.4, 0.5), (0.6, 0.5))
    erased = alpha_of(page.picture(tmp_path))
    assert untouched[200, 300] == 255
    assert erased[200, 252:346].max() == 0
    assert "edited" in page.page.inner_text("#photo-facts")

    before = page.thumb()
    page.page.click("#undo")
    page.renewed(before)
    assert np.array_equal(alpha_of(page.picture(tmp_path)), untouched)
    before = page.thumb()
    page.page.keyboard.press("Control+Shift+Z")
    page.renewed(before)
    assert np.array_equal(alpha_of(page.picture(tmp_path)), erased)

    row, column = np.argwhere(untouched[:40, :40] == 0)[0] if (untouched[:40, :40] == 0).any() else (5, 5)
    page.stroke("restore", (column / 600, row / 400), (column / 600 + 0.02, row / 400))
    image = page.picture(tmp_path)
    with Image.open(examples / "coffee.jpg") as photo:
        original = np.asarray(photo.convert("RGB")).astype(int)
    assert alpha_of(image)[row, column] == 255
    assert np.abs(np.asarray(image).astype(int)[row, column, :3] - original[row, column]).max() <= 2

    before = page.thumb()
    page.pick("tool", "erase")
    page.page.focus("#stage")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Space"):
        page.page.keyboard.press(key)
    page.renewed(before)


def test_the_slider_and_the_zoom_work_by_mouse_and_keys(page: Page, examples: Path) -> None:
    page.page.emulate_media(reduced_motion="no-preference")
    page.cut(examples / "cat.jpg")
    page.page.wait_for_timeout(1000)  # the wipe
    slider = page.page.locator("#split")
    assert slider.get_attribute("aria-valuenow") == "0"
    slider.focus()
    page.page.keyboard.press("PageUp")
    page.page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "25"
    box = slider.bounding_box()
    page.page.mouse.move(box["x"] + 22, box["y"] + 30)
    page.page.mouse.down()
    page.page.mouse.move(*page.at(0.75, 0.2), steps=4)
    page.page.mouse.up()
    assert 72 <= int(str(slider.get_attribute("aria-valuenow"))) <= 78
    assert "px" in str(page.page.evaluate("document.getElementById('after-layer').style.clipPath"))

    def level() -> int:
        return int(page.page.inner_text("#zoom-fit").rstrip("%"))

    fitting = level()
    page.page.click("#zoom-in")
    assert level() > fitting
    page.page.focus("#stage")
    page.page.keyboard.press("-")
    page.page.keyboard.press("-")
    assert level() < fitting
    page.page.keyboard.press("0")
    assert level() == fitting
    page.page.mouse.move(*page.at(0.5, 0.5))
    page.page.mouse.wheel(0, -300)
    page.page.wait_for_function(f"parseInt(document.getElementById('zoom-fit').textContent) > {fitting}")
    page.page.click("#zoom-fit")
    assert level() == fitting


def test_a_model_shows_its_cost_and_asks_for_consent(fresh_page: Page, examples: Path) -> None:
    fresh_page.cut(examples / "cat.jpg")
    fresh_page.page.click("#work [data-models]")
    row = fresh_page.page.locator("#model-list > li", has_text="paid").last
    assert "not for commercial use" in row.inner_text()
    assert "to download" in row.inner_text()
    use = row.get_by_role("button")
    assert use.is_disabled()
    unknown = fresh_page.page.locator("#model-list > li", has_text="unlicensed").last
    assert "licence unknown" in unknown.inner_text()
    assert unknown.get_by_role("button").is_disabled()
    row.get_by_role("checkbox").check()
    use.click()
    assert fresh_page.page.inner_text("#work [data-model-name]") == "paid"
    fresh_page.page.click("#again")
    fresh_page.page.wait_for_function("document.getElementById('photo-facts').textContent.includes('paid')")
    kept = fresh_page.page.evaluate("JSON.parse(localStorage.getItem('liftout-preferences')).accepted")
    assert kept == ["paid"]


def test_a_preview_comes_while_the_model_loads_and_cancel_stops_it(
    opened: Callable[..., Page], place: Path, examples: Path
) -> None:
    with hosting(place) as host:
        host.faults["weights.bin.003"] = slow(60)
        page = opened(host.address)
        page.page.click("#welcome [data-models]")
        page.page.get_by_role("button", name="Use this model: blocks").click()
        page.give(examples / "cat.jpg")
        page.page.wait_for_selector("#strip li.waiting.cut")
        detail = page.page.inner_text("#doing-detail")
        assert re.search(r"\d.* (kB|MB) of .*(kB|MB)", detail), detail
        assert "blocks" in page.page.inner_text("#doing-title")
        assert "Preview" in page.page.inner_text("#photo-facts")
        page.page.click("#cancel")
        page.wait("stopped")
        assert page.page.locator("#doing").is_hidden()
        assert page.page.inner_text("#work [data-model-name]") == "pocket"
        page.page.click("#retry")
        page.wait("done")
        assert "pocket" in page.page.inner_text("#photo-facts")


def test_a_running_cut_is_cancelled_and_what_was_done_stays(page: Page, examples: Path) -> None:
    page.cut(examples / "cat.jpg")
    page.page.click("#work [data-models]")
    page.page.get_by_role("button", name="Use this model: slow").click()
    page.page.click("#again-all")
    page.wait("working")
    page.page.click("#cancel")
    page.wait("done")
    assert page.page.locator("#download").is_enabled()
    assert "pocket" in page.page.inner_text("#photo-facts")


def test_what_fails_says_why_and_the_others_are_done(page: Page, examples: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((examples / "cat.jpg").read_bytes()[:300])
    page.give(broken, examples / "cat.jpg")
    page.wait("failed")
    page.wait("done")
    page.page.click("#strip li.failed .thumb")
    assert "broken.jpg" in page.page.inner_text("#verdict-text")
    assert page.page.locator("#download").is_disabled()
    page.page.click("#strip li.failed .remove")

    page.page.click("#work [data-models]")
    page.page.get_by_role("button", name="Use this model: greedy").click()
    page.page.click("#again")
    page.wait("failed")
    assert "not enough memory" in page.page.inner_text("#verdict-text")
    page.page.click("#smaller")
    page.wait("done")


def test_a_reload_loses_nothing_and_storage_is_given_back(fresh_page: Page, examples: Path, tmp_path: Path) -> None:
    fresh_page.cut(examples / "cat.jpg")
    fresh_page.stroke("erase", (0.4, 0.5), (0.6, 0.5))
    fresh_page.pick("tool", "look")
    edited = fresh_page.saved("#download", tmp_path).read_bytes()
    fresh_page.page.check("#crop", force=True)
    fresh_page.page.reload()
    fresh_page.ready()
    fresh_page.wait("done")
    assert fresh_page.page.is_checked("#crop")
    fresh_page.page.uncheck("#crop", force=True)
    assert fresh_page.saved("#download", tmp_path).read_bytes() == edited

    fresh_page.page.click("#open-storage")
    shown = fresh_page.page.locator("#storage-list li")
    shown.nth(1).wait_for()
    assert {"Model pocket", "1 photo and its cutout"} <= {row.split("\n")[0] for row in shown.all_inner_texts()}
    fresh_page.page.get_by_role("button", name="Delete Model pocket").click()
    fresh_page.page.wait_for_function("document.querySelectorAll('#storage-list li').length === 1")
    fresh_page.page.click("#free-all")
    fresh_page.page.wait_for_selector("#storage-list li.fine")
    fresh_page.page.reload()
    fresh_page.ready()
    assert fresh_page.page.locator("#welcome").is_visible()


def test_it_works_offline_and_isolates_itself_on_a_plain_host(
    opened: Callable[..., Page], place: Path, examples: Path
) -> None:
    with hosting(place, isolated=False) as host:
        page = opened(host.address)
        page.page.wait_for_function("crossOriginIsolated && document.documentElement.dataset.ready === ''")
        page.cut(examples / "cat.jpg")
        page.page.wait_for_function(
            """async () => {
              const [name] = (await caches.keys()).filter((name) => name.startsWith("liftout-page-"));
              return name && (await (await caches.open(name)).keys()).length >= 15;
            }"""
        )
        address = host.address
    page.errors.clear()
    page.page.goto(address)
    page.ready()
    assert page.count("done") == 1
    page.cut(examples / "coffee.jpg")
    assert page.page.evaluate("crossOriginIsolated")


def test_every_word_has_chinese_and_the_page_works_in_it(
    opened: Callable[..., Page], place: Path, examples: Path, tmp_path: Path
) -> None:
    with hosting(place) as host:
        page = opened(host.address, locale="zh-CN")
        assert page.page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert page.page.inner_text("#welcome [data-choose]") == "选择照片"
        english = page.page.evaluate(
            """() => [...document.querySelectorAll("[data-t], [data-t-label]")]
              .flatMap((item) => [item.dataset.t && item.textContent, item.dataset.tLabel && item.ariaLabel])
              .filter((text) => text && !/[\\u4e00-\\u9fff]/.test(text))"""
        )
        assert english == []
        page.cut(examples / "cat.jpg")
        assert "处理器" in page.page.text_content("#engine")
        assert page.page.inner_text("#announcer").strip() == "cat.jpg 已抠好"
        page.pick("background", "blur")
        with Image.open(page.saved("#download", tmp_path)) as image:
            assert image.mode == "RGB"
        page.page.click("#work [data-models]")
        assert "不可商用" in page.page.inner_text("#model-list")
        page.page.keyboard.press("Escape")
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(b"nothing")
        page.give(broken)
        page.wait("failed")
        assert "不是此浏览器能读取的图片" in page.page.inner_text("#verdict-text")
        page.page.select_option("#language", "en")
        assert page.page.inner_text("#download") == "Download"
        page.page.reload()
        page.ready()
        assert page.page.evaluate("document.documentElement.lang") == "en"


def test_no_message_lacks_chinese() -> None:
    source = ROOT / "web" / "page"
    words = {
        name: set(re.findall(r'^  "?([\w.]+)"?: "', (source / f"{name}.ts").read_text(), re.M)) for name in ("en", "zh")
    }
    static = set(re.findall(r'data-t(?:-label|-title|-alt|-group)?="([\w.]+)"', (source / "index.html").read_text()))
    assert words["en"] | static == words["zh"]


LOOKS = [
    (size, scheme, language)
    for size in ((390, 844), (768, 1024), (1440, 900))
    for scheme in ("light", "dark")
    for language in ("en", "zh")
]


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([((390, 844), "dark", "zh")], id="one"),
        pytest.param(LOOKS, id="all", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing_serious_at_any_width_in_any_theme_and_language(
    page: Page, examples: Path, tmp_path: Path, looks: list[tuple[tuple[int, int], str, str]]
) -> None:
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm ci in web/")

    def check(what: str) -> None:
        for (width, height), scheme, language in looks:
            page.page.set_viewport_size({"width": width, "height": height})
            page.page.emulate_media(color_scheme=scheme)
            found = page.page.evaluate(
                """async (language) => {
                  const select = document.getElementById("language");
                  select.value = language;
                  select.dispatchEvent(new Event("change"));
                  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
                  return (await axe.run(document)).violations
                    .filter(({ impact }) => impact === "serious" || impact === "critical")
                    .map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]);
                }""",
                language,
            )
            assert found == [], f"{what}, {width} pixels wide, {scheme}, {language}"

    page.page.add_script_tag(path=str(AXE))
    if len(looks) > 1:
        check("empty")
    page.cut(examples / "cat.jpg")
    page.pick("background", "colour")
    page.pick("format", "webp")
    if len(looks) > 1:
        check("done")
    page.pick("tool", "point")
    page.page.check("#each", force=True)
    page.page.select_option("#canvas", "square")
    page.page.locator("#layers-hint").wait_for()
    check("pointing, subjects apart, on a canvas")
    page.page.click("#work [data-models]")
    check("models")
    page.page.keyboard.press("Escape")
    page.page.click("#open-storage")
    page.page.wait_for_selector("#storage-list li")
    check("storage")
    page.page.keyboard.press("Escape")
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    page.give(tmp_path / "broken.jpg")
    page.wait("failed")
    check("failed")


def test_nothing_jumps_and_nothing_blocks_while_a_photo_runs(
    browser: Any, opened: Callable[..., Page], place: Path, examples: Path
) -> None:
    with hosting(place) as host:
        page = opened(host.address, reduced_motion="no-preference")
        page.page.evaluate(
            """() => {
              window.shift = 0;
              new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
              }).observe({ type: "layout-shift", buffered: true });
            }"""
        )
        browser.start_tracing(page=page.page, categories=["disabled-by-default-devtools.timeline", "__metadata"])
        page.cut(examples / "astronaut.jpg")
        page.page.wait_for_timeout(1000)
        tasks = main_thread_tasks(json.loads(browser.stop_tracing()))
        assert page.page.evaluate("shift") < 0.01
        assert len(tasks) > 10
        assert max(tasks) <= LONGEST_TASK_MS, sorted(tasks)[-10:]
        fetched = page.page.evaluate("performance.getEntriesByType('paint').map(({ startTime }) => startTime)")
        runtime = page.page.evaluate(
            "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/ort/')).map(({ startTime }) => startTime)"
        )
        assert all(start > min(fetched) for start in runtime)


def main_thread_tasks(trace: dict[str, Any]) -> list[float]:
    """Milliseconds of processor time of every task of the page's own thread; a clock would count other programs too."""
    events = trace["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event["tdur"] / 1000
        for event in events
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) in threads and "tdur" in event
    ]


def test_it_works_under_the_policy_of_the_server(opened: Callable[..., Page], place: Path, examples: Path) -> None:
    pytest.importorskip("fastapi")
    from liftout.server.page import PAGE_POLICY

    with hosting(place, Content_Security_Policy=PAGE_POLICY) as host:
        page = opened(host.address)
        page.cut(examples / "cat.jpg")
        page.pick("background", "blur")
        page.page.locator("#backdrop[style*=url]").wait_for()
        page.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        assert page.errors == []


def test_it_fits_every_screen(page: Page, examples: Path) -> None:
    page.cut(examples / "cat.jpg")
    for width, height in ((360, 640), (390, 844), (768, 1024), (1440, 900), (2560, 1300)):
        page.page.set_viewport_size({"width": width, "height": height})
        page.page.wait_for_timeout(100)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.page.locator("#before").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert covered(page) == [], f"at {width} x {height}"
        if width < 400:
            rows = page.page.locator(".tools > *:visible").evaluate_all(
                "(all) => all.map((item) => item.getBoundingClientRect().top + item.getBoundingClientRect().height / 2)"
            )
            assert len({round(row / 10) for row in rows}) == 2, "tools, and below them undo and zoom"


def covered(page: Page) -> list[str]:
    """Controls of the panel that the bar of actions lies over although they have the focus."""
    found = page.page.evaluate(
        """() => [...document.querySelectorAll(".panel button, .panel input, .panel select, .panel summary")]
          .filter((item) => item.checkVisibility() && !item.disabled && !item.closest(".actions"))
          .filter((item) => {
            item.focus();
            const { left, right, top, bottom } = item.getBoundingClientRect();
            const seen = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            return seen?.closest(".actions") || bottom > innerHeight + 1 || top < -1;
          })
          .map((item) => item.id || item.name + item.value || item.textContent)"""
    )
    return list(found)


def test_the_page_is_small(chromium: str) -> None:
    folder = files("liftout").joinpath("web")
    sizes = {name: len(gzip.compress(folder.joinpath(name).read_bytes())) for name in site.PAGE_FILES}
    assert sum(sizes.values()) <= PAGE_LIMIT, sizes
