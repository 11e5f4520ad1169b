"""What docs/remove-bg.md tells users of automation tools to set, and the request that comes of it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.server.clients.installed import packed
from tests.server.clients.shop import KEY, alpha, is_cutout, photo_url, shop
from tests.server.conftest import ServerProcess

__all__ = ["alpha", "photo_url", "shop"]

WORKFLOW = Path(__file__).parents[2] / "packaging" / "n8n.json"
HOST = "https://cut.example"


def node() -> dict[str, Any]:
    (only,) = json.loads(WORKFLOW.read_text(encoding="utf-8"))["nodes"]
    return only


def test_the_request_of_the_n8n_workflow_gives_a_cutout(shop: ServerProcess, examples: Path, alpha: np.ndarray) -> None:
    parameters = node()["parameters"]
    body = parameters["bodyParameters"]["parameters"]
    photo = (examples / "cat.jpg").read_bytes()
    answer = httpx.request(
        parameters["method"],
        parameters["url"].replace(HOST, shop.url),
        headers={one["name"]: one["value"].replace("KEY", KEY) for one in parameters["headerParameters"]["parameters"]},
        files={one["name"]: photo for one in body if one["parameterType"] == "formBinaryData"},
        data={one["name"]: one["value"] for one in body if one["parameterType"] == "formData"},
        timeout=parameters["options"]["timeout"] / 1000,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    assert is_cutout(answer.content, alpha)


def test_the_json_that_zapier_sends_gives_a_cutout(shop: ServerProcess, photo_url: str, alpha: np.ndarray) -> None:
    """As the page has it for the custom request of its webhooks."""
    page = (WORKFLOW.parents[1] / "docs" / "remove-bg.md").read_text(encoding="utf-8")
    said = '{"image_url": "...", "size": "auto"}'
    assert said in page
    body = said.replace("...", photo_url)
    headers = {"X-Api-Key": KEY, "Content-Type": "application/json"}
    answer = httpx.post(f"{shop.url}/v1.0/removebg", content=body, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert is_cutout(answer.content, alpha)


@pytest.mark.long
def test_the_n8n_workflow_has_what_the_node_declares() -> None:
    """Every parameter is shown for its version and the others' values, and has a value that the node offers."""
    with tarfile.open(packed("n8n-nodes-base@2.41.2")) as archive:
        member = archive.extractfile("package/dist/types/nodes.json")
        assert member is not None
        declared = json.load(member)
    ours = node()
    name = ours["type"].removeprefix("n8n-nodes-base.")
    (description,) = (
        one
        for one in declared
        if one["name"] == name and isinstance(one["version"], list) and ours["typeVersion"] in one["version"]
    )
    root = {"@version": ours["typeVersion"], **ours["parameters"]}
    _check(ours["parameters"], description["properties"], root)
    broken = {**ours["parameters"], "contentType": "multipart"}
    with pytest.raises(AssertionError):
        _check(broken, description["properties"], {**root, **broken})
    with pytest.raises(AssertionError):
        _check({"timeOut": 1}, description["properties"], root)


def _check(values: dict[str, Any], properties: list[dict[str, Any]], root: dict[str, Any]) -> None:
    defaults = {one["name"]: one.get("default") for one in reversed(properties)}
    for name, value in values.items():
        shown = [one for one in properties if one["name"] == name and _is_shown(one, {**defaults, **values}, root)]
        assert shown, f"{name} is no parameter here"
        assert any(_holds(one, value, root) for one in shown), f"{name} cannot be {value!r}"


def _is_shown(declared: dict[str, Any], values: dict[str, Any], root: dict[str, Any]) -> bool:
    conditions = declared.get("displayOptions", {})

    def matches(condition: str, wanted: list[Any]) -> bool:
        key = condition.removeprefix("/")
        value = root.get(key) if condition.startswith(("/", "@")) else values.get(key)
        return value in wanted

    return all(matches(*one) for one in conditions.get("show", {}).items()) and not any(
        matches(*one) for one in conditions.get("hide", {}).items()
    )


def _holds(declared: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    kind = declared["type"]
    if kind == "options":
        return value in [option["value"] for option in declared["options"]]
    if kind == "collection":
        _check(value, declared["options"], root)
    elif kind == "fixedCollection":
        for group, entries in value.items():
            (options,) = (one["values"] for one in declared["options"] if one["name"] == group)
            for entry in entries if isinstance(entries, list) else [entries]:
                _check(entry, options, root)
    else:
        return isinstance(value, {"string": str, "boolean": bool, "number": int | float}[kind])
    return True
