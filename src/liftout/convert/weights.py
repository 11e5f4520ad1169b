"""Take a checkpoint's tensors one by one, folded into the form a lean graph wants.

Batch normalisation in evaluation is a fixed scale and shift per channel,

    y = (x - mean) / sqrt(var + eps) * weight + bias,

so it folds into the convolution before it. Folding runs in float64 and rounds once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

from liftout.convert.nodes import Float32Array
from liftout.progress import Progress

Float64Array = npt.NDArray[np.float64]

_BATCH_NORM_EPSILON = 1e-5


class Weights:
    """The tensors of one checkpoint, handed out once each.

    state: fitted to its architecture (`liftout.networks.fit_state`). Tensors are dropped here as they are taken, so that
    a large model is not in memory twice.
    """

    def __init__(self, state: Mapping[str, Tensor], progress: Progress | None = None) -> None:
        self._state = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self._total = len(self._state)
        self._progress = progress

    def __contains__(self, name: str) -> bool:
        return name in self._state

    @property
    def left(self) -> list[str]:
        """Names that nothing has taken yet."""
        return list(self._state)

    def take(self, name: str) -> Float32Array:
        """The tensor called `name`, C-contiguous."""
        array: Float32Array = np.ascontiguousarray(self._state.pop(name).detach().cpu().numpy(), dtype=np.float32)
        if self._progress:
            self._progress("build", self._total - len(self._state), self._total)
        return array

    def affine(self, name: str) -> tuple[Float32Array, Float32Array]:
        """Weight and bias of the layer called `name`, as they are."""
        return self.take(f"{name}.weight"), self.take(f"{name}.bias")

    def linear(self, name: str) -> tuple[Float32Array, Float32Array]:
        """Weight [inputs, outputs], which is torch's transposed, and bias of the linear layer called `name`."""
        return np.ascontiguousarray(self.take(f"{name}.weight").T), self.take(f"{name}.bias")

    def conv_norm(self, conv: str, norm: str) -> tuple[Float32Array, Float32Array]:
        """Weight and bias of a convolution, with or without bias of its own, and the batch norm behind it."""
        weight = self.take(f"{conv}.weight").astype(np.float64)
        bias = self.take(f"{conv}.bias").astype(np.float64) if f"{conv}.bias" in self else 0.0
        scale, shift = self.norm(norm)
        return single(weight * scale[:, None, None, None]), single(bias * scale + shift)

    def norm(self, name: str) -> tuple[Float64Array, Float64Array]:
        """Scale and shift that the batch norm called `name` amounts to."""
        weight, bias = self.take(f"{name}.weight"), self.take(f"{name}.bias")
        mean, variance = self.take(f"{name}.running_mean"), self.take(f"{name}.running_var")
        scale = weight / np.sqrt(variance.astype(np.float64) + _BATCH_NORM_EPSILON)
        return scale, bias - mean * scale


def single(array: Float64Array | Float32Array) -> Float32Array:
    """Rounded to float32, C-contiguous."""
    return np.ascontiguousarray(array, dtype=np.float32)
