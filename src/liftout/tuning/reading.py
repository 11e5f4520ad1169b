"""Photos with masks, in the forms that people have them in.

    found = find_pairs(Path("shop"))
    pixels, mask = read_pair(found.pairs[0])

    a.jpg  a.png            a mask, grey, or a cutout, RGBA, beside its photo; also a-mask.png, a-cutout.png, a_mask.png
    photos/a.jpg  masks/a.png   the same in two folders
    a.png                   a cutout alone: its own colours where they lie under the alpha, else a drawn ground
    annotations.json        COCO: polygons and runs, all annotations of a photo together

What lies deeper in the folder is found as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from liftout.errors import ImageUnreadable, InputError, UsageError
from liftout.images import decode
from liftout.images.colour import to_srgb

UInt8 = npt.NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic"})
_LOSSY = frozenset({".jpg", ".jpeg", ".heic", ".avif"})
_ENDINGS = ("-mask", "_mask", "-alpha", "_alpha", "-cutout", "_cutout")
"""What a mask or a cutout is called after its photo, in the order in which they are preferred."""
_PHOTO_FOLDERS = ("photos", "images", "image", "imgs", "img", "im")
_MASK_FOLDERS = ("masks", "mask", "alphas", "alpha", "cutouts", "gt", "labels")
_SAME_SHAPE = 0.02
"""By how much the ratio of a mask's sides may differ from its photo's."""

Shape = tuple[Literal["polygon", "runs"], tuple[float, ...], tuple[int, int]]
"""Of COCO: the corners x, y, x, y, ...; or lengths of runs, column by column, first of nothing; and height and width."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A photo, and what tells its subject. name: path of the photo below the folder, without its suffix. label: a grey mask or a picture
    with alpha, which may be the photo itself. shapes: where a COCO file tells it."""

    name: str
    photo: Path
    label: Path | None = None
    shapes: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a folder holds. unpaired: photos without a mask, in the order of their names."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[Path, ...]


def find_pairs(folder: Path) -> Found:
    """All photos with masks in `folder`. Raises UsageError where it is no folder or holds none, or where a COCO file is damaged."""
    if not folder.is_dir():
        raise UsageError("no such folder", subject=folder, remedy="give one with photos and masks")
    found = look_for_pairs(folder)
    if not found.pairs:
        raise UsageError(
            f"holds {len(found.unpaired)} photos and no mask that goes with one",
            subject=folder,
            remedy=(
                "put a.png, a mask or a cutout, beside a.jpg, or masks into masks/ beside photos/",
                "make masks in the page for them, see docs/tune.md",
            ),
        )
    return found


def look_for_pairs(folder: Path) -> Found:
    """The same, which may come to nothing. Raises UsageError where a COCO file is damaged."""
    described = list(_coco(folder))
    taken = {pair.photo for pair in described}
    pairs, unpaired = _by_name(folder, [path for path in pictures_in(folder) if path not in taken])
    return Found(tuple(sorted([*described, *pairs], key=lambda pair: pair.name)), tuple(unpaired))


def pictures_in(folder: Path) -> list[Path]:
    """Pictures at any depth, by name; what begins with a dot is passed over."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def stem_of(path: Path) -> str:
    """The name that a photo shares with its mask and its cutout."""
    stem = path.stem
    for ending in _ENDINGS:
        if stem.lower().endswith(ending) and len(stem) > len(ending):
            return stem[: -len(ending)]
    return stem


def _by_name(folder: Path, files: Sequence[Path]) -> tuple[list[Pair], list[Path]]:
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in files:
        groups.setdefault((*_place(path.relative_to(folder)), stem_of(path).lower()), []).append(path)
    pairs, unpaired = [], list[Path]()
    for group in groups.values():
        photo, label = _photo_and_label(group)
        if photo is not None and label is not None:
            pairs.append(Pair(name=photo.relative_to(folder).with_suffix("").as_posix(), photo=photo, label=label))
        elif photo is not None:
            unpaired.append(photo)
    return pairs, sorted(unpaired)


def _place(path: Path) -> tuple[str, ...]:
    """The folders that a file lies in, those for photos and for masks as one."""
    known = (*_PHOTO_FOLDERS, *_MASK_FOLDERS)
    return tuple("*" if part.lower() in known else part for part in path.parts[:-1])


