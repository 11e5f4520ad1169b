"""A pipeline with the shape of Hugging Face's: change the import, keep the program.

    from liftout.compat.transformers import pipeline

    segment = pipeline("image-segmentation")
    segment("photo.jpg")            # [{"score": None, "label": "foreground", "mask": <grey Pillow image>}]

What goes in and comes out is that of `transformers.pipeline("image-segmentation")` in semantic mode: one dict for each class, of
which there is one here. `mask` is the whole alpha, 0 to 255; with `mask_threshold` it is 0 or 255. Lists, generators and datasets
give their results in order. `transformers` is not needed, and nothing is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, TypedDict, cast

import numpy as np
from PIL import Image

from liftout.cutout import Cutout
from liftout.errors import UsageError
from liftout.images import ImageInput
from liftout.images.frameworks import is_tensor
from liftout.options import Edges
from liftout.remover import Remover

__all__ = ["ImageSegmentationPipeline", "Segment", "pipeline"]

TASK = "image-segmentation"
LABEL = "foreground"
_MODES = (None, "semantic")


class Segment(TypedDict):
    """One class of a photo. mask: mode L, of the photo's size. score: None, as the original has it in semantic mode."""

    score: float | None
    label: str
    mask: Image.Image


class ImageSegmentationPipeline:
    """A loaded model, as `pipeline` gives it. Safe to use from several threads."""

    task = TASK

    def __init__(self, remover: Remover) -> None:
        self.remover = remover

    def __call__(
        self,
        inputs: ImageInput | Iterable[ImageInput],
        *,
        subtask: str | None = None,
        mask_threshold: float | None = None,
    ) -> list[Segment] | list[list[Segment]] | Iterator[list[Segment]]:
        """The segments of a photo, or those of each of several.

        inputs: what `remove` takes, which gives a list of dicts; a list of these, which gives a list of such lists; any other
        iterable, such as a generator or a dataset of pictures, which gives an iterator. subtask: None or `semantic`. mask_threshold: from which alpha, 0 to 1, a
        pixel is subject; None keeps soft alphas. Raises InputError for a photo that cannot be read, UsageError for the rest.
        """
        if subtask not in _MODES:
            raise UsageError(f"is {subtask!r}", field="subtask", remedy="it must be None or 'semantic'")
        if mask_threshold is not None and not 0 <= mask_threshold <= 1:
            raise UsageError(f"is {mask_threshold}", field="mask_threshold", remedy="it must be from 0 to 1")
        if _is_one(inputs):
            return _segments(self.remover(cast("ImageInput", inputs)), mask_threshold)
        several = (
            _segments(cutout, mask_threshold) for cutout in self.remover.map(cast("Iterable[ImageInput]", inputs))
        )
        return list(several) if isinstance(inputs, list | tuple) else several

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remover.close()


def pipeline(
    task: str = TASK,
    model: str | None = None,
    *,
    device: int | str | None = None,
    edges: Edges = "auto",
    accept_license: bool = False,
) -> ImageSegmentationPipeline:
    """Load a model.

    task: `image-segmentation`. model: a name of liftout's catalogue or a purpose, such as `people`; None is the built-in model or
    the default of this machine. device: as transformers has it (-1 or None, 0, `cpu`, `cuda`, `cuda:0`); None lets liftout
    choose. Raises UsageError, UnknownModel, ModelUnavailable, EngineError.
    """
    if task != TASK:
        raise UsageError(f"is {task!r}", field="task", remedy=f"it must be {TASK!r}")
    return ImageSegmentationPipeline(Remover(model, device=_device(device), edges=edges, accept_license=accept_license))


def _is_one(inputs: object) -> bool:
    """Whether this is a single photo and not several."""
    if is_tensor(inputs) or isinstance(inputs, np.ndarray):
        return cast("np.ndarray[Any, Any]", inputs).ndim < 4
    alone = (str, bytes, bytearray, memoryview, Mapping, Image.Image)
    return isinstance(inputs, alone) or hasattr(inputs, "read") or not isinstance(inputs, Iterable)


def _segments(cutout: Cutout, threshold: float | None) -> list[Segment]:
    alpha = cutout.alpha
    if threshold is not None:
        alpha = np.where(alpha >= max(1.0, threshold * 255), 255, 0).astype(np.uint8)
    return [{"score": None, "label": LABEL, "mask": Image.fromarray(alpha)}]


def _device(device: int | str | None) -> str:
    if device is None:
        return "auto"
    if isinstance(device, int):
        return "cpu" if device < 0 else "cuda"
    return str(device).partition(":")[0]
