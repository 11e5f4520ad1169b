"""Nodes: remove the background, the matte alone, better edges for a mask from elsewhere, and an object by points.

ComfyUI's IMAGE is a float32 tensor [B, H, W, C] in 0..1, its MASK a float32 tensor [B, H, W]; 1 is subject in every mask here. Photos
pass through 16 bits, so that pictures of 8 bits come back without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from liftout import Cutout, all_models, matting, remove
from liftout.images import Photo, decode

CATEGORY = "liftout"
PURPOSES = ("people", "products", "hair", "anime", "fast", "best")
TRANSPARENT = "transparent"
_IMAGE = ("IMAGE", {"tooltip": "Photos, one or a batch."})


def _model_input() -> tuple[list[str], dict[str, Any]]:
    names = ["pocket", *PURPOSES, *sorted(name for name in all_models() if name != "pocket")]
    tip = "pocket is built in; a purpose takes the best model for it that is on this machine; others are downloaded when they first run."
    return names, {"default": "pocket", "tooltip": tip}


def _edges_input() -> tuple[list[str], dict[str, Any]]:
    tip = "auto follows the edges in the photo; refined also solves for hair and fur, and is slower; plain only enlarges the mask."
    return ["auto", "refined", "plain"], {"default": "auto", "tooltip": tip}


_LICENCE = (
    "BOOLEAN",
    {
        "default": False,
        "tooltip": "Accept the licence of a model that is not free for commercial use. This is remembered.",
    },
)


class _ToCutout:
    """What nodes have in common that give a cutout and its alpha."""

    CATEGORY = CATEGORY
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = ("The subject, RGBA.", "Its alpha; 1 is subject.")


class RemoveBackground(_ToCutout):
    """Lifts the subject out of each photo."""

    DESCRIPTION = "Lifts the subject out of photos, with clean colours at its edges."
    OUTPUT_TOOLTIPS = ("The subject: RGBA where the background is transparent, else RGB.", "Its alpha; 1 is subject.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        behind = {"default": TRANSPARENT, "tooltip": "transparent, blur, or a colour such as white or #1e90ff."}
        return {
            "required": {
                "image": _IMAGE,
                "model": _model_input(),
                "edges": _edges_input(),
                "background": ("STRING", behind),
            },
            "optional": {"accept_license": _LICENCE},
        }

    def run(
        self, image: torch.Tensor, model: str, edges: str, background: str, accept_license: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """image: [B, H, W, C]. Returns [B, H, W, 4 or 3] and [B, H, W]."""

        def cut(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            cutout = remove(photo, model, edges=edges, accept_license=accept_license)
            return _painted(cutout, background), cutout.alpha

        return _each(image, cut)


class Matte:
    """The alpha of each photo's subject."""

    CATEGORY = CATEGORY
    DESCRIPTION = "The matte of the subject, for nodes that take a mask."
    FUNCTION = "run"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        hard = {"default": 0, "min": 0, "max": 255, "tooltip": "0 keeps soft edges; else opaque from this alpha up."}
        return {
            "required": {
                "image": _IMAGE,
                "model": _model_input(),
                "edges": _edges_input(),
                "largest_only": ("BOOLEAN", {"default": False, "tooltip": "Keep the largest of several subjects."}),
                "fill_holes": ("BOOLEAN", {"default": False, "tooltip": "Fill holes inside the subject."}),
                "threshold": ("INT", hard),
                "invert": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "1 is background, as Join Image with Alpha has it."},
                ),
            },
            "optional": {"accept_license": _LICENCE},
        }

    def run(
        self,
        image: torch.Tensor,
        model: str,
        edges: str,
        largest_only: bool,
        fill_holes: bool,
        threshold: int,
        invert: bool,
        accept_license: bool = False,
    ) -> tuple[torch.Tensor]:
        """image: [B, H, W, C]. Returns [B, H, W]."""

        def cut(photo: np.ndarray) -> tuple[np.ndarray]:
            cutout = remove(photo, model, edges=edges, accept_license=accept_license)
            if largest_only:
                cutout = cutout.largest()
            if fill_holes:
                cutout = cutout.without_holes()
            if threshold:
                cutout = cutout.threshold(threshold)
            return (255 - cutout.alpha if invert else cutout.alpha,)

        return _each(image, cut)


