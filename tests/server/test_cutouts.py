"""POST /v1/cutouts over loopback."""

from __future__ import annotations

import base64
import importlib
import io
import json
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from PIL import Image

from liftout import Remover
from liftout.options import ResultOptions
from liftout.render import render
from tests.images.pictures import raw_png


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.fixture(scope="module")
def expected(cat: bytes, tiny_home: object) -> np.ndarray:
    """What the Python API gives for the same photo and model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(tiny_home))
        with Remover("tiny") as remover:
            return remover(cat).rgba


@pytest.mark.parametrize("way", ["multipart", "raw", "octets", "untyped", "base64", "data-url"])
def test_every_way_to_send_a_photo_gives_the_cutout_of_the_python_api(
    client: httpx.Client, cat: bytes, expected: np.ndarray, way: str
) -> None:
    text = base64.b64encode(cat).decode()
    answer = {
        "multipart": lambda: client.post("/v1/cutouts", files={"image": ("cat.jpg", cat)}),
        "raw": lambda: client.post("/v1/cutouts", content=cat, headers={"Content-Type": "image/jpeg"}),
        "octets": lambda: client.post("/v1/cutouts", content=cat, headers={"Content-Type": "application/octet-stream"}),
        "untyped": lambda: client.post("/v1/cutouts", content=cat),
        "base64": lambda: client.post("/v1/cutouts", json={"image": text}),
        "data-url": lambda: client.post("/v1/cutouts", data={"image": f"data:image/jpeg;base64,{text}"}),
    }[way]()
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(opened(answer.content)), expected)


def test_options_are_those_of_the_command_line(client: httpx.Client, cat: bytes) -> None:
    with Remover("tiny") as remover:
        options = ResultOptions(crop=True, margin=7, format="webp", quality=80, background="#1e90ff")
        content = render(remover(cat), options).content
    answer = client.post(
        "/v1/cutouts",
        files={"image": cat},
        data={"crop": "true", "margin": "7", "format": "webp", "quality": "80", "background": "#1e90ff"},
    )
    assert answer.headers["content-type"] == "image/webp"
    assert answer.content == content
    query = client.post("/v1/cutouts?crop=yes&margin=7&format=webp&quality=80&background=%231e90ff", content=cat)
    assert query.content == content


def test_a_mask_is_grey(client: httpx.Client, cat: bytes) -> None:
    answer = client.post("/v1/cutouts", files={"image": cat}, data={"mask": "true"})
    assert opened(answer.content).mode == "L"


def test_json_carries_the_picture_the_box_and_the_time(client: httpx.Client, cat: bytes, expected: np.ndarray) -> None:
    answer = client.post("/v1/cutouts", files={"image": cat}, headers={"Accept": "application/json"})
    facts = answer.json()
    assert np.array_equal(np.asarray(opened(base64.b64decode(facts["image"]))), expected)
    assert (facts["width"], facts["height"], facts["format"], facts["model"]) == (451, 300, "png", "tiny")
    columns = np.flatnonzero((expected[..., 3] >= 16).any(axis=0))
    assert (facts["box"][0], facts["box"][2]) == (columns[0], columns[-1] + 1)
    assert facts["seconds"]["ran"] > 0


def test_facts_alone_carry_no_picture(client: httpx.Client, cat: bytes) -> None:
    facts = client.post("/v1/cutouts", files={"image": cat}, data={"answer": "facts"}).json()
    assert "image" not in facts
    assert facts["box"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/webp", "image/webp"),
        ("image/webp;q=0.2, image/png", "image/png"),
        ("*/*", "image/png"),
        ("text/html", "image/png"),
        ("application/json;q=0, image/avif", "image/avif"),
        (";;q=x,", "image/png"),
    ],
)
def test_the_accept_header_chooses_the_format(client: httpx.Client, cat: bytes, accept: str, kind: str) -> None:
    answer = client.post("/v1/cutouts", files={"image": cat}, headers={"Accept": accept})
    assert answer.headers["content-type"] == kind


def test_jpeg_says_that_it_went_over_white(client: httpx.Client, cat: bytes) -> None:
    answer = client.post("/v1/cutouts", files={"image": cat}, data={"format": "jpeg"})
    assert "over white" in answer.headers["x-liftout-note"]


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"margin": "-1"}, "margin", "at least 0"),
        ({"margin": "many"}, "margin", "whole number"),
        ({"quality": "101"}, "quality", "from 1 to 100"),
        ({"format": "bmp"}, "format", "one of png"),
        ({"mask": "perhaps"}, "mask", "true or false"),
        ({"background": "/etc/passwd"}, "background", "not a colour"),
        ({"background": "examples/cat.jpg"}, "background", "not a colour"),
        ({"model": "tinny"}, "model", "did you mean `tiny`"),
        ({"model": "u2netp"}, "model", "/v1/models"),
        ({"model": "src/liftout/models/built_in/pocket"}, "model", "no model has this name"),
        ({"edges": "soft"}, "edges", "auto, plain, refined"),
        ({"marign": "3"}, "marign", "did you mean margin"),
        ({"engine": "openvino"}, "engine", "leave it out"),
        ({"max-pixels": "900000000"}, "max-pixels", "50000000 on this server"),
        ({"answer": "pdf"}, "answer", "image, json, facts"),
        ({"url": "http://x/"}, "url", "send one of them"),
        ({"image": "again"}, "image", "twice"),
    ],
)
def test_a_wrong_field_is_named(
    client: httpx.Client, cat: bytes, given: dict[str, str], field: str, words: str
) -> None:
    answer = client.post("/v1/cutouts", files={"image": cat}, data=given)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == field
    assert words in problem["detail"]
    assert problem["status"] == 422


def test_json_values_have_their_own_types(client: httpx.Client, cat: bytes) -> None:
    text = base64.b64encode(cat).decode()
    assert (
        client.post("/v1/cutouts", json={"image": text, "crop": True, "margin": 3, "background": None}).status_code
        == 200
    )
    for bad in (
        {"margin": True},
        {"margin": 1.5},
        {"mask": 3},
        {"background": ["red"]},
        {"margin": 10**30},
        {"model": {}},
    ):
        answer = client.post("/v1/cutouts", json={"image": text, **bad})
        assert (answer.status_code, answer.json()["field"]) == (422, next(iter(bad)))


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "", 422),
        (b"not a photo", "image/jpeg", 422),
        (b"", "image/jpeg", 422),
        (b"<html>", "text/html", 415),
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 422),
        (b"[" * 200_000, "application/json", 400),
        (b"{}", "application/json", 422),
        (b'{"image": "!!!"}', "application/json", 422),
        (b'{"image": 7}', "application/json", 422),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400),
        (b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx', "multipart/form-data; boundary=b", 400),
        (
            b'--b\r\nContent-Disposition: form-data; name="m"\r\n\r\n\xff\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            422,
        ),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"a=1&a=2", "application/x-www-form-urlencoded", 422),
        (b"&".join(b"f%d=1" % i for i in range(100)), "application/x-www-form-urlencoded", 400),
    ],
)
def test_a_bad_body_is_the_callers_mistake(client: httpx.Client, content: bytes, kind: str, status: int) -> None:
    answer = client.post("/v1/cutouts", content=content, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_photo_with_too_many_pixels_is_too_large(client: httpx.Client) -> None:
    stream = io.BytesIO()
    Image.new("1", (8000, 8000)).save(stream, "PNG")
    answer = client.post("/v1/cutouts", files={"image": stream.getvalue()})
    assert answer.status_code == 413
    assert answer.json()["field"] == "image"
    assert "--max-pixels" not in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/cutouts", "/api/remove", "/v1.0/removebg"])
def test_a_photo_of_a_shape_that_no_photo_has_is_too_large(client: httpx.Client, path: str) -> None:
    field = {"/v1/cutouts": "image", "/api/remove": "file", "/v1.0/removebg": "image_file"}[path]
    for size in ((1, 20_000_000), (10_000_000, 1), (4, 801)):
        content = raw_png(*size, 8, 0, b"")
        assert len(content) < 100
        answer = client.post(path, files={field: content})
        assert answer.status_code == (400 if "removebg" in path else 413), answer.text
        assert "crop" not in answer.text


def test_an_error_of_a_pixel_graph_is_a_problem_and_not_a_crash(
    client: httpx.Client, launch: Callable[..., object], cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = importlib.import_module("liftout.images.decode")
    monkeypatch.setattr(decoding, "LARGEST_RATIO", 10**9)
    monkeypatch.setattr(decoding, "LONGEST_SIDE", 10**9)
    server = launch("--max-pixels", "30000000")
    content = raw_png(1, 20_000_000, 8, 0, bytes(40_000_000))
    answer = httpx.post(f"{server.url}/v1/cutouts", files={"image": content}, timeout=120)
    assert answer.status_code == 500
    assert "prepare" in answer.json()["detail"]
    assert httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, timeout=60).status_code == 200


def test_an_animation_and_a_truncated_photo_are_refused(client: httpx.Client, cat: bytes) -> None:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "GIF", save_all=True, append_images=[Image.new("L", (8, 8), 255)])
    for content in (stream.getvalue(), cat[:9000]):
        answer = client.post("/v1/cutouts", files={"image": content})
        assert (answer.status_code, answer.json()["field"]) == (422, "image")


def test_a_file_in_a_field_that_takes_none_is_named(client: httpx.Client, cat: bytes) -> None:
    answer = client.post("/v1/cutouts", files={"image": cat, "margin": cat})
    assert (answer.status_code, answer.json()["field"]) == (422, "margin")


def test_a_compressed_body_is_not_taken(client: httpx.Client, cat: bytes) -> None:
    answer = client.post("/v1/cutouts", content=cat, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


def test_addresses_are_not_fetched_unless_the_operator_allows_it(client: httpx.Client) -> None:
    answer = client.post("/v1/cutouts", json={"url": "http://198.51.100.7/cat.jpg"})
    assert (answer.status_code, answer.json()["field"]) == (403, "url")


def test_unknown_paths_and_methods_are_problems_too(client: httpx.Client) -> None:
    answer = client.put("/v1/cutouts")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    answer = client.get("/v1/nothing")
    assert answer.status_code == 404
    assert json.loads(answer.text)["title"] == "Not Found"
