"""The documents that people read, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_FENCE = re.compile(
    r"^(?P<lead>[ \t]*)(?P<fence>`{3,})(?P<kind>[\w-]*)[^\n]*\n(?P<code>.*?)^[ \t]*(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!-- not run: (?P<reason>[^>]+) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A block of code. line: where it begins. reason: why it is not run; empty where it is."""

    page: str
    line: int
    kind: str
    code: str
    reason: str


def documents() -> list[Path]:
    """All Markdown that a user may open."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("integrations/**/*.md")]
    found += [*ROOT.glob("examples/**/*.md"), ROOT / "web" / "README.md"]
    return sorted(path for path in found if "node_modules" not in path.parts)


def name(path: Path) -> str:
    """A document's path in the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    """The blocks of code of a document, in their order."""
    text, found = path.read_text(encoding="utf-8"), []
    for match in _FENCE.finditer(text):
        mark = _MARK.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(name(path), line, match["kind"], match["code"], mark["reason"] if mark else ""))
    return found


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))