class RefineEdges(_ToCutout):
    """Solves the edges of a mask again, and cleans the colours under them."""

    DESCRIPTION = (
        "Better edges for a mask from any other node: hair and fur by matting, colours without the old background."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        width = {
            "default": 8,
            "min": 1,
            "max": 64,
            "tooltip": "How coarse the mask is, in pixels: the larger, the wider the band that is solved.",
        }
        return {"required": {"image": _IMAGE, "mask": ("MASK", {"tooltip": "1 is subject."}), "width": ("INT", width)}}

    def run(self, image: torch.Tensor, mask: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """image: [B, H, W, C]. mask: [B or 1, H, W]. Returns [B, H, W, 4] and [B, H, W]."""
        matting.require()
        alphas = _alphas(mask, image)

        def solve(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            decoded: Photo = decode(photo)
            cutout = Cutout(decoded, matting.refine(next(alphas), decoded.seen_by_network(), cell=width))
            return cutout.levels, cutout.alpha

        return _each(image, solve)


class Select(_ToCutout):
    """The object at the points that the user gives."""

    DESCRIPTION = "The object at these points or in this box; with a mask, that mask corrected by the points."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        points = "X,Y in pixels or percent, such as 320,200 or 50%,40%; several are separated by spaces or lines."
        box = {"default": "", "tooltip": "LEFT,TOP,RIGHT,BOTTOM around the subject, likewise; may be empty."}
        return {
            "required": {
                "image": _IMAGE,
                "keep": ("STRING", {"default": "50%,50%", "multiline": True, "tooltip": f"On the subject: {points}"}),
                "drop": ("STRING", {"default": "", "multiline": True, "tooltip": f"Not on the subject: {points}"}),
                "box": ("STRING", box),
                "edges": _edges_input(),
            },
            "optional": {"mask": ("MASK", {"tooltip": "A mask that the points correct; 1 is subject."})},
        }

    def run(
        self, image: torch.Tensor, keep: str, drop: str, box: str, edges: str, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """image: [B, H, W, C]. mask: [B or 1, H, W]. Returns [B, H, W, 4] and [B, H, W]."""
        starts = None if mask is None else _alphas(mask, image)

        def cut(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            start = None if starts is None else next(starts)
            cutout = remove(
                photo, edges=edges, keep=keep.split(), drop=drop.split(), box=box.strip() or None, start=start
            )
            return cutout.levels, cutout.alpha

        return _each(image, cut)


def _painted(cutout: Cutout, background: str) -> np.ndarray:
    chosen = background.strip()
    return cutout.levels if chosen.lower() in ("", TRANSPARENT) else cutout.composite(chosen)


def _each(image: torch.Tensor, work: Callable[[np.ndarray], tuple[np.ndarray, ...]]) -> tuple[torch.Tensor, ...]:
    """What `work` gives of each photo of a batch, stacked to float tensors in 0..1."""
    results = []
    for photo in _levels(image, 65535, np.uint16):
        _stop_if_asked()
        results.append(
            [torch.from_numpy(np.divide(one, np.iinfo(one.dtype).max, dtype=np.float32)) for one in work(photo)]
        )
    return tuple(torch.stack(several) for several in zip(*results, strict=True))


def _alphas(mask: torch.Tensor, image: torch.Tensor) -> Iterator[np.ndarray]:
    """An alpha for each photo of a batch, uint8 [H, W]. Raises ValueError where the mask does not fit the photos."""
    if mask.shape[-2:] != image.shape[1:3] or mask.shape[0] not in (1, image.shape[0]):
        raise ValueError(
            f"the mask is {list(mask.shape)}, the image {list(image.shape)}; scale the mask to the image's size first"
        )
    return iter(_levels(mask.expand(image.shape[0], -1, -1), 255, np.uint8))


def _levels(tensor: torch.Tensor, top: int, kind: type) -> np.ndarray:
    return np.rint(np.clip(tensor.detach().cpu().float().numpy(), 0, 1) * np.float64(top)).astype(kind)


def _stop_if_asked() -> None:
    """Between photos, end where the user has pressed Cancel; outside ComfyUI there is nobody to ask."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
    except ImportError:
        return
    throw_exception_if_processing_interrupted()


NODE_CLASS_MAPPINGS = {
    "LiftoutRemoveBackground": RemoveBackground,
    "LiftoutMatte": Matte,
    "LiftoutRefineEdges": RefineEdges,
    "LiftoutSelect": Select,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LiftoutRemoveBackground": "Remove Background (liftout)",
    "LiftoutMatte": "Matte (liftout)",
    "LiftoutRefineEdges": "Refine Edges (liftout)",
    "LiftoutSelect": "Select by Points (liftout)",
}
