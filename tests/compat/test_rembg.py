"""Programs written for rembg: its documented calls, run as they are but for the import."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from liftout import Remover
from liftout.compat import rembg
from liftout.compat.rembg import new_session, remove
from liftout.errors import ModelMissing, UnknownModel, UsageError
from liftout.remover import models
from tests.bright import discs
from tests.images import pictures


@pytest.fixture(scope="module")
def session() -> rembg.Session:
    return new_session()


@pytest.fixture
def photo(examples: Path, tmp_path: Path) -> Path:
    """A PNG of moderate size with a subject."""
    path = tmp_path / "input.png"
    Image.open(examples / "officer.jpg").resize((128, 152)).save(path)
    return path


def opened(content: bytes) -> Image.Image:
    assert content.startswith(b"\x89PNG")
    return Image.open(io.BytesIO(content))


def test_bytes_in_bytes_out(photo: Path, tmp_path: Path) -> None:
    output_path = tmp_path / "output.png"
    with photo.open("rb") as i, output_path.open("wb") as o:
        input = i.read()  # noqa: A001 - as in the documentation
        output = remove(input)
        o.write(output)
    result = Image.open(output_path)
    assert result.mode == "RGBA" and result.size == (128, 152)
    alpha = np.asarray(result)[..., 3]
    assert alpha.min() < 10 and alpha.max() > 245


def test_pillow_in_pillow_out(photo: Path, tmp_path: Path) -> None:
    input = Image.open(photo)  # noqa: A001
    output = remove(input)
    assert isinstance(output, Image.Image) and output.mode == "RGBA"
    output.save(tmp_path / "output.png")
    np.testing.assert_array_equal(np.asarray(output), np.asarray(opened(remove(photo.read_bytes()))))


def test_numpy_in_numpy_out(photo: Path, tmp_path: Path) -> None:
    input = cv2.imread(str(photo))  # noqa: A001
    output = remove(input)
    assert isinstance(output, np.ndarray) and output.shape == (152, 128, 4) and output.dtype == np.uint8
    assert cv2.imwrite(str(tmp_path / "output.png"), output)
    opaque = output[..., 3] == 255
    np.testing.assert_array_equal(output[opaque][:, :3], input[opaque])


def test_force_return_bytes(photo: Path) -> None:
    of_bytes = remove(photo.read_bytes(), force_return_bytes=True)
    for data in (Image.open(photo), np.asarray(Image.open(photo))):
        assert remove(data, force_return_bytes=True) == of_bytes


def test_batch_with_one_session(photo: Path, tmp_path: Path) -> None:
    session = new_session()
    for file in photo.parent.glob("*.png"):
        output_path = str(file.parent / (file.stem + ".out.png"))
        with file.open("rb") as i, open(output_path, "wb") as o:  # noqa: PTH123
            input = i.read()  # noqa: A001
            output = remove(input, session=session)
            o.write(output)
    assert (tmp_path / "input.out.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "options", [{"alpha_matting": True}, {"vitmatte": True, "vitmatte_model": "small-composition-1k"}]
)
def test_matting_is_refined_edges(photo: Path, session: rembg.Session, options: dict) -> None:
    output = remove(
        Image.open(photo), session=session, alpha_matting_foreground_threshold=270,
        alpha_matting_background_threshold=20, alpha_matting_erode_size=11, **options,
    )  # fmt: skip
    with Remover(edges="refined") as remover:
        np.testing.assert_array_equal(np.asarray(output), remover(photo).rgba)


def test_positional_arguments_stand_where_they_did(photo: Path, session: rembg.Session) -> None:
    data = photo.read_bytes()
    assert remove(data, False, 240, 10, 10, session, True) == remove(data, session=session, only_mask=True)


def test_only_mask_is_grey(photo: Path, session: rembg.Session) -> None:
    with Remover() as remover:
        alpha = remover(photo).alpha
    as_image = remove(Image.open(photo), session=session, only_mask=True)
    assert as_image.mode == "L"
    for found in (
        np.asarray(as_image),
        remove(np.asarray(Image.open(photo)), session=session, only_mask=True),
        np.asarray(opened(remove(photo.read_bytes(), session=session, only_mask=True))),
        np.asarray(session.predict(Image.open(photo))[0]),
    ):
        np.testing.assert_array_equal(found, alpha)


def test_post_processing_is_opening_blur_and_threshold(photo: Path, session: rembg.Session) -> None:
    raw = np.asarray(remove(Image.open(photo), session=session, only_mask=True))
    found = np.asarray(remove(Image.open(photo), session=session, only_mask=True, post_process_mask=True))
    cross = ndimage.generate_binary_structure(2, 1)
    opening = ndimage.grey_dilation(ndimage.grey_erosion(raw, footprint=cross), footprint=cross)
    expected = np.where(ndimage.gaussian_filter(opening.astype(float), 2) < 127, 0, 255)
    np.testing.assert_array_equal(found, expected)


def test_pixels_that_post_processing_adds_show_the_photo(photo: Path, session: rembg.Session) -> None:
    given = np.asarray(Image.open(photo))
    found = remove(given, session=session, post_process_mask=True)
    bare = remove(given, session=session)
    added = (found[..., 3] > 0) & (bare[..., 3] == 0)
    np.testing.assert_array_equal(found[added][:, :3], given[added])


@pytest.mark.parametrize("colour", [(255, 0, 0, 255), (10, 200, 30), [0, 0, 255, 128], (9, 9, 9, 0)])
def test_a_background_colour(photo: Path, session: rembg.Session, colour: tuple[int, ...]) -> None:
    cut = remove(Image.open(photo), session=session)
    found = remove(Image.open(photo), session=session, bgcolor=colour)
    assert found.mode == "RGBA"
    behind = Image.new("RGBA", cut.size, tuple(colour))
    expected = np.asarray(Image.alpha_composite(behind, cut)).astype(int)
    visible = expected[..., 3] > 8
    assert np.abs(np.asarray(found).astype(int) - expected)[visible].max() <= 2


def test_a_mask_has_no_background_colour(photo: Path, session: rembg.Session) -> None:
    bare = remove(photo.read_bytes(), session=session, only_mask=True)
    assert remove(photo.read_bytes(), session=session, only_mask=True, bgcolor=(1, 2, 3, 255)) == bare


def test_colours_are_straight_and_have_no_dark_halo(session: rembg.Session) -> None:
    pixels = np.asarray(Image.open(Path(__file__).parents[2] / "examples" / "coffee.jpg"))
    given = pixels.astype(float)
    found = remove(pixels, session=session).astype(float)
    # the rim of what is surely subject; elsewhere a half-tone is the network's doubt, not an edge
    sure = Image.fromarray((found[..., 3] >= 240).astype(np.uint8) * 255)
    rim = np.asarray(sure.filter(ImageFilter.MaxFilter(9))) > 0
    soft = rim & (found[..., 3] > 60) & (found[..., 3] < 200)
    assert soft.sum() > 50
    as_photographed = given[soft].mean()
    multiplied = (given[soft] * found[soft][:, 3:] / 255).mean()  # what rembg stores by default
    assert found[soft][:, :3].mean() > (as_photographed + multiplied) / 2


def test_decontaminate_changes_nothing_because_it_is_the_default(photo: Path, session: rembg.Session) -> None:
    given = photo.read_bytes()
    assert remove(given, session=session, decontaminate=True) == remove(given, session=session)


def test_putalpha_keeps_the_colours_of_the_photo(photo: Path, session: rembg.Session) -> None:
    found = remove(np.asarray(Image.open(photo)), session=session, putalpha=True)
    visible = found[..., 3] > 0
    np.testing.assert_array_equal(found[visible][:, :3], np.asarray(Image.open(photo))[visible])


def test_16_bits_profile_and_resolution_survive(photo: Path, session: rembg.Session) -> None:
    levels = np.asarray(Image.open(photo)).astype(np.uint16) * 257 + 3
    from liftout.images import decode, encode, format_of

    content = encode(levels.clip(0, 65535).astype(np.uint16), format_of("png"), icc=pictures.profile(), dpi=(300, 300))
    found = decode(remove(content, session=session))
    assert (
        found.pixels16 is not None
        and found.icc == pictures.profile()
        and found.dpi == pytest.approx((300, 300), abs=0.1)
    )
    assert remove(levels, session=session).dtype == np.uint16
    half = remove(levels, session=session, bgcolor=(10, 200, 30, 128))
    assert half.dtype == np.uint16 and half.shape[2] == 4


def test_paths_and_greys_with_alpha_are_taken(photo: Path, session: rembg.Session) -> None:
    assert (
        remove(photo, session=session)
        == remove(str(photo), session=session)
        == remove(photo.read_bytes(), session=session)
    )
    assert remove(Image.open(photo).convert("LA"), session=session).mode == "RGBA"


def test_a_mistyped_argument_is_an_error(photo: Path) -> None:
    with pytest.raises(TypeError, match="alpha_mating"):
        remove(photo.read_bytes(), alpha_mating=True)
    with pytest.raises(TypeError, match="provider"):
        new_session("u2netp", provider=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "options",
    [
        {"bgcolor": (1, 2)}, {"bgcolor": (1, 2, 3, 400)}, {"bgcolor": "red"}, {"alpha_matting_erode_size": -1},
        {"alpha_matting_foreground_threshold": "240"}, {"session": "u2netp"}, {"cc": "upper"},
        {"providers": ["NoExecutionProvider"]}, {"providers": "CPUExecutionProvider"},
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(photo: Path, options: dict) -> None:
    with pytest.raises(UsageError):
        remove(photo.read_bytes(), **options)


def test_models_by_their_names_in_rembg(shared: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    from liftout.engines import run_once
    from liftout.models.add import add_onnx

    add_onnx("silueta-too", shared / "data/weights/u2netp.onnx", like="u2netp", run=run_once)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = new_session("silueta-too", providers=["CPUExecutionProvider"], sess_opts=settings)
    assert session.model_name == "silueta-too"
    assert remove(Image.open(photo), session=session).size == (128, 152)
    with pytest.raises(UsageError, match="add_onnx"):
        new_session("u2net_custom")
    for name in ("withoutbg", "no-such-model"):
        with pytest.raises(UnknownModel):
            new_session(name)


MARKS = [
    {"type": "point", "data": [50, 60], "label": 1},
    {"type": "point", "data": [150, 50], "label": 0},
    {"type": "rectangle", "data": [2, 12, 190, 108]},
]


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A photo of two subjects."""
    path = tmp_path / "pair.png"
    Image.fromarray(discs((200, 120), (50, 60, 30), (150, 50, 25))).save(path)
    return path


