"""Checkpoints load in every form their authors publish, and nothing else does."""

from __future__ import annotations

import itertools
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from liftout.errors import CheckpointMismatch, CheckpointUnreadable
from liftout.networks import ARCHITECTURES, fit_state, load_network, read_checkpoint
from tests.networks import reference

U2NETP = ARCHITECTURES["u2netp"]
ISNET = ARCHITECTURES["isnet"]


@pytest.fixture
def state(shared: Path) -> dict[str, Tensor]:
    return reference.state("u2netp")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_files_new_and_old_load(state: dict[str, Tensor], tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "u2netp.pth"
    torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=not legacy)
    assert same(fit_state(U2NETP, read_checkpoint(path)), state)


def test_safetensors_load_whatever_the_file_is_called(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    save_file(state, path, metadata={"format": "pt"})
    assert same(fit_state(U2NETP, read_checkpoint(path)), state)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict"])
def test_parameters_are_found_beside_training_state(state: dict[str, Tensor], tmp_path: Path, key: str) -> None:
    path = tmp_path / "epoch.ckpt"
    torch.save({"epoch": 7, key: state, "optimizer": {"lr": 1e-4}}, path)
    assert same(fit_state(U2NETP, read_checkpoint(path)), state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "net."])
def test_prefixes_that_training_left_are_stripped(state: dict[str, Tensor], prefix: str) -> None:
    assert same(fit_state(U2NETP, {prefix + name: tensor for name, tensor in state.items()}), state)


@pytest.mark.usefixtures("shared")
def test_isnet_anime_comes_without_its_ground_truth_encoder() -> None:
    state = reference.state("isnet")
    anime = {f"net.{name}": tensor for name, tensor in state.items()} | {"gt_encoder.conv_in.weight": torch.zeros(3)}
    assert same(fit_state(ISNET, anime), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_cast_and_integers_stay(state: dict[str, Tensor], dtype: torch.dtype) -> None:
    half = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    fitted = fit_state(U2NETP, half)
    assert {name: tensor.dtype for name, tensor in fitted.items()} == {name: t.dtype for name, t in state.items()}
    assert all(torch.equal(fitted[name], tensor.to(state[name].dtype)) for name, tensor in half.items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(state: dict[str, Tensor], value: float) -> None:
    name = "stage1.rebnconvin.conv_s1.weight"
    broken = state | {name: state[name].clone()}
    broken[name][0, 0, 0, 0] = value
    with pytest.raises(CheckpointMismatch, match=name):
        fit_state(U2NETP, broken)


def test_weights_whose_sum_overflows_are_numbers(state: dict[str, Tensor]) -> None:
    name = "stage1.rebnconvin.conv_s1.weight"
    large = state | {name: torch.full_like(state[name], 3e38)}
    assert torch.equal(fit_state(U2NETP, large)[name], large[name])


def test_a_loaded_network_is_for_inference(state: dict[str, Tensor]) -> None:
    network = load_network("u2netp", state)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_what_does_not_fit_is_named(state: dict[str, Tensor]) -> None:
    names = list(state)
    broken = {name: tensor for name, tensor in state.items() if name not in names[:5]}
    broken["extra.weight"] = torch.zeros(2)
    broken["side1.weight"] = torch.zeros(2, 64, 3, 3)
    with pytest.raises(CheckpointMismatch) as raised:
        fit_state(U2NETP, broken)
    message = str(raised.value)
    assert "\n" not in message
    assert f"5 missing ({', '.join(names[:3])} and 2 more)" in message
    assert "1 unexpected (extra.weight)" in message
    assert "side1.weight is 2x64x3x3, not 1x64x3x3" in message
    assert "u2netp" in message


def test_a_checkpoint_of_another_architecture_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointMismatch, match="not of architecture isnet"):
        fit_state(ISNET, state)


def test_a_name_under_two_prefixes_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointMismatch, match=r"side1\.bias twice"):
        fit_state(U2NETP, state | {"module.side1.bias": state["side1.bias"]})


class Intruder:
    """Pickles into a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.trace),))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_never_runs(tmp_path: Path, legacy: bool) -> None:
    path, trace = tmp_path / "model.pth", tmp_path / "trace"
    torch.save({"a": torch.zeros(2), "b": Intruder(trace)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointUnreadable, match="would run code"):
        read_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # it does run where it is let
    assert trace.exists()


def test_files_that_are_no_checkpoints_are_refused_in_one_line(tmp_path: Path) -> None:
    contents = {
        "empty": b"",
        "page": b"<html><body>404 not found</body></html>",
        "noise": bytes(range(256)) * 40,
        "zip": b"PK\x03\x04" + bytes(100),
        "pickle of something else": pickle.dumps({"a": 1}),
        "safetensors cut short": (1000).to_bytes(8, "little") + b'{"a":' + bytes(1200),
    }
    for content, ending in itertools.product(contents.values(), ("", ".pth", ".safetensors")):
        path = tmp_path / f"file{ending}"
        path.write_bytes(content)
        with pytest.raises(CheckpointUnreadable) as raised:
            read_checkpoint(path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_checkpoints_that_end_early_are_refused(
    state: dict[str, Tensor], tmp_path: Path, kind: str, share: float
) -> None:
    path = tmp_path / "model"
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointUnreadable, match="fetch it again"):
        read_checkpoint(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnreadable, match="No such file"):
        read_checkpoint(tmp_path / "gone.pth")


def test_a_file_without_parameters_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    for content in ([torch.zeros(2)], {}, {"state_dict": {"a": torch.zeros(2), "b": 3}}):
        torch.save(content, path)
        with pytest.raises(CheckpointUnreadable):
            read_checkpoint(path)
