"""Places in the pages of `docs/` that benchmarks fill: everything between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from liftout.files import write_whole


def write_part(page: Path, part: str, lines: Iterable[str]) -> None:
    """Replace one place of a page by these lines; the page is written whole or not at all."""
    write_whole(page, with_part(page.read_text(encoding="utf-8"), part, lines).encode(), overwrite=True)


def with_part(text: str, part: str, lines: Iterable[str]) -> str:
    """A page's text with these lines in one of its places. Raises SystemExit where it has no such place, or several."""
    block = "\n".join([f"<!-- {part} -->", *lines, f"<!-- /{part} -->"])
    new, count = re.subn(f"<!-- {part} -->.*?<!-- /{part} -->", lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"the page has no place for `{part}`: <!-- {part} --> ... <!-- /{part} -->")
    return new
