"""What the documents tell people to run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from PIL import Image

ROOT = Path(__file__).parents[2]


def curl_lines() -> list[str]:
    lines = []
    for page in ("README.md", "docs/server.md", "docs/remove-bg.md"):
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
            lines += [line for line in block.splitlines() if line.startswith("curl ")]
    return lines


def test_the_documents_hold_the_lines_that_are_run_here() -> None:
    assert len(curl_lines()) >= 8


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("line", curl_lines())
def test_a_curl_line_of_the_documents_works(server: object, examples: Path, tmp_path: Path, line: str) -> None:
    shutil.copyfile(examples / "cat.jpg", tmp_path / "photo.jpg")
    shutil.copyfile(examples / "coffee.jpg", tmp_path / "behind.jpg")
    environment = {**os.environ, "SERVER": server.url}
    ended = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    (target,) = re.findall(r"-o (\S+)", line)
    if target.endswith(".json"):
        assert json.loads((tmp_path / target).read_text(encoding="utf-8"))["image"]
    else:
        with Image.open(tmp_path / target) as image:
            image.load()
            kinds = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG"}
            assert image.format == kinds[Path(target).suffix]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "packaging/liftout.service").read_text(encoding="utf-8")
    unit = tmp_path / "liftout.service"
    unit.write_text(text.replace("/opt/liftout/bin/liftout", sys.executable), encoding="utf-8")
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "liftout.service" not in ended.stderr


@pytest.mark.long
def test_the_steps_of_the_dockerfile_give_a_server_that_works(tmp_path: Path, examples: Path) -> None:
    """What the Dockerfile copies, installs and runs, in a folder instead of an image; needs a package index."""
    steps = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    context = tmp_path / "source"
    context.mkdir()
    for names in re.findall(r"^COPY (?!--from)(.+) \S+$", steps, re.MULTILINE):
        for name in names.split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / name, context / name)
    target = tmp_path / "liftout"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LIFTOUT_HOME": str(tmp_path / "cache")}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True, env=environment)
    for command in re.findall(r"^RUN (/opt/liftout/bin/pip .+)$", steps, re.MULTILINE):
        line = command.replace("/opt/liftout", str(target))
        subprocess.run(["sh", "-c", line], cwd=context, check=True, env=environment)
    (entry,) = re.findall(r"^ENTRYPOINT (\[.+\])$", steps, re.MULTILINE)
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [str(target / "bin" / "liftout"), *json.loads(entry)[1:], "--port", "0"],
            env=environment, cwd=tmp_path, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        while not (found := re.search(r"listening on http://0\.0\.0\.0:(\d+)", log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
        url = f"http://127.0.0.1:{found[1]}"
        photo = (examples / "cat.jpg").read_bytes()
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.post(f"{url}/v1/cutouts", content=photo, timeout=120).headers["x-liftout-model"] == "pocket"
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.long
@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_the_nginx_file_puts_tls_in_front(launch: Callable[..., Any], tmp_path: Path, cat: bytes) -> None:
    server = launch("--allow-host", "cut.example", "--trust-proxy", "127.0.0.1", "--rate", "2")
    authority = trustme.CA()
    certificate = authority.issue_cert("cut.example")
    certificate.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(tmp_path / "fullchain.pem", append=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site = (ROOT / "packaging/nginx.conf").read_text(encoding="utf-8")
    for stated, used in (
        ("443", f"127.0.0.1:{port}"),
        ("/etc/ssl/cut.example", str(tmp_path)),
        ("7000", str(server.port)),
    ):
        assert stated in site
        site = site.replace(stated, used)
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {paths}\n{site}}}"
    (tmp_path / "nginx.conf").write_text(main, encoding="utf-8")
    command = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        trust = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        with httpx.Client(verify=trust, trust_env=False, timeout=60) as client:

            def post() -> httpx.Response:
                extensions = {"sni_hostname": "cut.example"}
                return client.post(
                    f"https://127.0.0.1:{port}/v1.0/removebg",
                    files={"image_file": cat}, headers={"Host": "cut.example"}, extensions=extensions,
                )  # fmt: skip

            deadline = time.monotonic() + 20
            while True:
                try:
                    answer = post()
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline, (tmp_path / "error.log").read_text(encoding="utf-8")
                    time.sleep(0.1)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
            assert [post().status_code, post().status_code] == [200, 429]
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("caddy") is None, reason="needs caddy")
def test_caddy_understands_its_file() -> None:
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(ROOT / "packaging/Caddyfile")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
