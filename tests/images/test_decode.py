"""Photos of every kind and every way to be broken."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from liftout.errors import ExtraMissing, ImageAnimated, ImageTooLarge, ImageUnreadable, InputError, LiftoutError
from liftout.images import decode
from tests.images import pictures

TURNS = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, 3), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip
"""How to turn stored pixels upright (EXIF 2.32, tag 0x0112), in numpy's words."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_photos_are_turned_upright(kind: str, orientation: int) -> None:
    stored = pictures.gradient()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "AVIF": {"quality": 100}}
    content = pictures.saved(Image.fromarray(stored), kind, exif=exif, **lossless.get(kind, {}))
    photo = decode(content)
    expected = TURNS[orientation](stored)
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels.astype(int) - expected).mean() < 3
    held = Image.Exif()
    held.load(photo.exif or b"")
    assert ExifTags.Base.Orientation not in held


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_files_are_turned_upright(orientation: int) -> None:
    stored = pictures.noise((7, 9, 3), np.uint16)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    block = pictures.chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    png = pictures.raw_png(9, 7, 16, 2, pictures.unfiltered(stored), before=block)
    tiff = pictures.raw_tiff(stored, tags={274: (3, (orientation,))})
    for content in (png, tiff):
        np.testing.assert_array_equal(decode(content).pixels16, TURNS[orientation](stored))


def test_one_bit() -> None:
    mask = pictures.noise((10, 13)) > 128
    for kind in ("PNG", "TIFF"):
        photo = decode(pictures.saved(Image.fromarray(mask), kind))
        np.testing.assert_array_equal(photo.pixels, np.repeat(np.where(mask, 255, 0)[..., None], 3, axis=2))


def test_palettes_with_and_without_transparency() -> None:
    image = Image.new("P", (6, 4))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((2, 1), 1)
    bare = decode(pictures.saved(image, "PNG"))
    assert bare.alpha is None and tuple(bare.pixels[1, 2]) == (200, 100, 50)
    for kind in ("PNG", "GIF"):
        clear = decode(pictures.saved(image, kind, transparency=1))
        assert clear.alpha is not None
        assert clear.alpha[1, 2] == 0 and clear.alpha.sum() == 255 * 23
        assert tuple(clear.pixels[0, 0]) == (10, 20, 30)
    partly = decode(pictures.saved(image, "PNG", transparency=bytes([128, 255])))
    assert partly.alpha is not None and partly.alpha[0, 0] == 128


def test_greys_with_alpha() -> None:
    planes = pictures.noise((8, 9, 2))
    photo = decode(pictures.saved(Image.fromarray(planes), "PNG"))
    np.testing.assert_array_equal(photo.pixels, np.repeat(planes[..., :1], 3, axis=2))
    np.testing.assert_array_equal(photo.alpha, planes[..., 1])


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
@pytest.mark.parametrize("grey", [True, False])
def test_a_colour_declared_transparent(bits: int, dtype: type, grey: bool) -> None:
    planes = pictures.noise((5, 6, 1 if grey else 3), dtype)
    planes[2, 3] = planes[4, 4] = 77
    clear = pictures.chunk(b"tRNS", struct.pack(">H", 77) * planes.shape[2])
    content = pictures.raw_png(6, 5, bits, 0 if grey else 2, pictures.unfiltered(planes), before=clear)
    photo = decode(content)
    assert photo.alpha is not None
    expected = np.where((planes == 77).all(axis=2), 0, 255)
    np.testing.assert_array_equal(photo.alpha, expected)


def test_interlaced_png_and_progressive_jpeg() -> None:
    planes = pictures.noise((21, 34, 3))
    content = pictures.raw_png(34, 21, 8, 2, pictures.interlaced(planes), interlace=1)
    np.testing.assert_array_equal(decode(content).pixels, planes)
    image = Image.fromarray(pictures.gradient(40, 50))
    plain, progressive = (pictures.saved(image, "JPEG", quality=95, progressive=flag) for flag in (False, True))
    np.testing.assert_array_equal(decode(plain).pixels, decode(progressive).pixels)


