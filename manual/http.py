"""Reference of the HTTP API, from the OpenAPI document of a server that has everything switched on."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from liftout.server.application import create_app
from liftout.server.settings import Settings


@functools.cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    with tempfile.TemporaryDirectory() as folder, _home(folder):
        found: dict[str, Any] = create_app(Settings(jobs=True, fetch=True)).openapi()
    return {**found, "servers": [{"url": "http://127.0.0.1:7000", "description": "liftout serve"}]}


def document() -> str:
    """openapi.json."""
    return json.dumps(openapi(), indent=1)


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# HTTP reference\n",
        "Made from the server. [Server](../server.md) explains it, [Try the HTTP API](http-try.md) sends requests, and "
        '<a href="openapi.json">openapi.json</a> is for tools.\n',
    ]
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            lines.append(_entry(f"{method.upper()} {path}", operation))
    return "\n".join(lines)


def interactive_page() -> str:
    """The page that sends requests."""
    return (
        "# Try the HTTP API\n\nRequests go from your browser to a server of yours. Allow this page to call it:\n\n"
        "```text\nliftout serve --jobs --cors-origin ORIGIN\n```\n\n"
        "`ORIGIN` is where this page comes from, such as `https://docs.example` or `http://localhost:8000`.\n\n"
        '<swagger-ui src="openapi.json"/>\n'
    )


@contextmanager
def _home(folder: str) -> Iterator[None]:
    """A LIFTOUT_HOME of its own, so that nothing is written into the user's."""
    before = os.environ.get("LIFTOUT_HOME")
    os.environ["LIFTOUT_HOME"] = folder
    try:
        yield
    finally:
        del os.environ["LIFTOUT_HOME"]
        if before is not None:
            os.environ["LIFTOUT_HOME"] = before


def _entry(name: str, operation: dict[str, Any]) -> str:
    text = " ".join(
        part for part in (_sentence(operation.get("summary", "")), operation.get("description", "")) if part
    )
    lines = [f"## {name}\n", f"{text}\n"]
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        lines.append(f"Body: {', '.join(f'`{kind}`' for kind in content)}\n")
    fields = next(
        (kind["schema"]["properties"] for kind in content.values() if "properties" in kind.get("schema", {})), {}
    )
    fields = fields or {
        item["name"]: {**item["schema"], "description": item.get("description", "")}
        for item in operation.get("parameters", ())
    }
    if fields:
        lines += ["| field | values | default | |", "|---|---|---|---|"]
        lines += [_row(field, schema) for field, schema in fields.items()]
    lines += ["", "| answer | |", "|---|---|"]
    lines += [f"| {status} | {_cell(answer['description'])} |" for status, answer in operation["responses"].items()]
    return "\n".join(lines) + "\n"


def _row(name: str, schema: dict[str, Any]) -> str:
    kinds = [_kind(kind) for kind in schema.get("anyOf", [schema])]
    limits = " ".join(
        f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
    )
    default = f"`{json.dumps(schema['default'])}`" if schema.get("default") not in (None, "") else ""
    return f"| `{name}` | {_cell(' or '.join(kinds))} {limits} | {default} | {_cell(schema.get('description', ''))} |"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return "file" if schema.get("format") == "binary" else str(schema.get("type", ""))


def _sentence(text: str) -> str:
    return f"{text}." if text and not text.endswith(".") else text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
