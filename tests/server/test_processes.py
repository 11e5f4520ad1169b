"""`liftout serve --processes`: real servers of two processes that hold their limits together."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from liftout.server.keyfile import RateLimit
from liftout.server.problems import Problem
from liftout.server.processes import divided
from liftout.server.rate import Rate
from liftout.server.settings import Limits, Settings
from liftout.server.shared import Shared, SharedTally, write_shared
from tests.command import liftout
from tests.server.conftest import ServerProcess, serving

KEYS = {"limited": "limited-key-0123456789", "free": "free-key-0123456789abc"}
RATE = 7


@pytest.fixture(scope="module")
def pair(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two processes with keys, a cache and jobs."""
    folder = tmp_path_factory.mktemp("pair")
    rates = {"limited": f" rate={RATE}/day"}
    lines = [f"{name} {key}{rates.get(name, '')}\n" for name, key in KEYS.items()]
    (folder / "keys").write_text("".join(lines), encoding="utf-8")
    options = ["--api-key-file", str(folder / "keys"), "--cache", "20MB", "--jobs"]
    with serving(tiny_home, folder / "log", "--processes", "2", *options) as running:
        yield running


def servers_of(server: ServerProcess) -> list[psutil.Process]:
    """The processes that serve."""
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def get(server: ServerProcess, path: str, key: str = "free") -> httpx.Response:
    """Over a connection of its own, which any process may take."""
    return httpx.get(f"{server.url}{path}", headers={"X-Api-Key": KEYS[key]}, timeout=60, trust_env=False)


def post(server: ServerProcess, photo: bytes, **data: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/cutouts",
        files={"image": photo},
        data=data,
        headers={"X-Api-Key": KEYS["free"]},
        timeout=60,
        trust_env=False,
    )


def established(process: psutil.Process) -> int:
    return sum(connection.status == psutil.CONN_ESTABLISHED for connection in process.net_connections("tcp"))


def test_both_processes_serve_and_a_rate_limit_holds_for_both_together(pair: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=pair.url, trust_env=False)) for _ in range(24)]
        for client in clients:
            client.get("/healthz")
        assert all(established(process) for process in servers_of(pair))
        limited = {"X-Api-Key": KEYS["limited"]}
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda client: client.get("/v1/models", headers=limited), clients))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == RATE
    assert statuses.count(429) == len(clients) - RATE
    remaining = {int(answer.headers["x-ratelimit-remaining"]) for answer in answers if answer.status_code == 429}
    assert remaining == {0}


def test_account_and_metrics_are_sums(pair: ServerProcess) -> None:
    headers = {"X-Api-Key": KEYS["free"]}

    def counted() -> float:
        return pair.measure(r'liftout_key_requests_total\{key="free"\}', headers)

    before = counted()
    with ThreadPoolExecutor(8) as threads:
        assert {answer.status_code for answer in threads.map(lambda _: get(pair, "/v1/models"), range(20))} == {200}
    after = counted()
    assert after - before == 21  # and one for the measure
    account = get(pair, "/v1.0/account").json()["data"]["attributes"]["liftout"]
    assert account["requests"] == after + 1
    assert pair.measure("liftout_models_loaded", headers) == 2
    resident = sum(process.memory_info().rss for process in servers_of(pair))
    assert pair.measure("process_resident_memory_bytes", headers) == pytest.approx(resident, rel=0.2)


def test_a_result_of_one_process_is_answered_by_the_other(pair: ServerProcess, cat: bytes) -> None:
    answers = [post(pair, cat, feather="3") for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-liftout-cache"] for answer in answers[1:]} == {"hit"}
    assert len({(answer.content, answer.headers["etag"]) for answer in answers}) == 1


def test_jobs_are_shared(pair: ServerProcess, cat: bytes) -> None:
    headers = {"X-Api-Key": KEYS["free"]}
    files = [("image", ("cat.jpg", cat))] * 6
    added = httpx.post(f"{pair.url}/v1/jobs", files=files, headers=headers, timeout=60, trust_env=False)
    path = added.headers["location"]
    pair.wait_until(lambda: get(pair, path).json()["status"] == "done", 90)
    assert get(pair, path).json()["counts"]["done"] == 6
    pictures = [get(pair, f"{path}/photos/{number}") for number in range(6)]
    assert len({picture.content for picture in pictures}) == 1


def test_a_process_that_crashes_is_started_again_and_its_counts_stay(pair: ServerProcess, cat: bytes) -> None:
    headers = {"X-Api-Key": KEYS["free"]}
    before = pair.measure("liftout_requests_total", headers)
    first, second = servers_of(pair)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    assert post(pair, cat).status_code == 200  # the other one serves meanwhile
    pair.wait_until(lambda: len(servers_of(pair)) == 2 and pair.measure("liftout_models_loaded", headers) == 2, 120)
    assert second.pid in [process.pid for process in servers_of(pair)]
    assert any("ended (signal 9); it is started again" in line for line in pair.lines())
    assert pair.measure("liftout_requests_total", headers) > before
    assert get(pair, "/v1/models", "limited").status_code == 429


def test_the_start_says_once_what_each_process_has_of_its_own(pair: ServerProcess) -> None:
    assert sum("each loads its own models" in line for line in pair.lines()) == 1
    assert sum("listening on" in line for line in pair.lines()) == 1


def test_a_stop_finishes_photos_in_both_processes(launch_process: Callable[..., Any], cat: bytes) -> None:
    server = launch_process("--processes", "2", "--grace", "150", "--timeout", "150", model="slow")
    with ThreadPoolExecutor(4) as threads:
        url = f"{server.url}/v1/cutouts"
        answers = [
            threads.submit(httpx.post, url, files={"image": cat}, timeout=160, trust_env=False) for _ in range(4)
        ]
        server.wait_until(lambda: server.measure("liftout_running") + server.measure("liftout_waiting") == 4)
        served = servers_of(server)
        server.process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200] * 4
    assert server.process.wait(160) == 0
    assert not any(process.is_running() for process in served)
    assert server.lines()[-1].endswith("stopped")


