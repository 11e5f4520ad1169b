"""Environment variables: what they mean, from the table of docs/command-line.md, and which modules read them, from the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "liftout"
_NAME = re.compile(r"(LIFTOUT|HF|HUGGINGFACE|MODELSCOPE)_[A-Z_]+")
_ROW = re.compile(r"^\| (`[A-Z].*?) \| (.*) \|$", re.MULTILINE)


def page() -> str:
    """The page as Markdown."""
    used = read()
    lines = [
        "# Environment variables\n",
        "| variable | means | read by |",
        "|---|---|---|",
    ]
    for names, meaning in meanings():
        modules = sorted({module for name in names for module in used.get(name, ())})
        lines.append(
            f"| {', '.join(f'`{name}`' for name in names)} | {meaning} | {', '.join(f'`{one}`' for one in modules)} |"
        )
    lines += [
        "",
        "Traces of the server are set up by the variables of OpenTelemetry, `OTEL_*`: [Server](../server.md). The drop-in for rembg looks "
        "for that tool's downloads where `U2NET_HOME`, `REMBG_HOME` and `XDG_DATA_HOME` say: [Coming from rembg](../rembg.md).",
    ]
    return "\n".join(lines) + "\n"


def meanings() -> list[tuple[tuple[str, ...], str]]:
    """Rows of the table: names, and what they mean."""
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    section = text.partition("## Environment")[2].partition("\n## ")[0]
    return [(tuple(re.findall(r"`([A-Z_]+)`", match[1])), match[2]) for match in _ROW.finditer(section)]


def read() -> dict[str, set[str]]:
    """Names of variables that the code has as strings, and the modules that have them."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
                found[node.value].add(module)
    return dict(found)
