"""The worker pool and the bounded set of models, without HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable

import pytest

from liftout.errors import ModelMissing
from liftout.loaded import LoadedModels
from liftout.options import RunOptions
from liftout.remover import Remover
from liftout.server.pool import Cancelled, CancelToken, WorkerPool
from liftout.server.problems import Problem


class Held:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go = threading.Event()
        self.token: CancelToken | None = None

    def __call__(self, token: CancelToken) -> str:
        self.token = token
        self.started.set()
        assert self.go.wait(20)
        token.check()
        return "done"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_work_beyond_workers_and_queue_is_turned_away() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=1)
        first, second = Held(), Held()
        running = asyncio.create_task(pool.run(first))
        waiting = asyncio.create_task(pool.run(second))
        await until(lambda: first.started.is_set() and pool.waiting == 1)
        with pytest.raises(Problem) as refused:
            await pool.run(Held())
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) > 0
        first.go.set()
        second.go.set()
        assert await running == await waiting == "done"
        assert (pool.running, pool.waiting) == (0, 0)
        await pool.drain()

    asyncio.run(scenario())


def test_whoever_gives_up_in_the_queue_frees_the_place_and_never_runs() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=1)
        first, second, third = Held(), Held(), Held()
        running = asyncio.create_task(pool.run(first))
        gone = asyncio.create_task(pool.run(second))
        await until(lambda: pool.waiting == 1)
        gone.cancel()
        await until(lambda: pool.waiting == 0)
        last = asyncio.create_task(pool.run(third))
        await until(lambda: pool.waiting == 1)
        first.go.set()
        third.go.set()
        assert await running == await last == "done"
        assert not second.started.is_set()
        await pool.drain()

    asyncio.run(scenario())


def test_work_that_runs_is_told_that_nobody_waits_and_keeps_its_worker_until_it_ends() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=4)
        first, second = Held(), Held()
        second.go.set()
        gone = asyncio.create_task(pool.run(first))
        await until(first.started.is_set)
        gone.cancel()
        waiting = asyncio.create_task(pool.run(second))
        await asyncio.sleep(0.05)
        assert not second.started.is_set()
        assert pool.running == 1
        assert first.token is not None
        with pytest.raises(Cancelled):
            first.token.check()
        first.go.set()
        assert await waiting == "done"
        await pool.drain()

    asyncio.run(scenario())


def test_a_worker_handed_over_in_the_moment_of_giving_up_is_not_lost() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=4)
        for _ in range(50):
            first, second = Held(), Held()
            second.go.set()
            running = asyncio.create_task(pool.run(first))
            gone = asyncio.create_task(pool.run(second))
            await until(lambda held=first: held.started.is_set() and pool.waiting == 1)
            first.go.set()
            await running
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            await until(lambda: pool.running == 0)
        assert await pool.run(lambda _: "free") == "free"
        await pool.drain()

    asyncio.run(scenario())


def test_an_error_of_the_work_reaches_the_caller_and_frees_the_worker() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=0)

        def broken(_: CancelToken) -> None:
            raise ValueError("broken")

        for _ in range(3):
            with pytest.raises(ValueError, match="broken"):
                await pool.run(broken)
        await pool.drain()

    asyncio.run(scenario())


def test_draining_waits_for_what_runs_and_waits() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=4)
        works = [Held(), Held()]
        tasks = [asyncio.create_task(pool.run(work)) for work in works]
        await until(lambda: pool.waiting == 1)
        drained = asyncio.create_task(pool.drain())
        await asyncio.sleep(0.02)
        assert not drained.done()
        for work in works:
            work.go.set()
        await drained
        assert [await task for task in tasks] == ["done", "done"]

    asyncio.run(scenario())


def test_once_stopped_the_end_of_the_queue_is_turned_away_as_soon_as_it_is_known_to_be_late() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, queue=40)
        works = [Held() for _ in range(40)]
        tasks = [asyncio.create_task(pool.run(work)) for work in works]
        await until(lambda: pool.waiting == 39)
        pool.stop(4.0)
        await until(lambda: tasks[39].done())  # the first has run for a while, so that forty would take too long
        assert isinstance(tasks[39].exception(), Problem)
        assert not tasks[1].done()
        for work in works:
            work.go.set()
        assert await tasks[0] == "done"
        await asyncio.wait(tasks)
        states = [task.exception() is None for task in tasks]
        assert states == sorted(states, reverse=True)
        await pool.drain()

    asyncio.run(scenario())


def _open(choice: RunOptions) -> Remover:
    return Remover(choice.model, threads=1)


def _choice(model: str) -> RunOptions:
    return RunOptions(model=model)


def test_a_model_is_loaded_once_however_many_ask_at_the_same_time() -> None:
    loads: list[str] = []

    def slow_open(choice: RunOptions) -> Remover:
        loads.append(choice.model)
        time.sleep(0.2)
        return _open(choice)

    loaded = LoadedModels(2, slow_open, lambda _: None)
    seen: list[Remover] = []

    def ask() -> None:
        with loaded.using(_choice("tiny")) as remover:
            seen.append(remover)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["tiny"]
    assert len(seen) == 8
    assert len(set(map(id, seen))) == 1


def test_the_model_used_longest_ago_makes_room() -> None:
    loaded = LoadedModels(2, _open, lambda _: None)
    for model in ("tiny", "tiny-twin", "tiny", "slow"):
        with loaded.using(_choice(model)):
            pass
    assert loaded.names() == ["tiny", "slow"]
    assert loaded.loads == 3


def test_one_model_serves_all_kinds_of_edges(cat: bytes) -> None:
    loaded = LoadedModels(2, _open, lambda _: None)
    made = []
    for edges in ("auto", "plain"):
        with loaded.using(dataclasses.replace(_choice("tiny"), edges=edges)) as remover:
            made.append(remover(cat).to_bytes("png"))
    assert made[0] != made[1]
    assert loaded.loads == 1
    assert loaded.names() == ["tiny"]


def test_a_model_in_use_is_not_closed_and_never_more_are_loaded_than_allowed(cat: bytes) -> None:
    loaded = LoadedModels(1, _open, lambda _: None)
    order: list[str] = []

    def second() -> None:
        with loaded.using(_choice("tiny-twin")):
            order.append("second")

    with loaded.using(_choice("tiny")) as remover:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        assert remover(cat).box is not None
        order.append("first")
        assert loaded.names() == ["tiny"]
    thread.join(20)
    assert order == ["first", "second"]
    assert loaded.names() == ["tiny-twin"]


def test_a_model_that_cannot_be_had_makes_no_other_go() -> None:
    def check(choice: RunOptions) -> None:
        if choice.model != "tiny":
            raise ModelMissing(f"{choice.model} is not here")

    loaded = LoadedModels(1, _open, check)
    with loaded.using(_choice("tiny")):
        pass
    for _ in range(3):
        with pytest.raises(ModelMissing), loaded.using(_choice("u2netp")):
            pass
    assert loaded.names() == ["tiny"]
    assert loaded.loads == 1


def test_an_error_while_loading_reaches_all_who_wait_and_is_not_remembered() -> None:
    fail = threading.Event()
    fail.set()

    def sometimes(choice: RunOptions) -> Remover:
        time.sleep(0.1)
        if fail.is_set():
            raise ModelMissing("not yet")
        return _open(choice)

    loaded = LoadedModels(1, sometimes, lambda _: None)
    errors: list[Exception] = []

    def ask() -> None:
        try:
            with loaded.using(_choice("tiny")):
                pass
        except ModelMissing as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    fail.clear()
    with loaded.using(_choice("tiny")):
        pass
