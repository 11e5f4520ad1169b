"""Photos and masks are found in every form that people have them in, and read as what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from liftout.convert.precision import photos
from liftout.errors import InputError, UsageError
from liftout.tuning.reading import find_pairs, look_for_pairs, read_pair

SIZE = (60, 40)


def _photo(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _disc(size: tuple[int, int] = SIZE) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((10, 8, 40, 32), fill=255)
    return mask


def _mask(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _disc(size).save(path)
    return path


def _cutout(path: Path) -> Path:
    """As the page saves it: no colour where nothing is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cutout = Image.merge("RGBA", [*[Image.new("L", SIZE, 120)] * 3, _disc()])
    clean = np.asarray(cutout).copy()
    clean[clean[..., 3] == 0] = 0
    Image.fromarray(clean).save(path)
    return path


@pytest.mark.parametrize("mask", ["a.png", "a-mask.png", "a_mask.png", "a_alpha.PNG", "masks/a.png", "cutouts/a.png"])
def test_a_mask_is_found_by_its_name(mask: str, tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    _mask(tmp_path / mask)
    if "/" in mask:
        (tmp_path / "photos").mkdir()
        (tmp_path / "a.jpg").rename(tmp_path / "photos" / "a.jpg")
    (pair,) = find_pairs(tmp_path).pairs
    pixels, alpha = read_pair(pair)
    assert pair.photo.suffix == ".jpg"
    assert pixels.shape == (40, 60, 3)
    assert np.array_equal(alpha, np.asarray(_disc()))


def test_what_the_page_saves_is_a_label_of_its_photo(tmp_path: Path) -> None:
    photo = _photo(tmp_path / "shop" / "shoe.jpg")
    _cutout(tmp_path / "shop" / "shoe-cutout.png")
    (pair,) = find_pairs(tmp_path).pairs
    pixels, alpha = read_pair(pair)
    assert np.array_equal(pixels, np.asarray(Image.open(photo)))
    assert np.array_equal(alpha, np.asarray(_disc()))


def test_a_mask_is_preferred_to_a_cutout(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    _cutout(tmp_path / "a-cutout.png")
    _mask(tmp_path / "a-mask.png")
    (pair,) = find_pairs(tmp_path).pairs
    assert pair.label == tmp_path / "a-mask.png"


def test_folders_side_by_side_keep_their_own_photos(tmp_path: Path) -> None:
    for shop in ("north", "south"):
        _photo(tmp_path / shop / "images" / "1.jpg")
        _mask(tmp_path / shop / "masks" / "1.png")
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["north/images/1", "south/images/1"]


def test_a_cutout_alone_stands_on_a_drawn_ground(tmp_path: Path) -> None:
    _cutout(tmp_path / "vase.png")
    (pair,) = find_pairs(tmp_path).pairs
    pixels, alpha = read_pair(pair)
    assert np.array_equal(alpha, np.asarray(_disc()))
    assert (pixels[alpha == 255] == 120).all()
    assert pixels[alpha == 0].std() > 3
    assert np.array_equal(read_pair(pair)[0], pixels)


def test_colours_under_the_alpha_are_the_photo(tmp_path: Path) -> None:
    photo = np.asarray(Image.open(_photo(tmp_path / "x.bmp")))
    (tmp_path / "x.bmp").unlink()
    Image.fromarray(np.dstack([photo, np.asarray(_disc())])).save(tmp_path / "vase.png")
    (pair,) = find_pairs(tmp_path).pairs
    assert np.array_equal(read_pair(pair)[0], photo)


def test_int8_is_not_calibrated_on_masks(tmp_path: Path) -> None:
    for name in "abcd":
        _photo(tmp_path / f"{name}.jpg")
        _mask(tmp_path / f"{name}-mask.png")
    found = photos.of_folder(tmp_path)
    assert sorted(name for name, _ in (*found.calibrating, *found.measuring)) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_photos_without_a_mask_are_counted(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    _mask(tmp_path / "a.png")
    _photo(tmp_path / "b.jpg")
    assert find_pairs(tmp_path).unpaired == (tmp_path / "b.jpg",)


def test_a_folder_without_masks_says_how_to_make_some(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match=r"holds 1 photos and no mask.*docs/tune.md"):
        find_pairs(tmp_path)
    assert look_for_pairs(tmp_path).unpaired == (tmp_path / "a.jpg",)


def test_the_mask_of_a_crop_is_refused(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    _mask(tmp_path / "a.png", (40, 40))
    with pytest.raises(InputError, match=r"a\.png: is 40 x 40 pixels, its photo 60 x 40"):
        read_pair(find_pairs(tmp_path).pairs[0])


def test_a_smaller_mask_of_the_same_shape_is_enlarged(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg", (120, 80))
    _mask(tmp_path / "a.png")
    _, alpha = read_pair(find_pairs(tmp_path).pairs[0])
    assert alpha.shape == (80, 120)
    assert alpha[40, 50] == 255


def _coco(folder: Path, *segmentations: object) -> None:
    annotations = [{"id": k, "image_id": 7, "segmentation": told} for k, told in enumerate(segmentations)]
    image = {"id": 7, "file_name": "a.jpg", "height": 40, "width": 60}
    (folder / "instances.json").write_text(json.dumps({"images": [image], "annotations": annotations}))


def test_coco_polygons_are_joined(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    _coco(tmp_path, [[5, 5, 20, 5, 20, 30, 5, 30]], [[30, 10, 50, 10, 50, 20]])
    _, alpha = read_pair(find_pairs(tmp_path).pairs[0])
    drawn = Image.new("L", SIZE)
    pen = ImageDraw.Draw(drawn)
    pen.polygon([(5, 5), (20, 5), (20, 30), (5, 30)], fill=255)
    pen.polygon([(30, 10), (50, 10), (50, 20)], fill=255)
    assert np.array_equal(alpha, np.asarray(drawn))


def _runs(mask: np.ndarray) -> list[int]:
    """Counted one by one, down the columns."""
    runs, level, count = [], False, 0
    for value in (mask.T > 127).ravel():
        if bool(value) != level:
            runs.append(count)
            level, count = bool(value), 0
        count += 1
    return [*runs, count]


def _packed(runs: list[int]) -> str:
    """COCO's compressed form, written from its description: six bits a character, the fifth says whether more follow."""
    text = ""
    for k, run in enumerate(runs):
        value = run - runs[k - 2] if k > 2 else run
        while True:
            piece, value = value & 0x1F, value >> 5
            more = not (value == 0 and not piece & 0x10) and not (value == -1 and piece & 0x10)
            text += chr((piece | (0x20 if more else 0)) + 48)
            if not more:
                break
    return text


@pytest.mark.parametrize("packed", [False, True])
def test_coco_runs_are_read(packed: bool, tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    mask = np.where(np.asarray(_disc()) > 127, 255, 0)
    runs = _runs(mask)
    _coco(tmp_path, {"size": [40, 60], "counts": _packed(runs) if packed else runs})
    _, alpha = read_pair(find_pairs(tmp_path).pairs[0])
    assert np.array_equal(alpha, mask)


def test_a_damaged_coco_file_is_named(tmp_path: Path) -> None:
    _photo(tmp_path / "a.jpg")
    (tmp_path / "instances.json").write_text(json.dumps({"images": [{"id": 1}], "annotations": []}))
    with pytest.raises(UsageError, match=r"instances\.json: is no COCO file that can be read"):
        find_pairs(tmp_path)


def test_a_coco_file_cannot_name_a_photo_outside_the_folder(tmp_path: Path) -> None:
    _photo(tmp_path / "outside.jpg")
    inside = tmp_path / "data"
    _photo(inside / "a.jpg")
    image = {"id": 1, "file_name": "../outside.jpg", "height": 40, "width": 60}
    annotation = {"image_id": 1, "segmentation": [[1, 1, 30, 1, 30, 30]]}
    (inside / "x.json").write_text(json.dumps({"images": [image], "annotations": [annotation]}))
    assert not look_for_pairs(inside).pairs
