"""Pictures as other libraries hold them: OpenCV's BGR arrays, tensors of PyTorch, rows of `datasets`.

Known by their shape alone: none of these libraries is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from liftout.errors import InputError

Levels = TypeVar("Levels", bound=np.generic)


def from_bgr(pixels: npt.NDArray[Levels]) -> npt.NDArray[Levels]:
    """An array of OpenCV, blue first, with red first: what `remove` expects of an array.

        remove(from_bgr(cv2.imread("photo.jpg")))

    pixels: [H, W, 3] (BGR) or [H, W, 4] (BGRA) of any type. A grey array, [H, W], comes back as it is. The other way it is the
    same; for OpenCV's own functions a cutout has `Cutout.bgra`.
    Raises InputError for another shape.
    """
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise InputError(f"shape {list(pixels.shape)} is not BGR or BGRA", remedy="give [H, W, 3] or [H, W, 4]")
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])


def is_tensor(image: object) -> bool:
    """Whether this is a tensor of PyTorch."""
    return all(hasattr(image, name) for name in ("detach", "permute", "is_floating_point"))


def from_tensor(tensor: Any) -> npt.NDArray[Any]:
    """A tensor as an array [H, W] or [H, W, C].

    tensor: [C, H, W], as torchvision and `datasets` give it, [H, W, C], as ComfyUI does, or [H, W]; C is 1, 3 or 4. Where both orders
    fit, channels are first. On any device. Raises InputError for another shape.
    """
    shape = list(tensor.shape)
    if len(shape) == 4:
        raise InputError(f"shape {shape} is a batch", remedy="give one photo at a time: remover.map(tensor)")
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        tensor = tensor.permute(1, 2, 0)
    elif len(shape) != 2 and not (len(shape) == 3 and shape[2] in (1, 3, 4)):
        raise InputError(f"shape {shape} is not a photo", remedy="give [C, H, W] or [H, W, C] with 1, 3 or 4 channels")
    tensor = tensor.detach().cpu()
    return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())


def from_row(row: Mapping[str, Any]) -> tuple[bytes | str, str | None]:
    """The picture of a row of `datasets` that was not decoded, and its name where it has one.

    row: `bytes` (None where only the path is known) and `path`, as `datasets.Image(decode=False)` gives them.
    Raises InputError where it has neither.
    """
    content, path = row.get("bytes"), row.get("path")
    if content is not None:
        return content, Path(path).name if path else None
    if path:
        return path, None
    raise InputError(
        f"a dict with {', '.join(map(repr, row)) or 'nothing in it'} is not a photo",
        remedy="give the picture itself, such as row['image']",
    )