def test_the_documented_call_of_sam_works(pair: Path) -> None:
    input = pair.read_bytes()  # noqa: A001 - as in the documentation
    session = new_session("sam")
    output = remove(input, session=session, sam_prompt=[{"type": "point", "data": [50, 60], "label": 1}])
    with Remover("pocket") as remover:
        assert output == remover(input, keep=[(50, 60)]).to_bytes("png")
    assert remove(input, session=session) == remove(input)


def test_marks_are_points_and_a_box_for_every_session(session: rembg.Session, pair: Path) -> None:
    with Remover("pocket") as remover:
        expected = remover(pair, keep=[(50, 60)], drop=[(150, 50)], box=(2, 12, 190, 108))
    photo = Image.open(pair)
    for marks in (MARKS, tuple(MARKS), [{**mark, "data": np.array(mark["data"])} for mark in MARKS]):
        assert remove(pair.read_bytes(), session=session, sam_prompt=marks) == expected.to_bytes("png")
    np.testing.assert_array_equal(np.asarray(session.predict(photo, sam_prompt=MARKS)[0]), expected.alpha)
    np.testing.assert_array_equal(np.asarray(remove(photo, sam_prompt=MARKS, only_mask=True)), expected.alpha)
    turned = [{"type": "rectangle", "data": [190, 108, 2, 12]}, *MARKS[:2]]
    assert remove(pair.read_bytes(), session=session, sam_prompt=turned) == expected.to_bytes("png")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sam_prompt": [{**MARKS[0], "data": [200.5, 3]}]}, "sam_prompt 200.5,3 lies outside the photo"),
        ({"sam_prompt": [{**MARKS[0], "label": 3}]}, "as mark 1; give a list of"),
        ({"sam_prompt": {"type": "point"}}, "sam_prompt is"),
        ({"sam_prompt": "[]"}, "sam_prompt is"),
        ({"sam_prompt": [MARKS[2], MARKS[2]]}, "sam_prompt has 2 rectangles"),
        ({"sam_model": "sam_vit_h_4b8939"}, "sam_model is 'sam_vit_h_4b8939', which chooses among the files of SAM"),
        ({"sam_quant": True}, "sam_quant is True"),
    ],
)
def test_marks_that_make_no_sense_are_one_line(pair: Path, session: rembg.Session, options: dict, says: str) -> None:
    for more in ({}, {"session": session}):
        with pytest.raises(UsageError) as caught:
            remove(pair.read_bytes(), **options, **more)
        assert says in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.field == next(iter(options))
    with pytest.raises(UsageError, match="sam_model"):
        new_session("sam", sam_model="sam_vit_b_01ec64")


