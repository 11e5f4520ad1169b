"""The code in the documents: run as it stands, or marked with the reason why it is not.

`sh` and `python` blocks are run, in the order of a page, in a folder with photos. `<!-- not run: REASON -->` above a block excepts it. Lines that
install something are left out: `make release` installs what it has built. A page that ELSEWHERE does not name and that is not in PAGES
is run in the long form.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.manual.documents import Block, blocks, documents, name

PAGES = (
    "README.md",
    "docs/start.md",
    "docs/notebooks.md",
    "docs/gallery.md",
    "docs/python.md",
    "docs/rembg.md",
    "docs/guides/choosing-a-model.md",
    "docs/guides/product-photos.md",
    "docs/guides/portraits.md",
    "docs/guides/private-page.md",
    "integrations/transformers/README.md",
)
"""Run in `make test`."""

ELSEWHERE = {
    "README.zh-CN.md": "its blocks are those of README.md",
    "docs/zh/start.md": "its blocks are those of docs/start.md",
    "docs/zh/choosing-a-model.md": "its blocks are those of docs/guides/choosing-a-model.md",
    "docs/zh/product-photos.md": "its blocks are among those of docs/guides/product-photos.md",
    "docs/server.md": "its curl lines are run by tests/server/test_docs.py; the others serve until they are stopped",
    "docs/remove-bg.md": "tests/server/test_docs.py and tests/server/clients",
    "docs/batch.md": "tests/batch; S3 and Ray need services of their own",
    "docs/tune.md": "tests/tuning; training takes minutes",
    "docs/video.md": "tests/video",
    "docs/browser.md": "tests/web/test_bundlers.py",
    "docs/page.md": "tests/web/test_site.py",
}
"""Pages that something else runs."""
TRANSLATED = {
    "README.zh-CN.md": "README.md",
    "docs/zh/start.md": "docs/start.md",
    "docs/zh/choosing-a-model.md": "docs/guides/choosing-a-model.md",
    "docs/zh/product-photos.md": "docs/guides/product-photos.md",
}
KINDS = ("sh", "python")
APART = ("docs/gallery.md",)
"""Pages whose blocks are examples apart: each starts without the results of those before."""
PAGE = ROOT / "src" / "liftout" / "web"
"""The page, which is built by Node: `liftout site` needs it."""


def code(page: str) -> list[Block]:
    return [block for block in blocks(ROOT / page) if block.kind in KINDS]


OTHERS = [
    name(path)
    for path in documents()
    if name(path) not in PAGES and name(path) not in ELSEWHERE and any(not block.reason for block in code(name(path)))
]


@pytest.fixture
def folder(tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has in their folder."""
    work = tmp_path / "work"
    shutil.copytree(examples, work / "examples", ignore=shutil.ignore_patterns("apps", "__pycache__"))
    (work / "photos").mkdir()
    for target, source in (
        ("photo", "officer"),
        ("a", "cat"),
        ("b", "coffee"),
        ("photos/1", "coffee"),
        ("photos/2", "cat"),
    ):
        with Image.open(examples / f"{source}.jpg") as photo:
            photo.thumbnail((320, 320))
            photo.save(work / f"{target}.jpg")
    for name_ in ("astronaut", "cat", "coffee", "officer"):
        with Image.open(examples / f"{name_}.jpg") as photo:
            photo.thumbnail((320, 320))
            photo.save(work / f"{name_}.jpg")
    with Image.open(examples / "officer.jpg") as photo:
        photo.resize((1024, 1200)).save(work / "large.jpg")  # for code that names points
    monkeypatch.chdir(work)
    return work


def run(page: str, folder: Path) -> None:
    """Run a page's blocks in their order; Python blocks share their names, and have `photo` and `cutout` from the start where they use them."""
    names: dict[str, object] = {"__name__": "__main__", "photo": "large.jpg"}
    for block in code(page):
        if block.reason or ("liftout site" in block.code and not PAGE.is_dir()):
            continue
        if block.kind == "python":
            if "cutout" in block.code and "cutout" not in names:
                from liftout import remove

                names["cutout"] = remove("photo.jpg")
            exec(compile(block.code, f"{page}:{block.line}", "exec"), names)  # noqa: S102
            continue
        for result in folder.glob("*-cutout.*") if page in APART else ():
            result.unlink()
        lines = [line for line in block.code.splitlines() if not line.startswith("pip install")]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        ended = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{page}, line {block.line}:\n{block.code}\n{ended.stdout}{ended.stderr}"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, folder: Path) -> None:
    if any("edges refined" in block.code or '"refined"' in block.code for block in code(page)):
        pytest.importorskip("scipy")
    run(page, folder)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("page", OTHERS)
def test_the_code_of_every_other_page_runs(page: str, folder: Path) -> None:
    run(page, folder)


def test_every_block_that_is_not_run_says_why() -> None:
    for path in documents():
        for block in blocks(path):
            assert not block.reason or len(block.reason) > 10, f"{block.page}, line {block.line}"
    assert sum(len(code(page)) for page in PAGES) > 30


@pytest.mark.parametrize(("translation", "page"), TRANSLATED.items())
def test_a_translation_has_the_code_of_its_page(translation: str, page: str) -> None:
    """But for comments, which are translated too."""

    def bare(block: Block) -> str:
        return "\n".join(line.split("  #")[0].rstrip() for line in block.code.splitlines())

    original = [bare(block) for block in code(page)]
    for block in code(translation):
        assert bare(block) in original, f"{translation}, line {block.line}"


def test_what_is_run_elsewhere_is_there() -> None:
    for page in ELSEWHERE:
        assert (ROOT / page).is_file(), page