def _photo_and_label(group: Sequence[Path]) -> tuple[Path | None, Path | None]:
    """Which of the files of one name is the photo, and which tells its subject."""
    labels = sorted((path for path in group if _is_label(path)), key=_rank)
    others = [path for path in group if path not in labels]
    if len(others) > 1:  # a.jpg and a.png: the photo is what a camera writes
        others.sort(key=lambda path: path.suffix.lower() not in _LOSSY)
        labels += others[1:]
    if others and labels:
        return others[0], labels[0]
    alone = [*others, *labels][0]
    return alone, alone if _has_alpha(alone) else None


def _is_label(path: Path) -> bool:
    return path.stem != stem_of(path) or path.parent.name.lower() in _MASK_FOLDERS


def _rank(path: Path) -> int:
    return next((k for k, ending in enumerate(_ENDINGS) if path.stem.lower().endswith(ending)), len(_ENDINGS))


def _has_alpha(path: Path) -> bool:
    """Whether a picture is transparent somewhere."""
    try:
        with Image.open(path) as picture:
            if "A" not in picture.getbands() and "transparency" not in picture.info:
                return False
            low, _ = picture.convert("RGBA").getchannel("A").getextrema()
            return bool(int(low) < 255)  # type: ignore[arg-type]
    except OSError:
        return False


def read_pair(pair: Pair) -> tuple[UInt8, UInt8]:
    """The photo, uint8 [H, W, 3], and its mask, uint8 [H, W], 255 is subject. Raises InputError where one cannot be read or they do not
    fit each other."""
    photo = decode(pair.photo)
    if pair.label == pair.photo and photo.alpha is not None:
        return _grounded(to_srgb(photo.pixels, photo.icc), photo.alpha, pair.name), photo.alpha
    pixels = photo.seen_by_network()
    if pair.shapes:
        return pixels, _drawn(pair, photo.size)
    assert pair.label is not None  # noqa: S101 - `find_pairs` gives no other
    mask = read_mask(pair.label)
    return pixels, _fitted(mask, photo.size, pair)


def read_mask(path: Path) -> UInt8:
    """A mask, uint8 [H, W]: the alpha of a picture that has one, else its greys. Raises InputError."""
    label = decode(path)
    if label.alpha is not None and label.alpha.min() < 255:
        return label.alpha
    return np.asarray(Image.fromarray(label.seen_by_network()).convert("L"))


def _fitted(mask: UInt8, size: tuple[int, int], pair: Pair) -> UInt8:
    """The mask at the size of its photo. Raises InputError where it has another shape."""
    height, width = size
    if mask.shape == size:
        return mask
    ratio = (mask.shape[1] / mask.shape[0]) / (width / height)
    if abs(ratio - 1) > _SAME_SHAPE:
        raise InputError(
            f"is {mask.shape[1]} x {mask.shape[0]} pixels, its photo {width} x {height}",
            subject=pair.label.name if pair.label else pair.name,
            remedy="give the mask of the whole photo, not of a crop",
        )
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.BILINEAR))


def _grounded(pixels: UInt8, alpha: UInt8, name: str) -> UInt8:
    """A cutout as a photo: as it is where colours lie under its empty part, else over a ground that is drawn from its name."""
    empty = alpha == 0
    if not empty.any() or pixels[empty].std(axis=0).max() > 4:
        return pixels
    ground = draw_ground(pixels.shape[:2], int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))
    share = alpha[..., None].astype(np.float32) / 255
    return np.rint(pixels * share + ground * (1 - share)).astype(np.uint8)


def draw_ground(size: tuple[int, int], seed: int) -> UInt8:
    """Soft patches of a few colours and some noise, as a wall or a meadow out of focus: uint8 [H, W, 3]."""
    chance = np.random.default_rng([seed, 5])
    height, width = size
    rows, columns = (int(side) for side in chance.integers(2, 9, 2))
    patches = Image.fromarray(chance.integers(30, 226, (rows, columns, 3)).astype(np.uint8))
    soft = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    grain = Image.fromarray(chance.integers(0, 256, (height, width)).astype(np.uint8))
    grey = np.asarray(grain.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.5, 3)))), np.float32)
    return (soft + (grey[..., None] - 127) * float(chance.uniform(0, 0.6))).clip(0, 255).astype(np.uint8)


