"""The code in the documents: run as it stands, or marked with the reason why it is not.

`sh` and `python` blocks are run, in the order of a page, in a folder with photos. `<!-- not run: REASON -->` above a block excepts it; blocks in other
languages always have that mark, because nothing here runs them. Lines that install something are left out: `make release` installs what it has built.
Pages that PAGES does not name are run in the long form.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.manual.documents import Block, blocks, documents, name

PAGES = ("README.md", "docs/notebooks.md")
"""Run in `make test`: what most people copy. The commands of docs/start.md are nearly those of README.md."""

ELSEWHERE = {
    "docs/video.md": "tests/video",
    "docs/speed.md": "benchmarks/speed.py",
    "docs/precision.md": "tests/convert",
}
"""Pages of which some blocks have no language: what runs such commands."""
TRANSLATED = {
    "README.zh-CN.md": "README.md",
    "docs/zh/start.md": "docs/start.md",
    "docs/zh/choosing-a-model.md": "docs/guides/choosing-a-model.md",
    "docs/zh/portraits.md": "docs/guides/portraits.md",
    "docs/zh/private-page.md": "docs/guides/private-page.md",
    "docs/zh/product-photos.md": "docs/guides/product-photos.md",
}
"""Whole translations: they have the blocks of the page, all of them and in its order."""
SHORTENED = {
    "docs/zh/batch.md": "docs/batch.md",
    "docs/zh/points.md": "docs/points.md",
    "docs/zh/rembg.md": "docs/rembg.md",
    "docs/zh/remove-bg.md": "docs/remove-bg.md",
    "docs/zh/tune.md": "docs/tune.md",
    "docs/zh/video.md": "docs/video.md",
}
"""Shorter in translation: every line of their blocks is a line of the page."""
KINDS = ("sh", "python")
NO_CODE = ("text", "json", "yaml", "")
"""What is not run because it is no program: output, bodies, settings, and lines with explanations, whose commands tests/manual/test_links.py checks."""
APART = ("docs/gallery.md", "docs/command-line.md")
"""Pages whose lines are examples apart: each starts without the results of those before."""
PAGE = ROOT / "src" / "liftout" / "web"
"""The page, which is built by Node: `liftout site` needs it."""


def code(page: str) -> list[Block]:
    return [block for block in blocks(ROOT / page) if block.kind in KINDS]


NAMES = [name(path) for path in documents()]
OTHERS = [
    page
    for page in NAMES
    if page not in (*PAGES, *ELSEWHERE, *TRANSLATED, *SHORTENED) and any(not block.reason for block in code(page))
]


@pytest.fixture
def folder(tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has in their folder."""
    work = tmp_path / "work"
    shutil.copytree(examples, work / "examples", ignore=shutil.ignore_patterns("apps", "__pycache__"))
    (work / "photos" / "a").mkdir(parents=True)
    for target, source in (("a", "cat"), ("b", "coffee"), ("photos/1", "coffee"), ("photos/a/cat", "cat")):
        shrunk(examples / f"{source}.jpg", work / f"{target}.jpg")
    shutil.copy(examples / "officer.jpg", work / "photo.jpg")  # large enough for the points that documents name
    (work / "prompts.csv").write_text('photo,keep,drop,box\na/cat.jpg,"150,100; 160,110",,\n', encoding="utf-8")
    monkeypatch.chdir(work)
    return work


def shrunk(source: Path, target: Path) -> None:
    """A small copy of a photo."""
    with Image.open(source) as photo:
        photo.thumbnail((320, 320))
        photo.save(target)


def run(page: str, folder: Path) -> None:
    """Run a page's blocks in their order; Python blocks share their names, and have `photo` and `cutout` from the start where they use them."""
    for name_ in ("astronaut", "cat", "coffee", "officer") if page == "docs/gallery.md" else ():
        shrunk(folder / "examples" / f"{name_}.jpg", folder / f"{name_}.jpg")
    names: dict[str, object] = {"__name__": "__main__", "photo": "photo.jpg"}
    for block in code(page):
        if block.reason or ("liftout site" in block.code and not PAGE.is_dir()):
            continue
        if block.kind == "python":
            if "cutout" in block.code and "cutout" not in names:
                from liftout import remove

                names["cutout"] = remove("photo.jpg")
            exec(compile(block.code, f"{page}:{block.line}", "exec"), names)  # noqa: S102
            continue
        lines = [line for line in block.code.splitlines() if not line.startswith("pip install")]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        for part in lines if page in APART else ["\n".join(lines)]:
            with without_results(folder) if page in APART else contextlib.nullcontext():
                ended = subprocess.run(
                    ["bash", "-e", "-c", part],
                    cwd=folder,
                    env={**os.environ, "PATH": path},
                    capture_output=True,
                    text=True,
                    check=False,
                )
            assert ended.returncode == 0, f"{page}, line {block.line}:\n{part}\n{ended.stdout}{ended.stderr}"


@contextlib.contextmanager
def without_results(folder: Path) -> Iterator[None]:
    """Results that are there afterwards and were not before are removed."""
    before = set(folder.iterdir())
    yield
    for path in set(folder.iterdir()) - before:
        path.unlink()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, folder: Path) -> None:
    run(page, folder)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("page", OTHERS)
def test_the_code_of_every_other_page_runs(page: str, folder: Path) -> None:
    run(page, folder)


@pytest.mark.parametrize("page", NAMES)
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    for block in blocks(ROOT / page):
        place = f"{page}, line {block.line}"
        if block.reason:
            assert len(block.reason) > 10, place
            for test in re.findall(r"tests/[\w/]+(?:\.py)?", block.reason):
                assert (ROOT / test).exists(), f"{place}: {test} is not there"
        elif page not in ELSEWHERE:
            assert block.kind in (*KINDS, *NO_CODE), f"{place}: nothing runs {block.kind!r}; say why not"


def test_what_is_run_elsewhere_is_there() -> None:
    for page, test in ELSEWHERE.items():
        assert (ROOT / page).is_file(), page
        assert (ROOT / test).exists(), test


def test_python_that_is_not_run_can_be_read() -> None:
    for page in NAMES:
        for block in code(page):
            if block.kind == "python":
                compile(block.code, f"{page}:{block.line}", "exec")


def bare(block: Block) -> str:
    """A block without its comments, which are translated too."""
    return "\n".join(re.split(r"\s+#\s", line)[0].rstrip() for line in block.code.splitlines())


@pytest.mark.parametrize(("translation", "page"), TRANSLATED.items())
def test_a_translation_has_the_code_of_its_page(translation: str, page: str) -> None:
    assert [bare(block) for block in code(translation)] == [bare(block) for block in code(page)]


@pytest.mark.parametrize(("translation", "page"), SHORTENED.items())
def test_a_short_translation_has_lines_of_its_page(translation: str, page: str) -> None:
    known = {line for block in blocks(ROOT / page) for line in bare(block).splitlines()}
    for block in code(translation):
        missing = set(bare(block).splitlines()) - known
        assert not missing, f"{translation}, line {block.line}: {missing}"


def test_every_chinese_page_is_compared_with_its_original() -> None:
    chinese = {page for page in NAMES if page.startswith("docs/zh/") or page == "README.zh-CN.md"}
    assert chinese - {"docs/zh/index.md"} == {*TRANSLATED, *SHORTENED}
    guides = {Path(page).name for page in NAMES if page.startswith("docs/guides/")}
    assert guides <= {Path(page).name for page in TRANSLATED}
