"""Run converted networks and their originals."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from liftout.convert import LeanNetwork, write_network
from liftout.networks import PatchOrder, load_network
from tests.networks import reference

Array = npt.NDArray[np.float32]


def run(path: Path, tensor: Array) -> Array:
    """The file through ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"input": tensor})
    assert isinstance(output, np.ndarray)
    return output


def run_network(network: LeanNetwork, tensor: Array, folder: Path) -> Array:
    """A network that is not on disk yet."""
    return run(write_network(network, folder)[0], tensor)


def original(
    architecture: str, tensor: Array, *, patch_order: PatchOrder = "cgw", sigmoid: bool | None = None
) -> Array:
    """The PyTorch network on the reference weights."""
    network = _original(architecture, patch_order, sigmoid)
    with torch.inference_mode():
        output = network(torch.from_numpy(tensor))
    assert isinstance(output, torch.Tensor)
    return output.numpy()


@functools.lru_cache(maxsize=1)
def _original(architecture: str, patch_order: PatchOrder, sigmoid: bool | None) -> torch.nn.Module:
    return load_network(architecture, reference.state(architecture), patch_order=patch_order, sigmoid=sigmoid)


def probability(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits))
