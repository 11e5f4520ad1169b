"""Ray Data: the same work on this machine, on a local cluster, or on whatever `RAY_ADDRESS` names.

The plan becomes datasets of `WINDOW` photos; a pool of actors, each holding the model, maps over them in small batches, and
outcomes stream back. Ray schedules the work, limits what is in flight and restarts actors. Only names and outcomes pass through
it; photos go from store to worker to store. A batch whose actor keeps crashing is split into single photos, so that the photo at
fault costs only itself.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty
from typing import Any

from liftout import graphs
from liftout.batch.capacity import ray_resources
from liftout.batch.cutter import Cutter
from liftout.batch.job import Item, Job, Outcome
from liftout.batch.local import CRASH_ADVICE
from liftout.batch.payload import Payload, pack_payload, unpack_payload
from liftout.batch.prefetch import Prefetch
from liftout.errors import EngineError, ExtraMissing, LiftoutError, UsageError, one_line
from liftout.remedies import InstallExtra, UseOption

WINDOW = 50_000
"""Photos in one dataset: few enough for the driver's memory, enough that waiting for the last one costs little."""
BATCH = 16
"""Photos that an actor gets at once, and repeats after a crash: a few seconds of work."""
_TICK = 0.2


def run_on_ray(
    prefetch: Prefetch, job: Job, *, shared: bool, workers: int | None, stopping: Callable[[], bool]
) -> Iterator[Outcome]:
    """Outcomes of photos as they are done, in any order.

    shared: whether other processes can see both storages. workers: number of actors; by default as many as the cluster has room
    for. stopping: once it returns true, no further photo is started.
    prefetch: the plan. job: what is done with each photo.
    Raises ExtraMissing where Ray is not installed, UsageError for storages that only this process sees, and the error that
    kept an actor from loading the model.
    """
    if not shared:
        raise UsageError(
            "is visible to this process only",
            subject="memory://",
            remedy="give folders or buckets that all workers can see",
        )
    try:
        import ray
    except ImportError:
        raise ExtraMissing("`ray` needs Ray", field="on", remedy=InstallExtra("ray")) from None
    with _connection(ray), _ray_data_settings():
        payload = ray.put(pack_payload(job))
        pool = _ActorPool(job, payload, workers or _most_actors(ray, job))
        while window := list(_window(prefetch, stopping)):
            yield from (item for item in window if isinstance(item, Outcome))
            yield from pool.outcomes([item for item in window if isinstance(item, Item)], stopping)


