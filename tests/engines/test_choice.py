"""What `auto` takes, and that a GPU which was asked for is never silently a CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from liftout.engines import choice
from liftout.errors import DeviceUnavailable
from liftout.options import RunOptions


class Machine:
    """What the choice believes to find here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.has(engines={"onnxruntime"})

    def has(self, *, engines: set[str], cuda: str | None = None, computes: tuple[str, ...] = ("FP32",)) -> None:
        self._patch.setattr(choice, "installed", lambda engine: engine in engines)
        self._patch.setattr(choice, "has_nvidia", lambda: cuda is not None)
        self._patch.setattr(choice, "cuda_engine", lambda: cuda)
        self._patch.setattr(choice, "openvino_capabilities", lambda: computes if "openvino" in engines else ())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    yield Machine(monkeypatch)


AUTO = RunOptions()


def test_openvino_is_taken_where_it_is_installed(machine: Machine) -> None:
    chosen = choice.choose(AUTO)
    assert (chosen.engine, chosen.device, chosen.faster) == ("onnxruntime", "cpu", None)
    assert "liftout[openvino]" in chosen.reason
    machine.has(engines={"onnxruntime", "openvino"})
    assert choice.choose(AUTO).engine == "openvino"
    assert choice.choose(AUTO, "pocket").engine == "onnxruntime"


def test_openvino_runs_u2net_and_isnet_only_where_it_computes_them_in_bf16(machine: Machine) -> None:
    machine.has(engines={"onnxruntime", "openvino"})
    for architecture in ("u2netp", "u2net", "isnet"):
        assert choice.choose(AUTO, architecture).engine == "onnxruntime"
    assert choice.choose(AUTO, "birefnet_swin_v1_t").engine == "openvino"
    assert choice.choose(RunOptions(engine="openvino"), "u2net").engine == "openvino"
    machine.has(engines={"onnxruntime", "openvino"}, computes=("FP32", "BF16"))
    assert choice.choose(AUTO, "u2net").engine == "openvino"
    assert choice.choose(RunOptions(precision="fp32"), "u2net").engine == "onnxruntime"
    assert choice.choose(RunOptions(precision="bf16"), "u2net").engine == "openvino"


def test_bf16_is_tried_only_where_the_processor_has_it_and_nothing_was_asked_for(machine: Machine) -> None:
    machine.has(engines={"onnxruntime", "openvino"})
    assert choice.choose(AUTO).faster is None
    machine.has(engines={"onnxruntime", "openvino"}, computes=("FP32", "BF16"))
    assert choice.choose(AUTO).faster == "bf16"
    assert choice.choose(RunOptions(precision="fp32")).faster is None
    assert choice.choose(RunOptions(precision="bf16")).engine == "openvino"
    assert choice.choose(RunOptions(engine="onnxruntime")).faster is None
    assert choice.choose(RunOptions(engine="openvino")).faster == "bf16"


def test_a_gpu_comes_first_and_one_that_was_asked_for_is_used_or_an_error(machine: Machine) -> None:
    machine.has(engines={"onnxruntime", "openvino", "torch"}, cuda="torch")
    chosen = choice.choose(AUTO)
    assert (chosen.engine, chosen.device, chosen.faster) == ("torch", "cuda", "fp16")
    assert choice.choose(RunOptions(device="cpu")).engine == "openvino"
    assert choice.choose(RunOptions(device="cuda:1")).device == "cuda:1"
    machine.has(engines={"onnxruntime", "openvino"})
    for device in ("cuda", "cuda:0"):
        with pytest.raises(DeviceUnavailable, match=f"device `{device}` cannot be used by any engine here: "):
            choice.choose(RunOptions(device=device))


def test_other_devices_go_to_the_engine_that_knows_them(machine: Machine) -> None:
    machine.has(engines={"onnxruntime", "openvino"})
    assert choice.choose(RunOptions(device="npu")).engine == "openvino"
    chosen = choice.choose(RunOptions(device="coreml"))
    assert (chosen.engine, chosen.device) == ("onnxruntime", "coreml")


def test_what_is_really_here_is_told_without_an_error() -> None:
    chosen = choice.choose(RunOptions(device="cpu"))
    assert choice.installed(chosen.engine)
    assert choice.why_no_cuda()
