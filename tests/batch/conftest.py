"""A small real network, and photos."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover
from liftout.cli import main
from liftout.engines import run_once
from liftout.models.add import add_onnx
from tests.bright import write_bright_network

pytest.importorskip("fsspec", reason="needs fsspec (extra batch)")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_network(tmp_path_factory.mktemp("network") / "bright.onnx")


@pytest.fixture
def model(network: Path, own_home: Path) -> str:
    return add_onnx("bright", network, like="u2netp", run=run_once).name


@pytest.fixture
def expected(model: str) -> Iterator[Callable[[bytes], bytes]]:
    """What a photo's bytes become when they are cut out one by one, without any batch."""
    with Remover(model) as remover:

        def cut(content: bytes) -> bytes:
            return remover(content, name="oracle").to_bytes("png")

        yield cut


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """A function that gives the bytes of a photo: a bright disc on noise, different for every seed."""

    def make(seed: int, size: tuple[int, int] = (60, 40), kind: str = "JPEG") -> bytes:
        rng = np.random.default_rng(seed)
        width, height = size
        pixels = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
        rows, columns = np.mgrid[:height, :width]
        disc = (rows - height * rng.uniform(0.3, 0.7)) ** 2 + (columns - width * rng.uniform(0.3, 0.7)) ** 2
        pixels[disc < (min(size) / 4) ** 2] = rng.integers(160, 256, 3, dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        return stream.getvalue()

    return make


@pytest.fixture(scope="session")
def tree() -> Callable[[Path, dict[str, bytes]], Path]:
    """A function that writes files, by relative path, below a folder."""

    def write(folder: Path, files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    return write


@pytest.fixture(scope="session")
def results() -> Callable[[Path], dict[str, bytes]]:
    """A function that reads all results below a target, by relative path; the journal is left out."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and ".liftout" not in path.parts
        }

    return read


@pytest.fixture
def liftout(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the command line: exit status, standard output, standard error.

    One worker unless the call says otherwise: starting one takes longer than the tests' photos.
    """

    def call(*arguments: object) -> tuple[int, str, str]:
        few = () if "--workers" in arguments else ("--workers", "1")
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in (*arguments, *few)])
        assert isinstance(ended.value.code, int)
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call


class MemoryFolder:
    """A folder in memory. Batches between two of them run in this process: for tests that run many."""

    def __init__(self, name: str) -> None:
        fsspec = pytest.importorskip("fsspec")
        self.url = f"memory://{name}"
        self._files = fsspec.filesystem("memory")
        self._root = f"/{name}/"

    def __setitem__(self, path: str, content: bytes) -> None:
        self._files.pipe(self._root + path, content)

    def __getitem__(self, path: str) -> bytes:
        return self._files.cat(self._root + path)

    def __delitem__(self, path: str) -> None:
        self._files.rm(self._root + path)

    def names(self, *, journal: bool = False) -> list[str]:
        """Paths of all files, in their order; with the journal's or without."""
        found = sorted(path.removeprefix(self._root) for path in self._files.find(self._root))
        return [name for name in found if journal or not name.startswith(".liftout")]

    def content(self) -> dict[str, bytes]:
        """All files but the journal's."""
        return {name: self[name] for name in self.names()}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[tuple[MemoryFolder, MemoryFolder]]:
    """An empty source and an empty target."""
    name = "/".join(tmp_path.parts[-2:])
    source, target = MemoryFolder(f"{name}/photos"), MemoryFolder(f"{name}/out")
    yield source, target
    source._files.rm("/", recursive=True)
