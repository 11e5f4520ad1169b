"""Jobs: many photos by URL, kept across a restart, with a signed webhook at the end."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from liftout.server import jobs
from liftout.server.jobstore import JobStore, StoreFull
from liftout.server.multipart import Upload
from tests.server.clients.shop import photo_url

__all__ = ["photo_url"]

SIGN_KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    (tmp_path / "sign").write_bytes(SIGN_KEY)
    return ["--jobs", "--fetch-network", "127.0.0.1/32", "--sign-key", str(tmp_path / "sign")]


@pytest.fixture
def calls() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]], list[int]]]:
    """(URL of a webhook, the calls that it got, the statuses that it will answer, 200 when they are used up)."""
    seen: list[tuple[dict[str, str], bytes]] = []
    statuses: list[int] = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/done", seen, statuses
        server.shutdown()


def add(server: Any, **job: Any) -> dict[str, Any]:
    answer = httpx.post(f"{server.url}/v1/jobs", json=job, timeout=60, trust_env=False)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return answer.json()


def show(server: Any, job: str) -> dict[str, Any]:
    return httpx.get(f"{server.url}/v1/jobs/{job}", timeout=60, trust_env=False).json()


def test_a_job_is_done_and_its_webhook_called_until_it_answers(
    launch: Callable[..., Any], options: list[str], photo_url: str, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "WEBHOOK_DELAYS", (0.1, 0.1))
    webhook, seen, statuses = calls
    statuses.append(500)
    server = launch(*options)
    missing = photo_url.replace("cat.jpg", "nothing.jpg")
    job = add(server, urls=[photo_url, missing], options={"crop": True, "format": "webp"}, webhook=webhook)["id"]
    server.wait_until(lambda: show(server, job)["status"] == "done")
    done, failed = show(server, job)["photos"]
    assert (done["status"], failed["status"], "404" in failed["error"]) == ("done", "failed", True)
    picture = httpx.get(f"{server.url}{done['result']}", timeout=60, trust_env=False)
    query = {"url": photo_url, "crop": "true", "format": "webp"}
    alone = httpx.get(f"{server.url}/v1/cutouts", params=query, timeout=60, trust_env=False)
    assert (picture.headers["content-type"], picture.content) == ("image/webp", alone.content)
    server.wait_until(lambda: len(seen) == 2)
    headers, content = seen[1]
    stamp, signature = headers["X-Liftout-Signature"].removeprefix("t=").split(",v1=")
    assert signature == hmac.new(SIGN_KEY, f"{stamp}.".encode() + content, hashlib.sha256).hexdigest()
    assert json.loads(content) == {"id": job, "status": "done", "url": f"/v1/jobs/{job}"}
    assert httpx.delete(f"{server.url}/v1/jobs/{job}", trust_env=False).status_code == 204
    assert httpx.get(f"{server.url}{done['result']}", trust_env=False).status_code == 404


@pytest.mark.long
def test_jobs_survive_a_server_that_is_killed(
    launch_process: Callable[..., Any], options: list[str], photo_url: str
) -> None:
    limits = ["--timeout", "20", "--fetch-timeout", "5"]  # a claimed photo is free again after 35 seconds
    first = launch_process(*options, *limits, model="slow")
    job = add(first, urls=[photo_url] * 6)["id"]
    first.wait_until(lambda: show(first, job)["counts"]["done"] >= 1)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = launch_process(*options, *limits, model="slow")
    second.wait_until(lambda: show(second, job)["status"] == "done", 120)
    assert show(second, job)["counts"] == {"queued": 0, "running": 0, "done": 6, "failed": 0}


def test_jobs_belong_to_the_key_that_added_them(
    launch: Callable[..., Any], options: list[str], tmp_path: Path, photo_url: str
) -> None:
    (tmp_path / "keys").write_text("a aaaaaaaaaaaaaaaaaaaa\nb bbbbbbbbbbbbbbbbbbbb\n", encoding="utf-8")
    server = launch(*options, "--api-key-file", str(tmp_path / "keys"))
    ours, theirs = ({"X-Api-Key": letter * 20} for letter in "ab")
    job = httpx.post(f"{server.url}/v1/jobs", json={"urls": [photo_url]}, headers=ours, trust_env=False).json()["id"]
    assert httpx.get(f"{server.url}/v1/jobs/{job}", headers=ours, trust_env=False).status_code == 200
    assert httpx.get(f"{server.url}/v1/jobs/{job}", headers=theirs, trust_env=False).status_code == 404
    assert httpx.delete(f"{server.url}/v1/jobs/{job}", headers=theirs, trust_env=False).status_code == 404


def upload(server: Any, *photos: tuple[str, bytes], **data: str) -> httpx.Response:
    files = [("image", photo) for photo in photos]
    return httpx.post(f"{server.url}/v1/jobs", files=files, data=data, timeout=60, trust_env=False)


def test_uploaded_photos_are_cut_out_and_their_files_deleted(
    launch: Callable[..., Any], cat: bytes, deep_cat: bytes, own_home: Path
) -> None:
    server = launch("--jobs")
    photos = [("shop/cat.jpg", cat), ("deep.png", deep_cat), ("notes.txt", b"no photo")]
    answer = upload(server, *photos, crop="true", format="webp")
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    assert [photo["name"] for photo in answer.json()["photos"]] == ["cat.jpg", "deep.png", "notes.txt"]
    server.wait_until(lambda: show(server, job)["status"] == "done", 60)
    *done, failed = show(server, job)["photos"]
    assert (failed["status"], "image" in failed["error"]) == ("failed", True)
    for photo, (_, content) in zip(done, photos[:2], strict=True):
        picture = httpx.get(f"{server.url}{photo['result']}", timeout=60, trust_env=False)
        data = {"crop": "true", "format": "webp"}
        alone = httpx.post(f"{server.url}/v1/cutouts", files={"image": content}, data=data, timeout=60, trust_env=False)
        assert (picture.headers["content-type"], picture.content) == ("image/webp", alone.content)
    assert sorted(path.name for path in (own_home / "jobs" / job).iterdir()) == ["0", "1"]
    assert httpx.delete(f"{server.url}/v1/jobs/{job}", timeout=60, trust_env=False).status_code == 204
    assert not (own_home / "jobs" / job).exists()


@pytest.mark.long
def test_uploaded_photos_survive_a_restart(launch_process: Callable[..., Any], cat: bytes, own_home: Path) -> None:
    limits = ["--timeout", "20", "--fetch-timeout", "5"]
    first = launch_process("--jobs", *limits, model="slow")
    job = upload(first, *[("cat.jpg", cat)] * 3).json()["id"]
    first.wait_until(lambda: show(first, job)["counts"]["done"] >= 1, 60)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(60) == 0
    assert list((own_home / "jobs" / job).glob("*.upload"))
    second = launch_process("--jobs", *limits, model="slow")
    second.wait_until(lambda: show(second, job)["status"] == "done", 120)
    assert show(second, job)["counts"] == {"queued": 0, "running": 0, "done": 3, "failed": 0}
    assert not list((own_home / "jobs" / job).glob("*.upload"))


def test_uploads_have_the_limits_of_requests_and_of_the_disk(launch: Callable[..., Any], cat: bytes) -> None:
    server = launch("--jobs", "--max-body", "1", "--jobs-disk", "0.1MB")
    size = len(cat)
    assert upload(server, *[("cat.jpg", cat)] * (1_000_000 // size + 1)).status_code == 413
    full = upload(server, *[("cat.jpg", cat)] * (100_000 // size + 1))
    assert (full.status_code, full.headers["retry-after"]) == (503, "60")
    assert server.measure("liftout_body_bytes") == 0


def test_a_wrong_upload_is_refused_by_the_name_of_its_field(launch: Callable[..., Any], cat: bytes) -> None:
    server = launch("--jobs")

    def refused(files: list[tuple[str, Any]], **data: str) -> tuple[int, str]:
        answer = httpx.post(f"{server.url}/v1/jobs", files=files, data=data, timeout=60, trust_env=False)
        return answer.status_code, answer.json()["field"]

    photo = ("image", ("cat.jpg", cat))
    assert refused([photo], crop="maybe") == (422, "crop")
    assert refused([photo], corp="true") == (422, "corp")
    assert refused([photo, ("background", ("b.jpg", cat))]) == (422, "background")
    assert refused([photo], image="aGVsbG8=") == (422, "image")
    assert refused([photo], webhook="http://127.0.0.1/") == (422, "webhook")
    assert refused([("picture", ("cat.jpg", cat))]) == (422, "urls")
    by_url = httpx.post(f"{server.url}/v1/jobs", json={"urls": ["http://x/"]}, timeout=60, trust_env=False)
    assert (by_url.status_code, by_url.json()["field"]) == (403, "urls")


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({}, "urls"),
        ({"urls": []}, "urls"),
        ({"urls": ["file:///etc/passwd"]}, "urls"),
        ({"urls": ["http://x/"] * 501}, "urls"),
        ({"urls": ["http://x/"], "options": {"crop": "maybe"}}, "crop"),
        ({"urls": ["http://x/"], "options": {"url": "http://y/"}}, "url"),
        ({"urls": ["http://x/"], "webhook": "ftp://x/"}, "webhook"),
        ({"urls": ["http://x/"], "web_hook": "http://x/"}, "web_hook"),
    ],
)
def test_a_wrong_job_is_refused(launch: Callable[..., Any], options: list[str], job: dict, field: str) -> None:
    server = launch(*options)
    answer = httpx.post(f"{server.url}/v1/jobs", json=job, trust_env=False)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_webhook_goes_to_public_addresses_alone(
    launch: Callable[..., Any], tmp_path: Path, photo_url: str, calls: Any
) -> None:
    """As photos do; the fetch of this one fails too."""
    (tmp_path / "sign").write_bytes(SIGN_KEY)
    server = launch("--jobs", "--fetch", "--sign-key", str(tmp_path / "sign"))
    webhook, seen, _ = calls
    job = add(server, urls=[photo_url], webhook=webhook)["id"]
    server.wait_until(lambda: show(server, job)["status"] == "done")
    time.sleep(1.5)
    assert seen == []


def test_old_jobs_are_deleted(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = store.add(["http://x/1"], {}, webhook="", owner="a")
    task = store.claim(60)
    assert task is not None
    assert store.claim(60) is None
    store.finish(task, b"picture", "image/png")
    result = store.result(job, 0, "a")
    assert result is not None
    assert (result[0].read_bytes(), result[1], store.result(job, 0, "b")) == (b"picture", "image/png", None)
    store.delete_older(3600)
    assert store.describe(job, "a") is not None
    time.sleep(0.02)
    store.delete_older(0.01)
    assert store.describe(job, "a") is None
    assert not result[0].exists()
    store.close()


def test_a_photo_whose_server_died_is_claimed_again(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    store.add(["http://x/1"], {}, webhook="", owner="a")
    first = store.claim(0.01)
    time.sleep(0.02)
    again = store.claim(60)
    assert first is not None
    assert again is not None
    assert (again.url, first.claims, again.claims) == (first.url, 1, 2)
    store.close()


def test_a_look_for_work_reads_no_table_from_end_to_end(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    for number in range(20):
        store.add([f"http://x/{number}"], {}, webhook="http://x/", owner="a")
    statements: list[str] = []
    store._database.set_trace_callback(statements.append)
    store.claim(60)
    store.due_notice()
    store.delete_older(3600)
    store._database.set_trace_callback(None)
    looks = [statement for statement in statements if statement.startswith(("UPDATE", "DELETE"))]
    assert len(looks) == 3
    for look in looks:
        plan = " ".join(step[3] for step in store._database.execute(f"EXPLAIN QUERY PLAN {look}"))
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan
    store.close()


def test_looking_for_work_is_not_looking_for_old_jobs(
    launch: Callable[..., Any], options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: dict[str, int] = {"claim": 0, "delete_older": 0}

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(JobStore, name)

        def count(*arguments: Any) -> Any:
            looks[name] += 1
            return real(*arguments)

        return count

    for name in looks:
        monkeypatch.setattr(JobStore, name, counted(name))
    server = launch(*options)
    server.wait_until(lambda: looks["claim"] >= 3)
    assert looks["delete_older"] == 1


def test_a_server_whose_claim_has_ended_changes_nothing(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = store.add([Upload("a.jpg", b"photo")], {}, webhook="", owner="a")
    slow = store.claim(0.01)
    time.sleep(0.02)
    quick = store.claim(60)
    assert slow is not None
    assert quick is not None
    store.fail(slow, "too late")
    store.release(slow)
    assert store.describe(job, "a")["counts"]["running"] == 1
    store.close()
    store = JobStore(tmp_path)
    assert quick.upload is not None
    assert quick.upload.read_bytes() == b"photo"
    store.finish(quick, b"picture", "image/png")
    assert store.describe(job, "a")["counts"]["done"] == 1
    assert not quick.upload.exists()
    store.close()


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    photos = [Upload("a.jpg", b"x" * 10)] * 3
    store.add(photos, {}, webhook="", owner="a", most_photos=5, most_bytes=40)
    before = sorted(tmp_path.iterdir())
    for limits in ({"most_photos": 5}, {"most_bytes": 40}):
        with pytest.raises(StoreFull):
            store.add(photos, {}, webhook="", owner="a", **limits)
    assert sorted(tmp_path.iterdir()) == before
    store.close()


def test_folders_without_a_job_are_deleted_when_they_are_old(tmp_path: Path) -> None:
    for name, age in (("old", 7200), ("new", 10)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    JobStore(tmp_path).close()
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "new").exists()


def test_jobs_of_the_version_before_uploads_go_on(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    database.executescript("""
        CREATE TABLE jobs (id TEXT PRIMARY KEY, owner TEXT NOT NULL, options TEXT NOT NULL, webhook TEXT NOT NULL,
            created REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL);
        CREATE TABLE photos (job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, number INTEGER NOT NULL,
            url TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued', lease REAL NOT NULL DEFAULT 0,
            error TEXT NOT NULL DEFAULT '', media_type TEXT NOT NULL DEFAULT '', claims INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (job, number));
        INSERT INTO jobs (id, owner, options, webhook, created) VALUES ('a', 'shop', '{}', '', 0);
        INSERT INTO photos (job, number, url) VALUES ('a', 0, 'http://x/1');
    """)
    database.close()
    store = JobStore(tmp_path)
    task = store.claim(60)
    assert task is not None
    assert (task.url, task.upload) == ("http://x/1", None)
    store.close()
