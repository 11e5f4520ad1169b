"""/api/remove, as clients of rembg call it."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from liftout import Remover
from liftout.images import decode


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


@pytest.fixture(scope="module")
def expected(cat: bytes, tiny_home: Path) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(tiny_home))
        with Remover("tiny") as remover:
            return remover(cat).rgba


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(examples: Path) -> Iterator[str]:
    """The example photos on a web server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(examples)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_calls_that_rembg_documents_work(
    launch: Callable[..., object], site: str, examples: Path, tmp_path: Path, expected: np.ndarray
) -> None:
    """The two curl lines of rembg's README, with this server's port and a real photo in place of its examples."""
    server = launch("--fetch-network", "127.0.0.1/32")
    uploaded, fetched = tmp_path / "uploaded.png", tmp_path / "fetched.png"
    api = f"{server.url}/api/remove"
    for command in (
        ["curl", "-s", "-F", f"file=@{examples / 'cat.jpg'}", api, "-o", str(uploaded)],
        ["curl", "-s", f"{api}?url={site}/cat.jpg", "-o", str(fetched)],
    ):
        subprocess.run(command, check=True, timeout=60)
    assert np.array_equal(pixels(uploaded.read_bytes()), expected)
    assert fetched.read_bytes() == uploaded.read_bytes()


@pytest.mark.parametrize("where", ["query", "form"])
def test_parameters_count_in_the_query_and_in_the_form(
    client: httpx.Client, cat: bytes, expected: np.ndarray, where: str
) -> None:
    given = {"model": "tiny", "om": "true", "a": "false", "af": "240", "ab": "10", "ae": "10", "dc": "1"}
    settings = {"params": given} if where == "query" else {"data": given}
    answer = client.post("/api/remove", files={"file": cat}, **settings)
    assert answer.status_code == 200, answer.text
    assert np.array_equal(pixels(answer.content), expected[..., 3])


def test_a_photo_may_be_the_body_itself(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    assert np.array_equal(pixels(client.post("/api/remove", content=cat).content), expected)


def test_the_background_colour_lies_under_the_subject(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    alpha = expected[..., 3:].astype(float) / 255
    opaque = pixels(client.post("/api/remove", files={"file": cat}, data={"bgc": "10,200,30,255"}).content)
    blended = expected[..., :3] * alpha + np.array([10, 200, 30]) * (1 - alpha)
    assert np.abs(opaque[..., :3] - blended).max() <= 1
    assert opaque.shape[2] == 4 and opaque[..., 3].min() == 255
    half = pixels(client.post("/api/remove", files={"file": cat}, params={"bgc": "10,200,30,128"}).content)
    over = alpha[..., 0] + 128 / 255 * (1 - alpha[..., 0])
    assert np.abs(half[..., 3] / 255 - over).max() <= 2 / 255
    assert half[expected[..., 3] == 0].reshape(-1, 4).max(axis=0).tolist() == [10, 200, 30, 128]


def test_a_smoothed_mask_is_hard(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    mask = pixels(client.post("/api/remove", files={"file": cat}, data={"ppm": "true", "om": "true"}).content)
    assert set(np.unique(mask)) == {0, 255}
    cross = ndimage.generate_binary_structure(2, 1)
    opening = ndimage.grey_dilation(ndimage.grey_erosion(expected[..., 3], footprint=cross), footprint=cross)
    assert np.array_equal(mask, np.where(ndimage.gaussian_filter(opening.astype(float), 2) < 127, 0, 255))


def test_pixels_that_smoothing_adds_show_the_photo(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    found = pixels(client.post("/api/remove", files={"file": cat}, data={"ppm": "true"}).content)
    added = (found[..., 3] > 0) & (expected[..., 3] == 0)
    kept = (found[..., 3] > 0) & (expected[..., 3] > 0)
    with Image.open(io.BytesIO(cat)) as photo:
        assert np.array_equal(found[added][:, :3], np.asarray(photo)[added])
    assert np.array_equal(found[kept][:, :3], expected[kept][:, :3])


@pytest.mark.parametrize("given", [{}, {"bgc": "10,200,30,255"}, {"bgc": "10,200,30,128"}, {"ppm": "true"}])
def test_16_bits_stay_16_bits(client: httpx.Client, deep_cat: bytes, given: dict[str, str]) -> None:
    answer = client.post("/api/remove", files={"file": deep_cat}, data=given)
    assert decode(answer.content).pixels16 is not None


def test_plain_edges_keep_the_colours_of_the_photo(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--edges", "plain")
    given = {"ppm": "true"}
    answer = httpx.post(f"{server.url}/api/remove", files={"file": cat}, data=given, timeout=60, trust_env=False)
    found = pixels(answer.content)
    visible = found[..., 3] > 0
    with Image.open(io.BytesIO(cat)) as photo:
        assert np.array_equal(found[visible][:, :3], np.asarray(photo)[visible])


def test_extras_are_arguments_of_remove(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    answer = client.post("/api/remove", files={"file": cat}, data={"extras": '{"only_mask": true}'})
    assert np.array_equal(pixels(answer.content), expected[..., 3])


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"model": "no-such-model"}, "model"),
        ({"model": "bria-rmbg"}, "model"),
        ({"af": "256"}, "af"),
        ({"ab": "x"}, "ab"),
        ({"ae": "-1"}, "ae"),
        ({"a": "maybe"}, "a"),
        ({"bgc": "1,2"}, "bgc"),
        ({"bgc": "1,2,3,400"}, "bgc"),
        ({"bgc": "red"}, "bgc"),
        ({"extras": "{"}, "extras"),
        ({"extras": "[]"}, "extras"),
        ({"extras": '{"model_path": "/etc/passwd"}'}, "extras"),
        ({"alpha_mating": "true"}, "alpha_mating"),
    ],
)
def test_what_rembg_answers_with_500_or_silence_is_a_named_mistake(
    client: httpx.Client, cat: bytes, given: dict[str, str], field: str
) -> None:
    answer = client.post("/api/remove", files={"file": cat}, data=given)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_bad_file_and_no_file_are_the_callers_mistakes(client: httpx.Client) -> None:
    assert client.post("/api/remove", files={"file": b"not a photo"}).json()["field"] == "file"
    assert client.post("/api/remove").json()["field"] == "file"
    assert client.get("/api/remove").status_code == 422
    assert client.get("/api/remove", params={"url": "http://192.0.2.1/"}).status_code == 403


def test_the_address_of_rembgs_documentation_leads_to_ours(client: httpx.Client) -> None:
    answer = client.get("/api", follow_redirects=True)
    assert answer.status_code == 200
    assert "/api/remove" in answer.text
