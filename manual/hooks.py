"""Called by MkDocs, in this order: configuration, files, pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "src")) if path not in sys.path]

from manual import browser, command_line, environment, formats, http, python  # noqa: E402
from manual.outside import OUTSIDE, linked  # noqa: E402
from manual.sections import navigation  # noqa: E402

GENERATED = {
    "reference/python.md": python.page,
    "reference/commands.md": command_line.page,
    "reference/http.md": http.page,
    "reference/http-try.md": http.interactive_page,
    "reference/openapi.json": http.document,
    "reference/browser.md": browser.page,
    "reference/environment.md": environment.page,
    "reference/catalogue.md": formats.catalogue_page,
    "reference/pack.md": formats.pack_page,
}
"""Path in the manual: what writes it."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents from outside docs/ and the pages from the code; then every page has its section."""
    for path, here in OUTSIDE.items():
        files.append(File.generated(config, here, content=(ROOT / path).read_text(encoding="utf-8")))
    for here, write in GENERATED.items():
        files.append(File.generated(config, here, content=write()))
    config.nav = navigation([file.src_uri for file in files.documentation_pages()])
    return files


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Chinese pages say that they are Chinese, for screen readers and for the forms of characters."""
    return (
        output.replace('<html lang="en"', '<html lang="zh-Hans"', 1) if page.file.src_uri.startswith("zh/") else output
    )


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links that work in the manual."""
    return linked(markdown, page.file.src_uri)
