"""/v1/jobs: many photos, uploaded or by URL, cut out one after the other beside the requests, with a webhook at the end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from liftout.server import cutouts, fields
from liftout.server.body import Body
from liftout.server.fetch import Unreachable, post
from liftout.server.jobstore import JobStore, Notice, PhotoTask, StoreFull
from liftout.server.memory import Reservation
from liftout.server.multipart import Upload
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.openapi import jobs as document
from liftout.server.openapi.cutouts import IMAGE, URL
from liftout.server.problems import Problem, busy, unprocessable
from liftout.server.service import Service

PATH = "/v1/jobs"
WEBHOOK = "webhook"
MAX_PHOTOS = 500
"""Photos of one job: JSON bodies may have 1000 values."""
MAX_WAITING = 100_000
"""Unfinished photos of all jobs."""
WEBHOOK_DELAYS = (2.0, 10.0, 60.0, 300.0, 1800.0)
"""Seconds before each further attempt to call a webhook."""
MAX_CLAIMS = 3
"""How often a photo is tried whose host does not answer, for which the server has no time or memory, or at which it dies."""
IDLE_SECONDS = 0.5
"""Between two looks for work."""
CLEANING_SECONDS = 60.0
"""Between two looks for jobs that are too old."""

_ID = re.compile(r"[A-Za-z0-9_-]{16}")
_log = logging.getLogger("liftout.server")


def router(service: Service, store: JobStore) -> APIRouter:
    """The routes, over one service and its jobs."""
    routes = APIRouter(tags=["jobs"])
    settings = service.settings
    guarded = {**refusals(settings, *GUARDED, 404)}

    @routes.post(
        PATH,
        status_code=202,
        summary="Add a job: photos, uploaded or by URL, the same options for all",
        responses={202: document.JOB, **refusals(settings, *GUARDED, *BODY)},
        openapi_extra={"requestBody": document.request_body(), **key_needed(settings)},
    )
    async def add(request: Request) -> JSONResponse:
        service.admit(request)
        owner = _owner(request)
        async with service.open_body(request, repeated=IMAGE) as body:
            job = await _add(service, store, body, owner)
        described = await asyncio.to_thread(store.describe, job, owner)
        return JSONResponse(described, status_code=202, headers={"Location": f"{PATH}/{job}"})

    @routes.get(f"{PATH}/{{job}}", summary="The state of a job", responses={200: document.JOB, **guarded},
                openapi_extra=key_needed(settings))  # fmt: skip
    async def show(request: Request, job: str) -> JSONResponse:
        service.admit(request)
        described = await asyncio.to_thread(store.describe, _checked(job), _owner(request))
        if described is None:
            raise _unknown()
        return JSONResponse(described)

    @routes.get(f"{PATH}/{{job}}/photos/{{number}}", summary="A finished cutout of a job", response_class=Response,
                responses={200: document.PICTURE, **guarded}, openapi_extra=key_needed(settings))  # fmt: skip
    async def picture(request: Request, job: str, number: str) -> Response:
        service.admit(request)
        if not re.fullmatch(r"[0-9]{1,4}", number):
            raise _unknown()
        result = await asyncio.to_thread(store.result, _checked(job), int(number), _owner(request))
        if result is None:
            raise _unknown()
        return FileResponse(result[0], media_type=result[1])

    @routes.delete(f"{PATH}/{{job}}", status_code=204, summary="Delete a job and its cutouts", response_class=Response,
                   responses=guarded, openapi_extra=key_needed(settings))  # fmt: skip
    async def delete(request: Request, job: str) -> Response:
        service.admit(request)
        if not await asyncio.to_thread(store.delete, _checked(job), _owner(request)):
            raise _unknown()
        return Response(status_code=204)

    return routes


class JobRunner:
    """Cuts out the photos of jobs, one at a time, and calls their webhooks."""

    def __init__(self, service: Service, store: JobStore) -> None:
        self._service = service
        self._store = store
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; to be called on the event loop."""
        steps = ((self._cut_one, IDLE_SECONDS), (self._notify_one, IDLE_SECONDS), (self._clean, CLEANING_SECONDS))
        self._tasks = [asyncio.create_task(self._forever(step, seconds)) for step, seconds in steps]

    async def stop(self) -> None:
        """Stop; a photo in work is queued again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._store.close()

    async def _forever(self, step: Callable[[], Awaitable[bool]], idle_seconds: float) -> None:
        """Take the step again and again, after a pause where there was nothing to do."""
        while True:
            try:
                worked = await step()
            except Exception:  # noqa: BLE001 - logged; one job must not end all others
                _log.exception("a job failed")
                worked = False
            if not worked:
                await asyncio.sleep(idle_seconds)

    async def _clean(self) -> bool:
        """Delete jobs that are too old."""
        await asyncio.to_thread(self._store.delete_older, self._service.settings.jobs_hours * 3600)
        return False

    async def _cut_one(self) -> bool:
        """Cut out one photo; False if there is none or requests are waiting."""
        if self._service.stopping or self._service.pool.all_waiting.total:
            return False
        limits = self._service.settings.limits
        lease = limits.timeout + limits.fetch_timeout + 10
        task = await self._claim(lease)
        if task is None:
            return False
        try:
            if task.claims > MAX_CLAIMS:
                raise Problem(500, f"the server stopped {MAX_CLAIMS} times while it worked on this photo")
            content, media_type = await self._cut(task)
        except Problem as problem:
            if (problem.status == 503 or isinstance(problem, Unreachable)) and task.claims < MAX_CLAIMS:
                await asyncio.to_thread(self._store.release, task)
                return False
            await asyncio.to_thread(self._store.fail, task, problem.detail)
        except asyncio.CancelledError:
            self._store.release(task)
            raise
        else:
            await asyncio.to_thread(self._store.finish, task, content, media_type)
        return True

    async def _claim(self, lease: float) -> PhotoTask | None:
        """The next photo; one that is claimed while the server stops is queued again."""
        claiming = asyncio.ensure_future(asyncio.to_thread(self._store.claim, lease))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            if task := await claiming:
                self._store.release(task)
            raise

    async def _cut(self, task: PhotoTask) -> tuple[bytes, str]:
        reservation = Reservation(self._service.memory)
        try:
            body = Body({**task.options, URL: task.url}, {}, reservation)
            options, run, asked, chosen_model = cutouts.read_options(self._service, body)
            field = URL if task.upload is None else IMAGE
            photo = await (self._service.fetch(body, field=URL) if task.upload is None else _read_upload(task, body))
            with self._service.telemetry.job():
                result, _ = await self._service.cut(
                    None,
                    photo,
                    run,
                    lambda cutout, subjects: cutouts.render_result(cutout, subjects, options, None, None),
                    field=field,
                    chosen_model=chosen_model,
                    asked=asked,
                )
        finally:
            reservation.close()
        return result.rendered.content, result.mime

    async def _notify_one(self) -> bool:
        """Call one webhook; False if none is due."""
        notice = await asyncio.to_thread(self._store.due_notice)
        if notice is None:
            return False
        key = self._service.sign_key
        status = await self._call(notice, key) if key else 0
        again_in = None
        if not 200 <= status < 300 and notice.attempts < len(WEBHOOK_DELAYS):
            again_in = WEBHOOK_DELAYS[notice.attempts]
        await asyncio.to_thread(self._store.noticed, notice, again_in=again_in)
        return True

    async def _call(self, notice: Notice, key: bytes) -> int:
        """The status that the webhook answers; 0 if it cannot be reached."""
        content = json.dumps({"id": notice.job, "status": "done", "url": f"{PATH}/{notice.job}"}).encode()
        headers = {"Content-Type": "application/json", "X-Liftout-Signature": webhook_signature(content, key)}
        with contextlib.suppress(Problem):
            return await post(
                notice.webhook, content, headers, self._service.fetch_rules, resolver=self._service.resolver
            )
        return 0


def webhook_signature(content: bytes, key: bytes, now: float | None = None) -> str:
    """The header X-Liftout-Signature: `t=` Unix time, `v1=` hexadecimal HMAC-SHA256 of time, dot and body."""
    stamp = str(int(time.time() if now is None else now))
    digest = hmac.new(key, f"{stamp}.".encode() + content, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


async def _add(service: Service, store: JobStore, body: Body, owner: str) -> str:
    """Keep a new job; returns its id. Raises Problem."""
    photos: Sequence[str | Upload] = body.uploads or [
        Upload("", content) for name, content in body.files.items() if name == IMAGE
    ]
    if photos:
        webhook, options = body.fields.pop(WEBHOOK, ""), body.fields
        _check_form(body)
    else:
        photos, options, webhook = _read_json(service, body)
    fields.refuse_unknown(options, cutouts.OPTIONS)
    cutouts.read_options(service, Body(dict(options), {}, body.memory))
    _check_webhook(service, webhook)
    try:
        return await asyncio.to_thread(
            store.add,
            photos,
            options,
            webhook=webhook,
            owner=owner,
            most_photos=MAX_WAITING,
            most_bytes=service.settings.jobs_bytes,
        )
    except StoreFull:
        raise busy("too many photos are waiting in jobs; try again later", 60) from None
    except OSError as error:
        raise busy(f"the photos cannot be kept on disk: {error.strerror}", 60) from None


def _check_form(body: Body) -> None:
    """Raises Problem where a form has files besides the photos."""
    for name in body.files:
        if name != IMAGE:
            raise unprocessable(
                name, f"{name} is a file; a job takes its photos as files called {IMAGE}, and no others"
            )
    if IMAGE in body.fields:
        raise unprocessable(IMAGE, f"{IMAGE} is given as text too; a job takes photos as files")


def _read_json(service: Service, body: Body) -> tuple[list[str], dict[str, Any], Any]:
    """(URLs, options, webhook) of a job by URL. Raises Problem."""
    urls, options = body.fields.get("urls"), body.fields.get("options", {})
    if urls is not None or not body.files:
        fields.refuse_unknown([*body.fields, *body.files], ["urls", "options", WEBHOOK])
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls) or not 0 < len(urls) <= MAX_PHOTOS:
        raise unprocessable(
            "urls", f"send photos as files called {IMAGE}, or urls: a list of 1 to {MAX_PHOTOS} URLs in a JSON body"
        )
    if not service.settings.fetch:
        raise Problem(403, "this server does not fetch photos from URLs; upload the photos", field="urls")
    for url in urls:
        if not url.startswith(("http://", "https://")) or len(url) > 2000:
            raise unprocessable("urls", f"{url[:80]!r} is not a URL that can be fetched")
    if not isinstance(options, dict):
        raise unprocessable("options", "options must be an object")
    return urls, options, body.fields.get(WEBHOOK, "")


def _check_webhook(service: Service, webhook: Any) -> None:
    if not isinstance(webhook, str) or (webhook and not webhook.startswith(("http://", "https://"))):
        raise unprocessable(WEBHOOK, "webhook is not a URL that begins with http:// or https://")
    if webhook and (service.sign_key is None or not service.settings.fetch):
        raise unprocessable(
            WEBHOOK, "this server calls no webhooks; its operator allows them with --sign-key and --fetch"
        )


async def _read_upload(task: PhotoTask, body: Body) -> bytes:
    """An uploaded photo from disk; its bytes count as memory of the request. Raises Problem."""
    assert task.upload is not None  # noqa: S101
    try:
        body.memory.reserve(task.upload.stat().st_size)
        return await asyncio.to_thread(task.upload.read_bytes)
    except OSError as error:
        raise Problem(500, f"the uploaded photo cannot be read: {error.strerror}") from None


def _owner(request: Request) -> str:
    return str(getattr(request.state, "key", ""))


def _checked(job: str) -> str:
    if not _ID.fullmatch(job):
        raise _unknown()
    return job


def _unknown() -> Problem:
    return Problem(404, "there is no such job or photo")
