"""Reference of the Python API, read from the source: nothing is imported."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"

PUBLIC: dict[str, tuple[str, ...]] = {
    "liftout.removal": ("remove",),
    "liftout.remover": ("Remover",),
    "liftout.cutout": ("Cutout",),
    "liftout.options": ("RunOptions", "ResultOptions", "VideoOptions"),
    "liftout.images.frameworks": ("from_bgr",),
    "liftout.models.catalog": ("find", "all_models"),
    "liftout.batch.job": ("Job", "Outcome"),
    "liftout.batch.run": ("run_batch", "Batch", "Summary"),
    "liftout.video": ("open",),
    "liftout.video.clip": ("Clip",),
    "liftout.matting": ("solve", "refine"),
    "liftout.compat.rembg": ("remove", "new_session", "Session"),
    "liftout.compat.transformers": ("pipeline", "ImageSegmentationPipeline"),
    "liftout.server.signing": ("sign",),
}
"""What users call, by the module that holds it."""

IMPORTED = {
    "liftout.removal": "liftout",
    "liftout.remover": "liftout",
    "liftout.cutout": "liftout",
    "liftout.models.catalog": "liftout",
    "liftout.images.frameworks": "liftout.images",
    "liftout.batch.job": "liftout.batch",
    "liftout.batch.run": "liftout.batch",
}
"""Where users import it from, where that is another module."""

_TYPES = ("liftout.options", "liftout.images.decode", "liftout.compose.background")
_SHOWN_SPECIAL = ("__init__", "__call__")


def page() -> str:
    """The page as Markdown."""
    parts = [
        "# Python reference\n\nMade from the source. [Python](../python.md) explains how the parts belong together; "
        "[`errors`](#errors) are at the end.\n"
    ]
    for module, names in PUBLIC.items():
        tree = _tree(module)
        parts += [_entry(_definition(tree, name), IMPORTED.get(module, module)) for name in names]
    parts.append("## Types\n\n" + "\n".join(_types()) + "\n")
    parts.append(f"## Errors\n\n`liftout.errors`: {_errors()}")
    return "\n".join(parts)


def prose(docstring: str) -> str:
    """A docstring as Markdown: paragraphs that are Python become blocks of code."""
    found = []
    for paragraph in inspect.cleandoc(docstring).split("\n\n"):
        code = textwrap.dedent(paragraph)
        found.append(f"```python\n{code}\n```" if _is_code(code) else paragraph)
    return "\n\n".join(found)


def _is_code(text: str) -> bool:
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return False
    return any(not isinstance(one, ast.Expr) or isinstance(one.value, ast.Call | ast.Await) for one in statements)


def _tree(module: str) -> ast.Module:
    path = SOURCE.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))


_Definition = ast.ClassDef | ast.FunctionDef


def _definition(tree: ast.Module | ast.ClassDef, name: str) -> _Definition:
    """The last definition of a name, which is the one that is not an overload."""
    found = [node for node in tree.body if isinstance(node, _Definition) and node.name == name]
    if not found:
        raise LookupError(f"{name} is not defined there")
    return found[-1]


def _entry(node: _Definition, module: str) -> str:
    lines = [
        f"## {node.name} {{ #{module.replace('.', '-')}-{node.name.lower()} }}\n",
        f"`from {module} import {node.name}`\n",
    ]
    if isinstance(node, ast.FunctionDef):
        lines += [_signature(node, node.name), prose(ast.get_docstring(node) or "")]
        return "\n".join(lines) + "\n"
    lines.append(prose(ast.get_docstring(node) or ""))
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    fields = [one for one in fields if not ast.unparse(one.target).startswith("_")]
    if fields:
        lines += ["", *_fields(node, fields)]
    shown: list[str] = []
    for one in node.body:
        if not isinstance(one, ast.FunctionDef) or one.name in shown:
            continue
        if one.name.startswith("_") and one.name not in _SHOWN_SPECIAL:
            continue
        shown.append(one.name)
        lines.append(_method(_definition(node, one.name), node.name))
    return "\n".join(lines) + "\n"


def _method(node: _Definition, owner: str) -> str:
    assert isinstance(node, ast.FunctionDef)
    decorators = {ast.unparse(one) for one in node.decorator_list}
    text = prose(ast.get_docstring(node) or "")
    if decorators & {"property", "cached_property"}:
        kind = f": {ast.unparse(node.returns)}" if node.returns else ""
        return f"\n### {owner}.{node.name}\n\n`{node.name}{kind}`\n\n{text}\n"
    heading = {"__init__": owner, "__call__": f"{owner}(...)(photo)"}.get(node.name, f"{owner}.{node.name}()")
    called = {"__init__": owner, "__call__": owner.lower()}.get(node.name, node.name)
    return f"\n### {heading}\n\n{_signature(node, called)}\n{text}\n"


def _signature(node: ast.FunctionDef, called: str) -> str:
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    result = f" -> {ast.unparse(node.returns)}" if node.returns and ast.unparse(node.returns) != "None" else ""
    whole = f"{called}({ast.unparse(arguments)}){result}"
    if len(whole) > 90:
        whole = f"{called}(\n    " + ",\n    ".join(_split(ast.unparse(arguments))) + f",\n){result}"
    return f"```python\n{whole}\n```\n"


def _split(arguments: str) -> list[str]:
    """Arguments at the commas that no bracket or quote encloses."""
    found, depth, quote, start = [], 0, "", 0
    for index, letter in enumerate(arguments):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            found.append(arguments[start:index].strip())
            start = index + 1
    return [*found, arguments[start:].strip()]


def _fields(node: ast.ClassDef, fields: list[ast.AnnAssign]) -> list[str]:
    lines = ["| field | type | default | |", "|---|---|---|---|"]
    for one in fields:
        default, text = "", _text_below(node, one)
        if isinstance(one.value, ast.Call) and ast.unparse(one.value.func) == "_option":
            default = f"`{ast.unparse(one.value.args[0])}`"
            text = str(ast.literal_eval(one.value.args[1]))
        elif one.value is not None and not isinstance(one.value, ast.Call):
            default = f"`{ast.unparse(one.value)}`"
        kind = ast.unparse(one.annotation).replace("|", "\\|")
        lines.append(f"| `{ast.unparse(one.target)}` | `{kind}` | {default} | {text.replace('|', chr(92) + '|')} |")
    return [*lines, ""]


def _text_below(node: ast.ClassDef, field: ast.AnnAssign) -> str:
    """The string that stands below a field to explain it."""
    following = node.body[node.body.index(field) + 1 :][:1]
    if following and isinstance(following[0], ast.Expr) and isinstance(following[0].value, ast.Constant):
        return " ".join(str(following[0].value.value).split())
    return ""


def _types() -> list[str]:
    lines = ["| type | is |", "|---|---|"]
    for module in _TYPES:
        for node in _tree(module).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if not isinstance(target, ast.Name) or not isinstance(value, ast.Subscript | ast.BinOp):
                continue
            if target.id[0].isupper() and not target.id.isupper() and target.id not in ("UInt8", "Float32"):
                lines.append(f"| `{target.id}` | `{ast.unparse(value).replace('|', chr(92) + '|')}` |")
    return lines


def _errors() -> str:
    text = ast.get_docstring(_tree("liftout.errors")) or ""
    head, tree, *rest = text.split("\n\n")
    return "\n\n".join([head[:1].lower() + head[1:], f"```text\n{textwrap.dedent(tree)}\n```", *rest]) + "\n"