def test_16_bit_greys_are_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 257, 32_768, 65_535]], np.uint16)
    for content in (pictures.saved(Image.fromarray(levels), "PNG"), pictures.saved(Image.fromarray(levels), "TIFF")):
        assert list(decode(content).pixels[0, :, 0]) == [0, 1, 128, 255]
    assert list(decode(Image.fromarray(levels)).pixels[0, :, 0]) == [0, 1, 128, 255]
    assert list(decode(Image.fromarray(levels.astype(np.int32))).pixels[0, :, 0]) == [0, 1, 128, 255]


def test_float_greys() -> None:
    unit = decode(pictures.saved(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF"))
    assert [int(level) for level in unit.pixels[0, :, 0]] == [0, 128, 255]
    bytes_ = decode(Image.fromarray(np.array([[0, 100, 255]], np.float32)))
    assert [int(level) for level in bytes_.pixels[0, :, 0]] == [0, 100, 255]
    for levels in ([[0, np.nan]], [[-5, 3]], [[0, 1e9]]):
        with pytest.raises(ImageUnreadable, match="grey levels"):
            decode(Image.fromarray(np.array(levels, np.float32)))


def test_lab_tiff() -> None:
    lab = Image.new("LAB", (4, 4), (136, 208, 195))  # L* 53.3, a* 80, b* 67: sRGB red
    photo = decode(pictures.saved(lab, "TIFF"))
    assert photo.pixels[1, 1, 0] > 240 and photo.pixels[1, 1, 1:].max() < 50


def test_cmyk_without_profile_and_adobe_inverted() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for content in (pictures.saved(cmyk, "TIFF"), pictures.saved(cmyk, "JPEG", quality=100)):
        red = decode(content).pixels[8, 8].astype(int)
        assert red[0] > 230 and red[1] < 60 and red[2] < 60
    assert b"Adobe" in pictures.saved(cmyk, "JPEG")


def test_ycck_jpeg() -> None:
    ink = np.full((16, 16, 3), (0, 215, 215), np.uint8)  # Adobe turns 255 - CMY into YCC and keeps 255 - K
    ycc = np.asarray(Image.fromarray(ink).convert("YCbCr"))
    stored = np.dstack([ycc, np.full((16, 16), 255, np.uint8)])
    content = pictures.saved(_as_cmyk(stored), "JPEG", quality=100)
    at = content.index(b"Adobe")
    ycck = content[: at + 11] + b"\x02" + content[at + 12 :]
    assert np.abs(decode(ycck).pixels[8, 8].astype(int) - (255, 40, 40)).max() <= 12


def _as_cmyk(stored: np.ndarray) -> Image.Image:
    """Pillow inverts what it writes to a CMYK JPEG; this is written as it stands."""
    return Image.frombytes("CMYK", stored.shape[1::-1], (255 - stored).tobytes())


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_goes_through_its_profile(kind: str) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    photo = decode(pictures.saved(cyan, kind, icc_profile=pictures.profile("cmyk")))
    assert photo.icc is None
    red, green, blue = (int(level) for level in photo.pixels[8, 8])
    assert green > red + 60 and green > blue + 60  # the ink that this profile calls cyan is green


def test_a_camera_photo_with_previews_is_one_photo() -> None:
    photo, preview = Image.fromarray(pictures.gradient(40, 60)), Image.fromarray(pictures.gradient(20, 30))
    content = pictures.saved(photo, "MPO", save_all=True, append_images=[preview], quality=95)
    assert decode(content).size == (40, 60)


def test_a_tiff_with_a_preview_page_is_one_photo_and_one_with_two_pages_is_refused() -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    photo, other = Image.fromarray(pictures.gradient(40, 60)), Image.fromarray(pictures.gradient(20, 30))
    two = pictures.saved(photo, "TIFF", save_all=True, append_images=[other])
    with pytest.raises(ImageAnimated, match="2 frames or pages"):
        decode(two)
    preview = ImageFileDirectory_v2()
    preview[254] = 1
    other.encoderinfo = {"tiffinfo": preview}
    stream = io.BytesIO(pictures.saved(photo, "TIFF", save_all=True, append_images=[other]))
    if Image.open(stream).n_frames == 2:
        assert decode(stream.getvalue()).size == (40, 60)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_are_refused(kind: str) -> None:
    frames = [Image.fromarray(pictures.noise((12, 14, 3), seed=seed)) for seed in range(3)]
    content = pictures.saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageAnimated, match="3 frames"):
        decode(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files_are_refused_in_one_line(kind: str, share: float) -> None:
    whole = pictures.saved(Image.fromarray(pictures.noise((64, 64, 3))), kind)
    with pytest.raises(ImageUnreadable) as caught:
        decode(whole[: int(len(whole) * share)], name="half.img")
    assert str(caught.value).startswith("half.img: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_that_lacks_rows_is_refused_and_a_black_one_is_not(bits: int, interlace: int) -> None:
    planes = pictures.noise((40, 30, 3), np.uint8 if bits == 8 else np.uint16)
    arranged = pictures.interlaced if interlace else pictures.unfiltered
    for levels in (planes, np.zeros_like(planes)):
        rows = arranged(levels)
        whole = pictures.raw_png(30, 40, bits, 2, rows, interlace=interlace)
        np.testing.assert_array_equal(decode(whole).pixels16 if bits == 16 else decode(whole).pixels, levels)
        for kept in (len(rows) - 1, len(rows) * 3 // 4, 0):
            with pytest.raises(ImageUnreadable, match=r"half\.png: cannot be decoded"):
                decode(pictures.raw_png(30, 40, bits, 2, rows[:kept], interlace=interlace), name="half.png")


@pytest.mark.parametrize(
    ("size", "words"),
    [((1, 20_000_000), "65535"), ((65_536, 400), "65535"), ((1, 201), "200 times"), ((65_535, 300), "200 times")],
)
def test_shapes_that_no_photo_has_are_refused_before_they_are_decoded(size: tuple[int, int], words: str) -> None:
    for width, height in (size, size[::-1]):
        content = pictures.raw_png(width, height, 8, 0, b"")
        with pytest.raises(ImageTooLarge, match=rf"odd\.png: {width} x {height} .*{words}"):
            decode(content, name="odd.png")
    assert decode(Image.new("L", (200, 1))).size == (1, 200)
    assert decode(Image.new("L", (30_000, 150))).size == (150, 30_000)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"GIF89a", b"\xff\xd8\xff"]
)
def test_what_is_no_photo_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageUnreadable, match=r"some\.jpg"):
        decode(path)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="no such file"):
        decode(tmp_path / "nothing.jpg")
    with pytest.raises(ImageUnreadable, match="folder"):
        decode(tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_give_a_photo_or_one_clear_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000"][seed % 8]
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    options = (
        {"exif": exif, "icc_profile": pictures.profile()} if kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF") else {}
    )
    content = bytearray(pictures.saved(Image.fromarray(pictures.gradient(32, 40)), kind, **options))
    for _ in range(8):
        content[rng.integers(len(content))] = rng.integers(256)
    try:
        photo = decode(bytes(content), max_pixels=1_000_000)
    except LiftoutError as error:
        assert isinstance(error, InputError) and "\n" not in str(error)
    else:
        assert photo.pixels.dtype == np.uint8 and photo.pixels.shape[2] == 3


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 6, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + pictures.chunk(b"IHDR", header) + pictures.chunk(b"IDAT", zlib.compress(bytes(10_000)))
    )
    with pytest.raises(ImageTooLarge, match="4225 megapixels"):
        decode(bomb)


