"""What all routes share: a request from admission to the result."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request

from liftout.cutout import Cutout
from liftout.engines.choice import computes
from liftout.errors import LiftoutError, ModelUnavailable
from liftout.home import home
from liftout.loaded import LoadedModels
from liftout.models.cache import pack_folder
from liftout.models.catalog import all_models, find
from liftout.models.local import is_path, needs_pack, presence
from liftout.models.packs import MANIFEST
from liftout.models.purposes import choose, is_purpose
from liftout.models.resolve import locate
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions
from liftout.prompts import NOTHING, Asked
from liftout.remover import Remover
from liftout.server import body, fields, keys, problems
from liftout.server.fetch import FetchRules, Resolver, checked_prefixes, networks, resolve
from liftout.server.fetch import fetch as fetch_url
from liftout.server.memory import MemoryBudget, MemoryTrimmer
from liftout.server.metrics import Metrics
from liftout.server.pool import Cancelled, CancelToken, WorkerPool
from liftout.server.problems import ClientLeft, Problem, busy, unprocessable
from liftout.server.rate import Allowance, Rate, network_of
from liftout.server.results import ResultCache
from liftout.server.settings import Settings
from liftout.server.shared import Shared
from liftout.server.signing import read_sign_key
from liftout.server.telemetry import open_telemetry
from liftout.stages import observed, stage

_T = TypeVar("_T")
LAST_SECONDS = 1.0
"""Seconds for the last answers to go out when the server has stopped."""
MODELS_SECONDS = 2.0
"""Seconds for which the list of models on this machine is cached."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds that a photo waited in the queue and ran on a worker."""

    waited: float
    ran: float

    @property
    def header(self) -> str:
        """The Server-Timing header, in milliseconds."""
        return f"wait;dur={self.waited * 1000:.0f}, run;dur={self.ran * 1000:.0f}"


