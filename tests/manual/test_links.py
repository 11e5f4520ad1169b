"""Links, anchors, names of documents and commands: what the documents point at is there."""

from __future__ import annotations

import re
import shlex
import unicodedata
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from tests.manual.documents import blocks, documents, name, prose

_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:docs|examples|packaging|integrations|benchmarks|training|tests|web|src)/[\w./*-]*[\w*/]")
ALL = documents()
NAMES = [name(path) for path in ALL]


def anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, as code forges make them."""
    found = set()
    for heading in _HEADING.findall(prose(path)):
        text = re.sub(r"[*_`]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
        found.add("".join("-" if c == " " else c for c in text if c in "-_ " or unicodedata.category(c)[0] in "LN"))
    return found


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_every_link_leads_to_a_file_and_its_anchor(path: Path) -> None:
    for target in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target} leads nowhere"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}: no such heading among {sorted(anchors(there))}"


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_every_file_of_the_repository_that_is_named_exists(path: Path) -> None:
    for span in _SPAN.findall(prose(path)):
        if not _PATH.fullmatch(span) or path.name == "CHANGELOG.md":
            continue
        if span.startswith("web/dist") or "runs/" in span:  # written by a build
            continue
        found = list(ROOT.glob(span.rstrip("/"))) or list(path.parent.glob(span.rstrip("/")))
        assert found, f"`{span}` is not there"


def lines_of(path: Path) -> list[str]:
    """Calls of `liftout` in a document: lines of its blocks, and whole code spans."""
    found = [
        line.strip()
        for block in blocks(path)
        if block.kind in ("sh", "text", "", "yaml")
        for line in block.code.splitlines()
    ]
    found += _SPAN.findall(prose(path))
    return [line for line in found if re.match(r"liftout( |$)", line)]


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_every_command_and_option_that_is_named_exists(path: Path) -> None:
    if path.name == "CHANGELOG.md":
        return
    for line in lines_of(path):
        for call in re.split(r"\s(?:\||&&|;)\s", re.split(r"\s{2,}|\s#\s|\s>\s|\s<\s", line)[0]):
            check(call)


def check(call: str) -> None:
    """The words of a call: commands that exist, and options that their command has."""
    from liftout.cli import COMMANDS, cli

    words = [word for word in shlex.split(call.replace("'", '"') if call.count("'") % 2 else call) if word]
    if not words or words[0] != "liftout":
        return
    command: click.Command = cli
    rest = words[1:]
    if rest and rest[0] not in COMMANDS and (rest[0].startswith("-") or "." in rest[0] or rest[0].isupper()):
        rest = ["cut", *rest]
    while rest and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0].rstrip(","))
        if found is None:
            assert not re.fullmatch(r"[a-z]+", rest[0]), f"`{call}`: there is no command {rest[0]}"
            return
        command, rest = found, rest[1:]
    known = {one for parameter in command.params for one in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
    }
    known |= {"--version"} if command is cli else set()
    for word in rest:
        option = re.match(r"\[?(--?[a-z][a-z0-9-]*)", word)
        if option:
            assert option[1] in known, f"`{call}`: {command.name} has no {option[1]}"


def test_a_command_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(AssertionError, match="no command frobnicate"):
        check("liftout frobnicate photo.jpg")
    with pytest.raises(AssertionError, match="cut has no --no-such"):
        check("liftout photo.jpg --no-such")
    check("liftout models pull u2net --from pypi")