def _coco(folder: Path) -> Iterator[Pair]:
    for file in sorted(folder.rglob("*.json")):
        content = _coco_content(file)
        if content is None:
            continue
        try:
            yield from _coco_pairs(folder, file, content)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"is no COCO file that can be read ({type(error).__name__}: {error})",
                subject=file.relative_to(folder),
                remedy="export it again, or take it out of the folder",
            ) from None


def _coco_content(file: Path) -> Mapping[str, Any] | None:
    """What a JSON file says, where it looks like COCO's."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"images", "annotations"} <= content.keys() else None


def _coco_pairs(folder: Path, file: Path, content: Mapping[str, Any]) -> Iterator[Pair]:
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    for image in content["images"]:
        photo = _photo_of(folder, file, str(image["file_name"]))
        if photo is None or image["id"] not in by_image:
            continue
        size = int(image["height"]), int(image["width"])
        shapes = tuple(shape for annotation in by_image[image["id"]] for shape in _shapes(annotation, size))
        if shapes:
            yield Pair(name=photo.relative_to(folder).with_suffix("").as_posix(), photo=photo, shapes=shapes)


def _photo_of(folder: Path, file: Path, name: str) -> Path | None:
    """The photo that a COCO file names; it must lie in the folder."""
    for place in (file.parent, *(file.parent / part for part in _PHOTO_FOLDERS), folder, folder / file.stem):
        path = place / name
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None


def _shapes(annotation: Mapping[str, Any], size: tuple[int, int]) -> Iterator[Shape]:
    told = annotation.get("segmentation")
    if isinstance(told, dict):
        height, width = (int(side) for side in told["size"])
        counts = told["counts"]
        runs = _unpacked(counts) if isinstance(counts, str) else tuple(float(count) for count in counts)
        yield "runs", runs, (height, width)
    elif told:
        for polygon in told:
            if len(polygon) >= 6:
                yield "polygon", tuple(float(value) for value in polygon), size


def _unpacked(text: str) -> tuple[float, ...]:
    """Lengths of runs, from COCO's compressed form: numbers in pieces of five bits, each but the first two less the one before the last.

    Source: the file format of the COCO API, cocoapi/common/maskApi.c, rleFrString.
    """
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            piece = ord(text[position]) - 48
            value |= (piece & 0x1F) << shift
            more, shift, position = bool(piece & 0x20), shift + 5, position + 1
            if not more and piece & 0x10:
                value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return tuple(float(run) for run in runs)


def _drawn(pair: Pair, size: tuple[int, int]) -> UInt8:
    """The mask that shapes tell, all of them together."""
    height, width = size
    whole = np.zeros(size, np.uint8)
    for kind, values, (rows, columns) in pair.shapes:
        if rows < 1 or columns < 1 or abs(columns / rows / (width / height) - 1) > _SAME_SHAPE:
            raise InputError(
                f"is {width} x {height} pixels, in its COCO file {columns} x {rows}",
                subject=pair.photo.name,
                remedy="export the annotations of this very photo",
            )
        if kind == "polygon":
            canvas = Image.new("L", (width, height))
            scale = width / columns, height / rows
            ImageDraw.Draw(canvas).polygon([value * scale[k % 2] for k, value in enumerate(values)], fill=255)
            part = np.asarray(canvas)
        else:
            part = _from_runs(values, (rows, columns), pair)
            part = np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR))
        whole = np.maximum(whole, part)
    return whole


def _from_runs(runs: Sequence[float], size: tuple[int, int], pair: Pair) -> UInt8:
    lengths = np.asarray(runs, np.int64)
    if (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ImageUnreadable(
            "the runs of its COCO file do not fill it", subject=pair.photo.name, remedy="export them again"
        )
    levels = np.where(np.arange(len(lengths)) % 2 == 1, 255, 0).astype(np.uint8)
    return np.repeat(levels, lengths).reshape(size[1], size[0]).T
