"""Documents of the repository that lie outside docs/ and are pages of the manual, and the links between all of them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
    "examples/apps/README.md": "doors/apps.md",
    "integrations/README.md": "doors/index.md",
    "training/README.md": "explanation/training.md",
    **{
        f"integrations/{name}/README.md": f"doors/{name}.md"
        for name in ("comfyui", "transformers", "github-action", "file-manager", "n8n", "darktable", "gimp")
    },
}
"""Path in the repository: path in the manual."""

GENERATED = frozenset(
    f"reference/{name}.md"
    for name in ("python", "commands", "http", "http-try", "browser", "environment", "catalogue", "pack")
)
"""Pages that are made from the code, by their path in the manual."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_NAMED = re.compile(r"(?<!\[)`(docs/[\w/.-]+\.md)`(?!\])")
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!--.*?-->$", re.MULTILINE | re.DOTALL)
_BLOCK_START = re.compile(r"^(?![ \t]|[-*|]|\d+\. |$)(.*)\n(?=[-*] |\d+\. |\|)", re.MULTILINE)


def place(path: str) -> str | None:
    """Where a document of the repository is in the manual; None where it is no part of it."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    here = path.removeprefix("docs/")
    return here if here != path and (here in GENERATED or (ROOT / path).is_file()) else None


def origin(page: str) -> str:
    """The path in the repository of a page of the manual."""
    return next((path for path, here in OUTSIDE.items() if here == page), f"docs/{page}")


def linked(text: str, page: str) -> str:
    """A page's Markdown with links that work in the manual.

    Relative links lead from where the document is in the repository; those to files that are not in the manual lose their link and keep
    their text. Documents that are named as `docs/NAME.md` become links. Blocks of code stay as they are.
    """
    folder, here = posixpath.dirname(origin(page)), posixpath.dirname(page)

    def relink(match: re.Match[str]) -> str:
        picture, words, target, anchor = match[1], match[2], match[3], match[4] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        found = place(posixpath.normpath(posixpath.join(folder, target)))
        if found is None:
            return "" if picture else words
        return f"{picture}[{words}]({posixpath.relpath(found, here or '.')}{anchor})"

    def name(match: re.Match[str]) -> str:
        found = place(match[1])
        if found is None or found == page:
            return match[0]
        return f"[{title(ROOT / match[1])}]({posixpath.relpath(found, here or '.')})"

    def outside_code(part: str) -> str:
        return _separated(_NAMED.sub(name, _LINK.sub(relink, part)))

    pieces, end = [], 0
    for fence in _FENCE.finditer(text):
        below = text[fence.end() : fence.end() + 2]
        pieces += [outside_code(text[end : fence.start()]), fence[0], "\n" if below[1:].strip() else ""]
        end = fence.end()
    return "".join([*pieces, outside_code(text[end:])])


def _separated(text: str) -> str:
    """Empty lines where MkDocs' Markdown needs them and that of code forges does not: around comments, before lists and tables."""
    return _BLOCK_START.sub(r"\1\n\n", _COMMENT.sub(lambda match: f"\n{match[0]}\n", text))


def title(path: Path) -> str:
    """The first heading of a document."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ").strip()
    return path.stem
