"""The manual as a site: built without a warning, whole, and the same each time."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("material")
pytest.importorskip("fastapi")

from manual import browser, command_line, environment, http, python
from manual.outside import linked, place
from manual.sections import navigation

ELEMENT = re.compile(
    "a|article|blockquote|br|button|code|dd|details|div|dl|dt|em|form|h[1-6]|hr|iframe|img|input|label|li|link|ol|p|path|picture|pre|"
    "script|source|span|strong|style|sub|summary|sup|svg|table|tbody|td|th|thead|tr|ul"
)
"""What pages are made of."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    yield folder


def test_it_is_built_whole(site: Path) -> None:
    for page in (
        "index",
        "start",
        "notebooks",
        "changelog",
        "security",
        "doors/comfyui",
        "guides/product-photos",
        "zh/index",
        "zh/start",
        "zh/portraits",
    ):
        assert (site / f"{page}.html").is_file(), page
    for page in ("python", "commands", "http", "http-try", "browser", "environment", "catalogue", "pack"):
        assert (site / "reference" / f"{page}.html").is_file(), page
    assert json.loads((site / "reference" / "openapi.json").read_text())["paths"]["/v1/cutouts"]


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?://[^\"\s>]+)", page.read_text())
        own = [url for url in loaded if "rel=canonical" not in url]
        assert not own, f"{page.name}: {own}"


def test_the_search_finds_both_languages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    texts = [entry["text"] for entry in index["docs"]]
    assert any("--edges refined" in text for text in texts)
    words = {word for text in texts for word in re.split(index["config"]["separator"], text)}  # as the browser does it
    assert {"抠图", "蒙版", "网页版"} <= words
    assert index["config"]["lang"] == ["en", "zh"]


def test_tables_and_comments_became_what_they_should(site: Path) -> None:
    speed = (site / "speed.html").read_text()
    assert "<td>U2NetP, 2 MP, OpenVINO bf16</td>" in speed
    for page in site.rglob("*.html"):
        body = page.read_text().partition("<article")[2].partition("</article>")[0]
        without_code = re.sub(r"<(pre|code).*?</\1>", "", body, flags=re.DOTALL)
        assert "|---" not in without_code, page.name
        assert "](" not in re.sub(r"<[^>]+>", "", without_code), page.name


def test_nothing_in_angle_brackets_is_lost(site: Path) -> None:
    """`<name>` in a text is no element of HTML."""
    for page in site.rglob("*.html"):
        body = page.read_text().partition("<article")[2].partition("</article>")[0]
        unknown = {found for found in re.findall(r"<([a-z][\w-]*)", body) if not ELEMENT.fullmatch(found)}
        assert not unknown, f"{page.relative_to(site)}: {unknown}"


def test_a_page_says_its_language(site: Path) -> None:
    assert '<html lang="zh-Hans"' in (site / "zh" / "start.html").read_text()
    assert '<html lang="en"' in (site / "start.html").read_text()


def test_every_public_name_has_its_place_in_the_reference() -> None:
    import liftout

    page = python.page()
    for name in set(liftout.__all__) - {"__version__", "LiftoutError", "ModelSpec"}:
        assert re.search(rf"^## {name} ", page, re.MULTILINE), name
    assert "LiftoutError" in page
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        code = (
            block
            if not re.match(r"[\w.]+\(.*\)( ->|\n$)", block, re.DOTALL) or "=" not in block
            else f"def {block.rstrip()}: ..."
        )
        try:
            ast.parse(code)
        except SyntaxError:
            ast.parse(f"def {block.rstrip()}: ...")


def test_every_command_and_every_option_is_listed() -> None:
    page = command_line.page()
    found = command_line.commands()
    assert len(found) > 20
    for path, command in found:
        assert f"## {path}\n" in page
        for parameter in command.params:
            if (
                getattr(parameter, "hidden", False)
                or not parameter.opts[0].startswith("-")
                or "--help" in parameter.opts
            ):
                continue
            assert parameter.opts[0] in page, f"{path} {parameter.opts[0]}"


def test_every_route_is_listed() -> None:
    page = http.page()
    for path, operations in http.openapi()["paths"].items():
        for method in operations:
            assert f"## {method.upper()} {path}\n" in page
    assert "/v1/jobs" in page


def test_every_variable_that_the_code_reads_is_in_the_table() -> None:
    described = {name for names, _ in environment.meanings() for name in names}
    read = {name for name in environment.read() if name.startswith("LIFTOUT_")}
    assert read <= described | {"LIFTOUT_WITHOUT_PAGE"}, read - described
    assert {name for name in described if name.startswith("LIFTOUT_")} <= read


def test_every_export_of_the_module_is_declared() -> None:
    page = browser.page()
    names = [name for name, _ in browser.exported()]
    assert {"Lifter", "removeBackground", "LiftoutError", "Cutout"} <= set(names)
    for name in names:
        assert f"## {name}\n" in page
    assert "async cut(photo: Photo, options: CutOptions = {}): Promise<Cutout>;" in page
    assert "#queue" not in page


def test_a_new_document_gets_a_place_without_being_named() -> None:
    nav = navigation(["index.md", "start.md", "brand-new.md", "guides/portraits.md"])
    assert nav == [
        {"Home": "index.md"},
        {"Start here": ["start.md"]},
        {"Guides": ["guides/portraits.md", "brand-new.md"]},
    ]


def test_links_are_those_of_the_manual() -> None:
    assert place("CHANGELOG.md") == "changelog.md"
    assert place("docs/speed.md") == "speed.md"
    assert place("docs/missing.md") is None
    assert linked("see `docs/server.md`", "guides/portraits.md") == "see [Server](../server.md)"
    assert linked("[x](../examples/README.md)", "gallery.md") == "[x](examples.md)"
    assert linked("```\n[x](../examples/README.md)\n```", "gallery.md") == "```\n[x](../examples/README.md)\n```"
    assert linked("[x](../benchmarks/models.py)", "speed.md") == "x"
    assert linked("one\n- two", "speed.md") == "one\n\n- two"
    assert linked("```\none\n```\n| two |\n", "speed.md") == "```\none\n```\n\n| two |\n"
