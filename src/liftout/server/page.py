"""/ and /docs: the page, or a plain landing page if this installation has none, and the API description.

Pages are cross-origin isolated, so that the browser allows WebAssembly threads.
"""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from liftout import site
from liftout.errors import ExtraMissing, LiftoutError
from liftout.options import DEFAULT_MODEL
from liftout.server import docs, logs
from liftout.server.problems import Problem

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; font-src 'self'; connect-src 'self' blob: data:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_log = logging.getLogger(logs.NAME)


@contextmanager
def written_site(added: Sequence[str] = ()) -> Iterator[Path | None]:
    """A temporary folder with the page, its graphs and packs of the built-in model and those in `added`, deleted when the block ends.

    None if this installation has no page, or no temporary folder can be written.
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
    async def api_docs() -> Response:
        return HTMLResponse(docs.api_page(app), headers={**ISOLATED, "Content-Security-Policy": DOCS_POLICY})

    @routes.head("/api")
    @routes.get("/api")
    async def rembg_docs() -> Response:
        return RedirectResponse("/docs")

    if landing:

        @routes.head("/")
        @routes.get("/")
        async def landing_page() -> Response:
            return HTMLResponse(docs.landing_page(), headers={**ISOLATED, "Content-Security-Policy": DOCS_POLICY})

    return routes


def files(root: Path) -> ASGIApp:
    """Serve the files of a folder, the page as `liftout.site` writes it, for paths without a route.

    Only files that exist now are served: a request path is a key in a table, never a path on disk.
    """
    paths = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and path.resolve().is_relative_to(root.resolve())
    }

    async def page(request: Request) -> Response:
        target = paths.get(request.url.path.removeprefix("/") or "index.html")
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
