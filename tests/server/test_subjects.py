"""Several subjects over HTTP: so many of the largest, or each as a picture of its own."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from liftout import Remover
from liftout.options import ResultOptions
from liftout.render import render, render_each
from tests.bright import discs

EACH = {"subjects": "each", "crop": "true", "format": "webp"}


@pytest.fixture(scope="module")
def crowd() -> bytes:
    """A photo of three subjects."""
    stream = io.BytesIO()
    Image.fromarray(discs((200, 110), (40, 50, 30), (140, 40, 20), (170, 90, 10))).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def expected(crowd: bytes) -> list[tuple[tuple[int, int, int, int] | None, bytes]]:
    """Box and picture of each subject, from the Python API."""
    with Remover("tiny") as remover:
        options = ResultOptions(subjects="each", crop=True, format="webp")
        parts = [(part.box, picture.content) for part, picture in render_each(remover(crowd), options)]
    assert len(parts) == 3
    return parts


def test_each_subject_is_a_file_in_a_zip(client: httpx.Client, crowd: bytes, expected: list[Any]) -> None:
    answer = client.post("/v1/cutouts", files={"image": crowd}, data=EACH)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'inline; filename="cutouts.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["cutout-1.webp", "cutout-2.webp", "cutout-3.webp"]
        assert [archive.read(name) for name in archive.namelist()] == [content for _, content in expected]
    assert client.post("/v1/cutouts", files={"image": crowd}, data=EACH).content == answer.content


def test_json_has_each_subject_with_its_box(client: httpx.Client, crowd: bytes, expected: list[Any]) -> None:
    facts = client.post("/v1/cutouts", files={"image": crowd}, data={**EACH, "answer": "json"}).json()
    assert "image" not in facts
    for number, (subject, (box, content)) in enumerate(zip(facts["subjects"], expected, strict=True), 1):
        assert subject["name"] == f"cutout-{number}.webp"
        assert tuple(subject["box"]) == box
        assert (base64.b64decode(subject["image"]), subject["bytes"]) == (content, len(content))
    assert facts["bytes"] == sum(subject["bytes"] for subject in facts["subjects"])
    assert (facts["width"], facts["format"], facts["media_type"]) == (200, "webp", "image/webp")
    alone = client.post("/v1/cutouts", files={"image": crowd}, data={**EACH, "answer": "facts"}).json()
    assert [set(subject) for subject in alone["subjects"]] == [{"name", "box", "subject", "bytes"}] * 3


@pytest.mark.parametrize("sent", [{"data": {"subjects": "2"}}, {"params": {"subjects": "2"}}])
def test_a_number_keeps_so_many(client: httpx.Client, crowd: bytes, sent: dict[str, Any]) -> None:
    with Remover("tiny") as remover:
        two = render(remover(crowd).largest(2), ResultOptions()).content
    assert client.post("/v1/cutouts", files={"image": crowd}, **sent).content == two
    text = base64.b64encode(crowd).decode()
    assert client.post("/v1/cutouts", json={"image": text, "subjects": 2}).content == two


def test_a_photo_without_a_subject_gives_one_empty_picture(client: httpx.Client) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(stream, "PNG")
    data = {"subjects": "each", "answer": "facts"}
    (subject,) = client.post("/v1/cutouts", files={"image": stream.getvalue()}, data=data).json()["subjects"]
    assert (subject["box"], subject["subject"]) == (None, 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("some", "is 'some'; it must be one of all, each, largest, or a whole number"),
        ("0", "is 0; it must be at least 1"),
        ("1.5", "or a whole number"),
        ("-2", "at least 1"),
    ],
)
def test_a_number_that_makes_no_sense_is_named(client: httpx.Client, crowd: bytes, given: str, words: str) -> None:
    answer = client.post("/v1/cutouts", files={"image": crowd}, data={"subjects": given})
    assert (answer.status_code, answer.json()["field"]) == (422, "subjects")
    assert words in answer.json()["detail"]


def test_the_zip_is_kept_with_the_facts_of_its_subjects(launch: Callable[..., Any], crowd: bytes) -> None:
    server = launch("--cache", "20MB")

    def post(**data: str) -> httpx.Response:
        files = {"image": crowd}
        return httpx.post(f"{server.url}/v1/cutouts", files=files, data={**EACH, **data}, timeout=60, trust_env=False)

    first, again = post(), post(answer="json")
    assert again.headers["x-liftout-cache"] == "hit"
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        for subject in again.json()["subjects"]:
            assert base64.b64decode(subject["image"]) == archive.read(subject["name"])
            assert len(subject["box"]) == 4
    assert first.headers["etag"] != post(subjects="3").headers["etag"]


def test_a_job_gives_a_zip_for_each_photo(launch: Callable[..., Any], crowd: bytes, client: httpx.Client) -> None:
    server = launch("--jobs")
    added = httpx.post(f"{server.url}/v1/jobs", files={"image": crowd}, data=EACH, timeout=60, trust_env=False).json()

    def described() -> dict[str, Any]:
        return httpx.get(f"{server.url}/v1/jobs/{added['id']}", timeout=60, trust_env=False).json()

    server.wait_until(lambda: described()["status"] == "done", 60)
    answer = httpx.get(f"{server.url}{described()['photos'][0]['result']}", timeout=60, trust_env=False)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.content == client.post("/v1/cutouts", files={"image": crowd}, data=EACH).content


def test_the_document_says_what_subjects_may_be(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    route = document["paths"]["/v1/cutouts"]["post"]
    words, number = route["requestBody"]["content"]["application/json"]["schema"]["properties"]["subjects"]["anyOf"]
    assert (words["enum"], number) == (["all", "each", "largest"], {"type": "integer", "minimum": 1})
    answers = route["responses"]["200"]["content"]
    assert "application/zip" in answers
    assert "subjects" in answers["application/json"]["schema"]["properties"]
