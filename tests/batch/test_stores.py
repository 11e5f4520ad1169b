"""Places that are no folder of this disk: S3 on a real server, a web server, an archive, memory."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from liftout.batch import Job, run_batch
from liftout.options import RunOptions

Call = Callable[..., tuple[int, str, str]]
Photo = Callable[..., bytes]

# aiobotocore, moto and werkzeug leave sockets to the garbage collector; none of them is ours.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestWarning"
)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A boto3 client of an S3 server on loopback with an empty bucket `photos`; s3:// leads there."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    boto3 = pytest.importorskip("boto3", reason="needs moto[server]")
    server_module = pytest.importorskip("moto.server", reason="needs moto[server]")
    import s3fs

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="photos")
    yield client
    client.close()
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def objects(s3: Any, prefix: str) -> dict[str, bytes]:
    """All objects below a prefix, by the rest of their keys."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="photos", Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key.removeprefix(prefix): s3.get_object(Bucket="photos", Key=key)["Body"].read() for key in keys}


def test_a_bucket_becomes_a_bucket_and_only_changes_are_done_again(
    s3: Any, model: str, liftout: Call, photo: Photo, expected: Callable[[bytes], bytes]
) -> None:
    photos = {"cat.jpg": photo(1), "a/cat.jpg": photo(2), "a/cat.png": photo(3, kind="PNG"), "notes.txt": b"text"}
    for name, content in photos.items():
        s3.put_object(Bucket="photos", Key=f"in/{name}", Body=content)
    call = ("batch", "s3://photos/in", "s3://photos/out", "-m", model)

    status, _, err = liftout(*call)
    assert status == 0, err
    assert err.startswith("3 done")
    made = {name: content for name, content in objects(s3, "out/").items() if not name.startswith(".liftout/")}
    outputs = {"cat.jpg": "cat.png", "a/cat.jpg": "a/cat.jpg.png", "a/cat.png": "a/cat.png.png"}
    assert made == {output: expected(photos[name]) for name, output in outputs.items()}
    assert objects(s3, "in/") == photos

    s3.put_object(Bucket="photos", Key="in/cat.jpg", Body=photo(9))
    s3.delete_object(Bucket="photos", Key="out/a/cat.png.png")
    status, out, err = liftout(*call, "--report", "s3://photos/reports/second.jsonl")
    assert (status, out) == (0, ""), err
    lines = map(json.loads, objects(s3, "reports/")["second.jsonl"].splitlines())
    assert {line["input"] for line in lines} == {"cat.jpg", "a/cat.png"}
    assert objects(s3, "out/")["cat.png"] == expected(photo(9))
    assert len([name for name in objects(s3, "out/") if name.startswith(".liftout/done/")]) == 3


def test_a_bucket_that_is_not_there_is_one_line(s3: Any, model: str, liftout: Call, tmp_path: Path) -> None:
    status, _, err = liftout("batch", "s3://elsewhere/in", tmp_path, "-m", model)
    assert status == 2
    assert err == "liftout: s3://elsewhere/in: no such folder\n"


def test_a_server_that_is_down_is_one_line(
    monkeypatch: pytest.MonkeyPatch, model: str, liftout: Call, tmp_path: Path
) -> None:
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    status, _, err = liftout("batch", "s3://photos/in", tmp_path / "out", "-m", model)
    s3fs.S3FileSystem.clear_instance_cache()
    assert status == 1
    assert len(err.splitlines()) == 1
    assert "cannot be reached" in err
    assert not (tmp_path / "out").exists()


def test_photos_in_an_archive_become_files(
    tmp_path: Path,
    model: str,
    liftout: Call,
    photo: Photo,
    expected: Callable[[bytes], bytes],
    results: Callable[[Path], Any],
) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("cat.jpg", photo(1))
        opened.writestr("a/dog.jpg", photo(2))
        opened.writestr("../../escaped.jpg", photo(3))
    status, _, err = liftout("batch", archive, tmp_path / "x/out", "-m", model)
    assert status == 0, err
    assert results(tmp_path / "x") == {"out/cat.png": expected(photo(1)), "out/a/dog.png": expected(photo(2))}
    assert liftout("batch", archive, tmp_path / "x/out", "-m", model)[2].startswith("0 done, 0 failed, 2 done before")


def test_an_archive_is_no_target(
    tmp_path: Path, model: str, liftout: Call, photo: Photo, tree: Callable[..., Path]
) -> None:
    with zipfile.ZipFile(tmp_path / "out.zip", "w"):
        pass
    photos = tree(tmp_path / "photos", {"cat.jpg": photo(1)})
    status, _, err = liftout("batch", photos, tmp_path / "out.zip", "-m", model)
    assert status == 2
    assert "cannot be a target" in err


def test_memory_is_a_place_within_one_process(model: str, photo: Photo, expected: Callable[[bytes], bytes]) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/in/cat.jpg": photo(1), "/in/a/dog.jpg": photo(2)})
    try:
        job = Job(source="memory://in", target="memory://out", run=RunOptions(model=model))
        summary = run_batch(job, workers=2)
        assert (summary.done, summary.failed) == (2, 0)
        assert memory.cat("/out/cat.png") == expected(photo(1))
        assert memory.cat("/out/a/dog.png") == expected(photo(2))
        assert run_batch(job).done_before == 2
    finally:
        memory.rm("/", recursive=True)


class _Flaky(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; the first request for each photo is answered with 503."""

    asked: set[str] = set()  # noqa: RUF012

    def do_GET(self) -> None:
        if self.path.endswith(".jpg") and self.path not in self.asked:
            self.asked.add(self.path)
            self.send_error(503)
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_fails_at_times_is_asked_again(
    tmp_path: Path,
    model: str,
    liftout: Call,
    photo: Photo,
    tree: Callable[..., Path],
    expected: Callable[[bytes], bytes],
) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    photos = tree(tmp_path / "photos", {"cat.jpg": photo(1), "dog.jpg": photo(2)})
    handler = functools.partial(_Flaky, directory=str(photos))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        try:
            status, out, err = liftout("batch", url, tmp_path / "once", "-m", model, "--retries", "0", "--json")
            assert status == 1, err
            assert {json.loads(line)["status"] for line in out.splitlines()} == {"failed"}
            _Flaky.asked.clear()
            status, out, err = liftout("batch", url, tmp_path / "out", "-m", model, "--json")
            assert status == 0, err
            assert [json.loads(line)["tries"] for line in out.splitlines()] == [2, 2]
        finally:
            server.shutdown()
    assert (tmp_path / "out/dog.png").read_bytes() == expected(photo(2))