def test_the_limit_is_the_callers_and_not_pillows(recwarn: pytest.WarningsRecorder) -> None:
    held = Image.MAX_IMAGE_PIXELS
    large = pictures.saved(Image.new("1", (10_000, 10_000)), "PNG")
    assert decode(large, max_pixels=100_000_000).size == (10_000, 10_000)
    with pytest.raises(ImageTooLarge):
        decode(large, max_pixels=99_999_999)
    assert held == Image.MAX_IMAGE_PIXELS and not recwarn


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*" + b"\xff" * 60])
def test_a_broken_exif_block_costs_only_itself(exif: bytes) -> None:
    image = Image.fromarray(pictures.gradient())
    for kind in ("JPEG", "WEBP", "PNG"):
        photo = decode(pictures.saved(image, kind, exif=exif))
        assert photo.size == (24, 36)


def test_a_broken_or_foreign_profile_costs_only_itself() -> None:
    image = Image.fromarray(pictures.gradient())
    cut_short, of_greys = pictures.profile()[:200], pictures.profile("grey")
    for icc in (b"no profile", cut_short, of_greys):
        photo = decode(pictures.saved(image, "PNG", icc_profile=icc))
        np.testing.assert_array_equal(photo.seen_by_network(), pictures.gradient())
        assert photo.icc is None
    broken = pictures.chunk(b"iCCP", b"x\0\0not deflated")
    content = pictures.raw_png(36, 24, 8, 2, pictures.unfiltered(pictures.gradient()), before=broken)
    assert decode(content).icc is None


