"""The same pixels in the browser as in Python."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Visit
from PIL import Image, ImageCms

from liftout import find, graphs
from liftout.cutout import Cutout
from liftout.engines import NetworkFile, open_network
from liftout.images import decode
from liftout.models import packs
from liftout.models.catalog import ModelSpec
from liftout.options import ResultOptions
from liftout.render import compose, render

RANDOM = np.random.default_rng(7)
CUT = """
  const lifter = await Lifter.load(argument.model, argument.load ?? {});
  const result = await lifter.cut(await photo(argument.photo), argument.options ?? {});
  const answer = {
    type: result.blob.type, width: result.width, height: result.height,
    alpha: await bytesOf(new Blob([result.alpha])), file: await bytesOf(result.blob),
  };
  lifter.close();
  return answer;
"""


def cut(visit: Visit, model: object, photo: str, options: object = None, load: object = None) -> dict[str, object]:
    answer = visit.run(CUT, {"model": model, "photo": photo, "options": options or {}, "load": load or {}})
    assert "error" not in answer, answer
    height, width = answer["height"], answer["width"]
    answer["alpha"] = np.frombuffer(answer["alpha"].encode("latin1"), np.uint8).reshape(height, width)
    answer["file"] = answer["file"].encode("latin1")
    return answer


def png(array: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def raw_png(
    width: int, height: int, depth: int, kind: int, rows: bytes, *, chunks: bytes = b"", interlace: int = 0
) -> bytes:
    """A PNG from its filtered rows, for kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    body = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def unfiltered(array: np.ndarray) -> bytes:
    """Rows with filter 0 before each."""
    rows = array.reshape(array.shape[0], -1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def every_filter(array: np.ndarray) -> bytes:
    """Rows of 8-bit samples with filters 0 to 4 in turn, as the specification defines them."""
    height, width, channels = array.shape
    flat = array.reshape(height, width * channels).astype(int)
    out = b""
    for y in range(height):
        row = flat[y]
        up = flat[y - 1] if y else np.zeros_like(row)
        left = np.concatenate([np.zeros(channels, int), row[:-channels]])
        corner = np.concatenate([np.zeros(channels, int), up[:-channels]])
        guess = left + up - corner
        nearest = np.stack([abs(guess - left), abs(guess - up), abs(guess - corner)]).argmin(axis=0)
        paeth = np.choose(nearest, [left, up, corner])
        filters = [0 * row, left, up, (left + up) // 2, paeth]
        # begin with a filter that looks up, where there is nothing above
        kind = (y + 3) % 5
        out += bytes([kind]) + ((row - filters[kind]) % 256).astype(np.uint8).tobytes()
    return out


def adam7(array: np.ndarray) -> bytes:
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [array[top::down, left::across] for left, top, across, down in passes]
    return b"".join(unfiltered(part) for part in parts if part.size)


EXIF_TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def pngs() -> dict[str, bytes]:
    colours = noise(23, 37, 3)
    alpha = noise(23, 37, 1)
    rgba = np.concatenate([colours, alpha], axis=2)
    grey = noise(23, 37)
    wide = RANDOM.integers(0, 65536, (23, 37, 4), dtype=np.uint16)
    palette = chunk(b"PLTE", noise(16, 3).tobytes())
    nibbles = noise(23, 19)
    bits = noise(23, 5)
    return {
        "rgb": png(colours),
        "rgba": png(rgba),
        "rgba-every-filter": raw_png(37, 23, 8, 6, every_filter(rgba)),
        "rgb-every-filter": raw_png(37, 23, 8, 2, every_filter(colours)),
        "rgba-interlaced": raw_png(37, 23, 8, 6, adam7(rgba), interlace=1),
        "rgb-interlaced-tiny": raw_png(2, 3, 8, 2, adam7(colours[:3, :2]), interlace=1),
        "grey": png(grey),
        "grey-alpha": raw_png(37, 23, 8, 4, unfiltered(np.dstack([grey, alpha[..., 0]]))),
        "grey-16": raw_png(37, 23, 16, 0, unfiltered(wide[..., :1].astype(">u2").view(np.uint8))),
        "rgb-16": raw_png(37, 23, 16, 2, unfiltered(wide[..., :3].astype(">u2").view(np.uint8))),
        "rgba-16": raw_png(37, 23, 16, 6, unfiltered(wide.astype(">u2").view(np.uint8))),
        "palette-4-bits": raw_png(37, 23, 4, 3, unfiltered(nibbles), chunks=palette),
        "palette-transparent": raw_png(
            37, 23, 4, 3, unfiltered(nibbles), chunks=palette + chunk(b"tRNS", noise(9).tobytes())
        ),
        "grey-1-bit": raw_png(37, 23, 1, 0, unfiltered(bits)),
        "grey-2-bits": raw_png(19, 23, 2, 0, unfiltered(bits)),
        "grey-key": raw_png(37, 23, 8, 0, unfiltered(grey & 3), chunks=chunk(b"tRNS", b"\0\1")),
        "rgb-key": raw_png(37, 23, 8, 2, unfiltered(colours & 1), chunks=chunk(b"tRNS", b"\0\1\0\0\0\1")),
        "turned-by-exif": raw_png(37, 23, 8, 6, unfiltered(rgba), chunks=chunk(b"eXIf", EXIF_TURNED)),
    }


def test_every_kind_of_png_is_decoded_as_in_python(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str]
) -> None:
    files = pngs()
    names = [put_photo(f"{name}.png", content) for name, content in files.items()]
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const all = {};
        for (const name of argument) all[name] = await bytesOf((await lifter.cut(await photo(name), { edges: "plain" })).blob);
        return all;
        """,
        names,
    )
    for name, content in files.items():
        expected = decode(content)
        alpha = np.full(expected.size, 255, np.uint8) if expected.alpha is None else expected.alpha
        actual = np.asarray(Image.open(io.BytesIO(result[f"{name}.png"].encode("latin1"))))
        assert actual.shape == (*expected.size, 4), name
        np.testing.assert_array_equal(actual[..., 3], alpha, err_msg=name)
        shown = alpha > 0
        np.testing.assert_array_equal(actual[shown][:, :3], expected.pixels[shown], err_msg=name)


@pytest.mark.parametrize(("name", "edges"), [("blocks", "auto"), ("blocks", "plain"), ("lanczos", "plain")])
def test_a_small_network_cuts_as_in_python(
    visit: Callable[..., Visit],
    put_photo: Callable[[str, bytes], str],
    home: Path,
    examples: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    edges: str,
) -> None:
    with Image.open(examples / "astronaut.jpg") as image:
        content = png(np.asarray(image.convert("RGB"))[:301, 40:340])
    monkeypatch.setattr(packs, "BLOCK_BYTES", 64 * 1024)
    pack = packs.read(home / "packs" / name)
    expected = cutter(pack.network, pack.spec, edges)(content)
    assert expected.alpha.std() > 5, "the network should see something"
    actual = cut(visit(), name, put_photo("astronaut.png", content), {"edges": edges})
    same_alpha(actual["alpha"], expected.alpha)
    picture = np.asarray(Image.open(io.BytesIO(actual["file"]))).astype(int)
    shown = (actual["alpha"] == expected.alpha) & (expected.alpha > 0)
    apart = np.abs(picture[shown] - expected.rgba[shown]).max(1)
    assert (apart * expected.alpha[shown] / 255).max() <= 1, "as seen over any background"
    assert (apart > 1).mean() < 1e-4  # where a pixel beside it has another alpha


@pytest.mark.parametrize("model", ["u2netp", "pocket"])
def test_alpha_of_a_real_network_is_that_of_python(
    visit: Callable[..., Visit],
    put_photo: Callable[[str, bytes], str],
    shared_u2netp: Path | None,
    examples: Path,
    model: str,
) -> None:
    pack = packs.built_in(model)
    path = shared_u2netp if model == "u2netp" else pack.network if pack else None
    if path is None:
        pytest.skip(f"needs the weights of {model}: ../shared/data/weights/u2netp.onnx")
    with Image.open(examples / "astronaut.jpg") as image:
        content = png(np.asarray(image.convert("RGB"))[::2, ::2])
    expected = cutter(path, find(model), "auto")(content)
    source = {"onnx": f"/{model}.onnx", "like": model}
    actual = cut(visit(), source, put_photo("small.png", content))
    same_alpha(actual["alpha"], expected.alpha)


def same_alpha(actual: np.ndarray, expected: np.ndarray) -> None:
    """The bar: at most one level, on at most 0.1 % of the pixels."""
    assert np.abs(actual.astype(int) - expected).max() <= 1
    differing = (actual != expected).mean()
    assert differing <= 0.001, f"{differing:.3%} of the pixels differ"


def cutter(path: Path, spec: ModelSpec, edges: str) -> Callable[[bytes], Cutout]:
    """A network that is in no catalogue, run by Python's own pipeline."""
    network = open_network(
        NetworkFile(name=spec.name, path=path, size=spec.input.size, output=spec.output.index),
    )

    def run(content: bytes) -> Cutout:
        photo = decode(content)
        seen = photo.seen_by_network()
        tensor, box = graphs.prepare(seen, spec.input)
        guide = None if edges == "plain" else seen
        alpha = graphs.finish(network.run(tensor), photo.size, spec.output, box=box, image=guide)
        return Cutout(photo, alpha, make_rgba=graphs.plain if edges == "plain" else graphs.cutout)

    return run


def test_a_large_photo_is_cut_in_strips_that_fit_together(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str]
) -> None:
    photo = np.zeros((2300, 2100, 3), np.uint8)
    photo[...] = (np.arange(2100) // 7 % 256)[None, :, None]
    photo[..., 1] += (np.arange(2300) // 9 % 256)[:, None].astype(np.uint8)
    photo[500:520] = noise(20, 2100, 3)
    actual = cut(visit(), "opaque", put_photo("large.png", png(photo, compress_level=1)))
    picture = np.asarray(Image.open(io.BytesIO(actual["file"])))
    np.testing.assert_array_equal(picture[..., :3], photo)
    assert (picture[..., 3] == 255).all()


@pytest.fixture
def half_seen() -> bytes:
    """A photo whose own alpha is a soft disc off the centre, and a speck far from it."""
    y, x = np.mgrid[:90, :130]
    disc = np.clip(255 - 9 * np.maximum(0, np.hypot(y - 40, x - 70) - 18), 0, 255).astype(np.uint8)
    disc[84:86, 4:7] = 255
    return png(np.dstack([noise(90, 130, 3) // 8 + 100, disc]))


def in_the_browser(options: dict[str, object]) -> dict[str, object]:
    """Options by the names that they have there."""
    return {name.replace("_h", "H"): value for name, value in options.items()}


def test_options_do_in_the_browser_what_they_do_in_python(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], half_seen: bytes
) -> None:
    decoded = decode(half_seen)
    assert decoded.alpha is not None
    choices: list[dict[str, object]] = [
        {"mask": True},
        {"background": "#1e90ff"},
        {"background": "rebeccapurple", "crop": True},
        {"crop": True, "margin": 5},
        {"crop": True, "mask": True},
        {"subjects": "largest", "fill_holes": True},
        {"subjects": 2},
        {"threshold": 100, "background": "white"},
        {"subjects": "largest", "crop": True, "threshold": 200},
    ]
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const result = [];
        for (const options of argument.choices) {
          const { blob, box } = await lifter.cut(await photo(argument.name), options);
          result.push([await bytesOf(blob), Object.values(box)]);
        }
        return result;
        """,
        {"name": put_photo("half.png", half_seen), "choices": [in_the_browser(options) for options in choices]},
    )
    for options, (actual, box) in zip(choices, result, strict=True):
        cutout = Cutout(decoded, decoded.alpha)
        assert box == list(compose(cutout, ResultOptions(**options)).box or ())  # type: ignore[arg-type]
        expected = render(cutout, ResultOptions(**options))  # type: ignore[arg-type]
        theirs, ours = (np.asarray(Image.open(io.BytesIO(c))) for c in (expected.content, actual.encode("latin1")))
        np.testing.assert_array_equal(ours, theirs, err_msg=str(options))


def test_a_picture_behind_covers_the_photo(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], half_seen: bytes
) -> None:
    name = put_photo("half.png", half_seen)
    behind = put_photo("behind.png", png(np.full((300, 200, 3), (10, 200, 30), np.uint8)))
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const { blob } = await lifter.cut(await photo(argument[0]), { background: await photo(argument[1]) });
        return bytesOf(blob);
        """,
        [name, behind],
    )
    decoded = decode(half_seen)
    assert decoded.alpha is not None
    expected = np.asarray(Cutout(decoded, decoded.alpha).over((10, 200, 30)))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result.encode("latin1")))), expected)