class Service:
    """Models, worker pool, limits and metrics of one server."""

    def __init__(self, settings: Settings, *, resolver: Resolver = resolve, shared: Shared | None = None) -> None:
        """shared: what the processes of the server share, if there are several. Raises UsageError where a key file or a network is malformed; ModelUnavailable where the default model is the folder of
        a pack that cannot be used."""
        limits = settings.limits
        shared = shared or Shared()
        self.settings = settings
        self.board, self.tally = shared.board, shared.tally
        self.telemetry = open_telemetry()
        self._pack = locate(settings.run.model) if is_path(settings.run.model) else None
        self.default_model = self._pack.spec.name if self._pack else settings.run.model
        """Name of the default model for callers."""
        self.metrics = Metrics(shared)
        self.keys = keys.ApiKeys(Path(settings.api_key_file)) if settings.api_key_file else None
        self.rate = Rate(limits.rate, tally=self.tally)
        self.pool = WorkerPool(workers=limits.workers, queue=limits.queue, board=self.board)
        self._trimmer = MemoryTrimmer()
        self.memory = MemoryBudget(limits.memory_bytes, self.board.number("body_bytes"))
        self.loaded = LoadedModels(limits.models_kept, Remover.from_options, self._check_model)
        self._models_loaded = self.board.number("models")
        self.results = ResultCache(home() / "results", settings.cache_bytes) if settings.cache_bytes else None
        """Finished cutouts on disk."""
        self.sign_key = read_sign_key(Path(settings.sign_key_file)) if settings.sign_key_file else None
        self.stopping = False
        self.ready = False
        """Whether the default model has been loaded."""
        self.resolver = resolver
        self.fetch_rules = FetchRules(
            enabled=settings.fetch,
            allowed=networks(settings.fetch_networks),
            prefixes=checked_prefixes(settings.fetch_prefixes),
            max_bytes=limits.body_bytes,
            seconds=limits.fetch_timeout,
        )
        self._fetches = asyncio.Semaphore(limits.workers * 4)
        self._models: tuple[float, list[ModelSpec]] | None = None

    def admit(self, request: Request) -> Allowance | None:
        """Check key and rate of a request. Raises Problem 401, 403, 429."""
        if request.headers.get("sec-fetch-site") == "cross-site" and not self._cors_allows(request):
            raise Problem(
                403, "pages of other sites may not call this server; its operator allows them with --cors-origin"
            )
        address = network_of(request.client.host if request.client else "")
        try:
            key = keys.check(self.keys, request)
        except Problem:
            self.rate.spend(f"wrong key from {address}")
            raise
        if key is None:
            return self.rate.spend(f"address {address}")
        request.state.key = key.name
        allowance = self.rate.spend(f"key {key.name}", key.rate)
        self.metrics.key_requests.labels(key.name).inc()
        self.tally.count(key.name)
        return allowance

    def admit_signed(self, request: Request) -> Allowance | None:
        """Count a request with a valid signature, which needs no key and may come from pages of other sites."""
        request.state.key = "signed"
        return self.rate.spend(f"address {network_of(request.client.host if request.client else '')}")

    def model_identity(self, choice: RunOptions, *, field: str, chosen_model: bool) -> str:
        """What tells the model of a request from every other: its facts, and path, size and time of its network file.

        field, chosen_model: as for `cut`. Raises Problem.
        """
        choice = dataclasses.replace(choice, model=self.meant(choice.model))
        try:
            self._check_model(choice)
            model = locate(choice.model, choice.precision, computes)
        except LiftoutError as error:
            raise problems.from_error(error, image_field=field, chosen_model=chosen_model) from error
        state = model.file.path.stat()
        return f"{model.spec!r} {model.file.path} {state.st_size} {state.st_mtime_ns}"

    def open_body(self, request: Request, *, repeated: str = "") -> AbstractAsyncContextManager[body.Body]:
        """The parsed body of a request, under the limits of this server. Raises Problem 503 at once if the queue is full.

        repeated: as for `body.open_body`.
        """
        self.pool.check_room()
        limits = self.settings.limits
        return body.open_body(
            request, self.memory, limit=limits.body_bytes, seconds=limits.body_timeout, repeated=repeated
        )

    async def fetch(self, request_body: body.Body, *, field: str) -> bytes:
        """The photo at the URL in a field; its bytes count as memory of the request. Raises Problem."""
        url = fields.text(field, request_body.fields[field])
        if self._fetches.locked():
            raise busy("the server fetches as many photos as it can; try again soon")
        async with self._fetches:
            return await fetch_url(
                url, self.fetch_rules, field=field, resolver=self.resolver, reserve=request_body.memory.reserve
            )

    async def cut(
        self,
        request: Request | None,
        photo: bytes,
        choice: RunOptions,
        finish: Callable[[Cutout, Iterable[Cutout]], _T],
        *,
        field: str,
        chosen_model: bool,
        asked: Asked = NOTHING,
    ) -> tuple[_T, Timing]:
        """Cut out a photo on a worker.

        request: the one that waits for it; None for a job. finish: turns the cutout into the result, on the same worker; its second argument gives the subjects one by one. field: of the request that held the photo. chosen_model:
        whether the request named the model. asked: prompts for the photo. Raises Problem, or ClientLeft if the client has disconnected.
        """
        choice = dataclasses.replace(choice, model=self.meant(choice.model))
        queued = time.perf_counter()
        started = queued
        observer = self.telemetry.observer()

        def work(token: CancelToken) -> _T:
            nonlocal started
            started = time.perf_counter()
            token.check()
            with observed(observer):
                with self.loaded.using(choice) as remover:
                    token.check()
                    cutout = remover(photo, name=field, **vars(asked))
                token.check()
                with stage("encode"):
                    return finish(cutout, remover.subjects(cutout))

        try:
            result = await self._unless_left(request, self.pool.run(work))
        except LiftoutError as error:
            raise problems.from_error(error, image_field=field, chosen_model=chosen_model) from error
        except MemoryError:
            raise busy("not enough memory for this photo; try again, or send a smaller one", 30) from None
        finally:
            self._trimmer.soon()
            self._models_loaded.own = len(self.loaded.names())
        ended = time.perf_counter()
        self.metrics.wait_seconds.observe(started - queued)
        self.metrics.run_seconds.labels(self.name_of(choice.model)).observe(ended - started)
        return result, Timing(waited=started - queued, ran=ended - started)

    def meant(self, model: str) -> str:
        """The model that a caller's name means: of a purpose, the best that is offered; nothing is fetched for callers."""
        if model == self.default_model:
            return self.settings.run.model
        if not is_purpose(model):
            return model
        offered = {spec.name for spec in self.offered()}
        choice = choose(model, may_fetch=False, is_here=lambda spec: spec.name in offered)
        return self.settings.run.model if choice.notable else choice.spec.name

    def name_of(self, model: str) -> str:
        """The name of a model for callers: not the path of the operator's pack, and not a purpose."""
        model = self.meant(model)
        return self.default_model if model == self.settings.run.model else model

    def offered(self) -> list[ModelSpec]:
        """Models that requests may name: those on this machine, or those of `--models`."""
        now = time.monotonic()
        if self._models is None or now - self._models[0] > MODELS_SECONDS:
            specs = dict(all_models())
            if self._pack:
                specs[self.default_model] = self._pack.spec
            allowed = (self.default_model, *(self.settings.models or specs))
            models = [spec for name, spec in specs.items() if name in allowed and self._is_local(spec)]
            self._models = (now, models)
        return self._models[1]

    def preload(self) -> None:
        """Load the default model. Raises UnknownModel, ModelUnavailable, EngineError."""
        with self.loaded.using(self.settings.run):
            self.ready = True
            self._models_loaded.own = len(self.loaded.names())

    def stop(self) -> None:
        """Refuse photos that cannot be finished within `grace`; `close` follows when the others are done."""
        self.stopping = True
        self.pool.stop(self.settings.limits.grace)

    async def close(self) -> None:
        """Release models and memory. Threads of photos that still run end with the process."""
        self.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.pool.drain()
        self.loaded.close()
        self.telemetry.close()
        self._trimmer.close()

    def _check_model(self, choice: RunOptions) -> None:
        if choice.model != self.settings.run.model:
            find(choice.model)  # raises for a path, which only the operator may give
            if self.settings.models and choice.model not in self.settings.models:
                raise ModelUnavailable(f"{choice.model} is not offered by this server")
        locate(choice.model, choice.precision, computes)

    def _is_local(self, spec: ModelSpec) -> bool:
        """Whether the files of a model are on this machine, in a form that the server's precision can use; hashes are not checked."""
        if self._pack and spec.name == self.default_model:
            return True
        precision = self.settings.run.precision
        if needs_pack(precision, computes):
            return (pack_folder(spec, precision) / MANIFEST).is_file()
        return presence(spec) not in (None, "damaged")

    def _cors_allows(self, request: Request) -> bool:
        origins = self.settings.cors_origins
        return "*" in origins or request.headers.get("origin") in origins

    async def _unless_left(self, request: Request | None, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of `work`, which is cancelled when the client disconnects or the time limit passes."""
        job = asyncio.ensure_future(work)
        disconnect = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait(
                (job, disconnect), timeout=self.settings.limits.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if job.done():
                return job.result()
            if disconnect.done():
                raise ClientLeft
            raise busy(f"the photo was not finished within {self.settings.limits.timeout} seconds", 30)
        except Cancelled:
            raise ClientLeft from None
        finally:
            disconnect.cancel()
            if not job.done():
                job.cancel()


async def _disconnected(request: Request | None) -> None:
    """Return when the client has closed its connection; never without a request."""
    if request is None:
        await asyncio.Event().wait()
        return
    while (await request.receive())["type"] != "http.disconnect":
        pass


def one_source(field: str, sources: Mapping[str, object]) -> str:
    """The name of the only source of a photo that was given. Raises Problem 422."""
    names = [name for name, value in sources.items() if value]
    if not names:
        raise unprocessable(field, f"no photo was given; send {' or '.join(sources)}")
    if len(names) > 1:
        raise unprocessable(names[1], f"{' and '.join(names)} are given; send one of them")
    return names[0]
