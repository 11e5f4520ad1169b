"""Composition on arrays and cutouts, against plain float arithmetic and OpenCV."""

from __future__ import annotations

import io
import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter
from scipy import ndimage

from liftout.compose.background import blurred_scene
from liftout.compose.components import components
from liftout.compose.holes import fill_holes
from liftout.compose.subjects import largest_subjects, separate_subjects, subject_box
from liftout.cutout import Cutout
from liftout.errors import UsageError
from liftout.images import Photo, decode, encode, format_of
from liftout.options import ResultOptions
from liftout.render import compose, render, render_each
from tests.images import pictures


def plain(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours of the photo as they are, so that composites can be computed by hand."""
    return np.dstack([np.where(alpha[..., None] > 0, image, 0), alpha])


def disc(height: int, width: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """A soft-edged disc: uint8 [H, W]."""
    rows, columns = np.mgrid[0:height, 0:width]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return ((radius - distance) * 64 + 128).clip(0, 255).astype(np.uint8)


def cutout_of(alpha: np.ndarray, colour: tuple[int, int, int] | None = None, **given: object) -> Cutout:
    height, width = alpha.shape
    pixels = pictures.noise((height, width, 3)) if colour is None else np.full((height, width, 3), colour, np.uint8)
    return Cutout(Photo(pixels=pixels, **given), alpha, make_rgba=plain)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.55, 0.7, 0.95])
def test_components_are_those_of_opencv(density: float, diagonal: bool) -> None:
    mask = np.random.default_rng(7).random((97, 131)) < density
    found = components(mask, diagonal=diagonal)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8 if diagonal else 4)
    assert found.count == count - 1
    assert sorted(found.areas) == sorted(stats[1:, cv2.CC_STAT_AREA])
    for index in range(0, found.count, max(1, found.count // 5)):
        part = found.paint(np.arange(found.count) == index)
        label = labels[part][0]
        np.testing.assert_array_equal(part, labels == label)
        left, top, width, height = stats[label][:4]
        assert found.box(np.arange(found.count) == index) == (left, top, left + width, top + height)


@pytest.mark.parametrize("mask", [np.zeros((5, 4)), np.ones((5, 4)), np.ones((1, 1)), np.eye(6)])
def test_components_of_simple_masks(mask: np.ndarray) -> None:
    found = components(mask > 0, diagonal=False)
    assert found.count == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    np.testing.assert_array_equal(found.paint(np.ones(found.count, bool)), mask > 0)


def test_a_spiral_is_one_component() -> None:
    mask = np.zeros((201, 201), bool)
    for inset in range(0, 100, 4):
        mask[inset, inset : 201 - inset] = mask[200 - inset, inset : 201 - inset] = True
        mask[inset : 201 - inset, inset] = mask[inset : 201 - inset, 200 - inset] = True
        mask[inset : inset + 5, inset + 2] = True
    count = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
    assert components(mask).count == count


def test_twelve_megapixels_of_components_take_less_than_half_a_second() -> None:
    rows = np.random.default_rng(0).random((300, 400))
    mask = cv2.resize(rows, (4000, 3000), interpolation=cv2.INTER_CUBIC) > 0.5
    spent = []
    for _ in range(3):
        started = time.process_time()
        components(mask)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.5


def test_specks_and_haze_do_not_widen_the_box() -> None:
    alpha = disc(300, 400, (150, 200), 50)
    tight = subject_box(alpha)
    alpha[3, 5] = 255
    alpha[290:293, 390:393] = 200
    alpha[:, -1] = 10
    assert subject_box(alpha) == tight
    assert tight is not None and abs(tight[0] - 148) <= 1 and abs(tight[3] - 202) <= 1


def test_a_small_second_subject_is_in_the_box() -> None:
    alpha = disc(300, 400, (150, 100), 60)
    alpha[20:32, 380:390] = 255
    box = subject_box(alpha)
    assert box is not None and box[2] == 390 and box[1] == 20


def test_a_subject_of_a_few_pixels_has_a_box() -> None:
    alpha = np.zeros((50, 60), np.uint8)
    alpha[10, 20:23] = 255
    assert subject_box(alpha) == (20, 10, 23, 11)
    assert subject_box(np.zeros((50, 60), np.uint8)) is None


def test_the_largest_subject_keeps_its_soft_edge_and_loses_the_others() -> None:
    big, small = disc(200, 300, (100, 90), 60), disc(200, 300, (100, 240), 30)
    found = largest_subjects(np.maximum(big, small))
    np.testing.assert_array_equal(found, big)


def test_subjects_that_touch_by_haze_are_still_two() -> None:
    big, small = disc(200, 300, (100, 90), 60), disc(200, 300, (100, 240), 30)
    alpha = np.maximum(big, small)
    alpha[95:105, 140:220] = np.maximum(alpha[95:105, 140:220], 20)
    found = largest_subjects(alpha)
    assert found[100, 90] == 255 and found[100, 240] == 0


def crowd() -> np.ndarray:
    """Three discs of sizes 60, 30 and 20, a speck, and haze between the first two."""
    alpha = np.maximum(disc(200, 400, (100, 90), 60), disc(200, 400, (100, 240), 30))
    alpha = np.maximum(alpha, disc(200, 400, (150, 330), 20))
    alpha[5:8, 380:383] = 255
    alpha[95:105, 140:220] = np.maximum(alpha[95:105, 140:220], 20)
    return alpha


def test_so_many_of_the_largest_subjects_stay_as_are_asked_for() -> None:
    alpha = crowd()
    two = largest_subjects(alpha, 2)
    assert two[100, 90] == two[100, 240] == 255 and two[100, 180] == 20
    assert not two[:, 300:].any()
    np.testing.assert_array_equal(largest_subjects(alpha, 4), alpha)
    np.testing.assert_array_equal(largest_subjects(alpha, 1000), alpha)
    np.testing.assert_array_equal(cutout_of(alpha).largest(2).alpha, two)


def test_each_subject_is_apart_and_together_they_are_the_whole() -> None:
    alpha = crowd()
    parts = list(separate_subjects(alpha))
    centres = [(100, 90), (100, 240), (150, 330)]
    for place, part in enumerate(parts):
        assert [part[centre] for centre in centres] == [255 * (place == other) for other in range(3)]
    np.testing.assert_array_equal(np.sum(parts, axis=0, dtype=np.uint8), alpha)
    assert all(((part == 0) | (part == alpha)).all() for part in parts)
    assert parts[2][6, 381] == 255, "a speck belongs to the nearest subject"


def test_what_hangs_together_with_several_subjects_belongs_to_the_nearest() -> None:
    alpha = np.full((60, 90), 40, np.uint8)
    seeds = np.zeros((60, 90), np.int32)
    for number, (row, column) in enumerate([(4, 6), (30, 11), (52, 80), (9, 70), (33, 47), (58, 20)], 1):
        seeds[row - 2 : row + 2, column - 2 : column + 2] = number
    alpha[seeds > 0] = 255
    steps = {number: ndimage.distance_transform_cdt(seeds != number, "taxicab") for number in range(1, 7)}
    nearest = np.min(list(steps.values()), axis=0)
    parts = list(separate_subjects(alpha))
    assert len(parts) == 6
    for part in parts:
        (number,) = np.unique(seeds[part == 255])
        assert (steps[number][part > 0] == nearest[part > 0]).all()


def test_without_a_solid_part_there_is_one_subject_or_none() -> None:
    haze = np.minimum(disc(60, 80, (30, 30), 20), 100)
    np.testing.assert_array_equal(list(separate_subjects(haze)), [haze])
    assert list(separate_subjects(np.minimum(haze, 15))) == []
    assert list(cutout_of(np.zeros((40, 50), np.uint8)).subjects()) == []


def test_each_subject_is_a_picture_of_its_own() -> None:
    cutout = cutout_of(crowd())
    options = ResultOptions(subjects="each", crop=True, background="white")
    rendered = list(render_each(cutout, options))
    for (subject, picture), expected in zip(rendered, cutout.subjects(), strict=True):
        np.testing.assert_array_equal(subject.alpha, expected.alpha)
        np.testing.assert_array_equal(subject.rgba[subject.alpha > 0], cutout.rgba[subject.alpha > 0])
        assert picture.content == render(expected, ResultOptions(crop=True, background="white")).content
    ((same, alone),) = render_each(cutout, ResultOptions(subjects=2))
    assert same is cutout and alone.content == render(cutout.largest(2), ResultOptions()).content
    ((empty, _),) = render_each(cutout_of(np.zeros((40, 50), np.uint8)), options)
    assert empty.box is None
    with pytest.raises(UsageError, match="only one here"):
        render(cutout, options)


def test_holes_become_opaque_and_bays_stay() -> None:
    alpha = disc(200, 200, (100, 100), 80)
    hole = disc(200, 200, (100, 100), 20)
    bay = np.zeros_like(alpha)
    bay[40:60, 100:] = 255
    found = fill_holes(np.minimum(alpha, 255 - np.maximum(hole, bay)))
    np.testing.assert_array_equal(found, np.minimum(alpha, 255 - bay))


def test_filled_holes_show_the_photo() -> None:
    alpha = disc(100, 100, (50, 50), 40)
    alpha[45:55, 45:55] = 0
    whole = Cutout(Photo(pixels=pictures.noise((100, 100, 3))), alpha)
    filled = whole.without_holes()
    np.testing.assert_array_equal(filled.rgba[45:55, 45:55, :3], whole.photo.pixels[45:55, 45:55])
    assert filled.rgba[50, 50, 3] == 255


@pytest.mark.parametrize("background", ["white", "black", "#1e90ff", (7, 200, 99)])
def test_a_colour_behind_is_float_arithmetic_to_one_level(background: str | tuple[int, int, int]) -> None:
    alpha = pictures.noise((64, 80), seed=3)
    cutout = cutout_of(alpha)
    colour = {"white": (255, 255, 255), "black": (0, 0, 0), "#1e90ff": (0x1E, 0x90, 0xFF)}.get(
        str(background), background
    )
    share = alpha[..., None] / 255
    expected = cutout.photo.pixels * share + np.array(colour) * (1 - share)
    found = np.asarray(cutout.over(background))
    assert np.abs(found - expected).max() <= 0.5 + 1e-3


def test_a_16_bit_cutout_is_composited_in_16_bits() -> None:
    levels, alpha = pictures.noise((40, 50, 3), np.uint16), pictures.noise((40, 50), seed=3)
    cutout = Cutout(decode(levels), alpha, make_rgba=plain)
    share = alpha[..., None] / 255
    expected = levels * share + np.array((10, 20, 30)) * 257 * (1 - share)
    assert np.abs(cutout.composite((10, 20, 30)) - expected).max() <= 1
    assert decode(cutout.to_bytes("png", background=(10, 20, 30))).pixels16 is not None


def test_a_colour_behind_a_wide_gamut_photo_is_that_colour() -> None:
    cutout = cutout_of(np.zeros((8, 8), np.uint8), icc=pictures.profile())
    image = cutout.over("#20c040")
    wide = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    seen = ImageCms.profileToProfile(image, wide, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(seen).astype(int) - (0x20, 0xC0, 0x40)).max() <= 1
    assert np.abs(np.asarray(image).astype(int)[0, 0] - (0x20, 0xC0, 0x40)).max() > 5


def test_a_wide_gamut_picture_behind_an_srgb_photo_is_converted() -> None:
    behind = pictures.saved(Image.new("RGB", (20, 20), (100, 200, 100)), "PNG", icc_profile=pictures.profile())
    found = np.asarray(cutout_of(np.zeros((10, 10), np.uint8)).over(behind))
    assert found[5, 5, 0] < 60


def test_a_picture_behind_covers_and_stays_centred() -> None:
    behind = np.zeros((100, 300, 3), np.uint8)
    behind[:, 90:210] = 255
    found = np.asarray(cutout_of(np.zeros((50, 50), np.uint8)).over(behind))
    assert found.min() == 255


def test_white_shows_where_the_picture_behind_is_transparent() -> None:
    behind = np.zeros((20, 20, 4), np.uint8)
    assert np.asarray(cutout_of(np.zeros((10, 10), np.uint8)).over(behind)).min() == 255


def test_a_transparent_colour_is_refused() -> None:
    with pytest.raises(UsageError, match="opaque"):
        cutout_of(np.zeros((5, 5), np.uint8)).over("#ff000080")


def test_the_subject_does_not_bleed_into_the_blur() -> None:
    alpha = disc(200, 300, (100, 150), 60)
    pixels = np.full((200, 300, 3), (30, 60, 90), np.uint8)
    share = alpha[..., None] / 255
    pixels = np.rint(pixels * (1 - share) + np.array((255, 0, 0)) * share).astype(np.uint8)
    for radius in (1, 5, 40):
        found = blurred_scene(pixels, alpha, (200, 300), (0, 0, 300, 200), radius)
        assert np.abs(found.astype(int) - (30, 60, 90)).max() <= 1


def test_the_blur_is_a_gaussian_of_the_scene() -> None:
    scene = np.asarray(Image.fromarray(pictures.noise((40, 60, 3))).resize((600, 400), Image.Resampling.BICUBIC))
    expected = np.asarray(Image.fromarray(scene).filter(ImageFilter.GaussianBlur(12)))
    found = blurred_scene(scene, np.zeros((400, 600), np.uint8), (400, 600), (0, 0, 600, 400), 12)
    inner = slice(40, -40)
    assert np.abs(found[inner, inner].astype(int) - expected[inner, inner]).mean() < 1


def test_the_blur_behind_a_crop_is_the_part_of_the_blur_behind_the_whole() -> None:
    alpha = disc(200, 300, (80, 100), 30)
    scene = np.asarray(Image.fromarray(pictures.noise((10, 15, 3))).resize((300, 200), Image.Resampling.BICUBIC))
    whole = Cutout(Photo(pixels=scene), alpha, make_rgba=plain)
    cropped = whole.crop(margin=20)
    left, top, right, bottom = whole.box
    part = np.asarray(whole.over("blur:8"))[top - 20 : bottom + 20, left - 20 : right + 20]
    assert np.abs(np.asarray(cropped.over("blur:8")).astype(int) - part).max() <= 2


@pytest.mark.parametrize("text", ["blur:", "blur:x", "blur:0", "blur:-3", "blur:nan"])
def test_a_blur_without_a_radius_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="radius"):
        cutout_of(np.zeros((5, 5), np.uint8)).over(text)


def test_a_photo_that_is_all_subject_still_has_a_blurred_background() -> None:
    found = np.asarray(cutout_of(np.full((30, 40), 255, np.uint8), (9, 8, 7)).canvas(80, 60).over("blur"))
    assert found.shape == (60, 80, 3) and np.abs(found.astype(int) - (9, 8, 7)).max() <= 1


def test_crop_keeps_depth_profile_and_what_the_photo_says() -> None:
    photo = Photo(
        pixels=pictures.noise((60, 80, 3)), pixels16=pictures.noise((60, 80, 3), np.uint16), icc=pictures.profile(),
        exif=b"Exif\0\0", xmp=b"<x/>", dpi=(300.0, 300.0), name="a photo",
    )  # fmt: skip
    cropped = Cutout(photo, disc(60, 80, (30, 40), 10), make_rgba=plain).crop(3).photo
    assert cropped.pixels16.shape == cropped.pixels.shape
    assert (cropped.icc, cropped.exif, cropped.xmp, cropped.dpi) == (photo.icc, photo.exif, photo.xmp, photo.dpi)


def test_crop_with_a_margin_ends_at_the_photo() -> None:
    cutout = cutout_of(disc(100, 100, (20, 50), 15))
    left, top, right, bottom = cutout.box
    assert cutout.crop(10).size == (bottom + 10, right - left + 20)
    assert cutout.crop(1000).size == (100, 100)
    np.testing.assert_array_equal(cutout.crop().rgba, cutout.rgba[top:bottom, left:right])


@pytest.mark.parametrize(
    ("position", "left", "top"),
    [("center", 80, 70), ("top", 80, 10), ("bottom-right", 150, 130), ("left", 10, 70), ("top-left", 10, 10)],
)
def test_a_small_subject_is_placed_as_it_is(position: str, left: int, top: int) -> None:
    alpha = np.zeros((100, 120), np.uint8)
    alpha[30:90, 20:60] = 255
    cutout = cutout_of(alpha)
    canvas = cutout.canvas(200, 200, position=position, margin=10)
    assert canvas.size == (200, 200)
    assert canvas.box == (left, top, left + 40, top + 60)
    np.testing.assert_array_equal(canvas.rgba[top : top + 60, left : left + 40], cutout.rgba[30:90, 20:60])


def test_a_large_subject_is_made_to_fit_and_a_small_one_grows_only_on_demand() -> None:
    alpha = disc(400, 400, (200, 200), 150)
    canvas = cutout_of(alpha, (10, 200, 30)).canvas(120, 200, margin=10)
    left, top, right, bottom = canvas.box
    assert (left, right) == (10, 110) and abs((bottom - top) - 100) <= 1
    visible = canvas.alpha > 0
    assert np.abs(canvas.rgba[visible][:, :3].astype(int) - (10, 200, 30)).max() <= 1
    assert cutout_of(alpha).canvas(1000, 1000).box[2] - cutout_of(alpha).canvas(1000, 1000).box[0] < 310
    grown = cutout_of(alpha).canvas(1000, 1000, enlarge=True).box
    assert grown[0] <= 1 and grown[2] >= 999


def test_scaling_brings_no_background_into_the_edge() -> None:
    alpha = disc(300, 300, (150, 150), 100)
    pixels = np.full((300, 300, 3), (0, 0, 255), np.uint8)
    pixels[alpha > 0] = (200, 100, 0)
    canvas = Cutout(Photo(pixels=pixels), alpha, make_rgba=plain).canvas(77, 77)
    seen = canvas.rgba[canvas.alpha > 8]
    assert np.abs(seen[:, :3].astype(int) - (200, 100, 0)).max() <= 2


def test_a_canvas_without_subject_is_empty() -> None:
    canvas = cutout_of(np.zeros((30, 30), np.uint8)).canvas(50, 40)
    assert canvas.size == (40, 50) and not canvas.rgba.any()


def test_a_16_bit_canvas_stays_16_bit() -> None:
    levels = np.full((60, 60, 3), 12_345, np.uint16)
    content = Cutout(decode(levels), disc(60, 60, (30, 30), 28), make_rgba=plain).canvas(40, 40).to_bytes("png")
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16 and abs(int(found[20, 20, 0]) - 12_345) <= 1


def test_the_default_shadow_lies_below_the_subject() -> None:
    alpha = disc(300, 300, (130, 150), 80)
    cast = cutout_of(alpha, (200, 50, 50)).shadow()
    below, above = cast.rgba[216, 150], cast.rgba[44, 150]
    assert below[3] > above[3] and below[3] > 20 and tuple(below[:3]) == (0, 0, 0)
    np.testing.assert_array_equal(cast.rgba[alpha == 255], cutout_of(alpha, (200, 50, 50)).rgba[alpha == 255])
    np.testing.assert_array_equal(cast.alpha, alpha)


def test_a_shadow_over_a_background_is_float_arithmetic() -> None:
    alpha = disc(120, 120, (60, 60), 30)
    cast = cutout_of(alpha, (200, 50, 50)).shadow(opacity=0.8, offset=(6, 9), blur=4, colour="#102030")
    moved = np.zeros((240, 240), np.uint8)
    moved[69:189, 66:186] = alpha
    fallen = np.asarray(Image.fromarray(moved).filter(ImageFilter.GaussianBlur(4)))[60:180, 60:180, None] / 255 * 0.8
    behind = np.array((240, 240, 200)) * (1 - fallen) + np.array((0x10, 0x20, 0x30)) * fallen
    share = alpha[..., None] / 255
    expected = np.array((200, 50, 50)) * share + behind * (1 - share)
    assert np.abs(np.asarray(cast.over((240, 240, 200))) - expected).max() <= 1


def test_a_shadow_in_a_transparent_picture_gives_the_same_composite() -> None:
    cast = cutout_of(disc(120, 120, (60, 60), 30), (200, 50, 50)).shadow()
    white = Image.new("RGBA", (120, 120), "white")
    white.alpha_composite(cast.image)
    assert np.abs(np.asarray(white)[..., :3].astype(int) - np.asarray(cast.over("white"))).max() <= 2


def test_crop_and_canvas_leave_room_for_the_shadow() -> None:
    cast = cutout_of(disc(300, 300, (150, 150), 60), (200, 50, 50)).shadow(offset=(20, 30), blur=5)
    bare = cutout_of(disc(300, 300, (150, 150), 60)).crop()
    assert cast.crop().size[0] > bare.size[0] + 30
    small = cast.canvas(60, 60)
    assert small.rgba[-1, 30, 3] < 40 and small.rgba[..., 3].max() == 255


def test_feathering_blurs_alpha_and_shows_no_background() -> None:
    alpha = np.zeros((80, 80), np.uint8)
    alpha[20:60, 20:60] = 255
    pixels = np.full((80, 80, 3), (0, 0, 255), np.uint8)
    pixels[alpha > 0] = (220, 120, 20)
    soft = Cutout(Photo(pixels=pixels), alpha).feather(4)
    expected = cv2.GaussianBlur(alpha, (0, 0), 4)
    assert np.abs(soft.alpha.astype(int) - expected).max() <= 6
    outside = (alpha == 0) & (soft.alpha > 16)
    assert outside.any()
    off = np.abs(soft.rgba[outside][:, :3].astype(int) - (220, 120, 20)) * (soft.alpha[outside][:, None] / 255)
    assert off.max() <= 1.5  # levels of a composite


def test_threshold_makes_a_hard_edge() -> None:
    alpha = pictures.noise((30, 30))
    hard = cutout_of(alpha).threshold(100)
    np.testing.assert_array_equal(hard.alpha, np.where(alpha >= 100, 255, 0))
    for level in (0, 256):
        with pytest.raises(UsageError, match="threshold"):
            cutout_of(alpha).threshold(level)


@pytest.mark.parametrize(
    "call",
    [
        lambda cutout: cutout.canvas(0, 10), lambda cutout: cutout.canvas(10, 10, margin=5),
        lambda cutout: cutout.canvas(10, 10, position="middle"), lambda cutout: cutout.crop(-1),
        lambda cutout: cutout.feather(-1), lambda cutout: cutout.shadow(opacity=2),
        lambda cutout: cutout.shadow(colour="nothing"), lambda cutout: cutout.over("nothing.jpg"),
        lambda cutout: ResultOptions(canvas="12"), lambda cutout: ResultOptions(canvas="0x5"),
        lambda cutout: cutout.canvas(65_536, 1), lambda cutout: cutout.canvas(20_000, 20_000),
        lambda cutout: ResultOptions(threshold=0), lambda cutout: ResultOptions(subjects="some"),
        lambda cutout: ResultOptions(subjects=0), lambda cutout: ResultOptions(subjects=True),
        lambda cutout: cutout.largest(0),
        lambda cutout: ResultOptions(position="middle"), lambda cutout: ResultOptions(position="30%,101%"),
        lambda cutout: ResultOptions(position="30,80"), lambda cutout: ResultOptions(subject_size=0),
        lambda cutout: ResultOptions(canvas="35x45cm"), lambda cutout: ResultOptions(canvas="mm"),
        lambda cutout: cutout.shadow(contact=2), lambda cutout: cutout.over("linear:white"),
        lambda cutout: cutout.over("linear:white:nothing"), lambda cutout: cutout.over("linear:white:red:down"),
        lambda cutout: cutout.over("radial:white:red:45"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call) -> None:
    with pytest.raises(UsageError) as caught:
        call(cutout_of(disc(40, 40, (20, 20), 10)))
    assert "\n" not in str(caught.value)


def test_options_take_effect_in_order() -> None:
    big, small = disc(200, 300, (100, 90), 60), disc(200, 300, (100, 240), 30)
    cutout = cutout_of(np.maximum(big, small))
    options = ResultOptions(
        subjects="largest", threshold=128, canvas="100x90", margin=5, position="bottom", shadow=True
    )
    found = compose(cutout, options)
    by_hand = cutout.largest().threshold(128).shadow().canvas(100, 90, margin=5, position="bottom")
    np.testing.assert_array_equal(found.rgba, by_hand.rgba)


def test_a_rendered_background_keeps_profile_and_depth() -> None:
    photo = decode(encode(pictures.noise((20, 30, 3), np.uint16), format_of("png"), icc=pictures.profile()))
    rendered = render(Cutout(photo, np.full((20, 30), 255, np.uint8)), ResultOptions(background="white"))
    again = decode(rendered.content)
    np.testing.assert_array_equal(again.pixels16, photo.pixels16)
    assert again.icc == pictures.profile()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [(10, 20, 30, 255), (200, 100, 50, 128), (9, 9, 9, 0)])
def test_over_a_colour_with_transparency_the_result_is_rgba(dtype: type, colour: tuple[int, int, int, int]) -> None:
    levels, alpha = pictures.noise((40, 50, 3), dtype), pictures.noise((40, 50), seed=3)
    cutout = Cutout(decode(levels), alpha, make_rgba=plain)
    unit = np.iinfo(dtype).max // 255
    share, behind = alpha / 255, colour[3] / 255
    total = share + behind * (1 - share)
    below = np.array(colour[:3]) * unit * (behind * (1 - share))[..., None]
    expected = (levels * share[..., None] + below) / np.maximum(total, 1e-9)[..., None]
    found = cutout.composite(colour).astype(float)
    assert found.shape == (40, 50, 4)
    assert np.abs(found[..., 3] - total * 255 * unit).max() <= unit / 2 + 1e-3
    assert np.abs(found[..., :3] - expected)[found[..., 3] > 0].max() <= 0.51 + unit / 250
    assert cutout.over(colour).mode == "RGBA"
    assert (decode(cutout.to_bytes("png", background=colour)).pixels16 is not None) == (dtype == np.uint16)


def test_a_transparent_background_includes_the_shadow() -> None:
    cutout = cutout_of(disc(60, 60, (30, 30), 12)).shadow(offset=(0, 15), blur=2, opacity=1.0)
    under = np.asarray(cutout.over((255, 255, 255, 0)))[50, 30]
    assert under[3] > 200 and under[:3].max() < 20


def test_a_transparent_background_needs_a_format_with_transparency() -> None:
    cutout = cutout_of(disc(20, 20, (10, 10), 5))
    with pytest.raises(UsageError, match="jpeg has no transparency"):
        cutout.to_bytes("jpeg", background=(1, 2, 3, 100))
    assert cutout.to_bytes("jpeg", background=(1, 2, 3, 255)) == cutout.to_bytes("jpeg", background=(1, 2, 3))


@pytest.mark.parametrize("colour", [(1, 2), (1, 2, 3, 256), (-1, 2, 3), (1.5, 2, 3, 4), (1, 2, 3, 4, 5)])
def test_a_tuple_that_is_no_colour_is_refused(colour: tuple) -> None:
    with pytest.raises(UsageError, match="background"):
        cutout_of(disc(20, 20, (10, 10), 5)).over(colour)


def test_a_window_shows_a_part_and_nothing_beyond_the_photo() -> None:
    cutout = cutout_of(disc(60, 80, (30, 40), 25))
    inside = cutout.window(10, 5, 70, 40)
    np.testing.assert_array_equal(inside.rgba, cutout.rgba[5:40, 10:70])
    wide = cutout.window(-3, 50, 90, 64)
    assert wide.size == (14, 93)
    np.testing.assert_array_equal(wide.rgba[:10, 3:83], cutout.rgba[50:])
    assert not wide.rgba[10:].any() and not wide.rgba[:, :3].any() and not wide.rgba[:, 83:].any()
    assert not cutout.window(100, 100, 110, 110).rgba.any()
    with pytest.raises(UsageError, match="empty"):
        cutout.window(10, 10, 10, 20)


def test_a_smaller_cutout_has_no_background_in_its_edge_and_its_shadow_shrinks() -> None:
    alpha = disc(300, 400, (150, 200), 100)
    pixels = np.full((300, 400, 3), (0, 0, 255), np.uint8)
    pixels[alpha > 0] = (200, 100, 0)
    cutout = Cutout(Photo(pixels=pixels), alpha, make_rgba=plain)
    small = cutout.resize(100, 75)
    expected = np.asarray(Image.fromarray(alpha).resize((100, 75), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(small.alpha - expected).max() <= 3  # Pillow rounds and clips 8 bits between its two passes
    assert np.abs(small.rgba[small.alpha > 8][:, :3].astype(int) - (200, 100, 0)).max() <= 2
    assert small.photo.pixels.shape == (75, 100, 3)
    fallen = cutout.shadow(offset=(0, 80), blur=4, opacity=1.0).resize(100, 75)
    assert fallen.rgba[68, 50, 3] > 200


def test_a_16_bit_cutout_stays_16_bit_at_another_size() -> None:
    levels = np.full((60, 60, 3), 12_345, np.uint16)
    small = Cutout(decode(levels), disc(60, 60, (30, 30), 28), make_rgba=plain).resize(30, 30)
    assert small.levels.dtype == np.uint16 and abs(int(small.levels[15, 15, 0]) - 12_345) <= 1
    assert small.photo.pixels16.shape == (30, 30, 3)


def test_a_subject_takes_a_share_of_the_canvas_and_of_the_space_around_it() -> None:
    alpha = np.zeros((100, 100), np.uint8)
    alpha[40:60, 30:70] = 255
    canvas = cutout_of(alpha).canvas(200, 100, position=(1.0, 0.25), enlarge=True, fill=0.5)
    assert canvas.box == (100, 12, 200, 62)
    for wrong in ({"position": (1.5, 0)}, {"position": (1,)}, {"fill": 0}, {"fill": 1.5}):
        with pytest.raises(UsageError):
            cutout_of(alpha).canvas(200, 100, **wrong)


def test_a_gradient_runs_between_its_colours_along_its_line() -> None:
    empty = cutout_of(np.zeros((40, 60), np.uint8))
    down = np.asarray(empty.over("linear:black:white"))
    assert (down == down[:, :1]).all()
    np.testing.assert_array_equal(down[:, 0, 0], np.floor((np.arange(40) + 0.5) / 40 * 255 + 0.5))
    right = np.asarray(empty.over("linear:#ff0000:#0000ff:90"))
    assert (right == right[:1]).all() and right[0, 0, 0] > 250 and right[0, -1, 2] > 250
    np.testing.assert_array_equal(np.asarray(empty.over("linear:black:white:0")), down[::-1])
    corner = np.asarray(empty.over("linear:black:white:135"))
    assert corner[0, 0, 0] < 5 and corner[-1, -1, 0] > 250
    middle = np.asarray(empty.over("radial:white:black"))
    assert middle[20, 30, 0] > 245 and middle[0, 0, 0] < 10
    np.testing.assert_array_equal(middle, middle[::-1, ::-1])


def test_a_contact_shadow_lies_flat_where_the_subject_stands() -> None:
    alpha = np.zeros((500, 500), np.uint8)
    alpha[30:350, 150:350] = 255
    cast = cutout_of(alpha, (200, 50, 50)).shadow(opacity=0, contact=0.6)
    seen = cast.rgba[..., 3]
    assert seen[351, 250] > 60 and seen[365:].max() == 0 and seen[351, :135].max() == 0
    assert seen[30:330, :140].max() == 0
    np.testing.assert_array_equal(cast.rgba[alpha == 255], cutout_of(alpha, (200, 50, 50)).rgba[alpha == 255])
    both = cutout_of(alpha, (200, 50, 50)).shadow(contact=0.6).rgba[..., 3]
    alone = cutout_of(alpha, (200, 50, 50)).shadow().rgba[..., 3]
    assert (both >= alone).all() and (both[350:354, 160:340] > alone[350:354, 160:340]).all()
    assert cast.crop().size == (328, 208)


def test_a_canvas_in_millimetres_is_a_print_of_that_size() -> None:
    cutout = cutout_of(disc(300, 300, (150, 150), 100))
    options = ResultOptions(canvas="35x45mm", position="25%,100%", subject_size=50, enlarge=True)
    placed = compose(cutout, options)
    assert placed.size == (531, 413)
    assert placed.photo.dpi == (300, 300)
    left, _, right, bottom = placed.box
    assert bottom == 531 and abs((right - left) - 413 / 2) <= 1 and abs(left - (413 - (right - left)) / 4) <= 1
    with Image.open(io.BytesIO(render(cutout, options).content)) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert compose(cutout, ResultOptions(canvas="413x531")).photo.dpi is None
