"""Keys of the catalogue's TOML and of a pack's manifest.json, from the dataclasses that read them."""

from __future__ import annotations

import ast
import json
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "liftout" / "models"

_TABLES = {
    "ModelSpec": "[NAME]",
    "InputSpec": "input",
    "OutputSpec": "output",
    "FileSpec": "files[]",
    "LicenseSpec": "license",
}
"""Class that reads a table: how the table is written."""


def catalogue_page() -> str:
    """The catalogue's format as Markdown."""
    tree = _tree("spec.py")
    example = (SOURCE / "catalog" / "pocket.toml").read_text(encoding="utf-8").strip()
    lines = [
        "# Catalogue format\n",
        f"{ast.get_docstring(_tree('catalog/__init__.py'))}\n",
        "Made from the code that reads it: an unknown key, a missing one and a wrong value are errors that name file, entry and key. The "
        "entry of the built-in model:\n",
        f"```toml\n{example}\n```\n",
    ]
    for name, written in _TABLES.items():
        node = _class(tree, name)
        lines += [f"## {written}\n", f"{ast.get_docstring(node)}\n", *_rows(node), ""]
    lines += [
        '`like = "NAME"` starts from another entry; keys of the entry go over its keys. `name` is the table\'s name, `family` by default that '
        "of the file.",
    ]
    return "\n".join(lines) + "\n"


def pack_page() -> str:
    """The pack's format as Markdown."""
    tree = _tree("packs.py")
    text = ast.get_docstring(tree) or ""
    head, listing, *rest = text.split("\n\n")
    manifest = (SOURCE / "built_in" / "pocket" / "manifest.json").read_text(encoding="utf-8")
    lines = [
        "# Pack format\n",
        f"{head}\n\n```text\n{listing}\n```\n",
        *(f"{one}\n" for one in rest),
        f"`schema` is {_constant(tree, 'SCHEMA')}; a newer one is refused. Blocks have {_constant(tree, 'BLOCK_BYTES')} bytes.\n",
        "## manifest.json\n",
        f"{ast.get_docstring(_class(tree, 'Manifest'))} `model` is an entry of the [catalogue](catalogue.md); keys at their default are left out. "
        "`peak_bytes` stands in `memory`.\n",
        *_rows(_class(tree, "Manifest")),
        "\n## files[]\n",
        *_rows(_class(tree, "PackFile")),
        "\n## The built-in model's\n",
        f"```json\n{json.dumps(json.loads(manifest), indent=2)}\n```",
    ]
    return "\n".join(lines) + "\n"


def _rows(node: ast.ClassDef) -> list[str]:
    lines = ["| key | type | default | |", "|---|---|---|---|"]
    for index, one in enumerate(node.body):
        if not isinstance(one, ast.AnnAssign):
            continue
        below = node.body[index + 1] if index + 1 < len(node.body) else None
        text = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            text = " ".join(str(below.value.value).split())
        default = (
            "required"
            if one.value is None
            else ""
            if isinstance(one.value, ast.Call)
            else f"`{ast.unparse(one.value)}`"
        )
        cells = (f"`{ast.unparse(one.target)}`", f"`{ast.unparse(one.annotation)}`", default, text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _tree(name: str) -> ast.Module:
    return ast.parse((SOURCE / name).read_text(encoding="utf-8"))


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _constant(tree: ast.Module, name: str) -> int:
    (node,) = (one for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name)
    return int(eval(ast.unparse(node.value), {}))  # noqa: S307 - arithmetic of our own source
