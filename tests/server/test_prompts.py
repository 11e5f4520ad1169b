"""Points and boxes over HTTP."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from liftout import Remover
from tests.bright import discs
from tests.server.clients.shop import photo_url

__all__ = ["photo_url"]

LEFT, RIGHT = (50, 60), (150, 50)
PROMPTS = {"keep": [LEFT, RIGHT], "drop": [(100, 5)], "box": (2, 12, 190, 108)}


@pytest.fixture(scope="module")
def pair() -> bytes:
    """A photo of two subjects."""
    stream = io.BytesIO()
    Image.fromarray(discs((200, 120), (*LEFT, 30), (*RIGHT, 25))).save(stream, "PNG")
    return stream.getvalue()


def cut(photo: bytes, model: str = "tiny", **prompts: Any) -> bytes:
    """What the Python API gives."""
    with Remover(model) as remover:
        return remover(photo, **prompts).to_bytes("png")


@pytest.mark.parametrize("way", ["form", "urlencoded", "query", "json", "json-text", "raw"])
def test_every_way_to_send_prompts_gives_the_cutout_of_the_python_api(
    client: httpx.Client, pair: bytes, way: str
) -> None:
    text = base64.b64encode(pair).decode()
    several = {"keep": ["50,60", "75%,50"], "drop": "100,5", "box": "1%,10%,190,90%"}
    answer = {
        "form": lambda: client.post("/v1/cutouts", files={"image": pair}, data=several),
        "urlencoded": lambda: client.post("/v1/cutouts", data={"image": text, **several}),
        "query": lambda: client.post("/v1/cutouts", files={"image": pair}, params=several),
        "json": lambda: client.post("/v1/cutouts", json={"image": text, **PROMPTS}),
        "json-text": lambda: client.post("/v1/cutouts", json={"image": text, **several, "drop": [[100, 5]]}),
        "raw": lambda: client.post("/v1/cutouts", content=pair, params=several),
    }[way]()
    assert answer.status_code == 200, answer.text
    assert answer.content == cut(pair, **PROMPTS)


def test_get_takes_prompts_in_the_query(launch: Callable[..., Any], photo_url: str, cat: bytes) -> None:
    server = launch("--fetch-network", "127.0.0.1/32")
    query = [("url", photo_url), ("keep", "50%,40%"), ("keep", "200,150"), ("box", "5%,5%,95%,95%")]
    answer = httpx.get(f"{server.url}/v1/cutouts", params=query, timeout=60, trust_env=False)
    assert answer.content == cut(cat, keep=["50%,40%", (200, 150)], box="5%,5%,95%,95%")


def test_a_job_takes_prompts_for_all_of_its_photos(
    launch: Callable[..., Any], photo_url: str, cat: bytes, pair: bytes
) -> None:
    server = launch("--jobs", "--fetch-network", "127.0.0.1/32")

    def results(**sent: Any) -> list[bytes]:
        job = httpx.post(f"{server.url}/v1/jobs", timeout=60, trust_env=False, **sent)
        assert job.status_code == 202, job.text
        url = f"{server.url}/v1/jobs/{job.json()['id']}"
        server.wait_until(lambda: httpx.get(url, trust_env=False).json()["status"] == "done", 60)
        return [httpx.get(f"{url}/photos/{n}", trust_env=False).content for n in range(len(job.json()["photos"]))]

    asked = {"keep": ["25%,50%", [150, 50]], "drop": "99%,1%"}
    by_url = results(json={"urls": [photo_url], "options": asked})
    assert by_url == [cut(cat, keep=["25%,50%", (150, 50)], drop="99%,1%")]
    files = [("image", ("a.png", pair)), ("image", ("b.jpg", cat))]
    uploaded = results(files=files, data={"keep": ["25%,50%", "150,50"], "drop": "99%,1%"})
    assert uploaded == [cut(photo, keep=["25%,50%", (150, 50)], drop="99%,1%") for photo in (pair, cat)]


def test_another_point_is_another_result(launch: Callable[..., Any], pair: bytes) -> None:
    server = launch("--cache", "20MB")

    def post(**data: Any) -> httpx.Response:
        url = f"{server.url}/v1/cutouts"
        return httpx.post(url, files={"image": pair}, data=data, timeout=60, trust_env=False)

    one, other, none = post(keep="50,60"), post(keep="150,50"), post()
    assert len({answer.headers["etag"] for answer in (one, other, none)}) == 3
    again = post(keep="50.0, 60")
    assert (again.headers["x-liftout-cache"], again.content) == ("hit", one.content)
    assert again.headers["etag"] == one.headers["etag"]


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"keep": "50"}, "keep", "keep `50` is not a point; give X,Y in pixels or percent"),
        ({"keep": ["1,2", "a,b"]}, "keep", "`a,b` is not a point"),
        ({"drop": "200.5,0"}, "drop", "200.5,0 lies outside the photo, which is 200x120 pixels"),
        ({"drop": "101%,0"}, "drop", "outside the photo"),
        ({"box": "1,2,3"}, "box", "is not a box"),
        ({"box": ["1,2,3,4", "5,6,7,8"]}, "box", "twice"),
        ({"box": "9,9,9,20"}, "box", "is empty"),
        ({"keep": "1,2" + "0" * 300}, "keep", "too long"),
        ({"start": "1"}, "start", "no field is called 'start'"),
    ],
)
def test_a_wrong_prompt_is_named(
    client: httpx.Client, pair: bytes, given: dict[str, Any], field: str, words: str
) -> None:
    answer = client.post("/v1/cutouts", files={"image": pair}, data=given)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "given",
    [
        {"keep": 5}, {"keep": [5]}, {"keep": [1, 2]}, {"keep": [[1, 2, 3]]}, {"keep": [[1, None]]}, {"keep": {"x": 1}},
        {"keep": [[True, 1]]}, {"keep": [["1", "2"]]}, {"drop": [[1, 2], "x"]}, {"box": [1, 2, 3]}, {"box": 7},
        {"box": {"left": 1}}, {"keep": [["z" * 10_000]]},
    ],
)  # fmt: skip
def test_json_of_another_form_is_named_in_one_short_line(
    client: httpx.Client, pair: bytes, given: dict[str, Any]
) -> None:
    answer = client.post("/v1/cutouts", json={"image": base64.b64encode(pair).decode(), **given})
    assert (answer.status_code, answer.json()["field"]) == (422, next(iter(given))), answer.text
    assert len(answer.json()["detail"]) < 400 and "\n" not in answer.json()["detail"]


def test_empty_prompts_do_not_count(client: httpx.Client, pair: bytes) -> None:
    expected = client.post("/v1/cutouts", files={"image": pair}).content
    assert client.post("/v1/cutouts", files={"image": pair}, data={"keep": "", "box": ""}).content == expected
    text = base64.b64encode(pair).decode()
    nothing = {"keep": [], "drop": None, "box": None}
    assert client.post("/v1/cutouts", json={"image": text, **nothing}).content == expected


def test_a_wrong_job_names_the_prompt(launch: Callable[..., Any], cat: bytes) -> None:
    server = launch("--jobs")
    answer = httpx.post(f"{server.url}/v1/jobs", files={"image": cat}, data={"keep": "x"}, timeout=60, trust_env=False)
    assert (answer.status_code, answer.json()["field"]) == (422, "keep")


def test_the_document_describes_prompts(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    route = document["paths"]["/v1/cutouts"]
    properties = route["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert properties["keep"]["examples"] == ["300,200", ["40%,25%", [300, 200]]]
    assert {"keep", "drop", "box"} <= {parameter["name"] for parameter in route["get"]["parameters"]}


def marks(*marks: dict[str, Any]) -> dict[str, str]:
    return {"model": "sam", "extras": json.dumps({"sam_prompt": list(marks)})}


KEEP_LEFT = {"type": "point", "data": [*LEFT], "label": 1}
DROP_RIGHT = {"type": "point", "data": [*RIGHT], "label": 0}
RECTANGLE = {"type": "rectangle", "data": [190, 12, 2, 108]}


@pytest.mark.parametrize("way", ["form", "query"])
def test_prompts_of_rembgs_sam_are_points_and_a_box(client: httpx.Client, pair: bytes, way: str) -> None:
    sent = marks(KEEP_LEFT, DROP_RIGHT, RECTANGLE)
    answer = client.post("/api/remove", files={"file": pair}, **{"data" if way == "form" else "params": sent})
    assert answer.status_code == 200, answer.text
    assert answer.content == cut(pair, "pocket", keep=[LEFT], drop=[RIGHT], box=(2, 12, 190, 108))


def test_marks_choose_among_what_any_model_finds(client: httpx.Client, pair: bytes) -> None:
    answer = client.post("/api/remove", files={"file": pair}, data={**marks(KEEP_LEFT), "model": "tiny"})
    assert answer.content == cut(pair, keep=[LEFT])
    without = client.post("/api/remove", files={"file": pair}, data=marks())
    assert without.content == cut(pair, "pocket")


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"sam_prompt": [{**KEEP_LEFT, "data": [900, 20]}]}, "900,20 lies outside the photo, which is 200x120 pixels"),
        ({"sam_prompt": [KEEP_LEFT, {**KEEP_LEFT, "label": 2}]}, "as mark 2; give a list of"),
        ({"sam_prompt": [{**KEEP_LEFT, "data": [1, 2, 3]}]}, "as mark 1"),
        ({"sam_prompt": [{**KEEP_LEFT, "type": "circle"}]}, "as mark 1"),
        ({"sam_prompt": [RECTANGLE, RECTANGLE]}, "has 2 rectangles"),
        ({"sam_prompt": [{**RECTANGLE, "data": [5, 5, 5, 9]}]}, "is empty"),
        ({"sam_prompt": "[]"}, "is '[]'"),
        ({"sam_prompt": ["point"]}, "as mark 1"),
        ({"sam_prompt": [], "sam_model": "sam_vit_h_4b8939"}, "sam_model, which chooses among the files of SAM"),
    ],
)
def test_a_wrong_mark_is_named(client: httpx.Client, pair: bytes, extras: dict[str, Any], words: str) -> None:
    answer = client.post("/api/remove", files={"file": pair}, data={"extras": json.dumps(extras)})
    assert (answer.status_code, answer.json()["field"]) == (422, "extras"), answer.text
    detail = answer.json()["detail"]
    assert words in detail and "sam_" in detail and detail.startswith("extras holds ")


def test_removebg_takes_no_prompts_and_keeps_its_roi(client: httpx.Client, pair: bytes) -> None:
    answer = client.post("/v1.0/removebg", files={"image_file": pair}, data={"roi": "0 0 100 120", "size": "auto"})
    assert answer.status_code == 200
    alpha = Image.open(io.BytesIO(answer.content)).convert("RGBA").getchannel("A")
    assert alpha.getpixel(LEFT) == 255 and alpha.getpixel(RIGHT) == 0
    refused = client.post("/v1.0/removebg", files={"image_file": pair}, data={"keep": ["1,2", "3,4"]})
    assert refused.status_code == 400 and "keep" in refused.text
