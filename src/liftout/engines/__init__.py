"""Engines run a network: tensor in, tensor out. Nothing here knows pixels.

An engine is one class with the shape of `Network`, listed in `_ENGINES`. `open_network` loads one; `liftout.engines.choice` says which `auto` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from liftout.models.local import NetworkFile
from liftout.options import RunOptions

__all__ = ["Float32", "Network", "NetworkFile", "open_network", "run_once"]

Float32 = npt.NDArray[np.float32]
DEFAULT = RunOptions()


class Network(Protocol):
    """A loaded network."""

    @property
    def engine(self) -> str:
        """Name of the engine that runs it."""

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, `cuda`, ..."""

    @property
    def precision(self) -> str:
        """What it computes in, or `fp16` or `int8` where its weights are reduced."""

    def run(self, tensor: Float32) -> Float32:
        """Prediction float32 [N, C, h, w] for a tensor float32 [N, 3, h, w]. Safe to call from several threads."""

    def close(self) -> None:
        """Give its memory back; `run` may not be called afterwards."""


def open_network(file: NetworkFile, options: RunOptions = DEFAULT) -> Network:
    """Load a network.

    options: engine (`auto` is ONNX Runtime here), device, precision and threads. Raises ExtraMissing where it is not installed, DeviceUnavailable where the device is
    not there, NetworkRejected where it refuses the graph.
    """
    return _ENGINES[options.engine](file, options)


def run_once(file: NetworkFile, tensor: Float32) -> Float32:
    """The prediction of a network for one tensor, with the default engine. Raises what `open_network` and `run` raise."""
    network = open_network(file)
    try:
        return network.run(tensor)
    finally:
        network.close()


def _onnxruntime(file: NetworkFile, options: RunOptions) -> Network:
    from liftout.engines.onnxruntime import OnnxRuntimeNetwork

    return OnnxRuntimeNetwork(file, options)


def _openvino(file: NetworkFile, options: RunOptions) -> Network:
    from liftout.engines.openvino import OpenVinoNetwork

    return OpenVinoNetwork(file, options)


def _torch(file: NetworkFile, options: RunOptions) -> Network:
    from liftout.engines.torch import TorchNetwork

    return TorchNetwork(file, options)


_ENGINES: dict[str, Callable[[NetworkFile, RunOptions], Network]] = {
    "auto": _onnxruntime,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "torch": _torch,
}
