"""A cutout in a program: files, notebooks, numpy, pickle."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover, find, remove
from liftout.cutout import Cutout
from liftout.errors import InputError, OutputError, UsageError
from liftout.images import Photo, decode, from_bgr
from tests.command import liftout
from tests.images import pictures


@pytest.fixture
def cutout() -> Cutout:
    pixels, alpha = pictures.gradient(90, 120), np.zeros((90, 120), np.uint8)
    alpha[20:70, 30:80] = 255
    alpha[20:70, 80:84] = 128
    return Cutout(Photo(pixels=pixels, icc=pictures.profile(), dpi=(300, 300), name="photo.jpg"), alpha)


def test_numpy_sees_the_rgba(cutout: Cutout) -> None:
    found = np.asarray(cutout)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, cutout.rgba)
    assert np.array(cutout, dtype=np.float32).dtype == np.float32


def test_a_cutout_is_pickled_with_all_that_it_can_do(cutout: Cutout) -> None:
    shaded = cutout.crop(5).shadow(offset=(6, 6), blur=2)
    again = pickle.loads(pickle.dumps(shaded))  # noqa: S301
    np.testing.assert_array_equal(again.levels, shaded.levels)
    assert again.to_bytes("png") == shaded.to_bytes("png")
    for background in ("white", "blur:4", (1, 2, 3, 90)):
        np.testing.assert_array_equal(again.composite(background), shaded.composite(background))
    np.testing.assert_array_equal(again.with_alpha(255 - again.alpha).rgba, shaded.with_alpha(255 - shaded.alpha).rgba)


def test_what_is_known_of_a_model_is_pickled() -> None:
    spec = find("birefnet-general")
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301


def test_a_cutout_is_saved_to_an_open_file(cutout: Cutout, tmp_path: Path) -> None:
    stream = io.BytesIO()
    assert cutout.save(stream) is None
    assert stream.getvalue() == cutout.to_bytes("png")
    with (tmp_path / "a.jpg").open("wb") as file:
        cutout.save(file, background="white")
    assert (tmp_path / "a.jpg").read_bytes() == cutout.to_bytes("jpeg", background="white")
    named = io.BytesIO()
    cutout.save(named, format="webp", quality=50)
    assert named.getvalue() == cutout.to_bytes("webp", quality=50)


def test_a_file_that_is_open_as_text_is_refused(cutout: Cutout) -> None:
    with pytest.raises(UsageError, match="'wb'"):
        cutout.save(io.StringIO())
    with pytest.raises(UsageError, match="int"):
        cutout.save(3)


def test_a_folder_that_does_not_exist_is_named(cutout: Cutout, tmp_path: Path) -> None:
    target = tmp_path / "newdir" / "out.png"
    with pytest.raises(OutputError, match=r"the folder .*newdir does not exist"):
        cutout.save(target)


def test_a_notebook_shows_a_small_picture(cutout: Cutout) -> None:
    shown = Image.open(io.BytesIO(cutout._repr_png_()))
    assert (shown.format, shown.size, shown.mode) == ("PNG", (120, 90), "RGBA")
    large = cutout.canvas(2400, 1200)
    assert Image.open(io.BytesIO(large._repr_png_())).size == (800, 400)


@pytest.mark.parametrize("url", ["https://example.com/photo.jpg", "http://example.com/a", "s3://bucket/photo.jpg"])
def test_urls_are_not_fetched(url: str, capsys) -> None:
    with pytest.raises(InputError, match="URLs are not fetched"):
        remove(url)
    assert liftout("cut", url) == 1
    assert f"{url}: URLs are not fetched" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(3, 20, 30), (1, 20, 30), (4, 20, 30)])
def test_arrays_with_channels_first_are_told_how(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"array\.transpose\(1, 2, 0\)"):
        decode(np.zeros(shape, np.uint8))


def test_a_tensor_is_a_photo_wherever_its_channels_are() -> None:
    torch = pytest.importorskip("torch")
    pixels = pictures.gradient(20, 30)
    last = torch.from_numpy(pixels)
    for tensor in (last, last.permute(2, 0, 1), last.permute(2, 0, 1) / 255, (last / 255).requires_grad_()):
        np.testing.assert_array_equal(decode(tensor).pixels, pixels)
    half = decode(
        (last.double() / 255).to(torch.bfloat16)
    ).pixels  # has eight bits, of which one is lost here and there
    assert np.abs(half.astype(int) - pixels).max() <= 1
    np.testing.assert_array_equal(decode(last[..., 0]).pixels[..., 1], pixels[..., 0])


def test_a_batch_of_tensors_goes_through_map() -> None:
    torch = pytest.importorskip("torch")
    batch = torch.zeros(2, 3, 20, 30)
    with pytest.raises(InputError, match=r"shape \[2, 3, 20, 30\] is a batch; .*remover\.map\(tensor\)"):
        remove(batch)
    with Remover() as remover:
        assert [cutout.size for cutout in remover.map(batch)] == [(20, 30), (20, 30)]


@pytest.mark.parametrize("shape", [(2, 20, 30), (20, 30, 2), (5,), (1, 1, 3, 20, 30)])
def test_a_tensor_that_is_no_photo_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"shape \[.*\] is not a photo"):
        decode(torch.zeros(shape))


def test_an_array_of_opencv_is_said_to_be_one(examples: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    with Image.open(examples / "cat.jpg") as photo:
        photo.resize((90, 60)).save(tmp_path / "cat.png")
    read = cv2.imread(str(tmp_path / "cat.png"))
    ours = decode(tmp_path / "cat.png").pixels
    assert np.abs(read.astype(int) - ours).max() > 20
    np.testing.assert_array_equal(decode(from_bgr(read)).pixels, ours)
    cutout = remove(from_bgr(read))
    cv2.imwrite(str(tmp_path / "out.png"), cutout.bgra)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), cutout.rgba)
    four = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(from_bgr(four), cutout.rgba)
    np.testing.assert_array_equal(from_bgr(four[..., 0]), four[..., 0])
    with pytest.raises(InputError, match="is not BGR"):
        from_bgr(np.zeros((4, 4, 2)))


def test_a_row_of_datasets_that_was_not_decoded_is_a_photo(examples: Path) -> None:
    cat = examples / "cat.jpg"
    whole = decode(cat).pixels
    found = decode({"bytes": cat.read_bytes(), "path": "photos/cat.jpg"})
    np.testing.assert_array_equal(found.pixels, whole)
    assert found.name == "cat.jpg"
    np.testing.assert_array_equal(decode({"bytes": None, "path": str(cat)}).pixels, whole)
    with pytest.raises(InputError, match=r"'image', 'label' is not a photo; .*row\['image'\]"):
        decode({"image": 3, "label": 1})
    with pytest.raises(InputError, match="is empty"):
        decode({"bytes": b"", "path": None})


def test_a_cutout_is_a_photo_with_its_alpha(cutout: Cutout) -> None:
    np.testing.assert_array_equal(decode(cutout).alpha, cutout.alpha)
