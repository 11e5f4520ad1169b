"""What docs/remove-bg.md tells users of automation tools to set, and the request that comes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.server.clients.installed import packed
from tests.server.clients.shop import KEY, alpha, is_cutout, photo_url, shop, work
from tests.server.conftest import ServerProcess

__all__ = ["alpha", "photo_url", "shop", "work"]

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


WORDPRESS = Path(os.environ.get("WORDPRESS", "/usr/share/wordpress"))
PLUGIN = WORKFLOW.with_name("wordpress.php")
SHOP_PLUGIN = """<?php
[, $folder, $plugin, $server, $key] = $argv;
define('ABSPATH', "$folder/");
define('WPINC', 'wp-includes');
define('LIFTOUT_SERVER', $server);
$files = ['version', 'compat', 'load', 'plugin', 'class-wp-error', 'functions', 'formatting', 'option', 'general-template',
    'link-template', 'l10n', 'kses', 'http', 'class-wp-http', 'class-wp-http-streams', 'class-wp-http-curl', 'class-wp-http-proxy',
    'class-wp-http-cookie', 'class-wp-http-encoding', 'class-wp-http-response', 'class-wp-http-requests-response',
    'class-wp-http-requests-hooks'];
foreach ($files as $name) require_once ABSPATH . WPINC . "/$name.php";
add_filter('pre_option_home', fn() => 'http://shop.example');
if ($plugin) require $plugin;

$headers = ['X-Api-Key' => $key];
$photo = file_get_contents('cat.jpg');
$part = fn($name, $rest, $content) =>
    "--limit\\r\\nContent-Disposition: form-data; name=\\"$name\\"$rest\\r\\n\\r\\n$content\\r\\n";
$form = $part('image_file', '; filename="cat.jpg"', $photo) . $part('size', '', 'auto') . "--limit--\\r\\n";
$answers = [
    wp_remote_post('https://api.remove.bg/v1.0/removebg',
        ['headers' => $headers + ['Content-Type' => 'multipart/form-data; boundary=limit'], 'body' => $form, 'timeout' => 60]),
    wp_remote_post('https://api.remove.bg/v1.0/removebg',
        ['headers' => $headers, 'body' => ['image_file_b64' => base64_encode($photo), 'size' => 'auto'], 'timeout' => 60]),
    wp_remote_get('https://api.remove.bg/v1.0/account', ['headers' => $headers]),
];
foreach ($answers as $number => $answer) {
    if (is_wp_error($answer)) exit($answer->get_error_message());
    file_put_contents("answer-$number", wp_remote_retrieve_body($answer));
}
echo json_encode(array_map('wp_remote_retrieve_response_code', $answers)), "\\n";
"""


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("php") is None or not WORDPRESS.is_dir(), reason="needs PHP and WordPress, as in Debian"
)
def test_the_wordpress_plugin_sends_requests_of_other_plugins_to_this_server(
    shop: ServerProcess, work: Path, alpha: np.ndarray
) -> None:
    (work / "shop.php").write_text(SHOP_PLUGIN, encoding="utf-8")
    command = ["php", "shop.php", str(WORDPRESS), str(PLUGIN), f"{shop.url}/", KEY]
    ended = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=180)
    assert ended.stdout.splitlines()[-1:] == ["[200,200,200]"], ended.stdout + ended.stderr
    for number in (0, 1):
        assert is_cutout((work / f"answer-{number}").read_bytes(), alpha)
    assert json.loads((work / "answer-2").read_text())["data"]["attributes"]["liftout"]["key"] == "shop"
