"""The photos of a folder, waiting for masks: in which order, and where the masks go.

    desk = Desk(Path("shop"), remover)
    desk.look()                     the model's answer on each photo says how much it doubts
    for item in desk.waiting(): ...
    desk.save(item.id, png)

A mask lies beside its photo as `<name>-mask.png`, where `liftout tune` finds it. A photo is never written to.
"""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import EngineError, ImageUnreadable, InputError, UsageError
from liftout.files import write_whole
from liftout.images import decode
from liftout.remover import Remover
from liftout.tuning.reading import look_for_pairs, stem_of

_SHOWN = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp"})
"""What browsers show; others are sent to them as PNG."""
_LOOKED_AT = 1024
"""Pixels of the longer side of a photo of which the model is asked."""


@dataclass
class Item:
    """id: by which a browser names it. doubt: of the model, from 0, sure, to 1; None where it has not been asked."""

    id: str
    name: str
    photo: Path
    mask: Path
    labelled: bool
    doubt: float | None = None


class Desk:
    """folder: is looked through once. Raises UsageError where it holds no photos."""

    def __init__(self, folder: Path, remover: Remover) -> None:
        if not folder.is_dir():
            raise UsageError("no such folder", subject=folder, remedy="give one with photos")
        self.folder, self._remover = folder, remover
        found = look_for_pairs(folder)
        labelled = {pair.photo for pair in found.pairs}
        self._items: dict[str, Item] = {}
        for photo in sorted([*labelled, *found.unpaired]):
            mask = photo.with_name(f"{stem_of(photo)}-mask.png")
            name = photo.relative_to(folder).as_posix()
            key = hashlib.sha256(name.encode()).hexdigest()[:16]
            self._items[key] = Item(key, name, photo, mask, photo in labelled)
        if not self._items:
            raise UsageError("holds no photos", subject=folder, remedy="put photos into it")
        self._ends = threading.Event()

    @property
    def count(self) -> int:
        """Photos in all."""
        return len(self._items)

    def waiting(self) -> list[Item]:
        """Photos without a mask, those first of which the model doubts most; then those that it has not been asked about, by name."""
        items = [item for item in self._items.values() if not item.labelled]
        return sorted(items, key=lambda item: (item.doubt is None, -(item.doubt or 0), item.name))

    def look(self) -> None:
        """Ask the model about each photo without a mask, until `close`."""
        for item in list(self._items.values()):
            if self._ends.is_set():
                return
            if item.labelled or item.doubt is not None:
                continue
            try:
                item.doubt = self._doubt(item.photo)
            except (InputError, EngineError):
                item.doubt = 1.0  # it is shown early, and says what is wrong

    def close(self) -> None:
        """End `look`."""
        self._ends.set()

    def read(self, key: str) -> tuple[bytes, str]:
        """A photo as a browser shows it, and the suffix of its format. Raises KeyError, InputError."""
        path = self._items[key].photo
        if path.suffix.lower() in _SHOWN:
            try:
                return path.read_bytes(), path.suffix.lower()
            except OSError as error:
                raise ImageUnreadable(f"cannot be read: {error.strerror}", subject=path.name) from None
        content = io.BytesIO()
        Image.fromarray(decode(path).seen_by_network()).save(content, "PNG")
        return content.getvalue(), ".png"

    def save(self, key: str, content: bytes) -> Path:
        """Write a mask, a picture file, beside its photo: grey, of the photo's size. Raises KeyError, InputError, OutputError."""
        item = self._items[key]
        mask = np.asarray(Image.fromarray(decode(content, name="the mask").seen_by_network()).convert("L"))
        height, width = decode(item.photo).size
        if mask.shape != (height, width):
            raise InputError(
                f"is {mask.shape[1]} x {mask.shape[0]} pixels, its photo {width} x {height}",
                subject="the mask",
                remedy="send the mask of the whole photo",
            )
        stream = io.BytesIO()
        Image.fromarray(mask).save(stream, "PNG")
        write_whole(item.mask, stream.getvalue(), overwrite=True)
        item.labelled = True
        return item.mask

    def _doubt(self, path: Path) -> float:
        picture = Image.fromarray(decode(path).seen_by_network())
        picture.thumbnail((_LOOKED_AT, _LOOKED_AT))
        return doubt(self._remover(np.asarray(picture)).alpha)


def doubt(alpha: npt.NDArray[np.uint8]) -> float:
    """How much of what a model takes for subject it is not sure of: 0 for a clear answer, 1 for a vague one or none. alpha: uint8 [H, W]."""
    share = alpha.astype(np.float64) / 255
    subject = share.sum()
    if subject < 0.002 * share.size:
        return 1.0
    return float(min(1.0, (4 * share * (1 - share)).sum() / subject))
