"""The programs of examples/apps: each started, and used as its users use it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from liftout import remove
from tests.conftest import ROOT

APPS = ROOT / "examples" / "apps"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def started(command: list[str], url: str, folder: Path, **environment: str) -> Iterator[httpx.Client]:
    """A program that runs until it answers at `url`, and is ended afterwards."""
    log = folder / "app.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=APPS,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
    try:
        end = time.monotonic() + 180
        with httpx.Client(base_url=url, timeout=60, trust_env=False, follow_redirects=True) as client:
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    client.get("/")
                    break
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_the_fastapi_application(tmp_path: Path, examples: Path) -> None:
    pytest.importorskip("fastapi")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)]
    cat = (examples / "cat.jpg").read_bytes()
    with started(command, f"http://127.0.0.1:{port}", tmp_path) as client:
        answer = client.post("/cutout", files={"photo": cat})
        assert answer.headers["content-type"] == "image/png"
        np.testing.assert_array_equal(np.asarray(opened(answer.content)), remove(cat).rgba)
        assert opened(client.post("/cutout?background=white", files={"photo": cat}).content).mode == "RGB"
        refused = client.post("/cutout", files={"photo": b"no photo"})
        assert (refused.status_code, refused.json()["detail"][:23]) == (422, "bytes: not an image tha")
        assert client.post("/cutout?background=/etc/hostname", files={"photo": cat}).status_code == 422


@pytest.mark.long
def test_the_django_site(tmp_path: Path, examples: Path) -> None:
    pytest.importorskip("django")
    port = free_port()
    command = [sys.executable, "django_app.py", "runserver", "--noreload", str(port)]
    cat = (examples / "cat.jpg").read_bytes()
    with started(command, f"http://127.0.0.1:{port}", tmp_path) as client:
        page = client.get("/").text
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        form = {"csrfmiddlewaretoken": token}
        answer = client.post("/", data=form, files={"photo": ("cat.jpg", cat)})
        assert answer.status_code == 200, answer.text
        np.testing.assert_array_equal(np.asarray(opened(answer.content)), remove(cat).rgba)
        assert client.post("/", data=form, files={"photo": ("a.jpg", b"no photo")}).status_code == 422
        assert client.post("/", files={"photo": ("cat.jpg", cat)}).status_code == 403
        assert client.post("/", data=form).status_code == 400


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The Python of a fresh environment with a package and with what liftout needs."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    listed = subprocess.run(
        [sys.executable, "packaging/requirements.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    needed = [line for line in listed.stdout.splitlines() if line]
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, request.param, *needed], check=True)
    return python


@pytest.mark.long
@pytest.mark.parametrize("environment", ["gradio"], indirect=True)
def test_the_gradio_demo(environment: Path, tmp_path: Path, examples: Path) -> None:
    port = free_port()
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONPATH": str(ROOT / "src")}
    url = f"http://127.0.0.1:{port}"
    caller = tmp_path / "call.py"
    caller.write_text(
        "import shutil, sys\nfrom gradio_client import Client, handle_file\n"
        "found = Client(sys.argv[1], verbose=False).predict(handle_file(sys.argv[2]), 'transparent', True, api_name='/cut')\n"
        "shutil.copyfile(found['path'] if isinstance(found, dict) else found, sys.argv[3])\n"
    )
    with started([str(environment), "gradio_app.py"], url, tmp_path, **own):
        call = [str(environment), str(caller), url, str(examples / "cat.jpg"), str(tmp_path / "found.png")]
        subprocess.run(call, cwd=tmp_path, env={**os.environ, **own}, check=True)
    with Image.open(tmp_path / "found.png") as found:
        np.testing.assert_array_equal(np.asarray(found), remove(examples / "cat.jpg").crop(20).rgba)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("environment", ["streamlit"], indirect=True)
def test_the_streamlit_page(environment: Path, tmp_path: Path, examples: Path) -> None:
    api = pytest.importorskip("playwright.sync_api")
    port = free_port()
    command = [str(environment), "-m", "streamlit", "run", "streamlit_app.py", "--server.headless=true"]
    command += [f"--server.port={port}", "--browser.gatherUsageStats=false"]
    url = f"http://127.0.0.1:{port}"
    with started(command, url, tmp_path, PYTHONPATH=str(ROOT / "src")), api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(accept_downloads=True)
        page.goto(url)
        page.set_input_files("input[type=file]", str(examples / "cat.jpg"), timeout=60_000)
        with page.expect_download(timeout=120_000) as download:
            page.get_by_role("button", name="Download", exact=True).click(timeout=120_000)
        download.value.save_as(tmp_path / "found.png")
        browser.close()
    with Image.open(tmp_path / "found.png") as found:
        np.testing.assert_array_equal(np.asarray(found), remove(examples / "cat.jpg").rgba)
