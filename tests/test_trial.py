"""A faster precision must agree on the first photos before it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover, trial
from liftout.engines import EngineOptions, NetworkFile, choice
from liftout.engines.choice import Choice
from liftout.errors import NetworkRejected
from liftout.trial import PHOTOS, Trial, verdict

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


def finish(prediction: np.ndarray) -> np.ndarray:
    return np.rint(prediction[0, 0] * 255).astype(np.uint8)


def opened(monkeypatch: pytest.MonkeyPatch, errors: dict[str, float]) -> list[Told]:
    networks: list[Told] = []

    def open_network(_: NetworkFile, *, engine: str, options: EngineOptions) -> Told:
        assert engine == "openvino"
        if np.isnan(errors[options.precision]):
            raise NetworkRejected("told: no bf16 here")
        networks.append(Told(options.precision, errors[options.precision]))
        return networks[-1]

    monkeypatch.setattr(trial, "open_network", open_network)
    return networks


def test_a_precision_that_agrees_takes_over_and_is_remembered(
    monkeypatch: pytest.MonkeyPatch, file: NetworkFile
) -> None:
    networks = opened(monkeypatch, {"fp32": 0.0, "bf16": 0.002})
    tried = Trial(file, CHOICE, "bf16", None)
    for number, photo in enumerate(photos(PHOTOS)):
        assert tried.network.precision == "fp32", number
        assert np.array_equal(tried.alpha(photo, finish), finish(photo[:, :1]))
    assert tried.settled
    assert tried.network.precision == "bf16"
    assert verdict(file, CHOICE, "bf16") is True
    networks.clear()
    assert Trial(file, CHOICE, "bf16", None).network.precision == "bf16"
    assert [network.precision for network in networks] == ["bf16"], "fp32 is not loaded again"


def test_a_precision_that_differs_is_given_up_for_good(monkeypatch: pytest.MonkeyPatch, file: NetworkFile) -> None:
    networks = opened(monkeypatch, {"fp32": 0.0, "bf16": 0.05})
    tried = Trial(file, CHOICE, "bf16", None)
    for photo in photos(PHOTOS + 2):
        assert np.array_equal(tried.alpha(photo, finish), finish(photo[:, :1])), "the result is always that of fp32"
    assert tried.network.precision == "fp32"
    assert verdict(file, CHOICE, "bf16") is False
    assert [network.closed for network in networks] == [False, True]
    assert networks[1].runs == PHOTOS
    networks.clear()
    assert Trial(file, CHOICE, "bf16", None).settled
    assert [network.precision for network in networks] == ["fp32"]


def test_photos_count_over_several_runs_and_the_same_photo_counts_once(
    monkeypatch: pytest.MonkeyPatch, file: NetworkFile
) -> None:
    opened(monkeypatch, {"fp32": 0.0, "bf16": 0.0})
    same, *others = photos(PHOTOS)
    for _ in range(PHOTOS + 1):
        tried = Trial(file, CHOICE, "bf16", None)
        tried.alpha(same, finish)
        assert not tried.settled
    for photo in others:
        assert verdict(file, CHOICE, "bf16") is None
        tried = Trial(file, CHOICE, "bf16", None)
        tried.alpha(photo, finish)
    assert verdict(file, CHOICE, "bf16") is True


def test_another_network_file_is_tried_anew(monkeypatch: pytest.MonkeyPatch, file: NetworkFile) -> None:
    opened(monkeypatch, {"fp32": 0.0, "bf16": 0.0})
    tried = Trial(file, CHOICE, "bf16", None)
    for photo in photos(PHOTOS):
        tried.alpha(photo, finish)
    assert verdict(file, CHOICE, "bf16") is True
    file.path.write_bytes(b"other weights")
    assert verdict(file, CHOICE, "bf16") is None


def test_an_engine_that_refuses_the_precision_costs_nothing_but_the_trial(
    monkeypatch: pytest.MonkeyPatch, file: NetworkFile
) -> None:
    opened(monkeypatch, {"fp32": 0.0, "bf16": np.nan})
    tried = Trial(file, CHOICE, "bf16", None)
    (photo,) = photos(1)
    assert np.array_equal(tried.alpha(photo, finish), finish(photo[:, :1]))
    assert tried.settled
    assert tried.network.precision == "fp32"


@pytest.mark.skipif("BF16" not in choice.openvino_capabilities(), reason="needs a processor with bf16")
def test_the_remover_settles_it_on_real_photos(examples: Path, own_home: Path) -> None:
    with Remover(engine="openvino") as remover, Remover(engine="openvino", precision="fp32") as usual:
        alphas = []
        for name in ("cat", "coffee", "astronaut", "officer"):
            with Image.open(examples / f"{name}.jpg") as image:
                alphas.append((remover(image).alpha, usual(image).alpha))
        for one, other in alphas[:PHOTOS]:
            assert np.array_equal(one, other)
        (kept,) = (own_home / "state" / "trials").rglob("*.json")
        assert '"agrees":' in kept.read_text()
        assert remover.precision == ("bf16" if '"agrees": true' in kept.read_text() else "fp32")
