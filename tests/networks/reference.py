"""The authors' networks as ../shared/reference holds them: parameter lists, reproducible weights, stored outputs."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from liftout.networks import ARCHITECTURES, PatchOrder, load_network
from liftout.networks.inspyrenet import InSPyReNet
from liftout.networks.swin import SWIN_V1_B, relative_position_index
from tests.conftest import SHARED

FOLDER = SHARED / "reference"
OWN = Path(__file__).parent / "authors"
"""What `FOLDER` does not hold."""

_SUMS = re.compile(r"attention(\d)\.conv_(?:key|value)\.0\.bn\.running_var")

_MEAN_AND_STD = {
    "u2net_cloth_seg": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "isnet": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "modnet": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def keys(architecture: str) -> list[tuple[str, list[int], str]]:
    """Name, shape and dtype of every tensor of the authors' checkpoint, in its order."""
    listed = json.loads(_held("keys", f"{architecture.removesuffix('_384')}.json").read_text())["keys"]
    return [(name, shape, dtype) for name, shape, dtype in listed]


@lru_cache(maxsize=1)
def state(architecture: str, base: int | None = None) -> dict[str, Tensor]:
    """Reproducible weights under the authors' names. base: InSPyReNet's, where it is not that of the architecture."""
    gain = 1.0 if ARCHITECTURES[architecture].backbone else 1.5
    floats = _module().reference_state(keys(architecture), gain=gain)
    side = base or ARCHITECTURES[architecture].base[0]
    for name in floats:
        if found := _SUMS.fullmatch(name):  # InSPyReNet's norms of sums over a stage's pixels
            floats[name] = floats[name] * np.float32((side // 2 ** int(found[1])) ** 4)
    for name in floats:
        if (other := f"lr_branch.{name}") in floats:  # MODNet's backbone, one network under two names
            floats[name] = floats[other]
    return {
        name: torch.from_numpy(floats[name]) if name in floats else _integers(name, shape)
        for name, shape, _ in keys(architecture)
    }


def photo(architecture: str, height: int, width: int) -> npt.NDArray[np.float32]:
    """The reference image as the network wants it, [1, 3, height, width]."""
    mean, std = _MEAN_AND_STD.get(architecture, _IMAGENET)
    levels = _module().reference_image(height, width) / 255
    normalised = (levels - np.array(mean)) / np.array(std)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], dtype=np.float32)


def golden(architecture: str) -> dict[str, npt.NDArray[np.float32]]:
    """Outputs of the authors' code by `<height>x<width>[_patches_wgc][_base_128][_every_4]`: see `Stored`."""
    with np.load(_held("golden", f"{architecture}.npz")) as arrays:
        return dict(arrays)


@dataclass(frozen=True)
class Stored:
    """What the name of a stored output says."""

    size: tuple[int, int]
    patches: PatchOrder = "cgw"
    base: int | None = None
    """InSPyReNet's, where it is not that of the architecture."""
    every: int = 1
    """Which rows and columns of the output are stored."""

    @classmethod
    def of(cls, key: str) -> Stored:
        size, *rest = key.split("_")
        height, width = map(int, size.split("x"))
        said = dict(zip(rest[::2], rest[1::2], strict=True))
        return cls(
            (height, width),
            "wgc" if said.get("patches") == "wgc" else "cgw",
            int(said["base"]) if "base" in said else None,
            int(said.get("every", 1)),
        )


def network(architecture: str, stored: Stored) -> nn.Module:
    """Our network on the reference weights."""
    weights = state(architecture, stored.base)
    if stored.base is None:
        return load_network(architecture, weights, patch_order=stored.patches)
    other = InSPyReNet(SWIN_V1_B, base=(stored.base, stored.base))
    other.load_state_dict(weights, strict=True, assign=True)
    return other.eval().requires_grad_(False)


def _held(kind: str, name: str) -> Path:
    own = OWN / kind / name
    return own if own.is_file() else FOLDER / kind / name


def _integers(name: str, shape: list[int]) -> Tensor:
    """Integer buffers keep the architecture's own values."""
    if name.endswith("relative_position_index"):
        return relative_position_index(round(shape[0] ** 0.5))
    return torch.zeros(shape, dtype=torch.int64)


@lru_cache(maxsize=1)
def _module() -> ModuleType:
    path: Path = FOLDER / "reference_weights.py"
    spec = importlib.util.spec_from_file_location("reference_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