def test_webp_and_jpeg_are_close_to_the_photo(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], examples: Path
) -> None:
    photo = np.asarray(Image.open(examples / "cat.jpg").convert("RGB"))[:200, :200]
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const result = {};
        for (const format of ["webp", "jpeg"]) {
          const { blob } = await lifter.cut(await photo(argument), { format, quality: 95 });
          result[format] = [blob.type, await bytesOf(blob)];
        }
        return result;
        """,
        put_photo("cat.png", png(photo)),
    )
    for kind, (mime, content) in result.items():
        picture = Image.open(io.BytesIO(content.encode("latin1")))
        assert (mime, picture.format) == (f"image/{kind}", kind.upper())
        assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - photo).mean() < 3


def test_colours_under_partial_alpha_survive_in_webp_input(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str]
) -> None:
    rgba = np.concatenate([noise(40, 50, 3), np.full((40, 50, 1), 9, np.uint8)], axis=2)
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "WEBP", lossless=True, exact=True)
    actual = cut(visit(), "opaque", put_photo("soft.webp", stream.getvalue()), {"edges": "plain"})
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(actual["file"]))), rgba)


def test_a_jpeg_stands_upright_and_keeps_its_profile(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str]
) -> None:
    picture = Image.fromarray(np.full((30, 50, 3), (200, 80, 40), np.uint8))
    profile = wide_profile()
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95, exif=exif.tobytes(), icc_profile=profile)
    actual = Image.open(io.BytesIO(cut(visit(), "opaque", put_photo("turned.jpg", stream.getvalue()))["file"]))
    assert actual.size == (30, 50)
    assert actual.info["icc_profile"] == profile
    stored = decode(stream.getvalue())
    assert np.abs(np.asarray(actual)[..., :3].astype(int) - stored.pixels).max() <= 1


def wide_profile() -> bytes:
    """An RGB profile that is not sRGB: that of sRGB with red and blue primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def test_a_profile_decides_what_the_network_sees(
    visit: Callable[..., Visit],
    put_photo: Callable[[str, bytes], str],
    home: Path,
    examples: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = np.asarray(Image.open(examples / "coffee.jpg").convert("RGB"))[:200, :200]
    content = png(photo, icc_profile=wide_profile())
    monkeypatch.setattr(packs, "BLOCK_BYTES", 64 * 1024)
    pack = packs.read(home / "packs" / "blocks")
    remover = cutter(pack.network, pack.spec, "auto")
    expected, without = remover(content), remover(png(photo))
    actual = cut(visit(), "blocks", put_photo("profile.png", content))
    away = np.abs(actual["alpha"].astype(int) - expected.alpha).mean()
    assert away < 1.5
    assert np.abs(without.alpha.astype(int) - expected.alpha).mean() > 4 * away, "the profile should matter"


def test_pixels_can_be_given_directly(visit: Callable[..., Visit]) -> None:
    result = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const data = Uint8ClampedArray.from([1, 2, 3, 255, 4, 5, 6, 128, 7, 8, 9, 0, 10, 11, 12, 255]);
        return bytesOf((await lifter.cut(new ImageData(data, 2, 2), { edges: "plain" })).blob);
        """
    )
    actual = np.asarray(Image.open(io.BytesIO(result.encode("latin1"))))
    assert actual.tolist() == [[[1, 2, 3, 255], [4, 5, 6, 128]], [[0, 0, 0, 0], [10, 11, 12, 255]]]


@pytest.mark.parametrize("size", [(451, 300), (130, 90), pytest.param((1500, 1100), marks=pytest.mark.long)])
def test_a_blurred_background_is_that_of_python(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], examples: Path, size: tuple[int, int]
) -> None:
    with Image.open(examples / "cat.jpg") as image:
        pixels = np.asarray(image.convert("RGB").resize(size))
    width, height = size
    y, x = np.mgrid[:height, :width]
    away = np.hypot((y - height * 0.6) / height, (x - width * 0.45) / width)
    alpha = np.clip(255 * (0.3 - away) / 0.05, 0, 255).astype(np.uint8)
    photo = png(np.dstack([pixels, alpha]))
    found = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const result = [];
        for (const options of [{}, { crop: true, margin: 7 }]) {
          const { blob } = await lifter.cut(await photo(argument), { ...options, background: "blur" });
          result.push(await bytesOf(blob));
        }
        return result;
        """,
        put_photo(f"blur-{width}.png", photo),
    )
    decoded = decode(photo)
    for content, crop in zip(found, (False, True), strict=True):
        cutout = Cutout(decoded, alpha)
        expected = np.asarray((cutout.crop(7) if crop else cutout).over("blur")).astype(int)
        actual = np.asarray(Image.open(io.BytesIO(content.encode("latin1")))).astype(int)
        assert np.abs(actual - expected).max() <= 1, (np.abs(actual - expected) > 1).sum()
        assert (actual != expected).mean() < 0.001
