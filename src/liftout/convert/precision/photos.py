"""Photos to calibrate int8 on and to measure agreement with.

Nothing is measured on a picture that was calibrated on. A user's folder is split: every fourth photo measures. Without one
the example photos are used: they measure as they are, and calibrate as mirrored, cropped, darker and lighter versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import InputError, UsageError
from liftout.images import decode
from liftout.remedies import UseOption
from liftout.tuning.reading import look_for_pairs

UInt8 = npt.NDArray[np.uint8]
NamedPhoto = tuple[str, UInt8]

LONGEST_SIDE = 1024
"""Photos are made this small first: networks see no more, and alphas compare faster."""

MOST = 128
"""Photos of a user's folder that are read, evenly spread over it."""

_NATURAL = ("mirrored", "upper", "lower")
"""Versions of the example photos that a camera could have taken."""

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"})


@dataclass(frozen=True)
class Photos:
    """calibrating, measuring: name and pixels uint8 [H, W, 3], sRGB."""

    calibrating: Sequence[NamedPhoto]
    measuring: Sequence[NamedPhoto]
    source: str
    """Where they come from, for the report."""
    natural: Sequence[NamedPhoto] = ()
    """Of those that calibrate, the ones that look as photos do; empty where all do."""

    def to_choose(self, most: int) -> Sequence[NamedPhoto]:
        """At most so many of the photos that calibrate, evenly spread: which layers stay in float is chosen on them."""
        photos = self.natural or self.calibrating
        return [photos[round(k)] for k in np.linspace(0, len(photos) - 1, min(most, len(photos)))]


def built_in() -> Photos:
    """The example photos. Raises UsageError where this installation lacks them."""
    folder = Path(str(files("liftout.convert.precision").joinpath("examples")))
    if not folder.is_dir():
        folder = Path(__file__).resolve().parents[4] / "examples"  # a checkout
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise UsageError("the example photos are not installed", remedy=UseOption("calibrate"))
    whole = [(path.name, _read(path)) for path in paths]
    versions = [version for named in whole for version in _versions(*named)]
    natural = [(name, version) for name, version in versions if name.endswith(_NATURAL)]
    return Photos(versions, whole, "the example photos", natural)


def of_folder(folder: Path) -> Photos:
    """A user's photos, at any depth, without the masks that lie beside them. Raises UsageError where there are fewer than two."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", field="calibrate", remedy="give one with photos")
    found = look_for_pairs(folder)
    paths = sorted({*(pair.photo for pair in found.pairs), *found.unpaired})
    paths = [path for path in paths if path.suffix.lower() in _SUFFIXES]
    paths = [paths[round(k)] for k in np.linspace(0, len(paths) - 1, min(MOST, len(paths)))] if paths else []
    photos = []
    for path in paths:
        try:
            photos.append((path.name, _read(path)))
        except InputError:
            continue  # one bad file in a folder of photos is no reason to stop
    measuring = photos[1::4] if len(photos) > 3 else photos[-1:]
    chosen = {id(named) for named in measuring}
    calibrating = [named for named in photos if id(named) not in chosen]
    if not calibrating or not measuring:
        raise UsageError(
            f"{folder}: {len(photos)} readable photos",
            field="calibrate",
            remedy="at least two are needed, a hundred are good",
        )
    return Photos(calibrating, measuring, f"{len(photos)} photos of {folder.name}")


def _read(path: Path) -> UInt8:
    pixels = decode(path).seen_by_network()
    if max(pixels.shape[:2]) <= LONGEST_SIDE:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(picture)


def _versions(name: str, photo: UInt8) -> list[NamedPhoto]:
    """Pictures that are not the photo but look like photos."""
    height, width = photo.shape[:2]
    upper, lower = photo[: height * 3 // 4, : width * 4 // 5], photo[height // 4 :, width // 5 :]
    dark, light = _curve(1.7)[photo], _curve(0.6)[photo]
    grey = np.repeat(photo.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    flat = (photo // 2 + 64).astype(np.uint8)
    versions = {
        "mirrored": photo,
        "upper": upper,
        "lower": lower,
        "dark": dark,
        "light": light,
        "grey": grey,
        "flat": flat,
    }
    return [(f"{name}, {kind}", np.ascontiguousarray(version[:, ::-1])) for kind, version in versions.items()]


def _curve(gamma: float) -> npt.NDArray[np.uint8]:
    """Level -> level, rounded where a power that differs in its last digit comes out the same."""
    return np.rint(np.round(255 * (np.arange(256) / 255) ** gamma, 6)).astype(np.uint8)