def test_an_srgb_profile_is_kept_and_changes_nothing() -> None:
    photo = decode(pictures.saved(Image.fromarray(pictures.gradient()), "PNG", icc_profile=pictures.profile("srgb")))
    np.testing.assert_array_equal(photo.seen_by_network(), pictures.gradient())
    assert photo.icc == pictures.profile("srgb")


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 72), (72, -1)])
def test_a_resolution_that_means_nothing_is_dropped(dpi: tuple[float, float]) -> None:
    image = Image.fromarray(pictures.gradient())
    image.info["dpi"] = dpi
    assert decode(image).dpi is None


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 5), np.int64), np.zeros((4, 5, 7), np.uint8), np.zeros((4,), np.uint8),
        np.full((4, 5), 2.0), np.full((4, 5), np.nan), np.zeros((0, 5, 3), np.uint8), np.zeros((4, 5), bool),
    ],
)  # fmt: skip
def test_arrays_that_are_no_photos_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="array"):
        decode(array)


def test_arrays_of_every_kind() -> None:
    grey = pictures.noise((6, 7))
    for array in (
        grey,
        grey[..., None],
        grey / 255,
        (grey / 255).astype(np.float32),
        np.repeat(grey[..., None], 3, axis=2),
    ):
        np.testing.assert_array_equal(decode(array).pixels, np.repeat(grey[..., None], 3, axis=2))
    both = pictures.noise((6, 7, 4))
    np.testing.assert_array_equal(decode(both[::-1]).alpha, both[::-1, :, 3])


def test_heic_through_the_extra() -> None:
    heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray(pictures.gradient(64, 96))
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    heif.from_pillow(image).save(stream, quality=95, exif=exif.tobytes())
    photo = decode(stream.getvalue())
    assert np.abs(photo.pixels.astype(int) - pictures.gradient(64, 96)).mean() < 5
    assert photo.exif is not None and b"Maker" in photo.exif
    with pytest.raises(ImageUnreadable):
        decode(stream.getvalue()[:200])
    with pytest.raises(ImageTooLarge):
        decode(stream.getvalue(), max_pixels=1000)


def test_heic_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ExtraMissing, match=r"IMG_1\.HEIC.*liftout\[heif\]"):
        decode(path)
