"""The workflow for n8n: its request, sent to a real server as n8n's node sends it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from liftout import remove
from tests.conftest import ROOT

pytest.importorskip("fastapi")

WORKFLOW = ROOT / "integrations" / "n8n" / "cutout.json"
KEY = "a-key-that-is-long-enough"


@pytest.fixture
def server(own_home: Path, tmp_path: Path) -> Iterator[str]:
    from tests.server.conftest import serving

    keys = tmp_path / "keys"
    keys.write_text(f"n8n {KEY}\n", encoding="utf-8")
    with serving(own_home, tmp_path / "log", "--api-key-file", str(keys), model="pocket") as running:
        yield running.url


@pytest.mark.long
def test_the_request_gives_a_cropped_cutout(server: str, examples: Path) -> None:
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    form, request = workflow["nodes"]
    assert workflow["connections"][form["name"]]["main"][0][0]["node"] == request["name"]
    fields = [field["fieldLabel"] for field in form["parameters"]["formFields"]["values"]]
    parameters = request["parameters"]
    body = parameters["bodyParameters"]["parameters"]
    binary = [one for one in body if one["parameterType"] == "formBinaryData"]
    assert [one["inputDataFieldName"] for one in binary] == fields
    photo = (examples / "cat.jpg").read_bytes()
    answer = httpx.request(
        parameters["method"],
        parameters["url"].replace("https://cut.example", server),
        headers={one["name"]: one["value"].replace("KEY", KEY) for one in parameters["headerParameters"]["parameters"]},
        files={one["name"]: photo for one in binary},
        data={one["name"]: one["value"] for one in body if one["parameterType"] == "formData"},
        timeout=parameters["options"]["timeout"] / 1000,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as cutout:
        assert cutout.format == "WEBP"
        height, width = remove(photo).crop(20).size
        assert cutout.size == (width, height)
