"""The documents that people read, and the blocks of code in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_FENCE = re.compile(
    r"^(?P<lead>[ \t]*)(?P<fence>`{3,})(?P<kind>[\w-]*)[^\n]*\n(?P<code>.*?)^[ \t]*(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}[^\n]*)?\n)*(?: {4}[^\n]*\n)")
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
    """The blocks of code of a document, in their order; those that are only indented are of the kind "indented"."""
    text = path.read_text(encoding="utf-8")

    def block(start: int, kind: str, code: str) -> Block:
        mark = _MARK.search(text[:start])
        return Block(name(path), text.count("\n", 0, start) + 1, kind, code, mark["reason"] if mark else "")

    without = _FENCE.sub(lambda match: re.sub(r"[^\n]", ".", match[0]), text)
    found = [block(match.start(), match["kind"], match["code"]) for match in _FENCE.finditer(text)]
    found += [block(match.start(), "indented", textwrap.dedent(match[0])) for match in _INDENTED.finditer(without)]
    return sorted(found, key=lambda block: block.line)


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))
