"""Which engine, device and precision run a network, and why.

`auto` takes the fastest that is installed and fits: a GPU where one is there and an engine can use it, else OpenVINO where it is
faster than ONNX Runtime with this network on this processor, else ONNX Runtime. fp32 first; a faster precision of the same
engine is checked on the first photos (`liftout.engines.precision_check`).
"""

from __future__ import annotations

import functools
import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from liftout.errors import DeviceUnavailable
from liftout.options import EngineName, Precision, RunOptions
from liftout.remedies import UseOption

_SMALL = frozenset({"pocket"})
"""Architectures, those of the built-in model, that no engine runs faster than ONNX Runtime, which is loaded anyway."""

_NO_FASTER_IN_FP32 = frozenset({"u2net", "u2netp", "u2net_cloth_seg", "isnet"})
"""Architectures that in fp32 take as much CPU time in OpenVINO as in ONNX Runtime, within 5 % and at times more, and up to a second
longer until the first photo; in bf16 OpenVINO takes a third. Measured with AVX2 and with AMX, docs/speed.md. Others, BiRefNet first, are
faster in both."""


@dataclass(frozen=True)
class Choice:
    """engine, device: as `open_network` takes them. faster: a precision that this engine computes faster here than fp32, if its
    alphas agree; None where there is none or the caller chose a precision. reason: why, as a phrase."""

    engine: EngineName
    device: str
    faster: Precision | None
    reason: str


def choose(options: RunOptions, architecture: str = "") -> Choice:
    """What runs for this request. architecture: of the model, as its spec has it; without it, what runs most of them.

    Raises DeviceUnavailable where a GPU is asked for and no engine here can use one.
    """
    if options.engine == "auto":
        engine, device, reason = _engine(options, architecture)
    else:
        engine, device, reason = options.engine, options.device, "as asked"
    faster: Precision | None = None
    if options.precision == "auto" and device in ("auto", "cpu"):
        if engine == "openvino" and "BF16" in openvino_capabilities():
            faster = "bf16"
    elif options.precision == "auto" and device.startswith("cuda") and engine == "torch":
        faster = "fp16"
    return Choice(engine, device, faster, reason)


def _engine(options: RunOptions, architecture: str) -> tuple[EngineName, str, str]:
    device, precision = options.device, options.precision
    if device in ("auto", "cuda") or device.startswith("cuda:"):
        gpu = cuda_engine() if device != "auto" or has_nvidia() else None
        if gpu:
            return gpu, "cuda" if device == "auto" else device, f"{gpu} can use the CUDA device"
        if device != "auto":
            raise DeviceUnavailable(
                f"`{device}` cannot be used by any engine here: {why_no_cuda()}",
                field="device",
                remedy=(UseOption("device", "cpu"), "install what is missing"),
            )
    if device not in ("auto", "cpu"):
        if device in ("gpu", "npu") and installed("openvino"):
            return "openvino", device, f"openvino serves the device {device}"
        return "onnxruntime", device, f"onnxruntime is asked for the device {device}"
    if precision in ("bf16", "fp16") and installed("openvino"):
        return "openvino", "cpu", f"openvino computes in {precision}"
    if not installed("openvino"):
        return (
            "onnxruntime",
            "cpu",
            'openvino is not installed (pip install "liftout[openvino]": faster on this kind of CPU)',
        )
    if architecture in _SMALL:
        return "onnxruntime", "cpu", "the network is so small that no engine is faster, and this one loads first"
    if architecture in _NO_FASTER_IN_FP32 and (precision == "fp32" or "BF16" not in openvino_capabilities()):
        return "onnxruntime", "cpu", "in fp32 no engine runs this network faster, and this one loads first"
    return "openvino", "cpu", "the fastest engine that is installed"


@functools.cache
def installed(engine: str) -> bool:
    """Whether an engine can be imported."""
    needs = {"onnxruntime": ("onnxruntime",), "openvino": ("openvino",), "torch": ("torch", "onnx")}[engine]
    return all(find_spec(name) is not None for name in needs)


@functools.cache
def openvino_capabilities() -> tuple[str, ...]:
    """What OpenVINO says that this CPU computes in, as in FP32, BF16, INT8."""
    if not installed("openvino"):
        return ()
    import openvino

    return tuple(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def computes(precision: str) -> bool:
    """Whether an engine here computes a plain network in this precision; int8 needs a pack of its own."""
    if precision == "fp16":
        return "FP16" in openvino_capabilities() or cuda_engine() is not None
    if precision == "bf16":
        return "BF16" in openvino_capabilities() or cuda_engine() == "torch"
    return precision == "fp32"


@functools.cache
def has_nvidia() -> bool:
    """Whether an NVIDIA driver is loaded; costs no import of torch."""
    if sys.platform == "win32":
        import os

        return (Path(os.environ.get("SYSTEMROOT", "C:\\Windows")) / "System32" / "nvcuda.dll").exists()
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()


@functools.cache
def cuda_engine() -> Literal["onnxruntime", "torch"] | None:
    """The engine that can use a CUDA device, or None."""
    import onnxruntime

    if has_nvidia() and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return "onnxruntime"
    if has_nvidia() and installed("torch"):
        import torch

        if torch.cuda.is_available():
            return "torch"
    return None


def why_no_cuda() -> str:
    """Why no CUDA device can be used here, as a phrase."""
    if platform.system() == "Darwin":
        return "Macs have no CUDA"
    if not has_nvidia():
        return "no NVIDIA driver is loaded"
    missing = "onnxruntime has no CUDA in it (pip install onnxruntime-gpu, in place of onnxruntime)"
    return missing if not installed("torch") else f"torch sees no CUDA device, and {missing}"
