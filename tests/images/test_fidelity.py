"""16 bits, profiles, EXIF, XMP and resolution, from the photo's file to the cutout's."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from liftout.cutout import Cutout
from liftout.images import decode, encode, format_of
from tests.images import pictures

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" tiff:Orientation="6" '
    b'dc:format="image/jpeg"/></rdf:RDF></x:xmpmeta>'
)
FORMATS = ["png", "webp", "avif", "tiff", "jpeg"]


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = orientation
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.ExposureTime] = 0.004
    camera[ExifTags.Base.LensModel] = "50 mm"
    camera[ExifTags.Base.ExifImageWidth] = 4000
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.5)
    return exif


def subject(size: tuple[int, int]) -> np.ndarray:
    """An alpha that is empty, soft and full in parts."""
    return np.tile(np.linspace(-60, 320, size[1]).clip(0, 255).astype(np.uint8), (size[0], 1))


def cv_colours(content: bytes) -> np.ndarray:
    """A PNG or TIFF read by OpenCV, channels in the order of RGB."""
    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return levels if levels.ndim == 2 else levels[..., [2, 1, 0, 3][: levels.shape[2]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(33, 47), (33, 47, 3), (33, 47, 4), (1, 1, 4), (700, 1, 3), (2, 40000, 4)])
def test_png_and_tiff_hold_every_level(shape: tuple[int, ...], dtype: type) -> None:
    pixels = pictures.noise(shape, dtype)
    png, tiff = encode(pixels, format_of("png")), encode(pixels, format_of("tiff"))
    np.testing.assert_array_equal(cv_colours(png), pixels)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(tiff)), pixels)
    if dtype == np.uint8:
        for content in (png, tiff):
            np.testing.assert_array_equal(np.asarray(pictures.opened(content)), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_of_many_strips_is_whole(dtype: type) -> None:
    pixels = np.tile(pictures.gradient(200, 300).astype(dtype), (6, 3, 1))
    pixels[100:900, 200:700] = 0
    content = encode(pixels, format_of("png"))
    np.testing.assert_array_equal(cv_colours(content), pixels)
    pictures.opened(content).verify()


def test_png_is_written_without_the_fast_library(monkeypatch: pytest.MonkeyPatch) -> None:
    from liftout.images import deflate

    pixels = pictures.gradient()
    fast = encode(pixels, format_of("png"))
    monkeypatch.setattr(deflate, "_isal", None)
    slow = encode(pixels, format_of("png"))
    assert fast != slow
    np.testing.assert_array_equal(cv_colours(slow), cv_colours(fast))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("interlace", [0, 1])
def test_16_bit_png_is_read_whole(channels: int, interlace: int) -> None:
    levels = pictures.noise((21, 34, channels), np.uint16)
    rows = pictures.interlaced(levels) if interlace else pictures.unfiltered(levels)
    photo = decode(pictures.raw_png(34, 21, 16, 2 if channels == 3 else 6, rows, interlace=interlace))
    assert photo.pixels16 is not None
    np.testing.assert_array_equal(photo.pixels16, levels[..., :3])
    assert np.abs(photo.pixels - levels[..., :3] / 257).max() <= 0.5
    assert (photo.alpha is None) == (channels == 3)


def test_16_bit_png_with_filters_is_read_whole() -> None:
    levels = pictures.noise((40, 30, 3), np.uint16) // 64 * 64 + np.arange(30, dtype=np.uint16)[:, None]
    photo = decode(cv2.imencode(".png", levels[..., ::-1], [cv2.IMWRITE_PNG_STRATEGY, 1])[1].tobytes())
    np.testing.assert_array_equal(photo.pixels16, levels)


def test_16_bit_greys_with_and_without_alpha_are_read_whole() -> None:
    levels = pictures.noise((21, 34, 2), np.uint16)
    both = decode(pictures.raw_png(34, 21, 16, 4, pictures.unfiltered(levels)))
    grey = decode(pictures.raw_png(34, 21, 16, 0, pictures.unfiltered(levels[..., :1])))
    for photo in (both, grey):
        np.testing.assert_array_equal(photo.pixels16, np.repeat(levels[..., :1], 3, axis=2))
    assert grey.alpha is None and both.alpha is not None
    assert np.abs(both.alpha - levels[..., 1] / 257).max() <= 0.5


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_tiff_is_read_whole(compression: str | None, order: str, planes: str, channels: int) -> None:
    levels = pictures.noise((19, 26, channels), np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, levels if planes == "contig" else levels.transpose(2, 0, 1), photometric="rgb", planarconfig=planes,
        compression=compression, byteorder=order, extrasamples=["unassalpha"] * (channels - 3),
        rowsperstrip=7, metadata=None,
    )  # fmt: skip
    photo = decode(stream.getvalue())
    np.testing.assert_array_equal(photo.pixels16, levels[..., :3])
    if channels == 4:
        assert np.abs(photo.alpha - levels[..., 3] / 257).max() <= 0.5


def test_tiled_16_bit_tiff_is_read_whole() -> None:
    levels = pictures.noise((50, 70, 3), np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, levels, photometric="rgb", tile=(16, 32), compression="zlib")
    np.testing.assert_array_equal(decode(stream.getvalue()).pixels16, levels)


def test_premultiplied_16_bit_tiff_becomes_straight() -> None:
    straight = np.full((4, 5, 4), (50_000, 20_000, 300, 20_000), np.uint16)
    premultiplied = straight.copy()
    premultiplied[..., :3] = np.rint(straight[..., :3] * (20_000 / 65_535))
    photo = decode(pictures.raw_tiff(premultiplied, extra=(1,)))
    assert np.abs(photo.pixels16.astype(int) - straight[..., :3]).max() <= 2
    assert set(np.unique(photo.alpha)) == {78}


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_a_16_bit_photo_gives_a_16_bit_cutout(suffix: str) -> None:
    levels = pictures.noise((30, 80, 3), np.uint16)
    cutout = Cutout(decode(encode(levels, format_of("png"))), subject((30, 80)))
    content = cutout.to_bytes(suffix)
    found = cv_colours(content) if suffix == "png" else tifffile.imread(io.BytesIO(content))
    assert found.dtype == np.uint16
    opaque = cutout.alpha == 255
    np.testing.assert_array_equal(found[opaque][:, :3], levels[opaque])
    np.testing.assert_array_equal(found[..., 3], cutout.alpha * np.uint16(257))
    assert not found[cutout.alpha == 0].any()


def test_a_16_bit_array_and_its_file_give_the_same_photo() -> None:
    levels = pictures.noise((12, 14, 4), np.uint16)
    from_array, from_file = decode(levels), decode(encode(levels, format_of("tiff")))
    for field in ("pixels", "alpha", "pixels16"):
        np.testing.assert_array_equal(getattr(from_array, field), getattr(from_file, field))


@pytest.mark.parametrize("suffix", ["webp", "avif", "jpeg"])
def test_formats_of_8_bits_get_8(suffix: str) -> None:
    levels = np.full((16, 16, 3), 40_000, np.uint16)
    content = Cutout(decode(levels), np.full((16, 16), 255, np.uint8)).to_bytes(suffix, quality=100)
    assert np.abs(np.asarray(pictures.opened(content).convert("RGB")).astype(float) - 40_000 / 257).max() <= 2


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_what_a_photo_says_survives(source: str, suffix: str) -> None:
    exif = camera_exif()
    given: dict = {
        "exif": exif if source != "TIFF" else exif.tobytes(),
        "icc_profile": pictures.profile(),
        "dpi": (300, 150),
    }
    if source in ("JPEG", "WEBP"):
        given["xmp"] = XMP
    image = Image.fromarray(pictures.gradient(40, 60))
    photo = decode(pictures.saved(image, source, **given, **({"quality": 95} if source in ("JPEG", "WEBP") else {})))
    found = pictures.opened(Cutout(photo, subject((40, 60))).to_bytes(suffix))
    kept = found.getexif()
    assert kept[ExifTags.Base.Make] == "Maker"
    assert kept.get(ExifTags.Base.Orientation, 1) == 1  # by Pillow from XMP, if at all
    camera = kept.get_ifd(ExifTags.IFD.Exif)
    assert camera[ExifTags.Base.LensModel] == "50 mm"
    assert float(camera[ExifTags.Base.ExposureTime]) == pytest.approx(0.004)
    assert camera[ExifTags.Base.ExifImageWidth] == 60
    assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.5)
    assert found.info["icc_profile"] == pictures.profile()
    if source != "WEBP":
        dpi = found.info.get("dpi") or (kept[ExifTags.Base.XResolution], kept[ExifTags.Base.YResolution])
        assert [float(value) for value in dpi] == pytest.approx([300, 150], abs=0.02)
    if "xmp" in given:
        assert found.info["xmp"] == XMP.replace(b'Orientation="6"', b'Orientation="1"')


PLACES = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="52,31.2N" dc:format="image/jpeg" '
    b"exif:GPSLongitude='13,24.6E'><exif:GPSAltitude>34/1</exif:GPSAltitude><dc:title>A title</dc:title>"
    b"<exif:GPSTimeStamp/></rdf:Description></x:xmpmeta>"
)


def test_the_place_can_be_left_out() -> None:
    image = Image.fromarray(pictures.gradient())
    photo = decode(pictures.saved(image, "JPEG", exif=camera_exif(), xmp=PLACES, icc_profile=pictures.profile()))
    cutout = Cutout(photo, np.full((24, 36), 255, np.uint8))
    for suffix in FORMATS:
        told = pictures.opened(cutout.without_location().to_bytes(suffix))
        exif = told.getexif()
        assert exif[ExifTags.Base.Make] == "Maker" and not exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "50 mm"
        assert b"GPS" not in told.info["xmp"] and b"A title" in told.info["xmp"] and b"dc:format" in told.info["xmp"]
        silent = pictures.opened(cutout.without_metadata().to_bytes(suffix))
        assert ExifTags.Base.Make not in silent.getexif() and "xmp" not in silent.info
        assert silent.info["icc_profile"] == pictures.profile()


@pytest.mark.parametrize("source", ["PNG", "AVIF", "TIFF"])
def test_xmp_is_found_in_every_format(source: str) -> None:
    image = Image.fromarray(pictures.gradient())
    if source == "PNG":
        before = pictures.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
        content = pictures.raw_png(36, 24, 8, 2, pictures.unfiltered(pictures.gradient()), before=before)
    elif source == "AVIF":
        content = pictures.saved(image, "AVIF", xmp=XMP)
    else:
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        tags = ImageFileDirectory_v2()
        tags[700] = XMP
        content = pictures.saved(image, "TIFF", tiffinfo=tags)
    found = decode(content).xmp
    assert found is not None and b"dc:format" in found and b'Orientation="6"' not in found


def test_an_orientation_told_by_xmp_alone_does_not_turn_the_result_twice() -> None:
    upright = pictures.gradient()
    content = pictures.saved(Image.fromarray(upright), "JPEG", xmp=XMP, quality=100)
    photo = decode(content)
    turned = photo.size == (36, 24)
    again = decode(Cutout(photo, np.full(photo.size, 255, np.uint8)).to_bytes("png"))
    assert again.size == photo.size
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert turned  # Pillow reads it, so do we


def test_a_thumbnail_is_left_behind(tmp_path: Path) -> None:
    thumbnail = pictures.saved(Image.fromarray(pictures.gradient(12, 16)), "JPEG")
    entries = {0x103: (3, 6), 0x201: (4, 0), 0x202: (4, len(thumbnail))}
    make = struct.pack("<HHI4s", 0x10F, 2, 4, b"Abc\0")
    first = struct.pack("<H", 1) + make
    second_at = 8 + len(first) + 4
    second_length = 2 + 12 * len(entries) + 4
    entries[0x201] = (4, second_at + second_length)
    second = struct.pack("<H", len(entries))
    for tag, (kind, value) in entries.items():
        second += struct.pack("<HHII", tag, kind, 1, value)
    block = b"II*\0" + struct.pack("<I", 8) + first + struct.pack("<I", second_at) + second + b"\0\0\0\0" + thumbnail
    content = pictures.saved(Image.fromarray(pictures.gradient()), "JPEG", exif=b"Exif\0\0" + block)
    assert thumbnail in content
    photo = decode(content)
    assert photo.exif is not None and b"Abc" in photo.exif
    assert thumbnail not in photo.exif and len(photo.exif) < 100


def test_the_resolution_of_a_turned_photo_is_turned() -> None:
    exif = camera_exif(orientation=6)
    content = pictures.saved(Image.fromarray(pictures.gradient()), "JPEG", exif=exif, dpi=(300, 150))
    assert decode(content).dpi == pytest.approx((150, 300))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_wide_gamut_photo_keeps_its_gamut(suffix: str) -> None:
    green = np.full((32, 32, 3), (20, 250, 30), np.uint8)
    photo = decode(pictures.saved(Image.fromarray(green), "PNG", icc_profile=pictures.profile()))
    content = Cutout(photo, np.full((32, 32), 255, np.uint8)).to_bytes(suffix, quality=100)
    found = pictures.opened(content)
    assert found.info["icc_profile"] == pictures.profile()
    assert np.abs(np.asarray(found.convert("RGB")).astype(int) - (20, 250, 30)).max() <= 3


def test_the_network_sees_srgb() -> None:
    from PIL import ImageCms

    colours = pictures.gradient()
    photo = decode(pictures.saved(Image.fromarray(colours), "PNG", icc_profile=pictures.profile()))
    wide = ImageCms.ImageCmsProfile(io.BytesIO(pictures.profile()))
    expected = ImageCms.profileToProfile(Image.fromarray(colours), wide, ImageCms.createProfile("sRGB"))
    np.testing.assert_array_equal(photo.seen_by_network(), np.asarray(expected))
    np.testing.assert_array_equal(photo.pixels, colours)


def test_a_grey_photo_goes_through_its_profile_in_8_and_16_bits() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, axis=0)
    shallow = decode(pictures.saved(Image.fromarray(ramp), "PNG", icc_profile=pictures.profile("grey")))
    deep = ramp.astype(np.uint16) * 257
    icc = pictures.chunk(b"iCCP", b"grey\0\0" + zlib.compress(pictures.profile("grey")))
    whole = decode(pictures.raw_png(256, 2, 16, 0, pictures.unfiltered(deep[..., None]), before=icc))
    expected = 255 * _srgb_curve((ramp[0] / 255) ** 1.8)
    assert np.abs(shallow.pixels[0, :, 0] - expected).max() <= 1.5  # LittleCMS rounds greys twice
    assert np.abs(whole.pixels16[0, :, 0] / 257 - expected).max() <= 1.5
    assert shallow.icc is None and whole.icc is None


def _srgb_curve(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_alpha_is_straight_for_two_readers(suffix: str) -> None:
    photo = decode(np.full((10, 20, 3), (200, 100, 50), np.uint8))
    alpha = np.full((10, 20), 128, np.uint8)
    content = Cutout(photo, alpha, make_rgba=lambda image, alpha: np.dstack([image, alpha])).to_bytes(suffix)
    pillow = np.asarray(pictures.opened(content))
    other = cv_colours(content) if suffix == "png" else tifffile.imread(io.BytesIO(content))
    for found in (pillow, other):
        assert {tuple(int(level) for level in pixel) for pixel in found.reshape(-1, 4)} == {(200, 100, 50, 128)}
    white = Image.new("RGBA", (20, 10), "white")
    white.alpha_composite(pictures.opened(content).convert("RGBA"))
    assert white.getpixel((3, 3))[:3] == (227, 177, 152)
