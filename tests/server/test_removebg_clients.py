"""Packages that others wrote for remove.bg, as their registries give them: nothing is changed, not even the host.

api.remove.bg is a real `liftout serve` here: `clients/network.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.server.clients.installed import node_modules_with, python_with
from tests.server.clients.network import Network, unshare
from tests.server.clients.shop import KEY, alpha, is_cutout, network, photo_url, run, shop, work

__all__ = ["alpha", "network", "photo_url", "shop", "work"]

REQUESTS = ("requests==2.32.5", "urllib3==2.5.0", "idna==3.10", "certifi", "charset-normalizer==3.4.3")

pytestmark = pytest.mark.skipif(unshare() is None, reason="needs network and mount namespaces (unshare)")

REMOVE_BG = """
import collections, collections.abc
collections.Callable = collections.abc.Callable  # which Python had until 3.9, for which the package was written
import base64, json, pathlib, sys
from removebg import RemoveBg, exceptions
client = RemoveBg(api_token=sys.argv[1])
photo = pathlib.Path("cat.jpg").read_bytes()
pathlib.Path("file.png").write_bytes(client.remove_background_from_file("cat.jpg", size="auto"))
pathlib.Path("url.png").write_bytes(client.remove_background_from_url(sys.argv[2], size="auto"))
encoded = base64.b64encode(photo).decode()
pathlib.Path("base64.png").write_bytes(client.remove_background_from_base64(encoded, size="full", format="png"))
with open("cat.jpg", "rb") as behind:
    over = client.remove_background_from_file("cat.jpg", size="auto", bg_image_file=behind)
pathlib.Path("over.jpg").write_bytes(over)
errors = {}
for name, attempt in {
    "parameter": lambda: client.remove_background_from_file("cat.jpg", size="huge"),
    "key": lambda: RemoveBg(api_token="wrong").remove_background_from_file("cat.jpg"),
}.items():
    try:
        attempt()
    except exceptions.APIException as error:
        errors[name] = [type(error).__name__, str(error)]
print(json.dumps(errors))
"""


def test_the_package_remove_bg_of_pypi(network: Network, work: Path, photo_url: str, alpha: np.ndarray) -> None:
    python = python_with(
        "remove-bg==0.2.1", *REQUESTS, "beautifulsoup4==4.13.5", "soupsieve==2.8", "typing-extensions",
        "python-anticaptcha==0.4.2", "tempmail-client==0.1.2", "random-username", "six==1.17.0", "setuptools==80.9.0",
    )  # fmt: skip
    errors = run(network, [str(python), "-W", "ignore"], REMOVE_BG, work, KEY, photo_url)
    for name in ("file.png", "url.png", "base64.png"):
        assert is_cutout((work / name).read_bytes(), alpha)
    with Image.open(work / "over.jpg") as image:
        assert image.format == "JPEG"
    assert errors == {
        "parameter": ["InvalidParameters", "Invalid value for parameter 'size'"],
        "key": ["AuthenticationFailed", "Invalid API Key"],
    }


PLUS = """
import base64, json, pathlib, sys
import removebgplus
client = removebgplus.RemoveBg(sys.argv[1])
client.remove_from_file("cat.jpg", "file.png")
error = ""
try:
    client.remove_from_base64(base64.b64encode(pathlib.Path("cat.jpg").read_bytes()).decode(), "base64.png")
except removebgplus.APIError as raised:
    error = str(raised)
print(json.dumps({"error": error}))
"""


def test_the_package_removebgplus_of_pypi(network: Network, work: Path, alpha: np.ndarray) -> None:
    python = python_with("removebgplus==0.1.2", "removebg==0.4", *REQUESTS, "filetype==1.2.0")
    found = run(network, [str(python)], PLUS.replace("removebgplus.APIError", "Exception"), work, KEY)
    assert is_cutout((work / "file.png").read_bytes(), alpha)
    assert found["error"].startswith("400 - ")  # it sends `image_base64`, which the API has never had


REMOVEBG = """
import json, sys
from removebg import RemoveBg
client = RemoveBg(sys.argv[1], "error.log")
client.remove_background_from_img_file("cat.jpg", size="auto")
client.remove_background_from_img_url(sys.argv[2], size="auto", new_file_name="url.png")
print(json.dumps({}))
"""


def test_the_package_removebg_of_pypi(network: Network, work: Path, photo_url: str, alpha: np.ndarray) -> None:
    python = python_with("removebgplus==0.1.2", "removebg==0.4", *REQUESTS, "filetype==1.2.0")
    run(network, [str(python)], REMOVEBG, work, KEY, photo_url)
    for name in ("cat.jpg_no_bg.png", "url.png"):
        assert is_cutout((work / name).read_bytes(), alpha)


NODE = """
const { removeBackgroundFromImageFile, removeBackgroundFromImageBase64, removeBackgroundFromImageUrl } = require("remove.bg");
const fs = require("fs");
const [key, url] = process.argv.slice(2);
(async () => {
  const common = { apiKey: key, size: "auto" };
  const file = await removeBackgroundFromImageFile({ ...common, path: "cat.jpg", outputFile: "file.png" });
  await removeBackgroundFromImageUrl({ ...common, url, outputFile: "url.png" });
  const base64img = fs.readFileSync("cat.jpg").toString("base64");
  const placed = await removeBackgroundFromImageBase64(
    { ...common, base64img, type: "person", crop: true, crop_margin: "10px", scale: "50%", outputFile: "base64.png" });
  const rejected = await removeBackgroundFromImageFile({ ...common, path: "cat.jpg", roi: "1 2 3" }).catch((errors) => errors);
  const forbidden = await removeBackgroundFromImageFile({ ...common, path: "cat.jpg", apiKey: "wrong" }).catch((errors) => errors);
  delete file.base64img;
  console.log(JSON.stringify({ file, type: placed.detectedType, rejected, forbidden }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


def test_the_package_remove_bg_of_npm(network: Network, work: Path, photo_url: str, alpha: np.ndarray) -> None:
    modules = node_modules_with("remove.bg@1.3.0", "removebg-wrapper@1.0.3")
    found = run(network, ["node"], NODE, work, KEY, photo_url, NODE_PATH=str(modules / "node_modules"))
    assert found["file"] == {
        "creditsCharged": "0", "detectedType": "other", "resultWidth": "451", "resultHeight": "300"
    }  # fmt: skip
    assert found["type"] == "person"
    assert [error["code"] for error in found["rejected"]] == ["invalid_roi"]
    assert found["forbidden"][0]["title"] == "Invalid API Key"
    for name in ("file.png", "url.png"):
        assert is_cutout((work / name).read_bytes(), alpha)


WRAPPER = """
const { rbFromImageFile, rbFromImageUrl } = require("removebg-wrapper");
const [key, url] = process.argv.slice(2);
rbFromImageFile("cat.jpg", key);
rbFromImageUrl(url, key);
process.on("exit", () => console.log(JSON.stringify({})));
"""


def test_the_package_removebg_wrapper_of_npm(network: Network, work: Path, photo_url: str, alpha: np.ndarray) -> None:
    modules = node_modules_with("remove.bg@1.3.0", "removebg-wrapper@1.0.3")
    run(network, ["node"], WRAPPER, work, KEY, photo_url, NODE_PATH=str(modules / "node_modules"))
    for name in ("output.png", "output-2.png"):
        assert is_cutout((work / name).read_bytes(), alpha)
