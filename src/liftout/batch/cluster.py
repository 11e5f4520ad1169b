"""Ray Data: the same work on this machine, on a local cluster, or on whatever `RAY_ADDRESS` names.

The plan becomes datasets of `WINDOW` photos; a pool of actors, each holding the model, maps over them in small batches, and
outcomes stream back. Ray schedules, holds back (nothing but names and outcomes passes through it; photos go from store to
worker to store) and starts actors again. A batch that its actor dies over, again and again, is taken apart, so that the
photo at fault costs itself only.
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
from liftout.batch.payload import Payload, pack_payload, unpack_payload
from liftout.batch.prefetch import Prefetch
from liftout.errors import EngineError, ExtraMissing, LiftoutError, UsageError

WINDOW = 50_000
"""Photos in one dataset: few enough for the memory of the driver, enough that the end of one does not show."""
BATCH = 16
"""Photos that an actor gets at once, and does again where it dies: a few seconds of work."""
_TICK = 0.2


def run_on_ray(
    prefetch: Prefetch, job: Job, *, shared: bool, workers: int | None, stopping: Callable[[], bool]
) -> Iterator[Outcome]:
    """Outcomes of photos as they are done, in no order.

    shared: whether other processes see both storages. workers: actors; as many as the cluster holds by default.
    Raises ExtraMissing where Ray is not installed, UsageError for storages that only this process sees, and the error that
    kept an actor from loading the model.
    """
    if not shared:
        raise UsageError("memory:// is seen by this process only; give folders or buckets that all workers see")
    try:
        import ray
    except ImportError:
        raise ExtraMissing("--on ray needs Ray; pip install 'liftout[ray]'") from None
    with _connected(ray), _settings():
        payload = ray.put(pack_payload(job))
        pool = _Pool(job, payload, workers or _fitting(ray, job))
        while window := list(_window(prefetch, stopping)):
            yield from (item for item in window if isinstance(item, Outcome))
            yield from pool.outcomes([item for item in window if isinstance(item, Item)], stopping)


class _Pool:
    def __init__(self, job: Job, payload: Any, actors: int) -> None:
        self._job, self._payload, self._actors = job, payload, actors

    def outcomes(self, items: list[Item], stopping: Callable[[], bool]) -> Iterator[Outcome]:
        """All items in batches; then, one by one, those whose actors died; then the last ones are given up."""
        left = {item.path: item for item in items}
        for batch in (BATCH, 1):
            if left and not stopping():
                for outcome in self._mapped(list(left.values()), batch, stopping):
                    left.pop(outcome.path, None)
                    yield outcome
        if stopping():
            return
        for path, item in left.items():
            error = f"{path}: its worker died over it; is the file damaged, or memory short?"
            yield Outcome(path=path, output=item.output, status="failed", error=error, kind="WorkerDied", tries=2)

    def _mapped(self, items: list[Item], batch: int, stopping: Callable[[], bool]) -> Iterator[Outcome]:
        import ray.data
        from ray.data import ActorPoolStrategy

        needs: dict[str, Any] = dict(ray_resources(self._job.run))
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
            **needs,
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

        self._refused: LiftoutError | None = None
        self._restarted = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        held: Payload = ray.get(payload)
        threads = int(ray_resources(job.run)["num_cpus"])
        graphs.use_threads(threads)
        try:
            self._cutter = Cutter(unpack_payload(job, held), threads=threads)
        except LiftoutError as error:
            self._refused = error

    def __call__(self, table: Any) -> Any:
        import pyarrow

        outcomes: list[object]
        if self._refused is not None:
            outcomes = [self._refused]
        else:
            outcomes = list(self._cut([pickle.loads(row) for row in table["item"].to_pylist()]))  # noqa: S301
        return pyarrow.table(
            {"outcome": pyarrow.array([pickle.dumps(outcome) for outcome in outcomes], pyarrow.binary())}
        )

    def _cut(self, items: list[Item]) -> Iterator[Outcome]:
        """A batch: two photos are read ahead and two written behind while one is cut."""
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
                cut = self._cutter.cut(item, reads.pop(item.path).result())
                if len(writes) >= 2:
                    writes[-2].result()
                writes.append(writers.submit(self._cutter.write, item, cut))
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


def _fitting(ray: Any, job: Job) -> int:
    """Actors that the cluster has room for at this moment."""
    needs = ray_resources(job.run)
    has = ray.cluster_resources()
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    counts = [has.get(names[key], 0) / amount for key, amount in needs.items() if amount]
    if int(min(counts)) < 1:
        wanted = ", ".join(f"{amount:g} {names[key]}" for key, amount in needs.items() if amount)
        raise UsageError(f"the Ray cluster has no room for one worker of {job.run.model}, which needs {wanted}")
    return int(min(counts))


@contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """A connection: the one that is there, else `RAY_ADDRESS`, else a cluster of this machine for as long as this lasts."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    except Exception as error:  # noqa: BLE001 - Ray raises a bare Exception where a node does not come up in time
        reason = " ".join(str(error).split())[:300]
        raise EngineError(f"Ray cannot be started or reached: {reason}; check RAY_ADDRESS, or use --on local") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _settings() -> Iterator[None]:
    """Ray Data without its own progress bars, and going on where a block is lost: `_Pool` asks for it again."""
    from ray.data import DataContext

    context = DataContext.get_current()
    ours = {"enable_progress_bars": False, "print_on_execution_start": False, "max_errored_blocks": -1}
    held = {name: getattr(context, name) for name in ours if hasattr(context, name)}
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        for name in held:
            setattr(context, name, ours[name])
        logger.setLevel(logging.ERROR)
        yield
    finally:
        for name, value in held.items():
            setattr(context, name, value)
        logger.setLevel(level)
