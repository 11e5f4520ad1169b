"""A faster precision must agree on the first photos before it counts."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover, loading
from liftout.engines import Network, NetworkFile, choice, precision_check
from liftout.engines.choice import Choice
from liftout.engines.precision_check import PHOTOS, open_checked, verdict
from liftout.errors import NetworkRejected
from liftout.options import EngineName, RunOptions

ONE_LAYER = Path(__file__).parent.parent / "models" / "cache-0.1.0" / "home" / "packs" / "packed"

CHOICE = Choice("openvino", "cpu", "bf16", "test")


class Told:
    """A network that answers `base` plus its own error."""

    def __init__(self, precision: str, error: float) -> None:
        self.engine, self.device, self.precision, self.error, self.closed, self.runs = (
            "openvino", "cpu", precision, error, False, 0,
        )  # fmt: skip

    def run(self, tensor: np.ndarray) -> np.ndarray:
        assert not self.closed
        self.runs += 1
        return np.clip(tensor[:, :1] + self.error, 0, 1)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def file(tmp_path: Path) -> NetworkFile:
    (tmp_path / "network.onnx").write_bytes(b"weights")
    return NetworkFile(name="told", path=tmp_path / "network.onnx", size=(64, 64))


def photos(count: int) -> list[np.ndarray]:
    base = np.zeros((1, 3, 64, 64), np.float32)
    base[..., 10:50, 10:50] = 0.9
    return [np.roll(base, number, axis=3) for number in range(count)]


def to_alpha(_: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.rint(prediction[0, 0] * 255).astype(np.uint8)


def checked(file: NetworkFile) -> Network:
    return open_checked(file, CHOICE, RunOptions(), to_alpha)


def opened(monkeypatch: pytest.MonkeyPatch, errors: dict[str, float]) -> list[Told]:
    networks: list[Told] = []

    def open_network(_: NetworkFile, options: RunOptions) -> Told:
        assert options.engine == "openvino"
        if np.isnan(errors[options.precision]):
            raise NetworkRejected("told: no bf16 here")
        networks.append(Told(options.precision, errors[options.precision]))
        return networks[-1]

    monkeypatch.setattr(precision_check, "open_network", open_network)
    return networks


def test_a_precision_that_agrees_takes_over_and_is_remembered(
    monkeypatch: pytest.MonkeyPatch, file: NetworkFile
) -> None:
    networks = opened(monkeypatch, {"fp32": 0.0, "bf16": 0.002})
    network = checked(file)
    for number, photo in enumerate(photos(PHOTOS)):
        assert network.precision == "fp32", number
        assert np.array_equal(network.run(photo), photo[:, :1])
    assert network.precision == "bf16"
    network.run(photos(1)[0])
    assert [opened.runs for opened in networks] == [PHOTOS, PHOTOS + 1], "from here on one network runs"
    assert verdict(file, CHOICE, "bf16") is True
    networks.clear()
    assert checked(file).precision == "bf16"
    assert [network.precision for network in networks] == ["bf16"], "fp32 is not loaded again"


def test_a_precision_that_differs_is_given_up_for_good(monkeypatch: pytest.MonkeyPatch, file: NetworkFile) -> None:
    networks = opened(monkeypatch, {"fp32": 0.0, "bf16": 0.05})
    network = checked(file)
    for photo in photos(PHOTOS + 2):
        assert np.array_equal(network.run(photo), photo[:, :1]), "the result is always that of fp32"
    assert network.precision == "fp32"
    assert verdict(file, CHOICE, "bf16") is False
    assert [network.closed for network in networks] == [False, True]
    assert networks[1].runs == PHOTOS
    networks.clear()
    checked(file).run(photos(1)[0])
    assert [network.precision for network in networks] == ["fp32"]


def test_photos_count_over_several_runs_and_the_same_photo_counts_once(
    monkeypatch: pytest.MonkeyPatch, file: NetworkFile
) -> None:
    opened(monkeypatch, {"fp32": 0.0, "bf16": 0.0})
    same, *others = photos(PHOTOS)
    for _ in range(PHOTOS + 1):
        network = checked(file)
        network.run(same)
        assert verdict(file, CHOICE, "bf16") is None
    for photo in others:
        assert verdict(file, CHOICE, "bf16") is None
        network = checked(file)
        network.run(photo)
    assert verdict(file, CHOICE, "bf16") is True


def test_another_network_file_is_tried_anew(monkeypatch: pytest.MonkeyPatch, file: NetworkFile) -> None:
    opened(monkeypatch, {"fp32": 0.0, "bf16": 0.0})
    network = checked(file)
    for photo in photos(PHOTOS):
        network.run(photo)
    assert verdict(file, CHOICE, "bf16") is True
    file.path.write_bytes(b"other weights")
    assert verdict(file, CHOICE, "bf16") is None


def test_an_engine_that_refuses_the_precision_costs_nothing_but_the_trial(
    monkeypatch: pytest.MonkeyPatch, file: NetworkFile
) -> None:
    networks = opened(monkeypatch, {"fp32": 0.0, "bf16": np.nan})
    network = checked(file)
    (photo,) = photos(1)
    assert np.array_equal(network.run(photo), photo[:, :1])
    assert network.precision == "fp32"
    monkeypatch.setattr(precision_check, "open_network", None)  # which nobody calls again
    network.run(photo)
    assert [opened.runs for opened in networks] == [2]
    assert verdict(file, CHOICE, "bf16") is None


def test_a_record_of_an_earlier_version_counts(own_home: Path, file: NetworkFile) -> None:
    """`tests/models/test_earlier_cache.py` shows the same on the command line, where the name of the record is not at stake."""
    name = f"openvino-{metadata.version('openvino')}-bf16-{platform.machine()}-64x64-7.json"
    record = own_home / "state" / "trials" / "told" / name
    record.parent.mkdir(parents=True)
    record.write_text('{"engine": "openvino", "precision": "bf16", "photos": {}, "agrees": true}')
    assert verdict(file, CHOICE, "bf16") is True


def checks_on_photos(engine: EngineName, model: str, examples: Path, own_home: Path) -> None:
    with Remover(model, engine=engine) as remover, Remover(model, engine=engine, precision="fp32") as usual:
        alphas = []
        for name in ("cat", "coffee", "astronaut", "officer"):
            with Image.open(examples / f"{name}.jpg") as image:
                alphas.append((remover(image).alpha, usual(image).alpha))
        for one, other in alphas[:PHOTOS]:
            assert np.array_equal(one, other)
        (kept,) = (own_home / "state" / "trials").rglob("*.json")
        assert '"agrees":' in kept.read_text()
        assert remover.precision == ("bf16" if '"agrees": true' in kept.read_text() else "fp32")


@pytest.mark.skipif("BF16" not in choice.openvino_capabilities(), reason="needs a processor with bf16")
def test_the_remover_checks_openvino_on_real_photos(examples: Path, own_home: Path) -> None:
    checks_on_photos("openvino", "pocket", examples, own_home)


def test_the_remover_checks_torch_on_real_photos(
    monkeypatch: pytest.MonkeyPatch, examples: Path, own_home: Path
) -> None:
    """torch computes bf16 on any processor, but so slowly that `auto` does not choose it: a network of one layer will do."""
    pytest.importorskip("torch")

    def choose(options: RunOptions, *_: object) -> Choice:
        return Choice(options.engine, "cpu", "bf16" if options.precision == "auto" else None, "test")

    monkeypatch.setattr(loading, "choose", choose)
    checks_on_photos("torch", str(ONE_LAYER), examples, own_home)