HOMES = {
    "U2NET_HOME": "u2netp.onnx",
    "U2NET_HOME ": "models/u2netp/u2netp.onnx",
    "REMBG_HOME": "models/u2netp/u2netp.onnx",
    "XDG_DATA_HOME": ".u2net/u2netp.onnx",
    "XDG_DATA_HOME ": "rembg/models/u2netp/u2netp.onnx",
    "HOME": ".u2net/u2netp.onnx",
    "HOME ": ".rembg/models/u2netp/u2netp.onnx",
}
"""Settings of rembg, and where it then keeps a model."""


@pytest.fixture
def published(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real network, which the catalogue here takes for the published u2netp."""
    file = shared / "data/weights/u2netp.onnx"
    folder = tmp_path / "catalogue"
    folder.mkdir()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    facts = f'role = "onnx"\nname = "u2netp.onnx"\nbytes = {file.stat().st_size}\nsha256 = "{sha256}"\n'
    (folder / "published.toml").write_text(f"[[u2netp.files]]\n{facts}")
    monkeypatch.setenv("LIFTOUT_CATALOG", str(folder))
    return file


@pytest.mark.parametrize("setting", HOMES)
def test_model_files_that_rembg_downloaded_are_used(
    published: Path, tmp_path: Path, photo: Path, own_home: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(setting.strip(), str(tmp_path / "rembg"))
    file = tmp_path / "rembg" / HOMES[setting]
    file.parent.mkdir(parents=True)
    file.write_bytes(published.read_bytes())
    before = file.stat().st_mtime_ns
    session = new_session("u2netp")
    assert np.asarray(session.predict(Image.open(photo))[0]).max() > 200
    assert file.stat().st_mtime_ns == before
    assert (own_home / "models" / "u2netp" / "u2netp.onnx").stat().st_ino == file.stat().st_ino


def test_a_file_that_is_not_the_published_one_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.close()
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").write_bytes(b"another network")
    with pytest.warns(RuntimeWarning, match=r"u2netp.onnx is not used"), pytest.raises(ModelMissing):
        new_session("u2netp")


def test_a_session_opens_onnxruntime_for_those_who_use_it(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setenv("U2NET_HOME", str(published.parent))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = new_session("u2netp", settings)
    inner = session.inner_session
    assert inner is session.inner_session
    assert inner.get_providers() == ["CPUExecutionProvider"]
    assert inner.get_session_options().intra_op_num_threads == 1
    name = inner.get_inputs()[0].name
    assert inner.run(None, {name: np.zeros((1, 3, 320, 320), np.float32)})[0].shape == (1, 1, 320, 320)
    with pytest.raises(UsageError, match=r"providers=\[\.\.\.\]"):
        new_session("u2netp", ["CPUExecutionProvider"])


def test_a_binary_file_gives_bytes(photo: Path, session: rembg.Session) -> None:
    expected = remove(photo.read_bytes(), session=session)
    assert remove(io.BytesIO(photo.read_bytes()), session=session) == expected
    with photo.open("rb") as file:
        assert remove(file, session=session) == expected


def test_a_model_is_kept_between_calls_without_one(photo: Path) -> None:
    remove(photo.read_bytes())
    loads = models.loads
    remove(photo.read_bytes())
    assert models.loads == loads
