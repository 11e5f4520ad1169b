"""What all routes share: the way of a request from admission to a finished picture."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request

from liftout.cutout import Cutout
from liftout.engines.choice import computes
from liftout.errors import LiftoutError, ModelUnavailable
from liftout.models.cache import pack_folder
from liftout.models.catalog import all_models, find
from liftout.models.packs import MANIFEST
from liftout.models.purposes import choose
from liftout.models.resolve import is_path, is_purpose, locate, needs_pack, presence
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions
from liftout.remover import Remover
from liftout.server import body, fields, keys, problems
from liftout.server.fetch import FetchRules, Resolver, fetch, networks, resolve
from liftout.server.loaded import LoadedModels
from liftout.server.measures import Measures
from liftout.server.memory import MemoryReturn
from liftout.server.places import Abandoned, Abandonment, Places
from liftout.server.problems import ClientLeft, Problem, busy, unprocessable
from liftout.server.rate import Allowance, Rate, network_of
from liftout.server.settings import Settings

_T = TypeVar("_T")
LAST_SECONDS = 1.0
"""For the last answers to go out when the server has stopped."""
MODELS_SECONDS = 2.0
"""For which the list of models on this machine is remembered."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a worker made, and how long it took."""

    waited: float
    ran: float


class Service:
    """One server's models, places, limits and measures."""

    def __init__(self, settings: Settings, *, resolver: Resolver = resolve) -> None:
        """Raises UsageError where a key file or a network is malformed; ModelUnavailable where the default model is the folder of
        a pack that cannot be used."""
        limits = settings.limits
        self.settings = settings
        self._pack = locate(settings.run.model) if is_path(settings.run.model) else None
        self.default_model = self._pack.spec.name if self._pack else settings.run.model
        """What callers know the default model by."""
        self.measures = Measures()
        self.keys = keys.ApiKeys(Path(settings.api_key_file)) if settings.api_key_file else None
        self.rate = Rate(limits.rate)
        self.places = Places(workers=limits.workers, queue=limits.queue)
        self._memory_return = MemoryReturn()
        self.memory = body.BodyMemory(limits.memory_bytes)
        self.loaded = LoadedModels(limits.models_kept, self._load, self._check_model)
        self.stopping = False
        self.ready = False
        """Whether the default model has been loaded."""
        self._resolver = resolver
        self._rules = FetchRules(
            enabled=settings.fetch,
            allowed=networks(settings.fetch_networks),
            max_bytes=limits.body_bytes,
            seconds=limits.fetch_timeout,
        )
        self._fetches = asyncio.Semaphore(limits.workers * 4)
        self._models: tuple[float, list[ModelSpec]] | None = None
        measures, places = self.measures, self.places
        measures.running.set_function(lambda: places.running)
        measures.waiting.set_function(lambda: places.waiting)
        measures.body_bytes.set_function(lambda: self.memory.held)
        measures.models.set_function(lambda: len(self.loaded.names()))

    def admit(self, request: Request) -> Allowance | None:
        """Check key and rate of a request. Raises Problem 401, 403, 429."""
        if request.headers.get("sec-fetch-site") == "cross-site" and not self._cors_allows(request):
            raise Problem(
                403, "pages of other sites may not call this server; its operator allows them with --cors-origin"
            )
        address = network_of(request.client.host if request.client else "")
        try:
            name = keys.check(self.keys, request)
        except Problem:
            self.rate.spend(f"wrong key from {address}")
            raise
        request.state.key = name
        return self.rate.spend(f"key {name}" if name else f"address {address}")

    def reading(self, request: Request) -> AbstractAsyncContextManager[body.Body]:
        """The parsed body of a request, under this server's limits; turned away at once where the queue is full."""
        self.places.check_room()
        limits = self.settings.limits
        return body.reading(request, self.memory, limit=limits.body_bytes, seconds=limits.body_timeout)

    async def fetched(self, given: body.Body, *, field: str) -> bytes:
        """The photo at the address in a field; its bytes count as the request's from the first on. Raises Problem."""
        url = fields.text(field, given.fields[field])
        if self._fetches.locked():
            raise busy("the server fetches as many photos as it can; try again soon")
        async with self._fetches:
            return await fetch(url, self._rules, field=field, resolver=self._resolver, take=given.memory.take)

    async def cut(
        self,
        request: Request,
        photo: bytes,
        choice: RunOptions,
        finish: Callable[[Cutout], _T],
        *,
        field: str,
        chosen_model: bool,
    ) -> tuple[_T, Done]:
        """Cut out a photo on a worker.

        finish: makes the answer out of the cutout, on the worker too. field: of the request that held the photo.
        Raises Problem, or ClientLeft where nobody waits any more.
        """
        choice = dataclasses.replace(choice, model=self.meant(choice.model))
        asked = time.perf_counter()
        started = asked

        def work(abandonment: Abandonment) -> _T:
            nonlocal started
            started = time.perf_counter()
            abandonment.check()
            with self.loaded.using(choice) as remover:
                abandonment.check()
                cutout = remover(photo, name=field)
            abandonment.check()
            return finish(cutout)

        try:
            result = await self._unless_left(request, self.places.run(work))
        except LiftoutError as error:
            raise problems.from_error(error, image_field=field, chosen_model=chosen_model) from error
        except MemoryError:
            raise busy("not enough memory for this photo; try again, or send a smaller one", 30) from None
        finally:
            self._memory_return.soon()
        ended = time.perf_counter()
        self.measures.wait_seconds.observe(started - asked)
        self.measures.run_seconds.labels(self.name_of(choice.model)).observe(ended - started)
        return result, Done(waited=started - asked, ran=ended - started)

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
        """What callers know a model by: not the path of the operator's pack, and not a purpose."""
        model = self.meant(model)
        return self.default_model if model == self.settings.run.model else model

    def offered(self) -> list[ModelSpec]:
        """Models that callers may name: those on this machine, or those that the operator listed."""
        now = time.monotonic()
        if self._models is None or now - self._models[0] > MODELS_SECONDS:
            specs = dict(all_models())
            if self._pack:
                specs[self.default_model] = self._pack.spec
            listed = (self.default_model, *(self.settings.models or specs))
            found = [spec for name, spec in specs.items() if name in listed and self._is_here(spec)]
            self._models = (now, found)
        return self._models[1]

    def preload(self) -> None:
        """Load the default model. Raises UnknownModel, ModelUnavailable, EngineError."""
        with self.loaded.using(self.settings.run):
            self.ready = True

    def stop(self) -> None:
        """Take no photos that cannot be finished within the grace; `close` follows when the others are."""
        self.stopping = True
        self.places.stop(self.settings.limits.grace)

    async def close(self) -> None:
        """Give back all memory. Photos that still run then, nobody waits for: their threads end with the process."""
        self.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.places.drain()
        self.loaded.close()
        self._memory_return.close()

    def _load(self, choice: RunOptions) -> Remover:
        return Remover(
            choice.model,
            engine=choice.engine,
            device=choice.device,
            precision=choice.precision,
            threads=choice.threads,
            edges=choice.edges,
            max_pixels=choice.max_pixels,
        )

    def _check_model(self, choice: RunOptions) -> None:
        if choice.model != self.settings.run.model:
            find(choice.model)  # a path, which only the operator may give, is no name
            if self.settings.models and choice.model not in self.settings.models:
                raise ModelUnavailable(f"{choice.model} is not offered by this server")
        locate(choice.model, choice.precision, computes)

    def _is_here(self, spec: ModelSpec) -> bool:
        """Whether a model is on this machine, by the look of it, in a form that the server's precision can use."""
        if self._pack and spec.name == self.default_model:
            return True
        precision = self.settings.run.precision
        if needs_pack(precision, computes):
            return (pack_folder(spec, precision) / MANIFEST).is_file()
        return presence(spec) not in (None, "damaged")

    def _cors_allows(self, request: Request) -> bool:
        origins = self.settings.cors_origins
        return "*" in origins or request.headers.get("origin") in origins

    async def _unless_left(self, request: Request, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of `work`, cancelled when the client leaves or its time is up."""
        job = asyncio.ensure_future(work)
        left = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait((job, left), timeout=self.settings.limits.timeout, return_when=asyncio.FIRST_COMPLETED)
            if job.done():
                return job.result()
            if left.done():
                raise ClientLeft
            raise busy(f"the photo was not finished within {self.settings.limits.timeout} seconds", 30)
        except Abandoned:
            raise ClientLeft from None
        finally:
            left.cancel()
            if not job.done():
                job.cancel()


async def _left(request: Request) -> None:
    """Returns when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def one_source(field: str, sources: Mapping[str, object]) -> str:
    """The name of the only source of a photo that was given. Raises Problem 422."""
    given = [name for name, value in sources.items() if value]
    if not given:
        raise unprocessable(field, f"no photo was given; send {' or '.join(sources)}")
    if len(given) > 1:
        raise unprocessable(given[1], f"{' and '.join(given)} are given; send one of them")
    return given[0]