class _ActorPool:
    def __init__(self, job: Job, payload: Any, actors: int) -> None:
        self._job, self._payload, self._actors = job, payload, actors

    def outcomes(self, items: list[Item], stopping: Callable[[], bool]) -> Iterator[Outcome]:
        """All items in batches; then, one by one, those whose actors crashed; what crashes again is given up."""
        remaining = {item.path: item for item in items}
        for batch in (BATCH, 1):
            if remaining and not stopping():
                for outcome in self._map(list(remaining.values()), batch, stopping):
                    remaining.pop(outcome.path, None)
                    yield outcome
        if stopping():
            return
        for path, item in remaining.items():
            crash = EngineError("the worker crashed on this photo", subject=path, remedy=CRASH_ADVICE)
            yield Outcome(path=path, output=item.output, status="failed", failure=crash, kind="WorkerDied", tries=2)

    def _map(self, items: list[Item], batch: int, stopping: Callable[[], bool]) -> Iterator[Outcome]:
        import ray.data
        from ray.data import ActorPoolStrategy

        resources: dict[str, Any] = dict(ray_resources(self._job.run))
        size = max(1, min(batch, -(-len(items) // self._actors)))
        rows = [{"item": pickle.dumps(item)} for item in items]
        actors = max(1, min(self._actors, -(-len(items) // size)))
        results = ray.data.from_items(rows, override_num_blocks=-(-len(items) // size)).map_batches(
            _Actor,
            fn_constructor_args=(self._job, self._payload),
            batch_format="pyarrow",
            batch_size=size,
            compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2 if batch > 1 else 1),
            max_restarts=-1,
            max_task_retries=self._job.retries,
            **resources,
        )
        blocks: Any = results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        try:
            for block in blocks:
                for pickled in block["outcome"].to_pylist():
                    # Our own actors made it, in the cluster that the user chose.
                    outcome = pickle.loads(pickled)  # noqa: S301
                    if isinstance(outcome, LiftoutError):
                        raise outcome
                    yield outcome
                if stopping():
                    return
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RaySystemError):
                raise


class _Actor:
    """One model in one Ray actor."""

    def __init__(self, job: Job, payload: Any) -> None:
        import ray

        self._error: LiftoutError | None = None
        self._restarted = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        unpacked: Payload = ray.get(payload)
        threads = int(ray_resources(job.run)["num_cpus"])
        graphs.use_threads(threads)
        try:
            self._cutter = Cutter(unpack_payload(job, unpacked), threads=threads)
        except LiftoutError as error:
            self._error = error

    def __call__(self, table: Any) -> Any:
        import pyarrow

        outcomes: list[object]
        if self._error is not None:
            outcomes = [self._error]
        else:
            outcomes = list(self._cut([pickle.loads(row) for row in table["item"].to_pylist()]))  # noqa: S301
        return pyarrow.table(
            {"outcome": pyarrow.array([pickle.dumps(outcome) for outcome in outcomes], pyarrow.binary())}
        )

    def _cut(self, items: list[Item]) -> Iterator[Outcome]:
        """Outcomes of a batch: two photos are read ahead and two written behind while one is cut."""
        if self._restarted:
            done = [item for item in items if self._cutter.is_done(item)]
            yield from (Outcome(path=item.path, output=item.output, status="done", tries=2) for item in done)
            items = [item for item in items if item not in done]
        with ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(2) as writers:
            reads = {item.path: readers.submit(self._cutter.read, item) for item in items[:2]}
            writes: list[Future[Outcome]] = []
            for index, item in enumerate(items):
                for ahead in items[index + 1 : index + 3]:
                    if ahead.path not in reads:
                        reads[ahead.path] = readers.submit(self._cutter.read, ahead)
                picture = self._cutter.cut(item, reads.pop(item.path).result())
                if len(writes) >= 2:
                    writes[-2].result()
                writes.append(writers.submit(self._cutter.write, item, picture))
            yield from (write.result() for write in writes)


def _window(prefetch: Prefetch, stopping: Callable[[], bool]) -> Iterator[Item | Outcome]:
    count = 0
    while count < WINDOW and not stopping():
        try:
            item = prefetch.take(_TICK)
        except Empty:
            continue
        if item is None:
            return
        count += 1
        yield item


def _most_actors(ray: Any, job: Job) -> int:
    """Actors that the cluster has room for. Raises UsageError where there is no room for one."""
    needed = ray_resources(job.run)
    available = ray.cluster_resources()
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    counts = [available.get(names[key], 0) / amount for key, amount in needed.items() if amount]
    if int(min(counts)) < 1:
        amounts = ", ".join(
            f"{amount / 1e6:.0f} MB of memory" if key == "memory" else f"{amount:g} {names[key]}"
            for key, amount in needed.items()
            if amount
        )
        raise UsageError(f"the Ray cluster has no room for one worker, which needs {amounts}", subject=job.run.model)
    return int(min(counts))


@contextmanager
def _connection(ray: Any) -> Iterator[None]:
    """The connection that exists, else one to `RAY_ADDRESS`, else a cluster of this machine that ends with the block."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    except Exception as error:  # noqa: BLE001 - Ray raises a bare Exception where a node does not come up in time
        reason = one_line(error, 300)
        raise EngineError(
            f"Ray cannot be started or reached: {reason}", remedy=("check RAY_ADDRESS", UseOption("on", "local"))
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _ray_data_settings() -> Iterator[None]:
    """Ray Data without its own progress bars, and going on where a block is lost: `_ActorPool` asks for it again."""
    from ray.data import DataContext

    context = DataContext.get_current()
    settings = {"enable_progress_bars": False, "print_on_execution_start": False, "max_errored_blocks": -1}
    previous = {name: getattr(context, name) for name in settings if hasattr(context, name)}
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        for name in previous:
            setattr(context, name, settings[name])
        logger.setLevel(logging.ERROR)
        yield
    finally:
        for name, value in previous.items():
            setattr(context, name, value)
        logger.setLevel(level)
