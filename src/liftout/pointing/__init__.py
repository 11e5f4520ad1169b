"""Which object is meant: the built-in network that reads prompts, and how its answer becomes an alpha.

    pointer = load()
    seen = pointer.see(pixels)                       # the dear part, once a photo
    alpha = pointer.answer(seen, prompts)            # the cheap part, for every click

Without a start, points and box select: the alpha is that of the object that was pointed at. With a start, points correct: what
changes is what hangs together with a point, everything else stays as it was.

Runtime: numpy and ONNX Runtime. The network is made by `training/points`, see docs/points.md.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from liftout import graphs
from liftout.errors import ModelMissing
from liftout.models import packs
from liftout.models.spec import InputSpec
from liftout.pointing.correct import change, corrected, select
from liftout.pointing.edges import with_edges_of
from liftout.pointing.network import MAP, NAME, Marks, PromptedNetwork
from liftout.prompts import Prompts

__all__ = ["NAME", "Pointer", "Seen", "load", "with_edges_of"]

_KEPT_PHOTOS = 4
"""Photos whose encoding is kept; 6.5 MB each."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A photo as the prompted network knows it. pixels: uint8 [H, W, 3], sRGB. details: float32 [1, 64, 160, 160]."""

    pixels: graphs.UInt8
    details: graphs.Float32

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pixels.shape[:2]
        return height, width


class Pointer:
    """The prompted network, loaded. Safe to use from several threads."""

    def __init__(self, pack: packs.Pack, threads: int | None = None) -> None:
        """threads: of the network; by default one for each core that the process may use. Raises EngineError."""
        self.spec = pack.spec
        self._network = PromptedNetwork(pack.folder, threads)
        self._encoded: OrderedDict[bytes, graphs.Float32] = OrderedDict()
        self._lock = threading.Lock()

    def see(self, pixels: graphs.UInt8) -> Seen:
        """Encode a photo, uint8 [H, W, 3] in sRGB; the last few photos are remembered. Raises EngineError."""
        tensor, _ = graphs.prepare(pixels, self.spec.input)
        key = hashlib.sha256(tensor.tobytes()).digest()
        with self._lock:
            details = self._encoded.get(key)
        if details is None:
            details = self._network.encode(tensor)
        with self._lock:
            self._encoded[key] = details
            self._encoded.move_to_end(key)
            while len(self._encoded) > _KEPT_PHOTOS:
                self._encoded.popitem(last=False)
        return Seen(pixels, details)

    def answer(
        self,
        seen: Seen,
        prompts: Prompts,
        *,
        follow_edges: bool = True,
        edges_of: graphs.UInt8 | None = None,
    ) -> graphs.UInt8:
        """The alpha that the prompts ask for, uint8 [H, W].

        prompts: checked against the photo. follow_edges: whether edges follow those in the photo. edges_of: uint8 [H, W], the alpha of
        another model, whose edges are taken inside and near the object. Raises EngineError.
        """
        start = None if prompts.start is None else shrink(prompts.start)
        prediction = self._network.predict(seen.details, Marks.of(prompts, seen.size, start))
        changed = None
        if start is None:
            prediction = select(prediction, prompts, seen.size)
        elif prompts.keep or prompts.drop:
            changed = change(prediction, prompts, start, seen.size)
            prediction = changed.prediction
        guide = seen.pixels if follow_edges else None
        alpha = graphs.finish(prediction, seen.size, self.spec.output, image=guide)
        if edges_of is not None:
            alpha = with_edges_of(edges_of, alpha)
        return alpha if changed is None or prompts.start is None else corrected(prompts.start, alpha, changed)


def shrink(alpha: graphs.UInt8) -> graphs.Float32:
    """An alpha, uint8 [H, W], as the network sees it: float32 [1, 1, 160, 160] in [0, 1]."""
    grey = np.ascontiguousarray(np.broadcast_to(alpha[..., None], (*alpha.shape, 3)))
    spec = InputSpec(size=(MAP, MAP), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return np.ascontiguousarray(graphs.prepare(grey, spec)[0][:, :1])


@functools.lru_cache(maxsize=2)
def load(threads: int | None = None) -> Pointer:
    """The prompted network of the package; loaded once. Raises ModelMissing where this package comes without it."""
    pack = packs.built_in(NAME)
    if pack is None:
        raise ModelMissing(
            "the network that reads points and boxes is not in this package",
            remedy="install liftout again from a complete package",
        )
    return Pointer(pack, threads)
