"""/ and /docs: the page of the package where it is built, a plain landing page where not; the API in words.

Pages are cross-origin isolated, so that the browser gives WebAssembly its threads. /docs is made from the OpenAPI document
on the server: no script, nothing from other hosts.
"""

from __future__ import annotations

import functools
import html
import logging
import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from liftout import __version__, site
from liftout.errors import ExtraMissing, LiftoutError
from liftout.options import DEFAULT_MODEL
from liftout.server import journal
from liftout.server.problems import Problem

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; font-src 'self'; connect-src 'self' blob: data:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
WORDS_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_log = logging.getLogger(journal.NAME)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f}"
    "code,pre{font:14px/1.4 ui-monospace,monospace;background:#f2f2f5;border-radius:4px}code{padding:.1em .3em}"
    "pre{padding:.8em;overflow:auto}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;"
    "padding:.3em .6em;border-bottom:1px solid #ddd}h2{margin-top:2.5rem}"
    "@media(prefers-color-scheme:dark){body{background:#17171a;color:#e8e8ec}code,pre{background:#26262b}"
    "td,th{border-color:#3a3a40}a{color:#8ab4ff}}"
)


@contextmanager
def written_site(added: Sequence[str] = ()) -> Iterator[Path | None]:
    """A folder with the page, its graphs and packs of the built-in model and those in `added`, for as long as the block runs.

    None where this installation carries no page, or no temporary folder can be written.
    """
    with TemporaryDirectory(prefix="liftout-page-") as folder:
        try:
            site.write(Path(folder), [DEFAULT_MODEL, *added])
        except ExtraMissing:
            yield None
        except (LiftoutError, OSError) as error:
            _log.warning("the page cannot be served%s: %s", f" with {', '.join(added)}" if added else "", error)
            if not added:
                yield None
                return
            with written_site() as plain:
                yield plain
        else:
            yield Path(folder)


def router(app: FastAPI, *, landing: bool) -> APIRouter:
    """The routes. landing: whether / is a plain page that leads to the API."""
    routes = APIRouter(include_in_schema=False)

    @routes.head("/docs")
    @routes.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(_words(app), headers={**ISOLATED, "Content-Security-Policy": WORDS_POLICY})

    @routes.head("/api")
    @routes.get("/api")
    async def rembg_docs() -> Response:
        return RedirectResponse("/docs")

    if landing:

        @routes.head("/")
        @routes.get("/")
        async def landing_page() -> Response:
            return HTMLResponse(_landing(), headers={**ISOLATED, "Content-Security-Policy": WORDS_POLICY})

    return routes


def files(root: Path) -> ASGIApp:
    """Answers the paths that no route takes with the files of a folder, the page as `liftout.site` writes it.

    Only what stands there now is ever served: a path is a key, never a way through folders.
    """
    known = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and path.resolve().is_relative_to(root.resolve())
    }

    async def page(request: Request) -> Response:
        target = known.get(request.url.path.removeprefix("/") or "index.html")
        if target is None:
            raise Problem(404, "there is no such page")
        return _file(target)

    route = Route("/{path:path}", page)  # of GET and HEAD

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = route
        await route.handle(scope, receive, send)

    return answer


def _file(path: Path) -> Response:
    kind = {".wasm": "application/wasm", ".js": "text/javascript", ".mjs": "text/javascript"}.get(path.suffix)
    kind = kind or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {**ISOLATED, "Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    return FileResponse(path, media_type=kind, headers=headers)


def _landing() -> str:
    return _document(
        "liftout",
        "<h1>liftout</h1><p>Lifts the subject out of any photo.</p>"
        '<pre>curl -F image=@photo.jpg -o cutout.png "$SERVER/v1/cutouts"</pre>'
        '<p><a href="/docs">The API</a> · <a href="/openapi.json">OpenAPI</a> · <a href="/v1/models">models</a></p>'
        "<p>This installation carries no page; a built one carries it.</p>",
    )


@functools.lru_cache(maxsize=4)
def _words(app: FastAPI) -> str:
    """The OpenAPI document as a page to read."""
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
                rows = "".join(_row(name, made) for name, made in fields.items())
                body.append(f"<table><tr><th>field</th><th>values</th><th>default</th><th></th></tr>{rows}</table>")
            answers = ", ".join(
                f"{_e(status)} {_e(made['description'])}" for status, made in operation["responses"].items()
            )
            body.append(f"<p>Answers: {answers}</p>")
    return _document("liftout: the API", "\n".join(body))


def _row(name: str, made: dict[str, Any]) -> str:
    kinds = made.get("anyOf", [made])
    values = " or ".join(
        ", ".join(map(str, kind["enum"]))
        if "enum" in kind
        else "file"
        if kind.get("format") == "binary"
        else str(kind.get("type", ""))
        for kind in kinds
    )
    if "minimum" in made:
        values += f" from {made['minimum']}"
    if "maximum" in made:
        values += f" to {made['maximum']}"
    cells = (f"<code>{_e(name)}</code>", _e(values), _e(str(made.get("default", ""))), _e(made.get("description", "")))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _document(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{_e(title)}</title><style>{_STYLE}</style><body>{body}</body></html>"
    )


def _e(text: str) -> str:
    return html.escape(text)