@pytest.mark.long
def test_the_queue_is_that_of_both_processes(launch_process: Callable[..., Any], cat: bytes) -> None:
    """Two photos run, three wait, however the connections fall."""
    server = launch_process("--processes", "2", "--workers", "2", "--queue", "3", model="endless")
    with ThreadPoolExecutor(24) as threads:
        url = f"{server.url}/v1/cutouts"
        answers = [
            threads.submit(httpx.post, url, files={"image": cat}, timeout=300, trust_env=False) for _ in range(24)
        ]
        server.wait_until(lambda: sum(answer.done() for answer in answers) >= 19)
        assert {answer.result().status_code for answer in answers if answer.done()} == {503}
        assert server.measure("liftout_running") + server.measure("liftout_waiting") <= 5
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGINT)
        for answer in answers:
            with contextlib.suppress(httpx.HTTPError):
                answer.result()
    assert server.process.wait(60) == 130


@pytest.mark.long
def test_processes_end_with_the_one_that_started_them(launch_process: Callable[..., Any]) -> None:
    server = launch_process("--processes", "2")
    served = servers_of(server)
    server.process.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(served, timeout=40)
    assert left == []


def test_what_keeps_a_process_from_starting_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sign").write_text("short", encoding="utf-8")
    arguments = ["serve", "--port", "0", "-m", "tiny", "--processes", "2", "--sign-key", str(tmp_path / "sign")]
    assert liftout(*arguments) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert re.fullmatch(r"liftout: the signing key \S+ is too short; .*", said[0])


def test_workers_are_divided_and_nobody_is_left_without() -> None:
    settings = Settings(limits=Limits(workers=5))
    assert [divided(settings, 3, index).limits.workers for index in range(3)] == [2, 2, 1]
    assert [divided(settings, 8, index).limits.workers for index in range(8)] == [1] * 8


def test_numbers_are_summed_and_forgotten_with_their_process(tmp_path: Path) -> None:
    board = write_shared(tmp_path, 3)
    shared = [Shared.open(tmp_path, row) for row in range(3)]
    waiting = [one.board.number("waiting") for one in shared]
    for number, value in zip(waiting, (1, 2, 4), strict=True):
        number.own = value
    assert [number.total for number in waiting] == [7, 7, 7]
    board.clear(1)
    assert [number.own for number in waiting] == [1, 0, 4]
    assert waiting[1].total == 5
    for one in shared:
        one.tally.close()


def test_two_tallies_of_one_file_are_one(tmp_path: Path) -> None:
    now = [100.0]
    tallies = [SharedTally(tmp_path / "tally"), SharedTally(tmp_path / "tally", callers=10)]
    first, second = (Rate(60, clock=lambda: now[0], tally=tally) for tally in tallies)
    limit = RateLimit(2, 60)
    assert [rate.spend("a", limit).remaining for rate in (first, second)] == [1, 0]
    with pytest.raises(Problem) as refused:
        first.spend("a", limit)
    assert refused.value.headers["Retry-After"] == "30"
    now[0] += 30
    assert second.spend("a", limit).remaining == 0
    tallies[0].count("shop")
    tallies[1].count("shop")
    assert (tallies[0].counted("shop"), tallies[1].counted("nobody")) == (2, 0)
    for number in range(40):
        now[0] += 0.001
        second.spend(f"caller {number}")
    callers = [row[0] for row in tallies[0]._database.execute("SELECT caller FROM buckets ORDER BY updated")]
    assert callers == [f"caller {number}" for number in range(30, 40)]
    for tally in tallies:
        tally.close()


def test_counting_costs_little(tmp_path: Path) -> None:
    """It happens on the event loop."""
    tally = SharedTally(tmp_path / "tally")
    rate = Rate(10**6, tally=tally)
    started = time.perf_counter()
    for _ in range(200):
        rate.spend("a")
    assert time.perf_counter() - started < 2
    tally.close()
