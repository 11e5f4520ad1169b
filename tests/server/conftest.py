"""Real servers on loopback, with real networks that are small enough to run at once."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from liftout.cli.serve import serve
from liftout.engines import run_once
from liftout.images import decode, encode, format_of
from liftout.models.add import add_onnx
from liftout.server.run import listen
from liftout.server.serving import prepare
from liftout.server.settings import Settings

TINY = """
[tiny-parent]
architecture = "onnx"
summary = "What is bright is the subject"
input = { size = [64, 64], mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }
license = { code = "Apache-2.0", weights = "Apache-2.0", commercial = true }
"""


def _network(path: Path, *, products: int) -> None:
    """alpha = clip(4 * mean colour - 1.5), after `products` matrix products that take time and change nothing.

    They are left out where the tensor is negative anywhere, as the noise is that a model is tried on when it is added.
    """
    scalars = {"four": 4, "shift": 1.5, "low": 0, "high": 1, "none": 0}
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in scalars.items()]
    constants += [
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array(products, np.int64), "products"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["photo", "axis"], ["grey"], keepdims=1),
        helper.make_node("Mul", ["grey", "four"], ["steep"]),
        helper.make_node("Sub", ["steep", "shift"], ["moved"]),
    ]
    last = "moved"
    if products:
        square = np.random.default_rng(0).random((1024, 1024), np.float32) / 1024
        constants.append(numpy_helper.from_array(square, "square"))
        nodes += [
            helper.make_node("ReduceMin", ["photo"], ["darkest"], keepdims=0),
            helper.make_node("GreaterOrEqual", ["darkest", "none"], ["is_photo"]),
            helper.make_node("Cast", ["is_photo"], ["once"], to=TensorProto.INT64),
            helper.make_node("Mul", ["products", "once"], ["times"]),
            helper.make_node("Add", ["square", "darkest"], ["first"]),
            helper.make_node("Loop", ["times", "", "first"], ["product"], body=_one_more_product()),
            helper.make_node("ReduceMean", ["product"], ["work"], keepdims=0),
            helper.make_node("Mul", ["work", "none"], ["nothing"]),
            helper.make_node("Add", ["moved", "nothing"], ["worked"]),
        ]
        last = "worked"
    nodes.append(helper.make_node("Clip", [last, "low", "high"], ["alpha"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, 64, 64])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _one_more_product() -> onnx.GraphProto:
    """The body of a loop without a condition."""
    matrix = (TensorProto.FLOAT, [1024, 1024])
    return helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("MatMul", ["before", "square"], ["after"])],
        "product",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", *matrix),
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, []), helper.make_tensor_value_info("after", *matrix)],
    )


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LIFTOUT_HOME with five models: tiny, its twin, slow (a good part of a second), endless (many seconds) and forever."""
    folder = tmp_path_factory.mktemp("server")
    home = folder / "home"
    (folder / "overlay").mkdir()
    (folder / "overlay" / "tests.toml").write_text(TINY, encoding="utf-8")
    _network(folder / "tiny.onnx", products=0)
    _network(folder / "slow.onnx", products=20)
    _network(folder / "endless.onnx", products=400)
    _network(folder / "forever.onnx", products=10**9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(home))
        patch.setenv("LIFTOUT_CATALOG", str(folder / "overlay"))
        for name, file in (
            ("tiny", "tiny"),
            ("tiny-twin", "tiny"),
            ("slow", "slow"),
            ("endless", "endless"),
            ("forever", "forever"),
        ):
            add_onnx(name, folder / f"{file}.onnx", like="tiny-parent", run=run_once)
    return home


@pytest.fixture(autouse=True)
def own_home(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Here every test shares the home of the tiny models."""
    monkeypatch.setenv("LIFTOUT_HOME", str(tiny_home))
    for name in ("LIFTOUT_CATALOG", "LIFTOUT_OFFLINE", "LIFTOUT_MIRROR", "LIFTOUT_ACCEPT_LICENSE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tiny_home


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A server that is started inside this process leaves no handlers behind."""
    yield
    for name in ("liftout", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


class Server:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url, timeout=30, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def measure(self, name: str, headers: dict[str, str] | None = None) -> float:
        """The sum of a Prometheus measure over its labels."""
        text = self._client.get("/metrics", headers=headers).text
        values = [line.rpartition(" ")[2] for line in text.splitlines() if re.match(rf"{name}(\{{.*\}})? ", line)]
        return sum(map(float, values))

    def wait_until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)


class ServerProcess(Server):
    """A `liftout serve` process."""

    def __init__(self, process: subprocess.Popen[str], log: Path, url: str) -> None:
        super().__init__(url)
        self.process = process
        self.log = log

    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def rss(self) -> int:
        """Resident memory in bytes."""
        return self._memory("VmRSS")

    def forget_peak(self) -> None:
        """Let `peak_rss` begin at what is resident now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def peak_rss(self) -> int:
        """The most resident memory that the process has had, in bytes."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        match = re.search(rf"{name}:\s+(\d+) kB", text)
        assert match
        return int(match[1]) * 1024


@contextlib.contextmanager
def serving(
    home: Path, log: Path, *arguments: str, prefix: tuple[str, ...] = (), model: str = "tiny"
) -> Iterator[ServerProcess]:
    """Start `liftout serve` on a free port, and end it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIFTOUT_")}
    environment |= {"LIFTOUT_HOME": str(home), "PYTHONWARNINGS": "error"}
    command = [
        *prefix,
        sys.executable,
        "-m",
        "liftout",
        "serve",
        "--port",
        "0",
        "-m",
        model,
        "--threads",
        "1",
        *arguments,
    ]
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, text=True)
    try:
        end = time.monotonic() + 180
        while not (found := re.search(r"listening on (http://\S+?)[\s\"]", log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.05)
        yield ServerProcess(process, log, found[1])
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def server(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that need nothing special of it."""
    with serving(tiny_home, tmp_path_factory.mktemp("log") / "log") as running:
        yield running


@pytest.fixture
def launch_process(tiny_home: Path, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers as processes of their own; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, model: str = "tiny") -> ServerProcess:
            log = tmp_path / f"log-{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(serving(tiny_home, log, *arguments, model=model))

        yield start


@pytest.fixture
def launch() -> Iterator[Callable[..., Server]]:
    """Start servers from arguments of `liftout serve`, each on a thread of this process; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, model: str = "tiny") -> Server:
            return stack.enter_context(_on_a_thread(["-m", model, "--threads", "1", *arguments]))

        yield start


@contextlib.contextmanager
def _on_a_thread(arguments: list[str]) -> Iterator[Server]:
    chosen: dict[str, Any] = {}

    def keep(settings: Settings, **others: Any) -> int:
        chosen.update(settings=settings, **others)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("liftout.server.run.run", keep)
        serve.main(arguments, standalone_mode=False)
    _, server = prepare(chosen["settings"], trust_proxy=chosen["trust_proxy"])
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Server(f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as made:
        yield made


@pytest.fixture(scope="session")
def cat(examples: Path) -> bytes:
    return (examples / "cat.jpg").read_bytes()


@pytest.fixture(scope="session")
def deep_cat(cat: bytes) -> bytes:
    """The same photo as a 16-bit PNG, with levels that 8 bits do not hold."""
    levels = decode(cat).pixels.astype(np.uint16)
    return encode(levels * 256 + 77, format_of("png"))
