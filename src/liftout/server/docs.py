"""/docs and the plain landing page: HTML without scripts, built from the OpenAPI document."""

from __future__ import annotations

import functools
import html
from typing import Any

from fastapi import FastAPI

from liftout import __version__

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f}"
    "code,pre{font:14px/1.4 ui-monospace,monospace;background:#f2f2f5;border-radius:4px}code{padding:.1em .3em}"
    "pre{padding:.8em;overflow:auto}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;"
    "padding:.3em .6em;border-bottom:1px solid #ddd}h2{margin-top:2.5rem}"
    "@media(prefers-color-scheme:dark){body{background:#17171a;color:#e8e8ec}code,pre{background:#26262b}"
    "td,th{border-color:#3a3a40}a{color:#8ab4ff}}"
)


def landing_page() -> str:
    """The page at / of an installation without the built page."""
    return _document(
        "liftout",
        "<h1>liftout</h1><p>Lifts the subject out of any photo.</p>"
        '<pre>curl -F image=@photo.jpg -o cutout.png "$SERVER/v1/cutouts"</pre>'
        '<p><a href="/docs">The API</a> · <a href="/openapi.json">OpenAPI</a> · <a href="/v1/models">models</a></p>'
        "<p>This installation has no page: it was installed from source without `make web`.</p>",
    )


@functools.lru_cache(maxsize=4)
def api_page(app: FastAPI) -> str:
    """The OpenAPI document as an HTML page."""
    document = app.openapi()
    body = [
        f"<h1>{_e(document['info']['title'])} {_e(__version__)}</h1>",
        f"<p>{_e(document['info']['description'])}</p>",
    ]
    body.append('<p><a href="/openapi.json">OpenAPI document</a></p>')
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body.append(f"<h2 id='{_e(operation['operationId'])}'><code>{method.upper()} {_e(path)}</code></h2>")
            body.append(f"<p>{_e(operation.get('summary', ''))}. {_e(operation.get('description', ''))}</p>")
            content = operation.get("requestBody", {}).get("content", {})
            fields = next(
                (kind["schema"]["properties"] for kind in content.values() if "properties" in kind["schema"]), None
            )
            if fields is None:
                fields = {
                    item["name"]: {**item["schema"], "description": item.get("description", "")}
                    for item in operation.get("parameters", ())
                }
            if content:
                body.append(f"<p>Body: {', '.join(f'<code>{_e(kind)}</code>' for kind in content)}</p>")
            if fields:
                rows = "".join(_row(name, schema) for name, schema in fields.items())
                body.append(f"<table><tr><th>field</th><th>values</th><th>default</th><th></th></tr>{rows}</table>")
            answers = ", ".join(
                f"{_e(status)} {_e(response['description'])}" for status, response in operation["responses"].items()
            )
            body.append(f"<p>Answers: {answers}</p>")
    return _document("liftout: the API", "\n".join(body))


def _row(name: str, schema: dict[str, Any]) -> str:
    kinds = schema.get("anyOf", [schema])
    values = " or ".join(
        ", ".join(map(str, kind["enum"]))
        if "enum" in kind
        else "file"
        if kind.get("format") == "binary"
        else str(kind.get("type", ""))
        for kind in kinds
    )
    if "minimum" in schema:
        values += f" from {schema['minimum']}"
    if "maximum" in schema:
        values += f" to {schema['maximum']}"
    cells = (
        f"<code>{_e(name)}</code>",
        _e(values),
        _e(str(schema.get("default", ""))),
        _e(schema.get("description", "")),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _document(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{_e(title)}</title><style>{_STYLE}</style><body>{body}</body></html>"
    )


def _e(text: str) -> str:
    return html.escape(text)
