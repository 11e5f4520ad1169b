"""A published file gets into the cache whole and right, or not at all, with one clear line."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from pathlib import Path

import pytest

from liftout.errors import LiftoutError, ModelFileCorrupt, ModelMissing
from liftout.models.download import fetch
from liftout.models.spec import FileSpec
from liftout.models.transfer import Patience

PATH = "/files/net.onnx"
CUT = 1_200_000


@pytest.fixture
def file(server, content):
    """A file of known size and hash, served at PATH."""
    server.files[PATH] = content
    return FileSpec(
        role="onnx", url=(server.url(PATH),), bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


@pytest.fixture
def unpinned(server, content):
    """A file of which nothing is known, served at PATH."""
    server.files[PATH] = content
    return FileSpec(role="onnx", url=(server.url(PATH),))


def refused(error, spec, file, patience, match) -> str:
    """fetch raises `error` with one line, and leaves no file under the name."""
    with pytest.raises(error, match=match) as raised:
        fetch(spec, file, patience=patience)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("sample: ")
    assert file.name in message
    return message


def cached(home: Path) -> Path:
    return home / "models" / "sample" / "net.onnx"


def cut_off(handler, content):
    """Announce all, send the beginning, hang up."""
    handler.answer(200, content[:CUT], {}, length=len(content))
    handler.close_connection = True


def cut_off_rest(handler, content):
    """As cut_off, for a range: send a little of it."""
    start = int(handler.headers["Range"][6:-1])
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.answer(206, content[start : start + 100_000], {"Content-Range": span}, length=len(content) - start)
    handler.close_connection = True


def stall(handler, content):
    """Send the beginning, then nothing more."""
    handler.answer(200, content[:CUT], {}, length=len(content))
    handler.book.released.wait(10)


def status(code, **headers):
    def answer(handler, _):
        handler.answer(code, b"sorry", {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def test_a_file_arrives_whole_and_is_fetched_once(server, file, content, home, model_of, patience):
    spec, seen = model_of(file), []
    path = fetch(spec, file, progress=lambda *step: seen.append(step), patience=patience)
    assert path == cached(home)
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["net.onnx"]
    assert {phase for phase, _, _ in seen} == {"fetch net.onnx"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[0][1:] == (0, len(content))
    assert seen[-1][1:] == (len(content), len(content))
    assert fetch(spec, file, patience=patience) == path
    assert len(server.requests) == 1


def test_a_dropped_line_goes_on_where_it_broke(server, file, content, model_of, patience):
    server.next_answers[PATH] = [cut_off, cut_off_rest]
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [None, f"bytes={CUT}-", f"bytes={CUT + 100_000}-"]


def test_a_stalled_line_goes_on_where_it_stopped(server, file, content, model_of, patience):
    server.next_answers[PATH] = [stall]
    started = time.monotonic()
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert time.monotonic() - started < 5
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]


def test_a_server_that_always_hangs_up_is_given_up_and_what_came_is_kept(
    server, file, content, home, model_of, patience
):
    server.always[PATH] = lambda handler, content: (cut_off_rest if "Range" in handler.headers else cut_off)(
        handler, content
    )
    message = refused(ModelMissing, model_of(file), file, patience, "breaks off .*attempts")
    assert "127.0.0.1" in message
    assert "LIFTOUT_MIRROR" in message
    kept = cached(home).with_name("net.onnx.partial").stat().st_size
    assert kept > CUT
    del server.always[PATH]
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH)[-1] == f"bytes={kept}-"


def test_attempts_that_bring_something_do_not_count(server, file, content, model_of):
    server.next_answers[PATH] = [cut_off, status(503), lambda handler, content: serve_some(handler, content, 1_100_000)]
    few = Patience(stall=0.5, attempts=3, first_wait=0.02)
    assert fetch(model_of(file), file, patience=few).read_bytes() == content


def serve_some(handler, content, count):
    start = int(handler.headers["Range"][6:-1])
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.answer(206, content[start : start + count], {"Content-Range": span}, length=len(content) - start)
    handler.close_connection = True


def test_a_server_that_ignores_ranges_sends_all_again(server, file, content, model_of, patience):
    server.next_answers[PATH] = [cut_off, lambda handler, content: handler.answer(200, content, {})]
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]


def test_a_range_that_was_not_asked_for_is_not_used(server, file, content, model_of, patience):
    def other_range(handler, content):
        span = f"bytes 500-{len(content) - 1}/{len(content)}"
        handler.answer(206, content[500:], {"Content-Range": span})

    server.next_answers[PATH] = [cut_off, other_range]
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [None, f"bytes={CUT}-", None]


def test_a_damaged_beginning_is_noticed_and_fetched_again(server, file, content, home, model_of, patience):
    partial = cached(home).with_name("net.onnx.partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content[:900_000] + b"x" * 100_000)
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == ["bytes=1000000-", None]


def test_a_corrupted_file_is_refused(server, file, content, home, model_of, patience):
    server.files[PATH] = content[:-1] + bytes([content[-1] ^ 1])
    message = refused(ModelFileCorrupt, model_of(file), file, patience, "sha256 is .{8}\\.\\.\\., not ")
    assert "nothing was kept" in message
    assert not list(cached(home).parent.iterdir())


@pytest.mark.parametrize("change", [{"sha256": None, "md5": "0" * 32}, {"sha256": "0000...00"}, {"sha256": "0" * 64}])
def test_every_kind_of_hash_is_checked(server, file, content, home, model_of, patience, change):
    wrong = FileSpec(role="onnx", url=file.url, bytes=file.bytes, **change)
    refused(ModelFileCorrupt, model_of(wrong), wrong, patience, "md5|sha256")
    digest = hashlib.sha256(content).hexdigest()
    right = FileSpec(
        role="onnx",
        url=file.url,
        sha256=f"{digest[:8]}...{digest[-4:]}",
        md5=hashlib.md5(content).hexdigest(),  # noqa: S324
    )
    assert fetch(model_of(right), right, patience=patience).read_bytes() == content


def test_a_file_of_another_length_is_refused_before_it_is_fetched(server, file, content, home, model_of, patience):
    server.files[PATH] = content[:2_000_000]
    refused(ModelFileCorrupt, model_of(file), file, patience, f"has a file of 2000000 bytes, not {len(content)}")
    assert not cached(home).with_name("net.onnx.partial").exists()


def test_a_chunked_file_that_ends_early_is_refused(server, file, content, home, model_of, patience):
    def chunked(handler, content):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"100000\r\n" + content[:0x100000] + b"\r\n0\r\n\r\n")

    server.always[PATH] = chunked
    refused(ModelMissing, model_of(file), file, patience, f"ended after {0x100000} of {len(content)} bytes")
    assert not cached(home).exists()


def test_the_next_source_is_asked_where_one_fails(server, mirror, file, content, model_of, patience):
    server.files["/wrong.onnx"] = content[:-4] + b"oops"
    mirror.files["/net.onnx"] = content
    addresses = (server.url("/none.onnx"), server.url("/wrong.onnx"), mirror.url("/net.onnx"))
    many = FileSpec(role="onnx", name="net.onnx", url=addresses, bytes=file.bytes, sha256=file.sha256)
    assert fetch(model_of(many), many, patience=patience).read_bytes() == content
    assert [path for _, path, _ in server.requests] == ["/none.onnx", "/wrong.onnx"]


def test_the_next_source_goes_on_with_what_the_first_brought(server, mirror, file, content, model_of, patience):
    server.next_answers["/gone.onnx"] = [cut_off]
    server.files["/gone.onnx"] = content
    server.always["/gone.onnx"] = status(404)
    mirror.files["/net.onnx"] = content
    addresses = (server.url("/gone.onnx"), mirror.url("/net.onnx"))
    many = FileSpec(role="onnx", name="net.onnx", url=addresses, bytes=file.bytes, sha256=file.sha256)
    assert fetch(model_of(many), many, patience=patience).read_bytes() == content
    assert mirror.ranges("/net.onnx") == [f"bytes={CUT}-"]


def test_404_is_not_asked_for_again(server, file, model_of, patience):
    del server.files[PATH]
    message = refused(ModelMissing, model_of(file), file, patience, "answers 404 Not Found")
    assert server.origin.removeprefix("http://") in message
    assert len(server.requests) == 1


def test_500_is_asked_for_again(server, file, content, model_of, patience):
    server.next_answers[PATH] = [status(500), status(502)]
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert len(server.requests) == 3


def test_500_for_ever_is_given_up(server, file, model_of, patience):
    server.always[PATH] = status(500)
    refused(ModelMissing, model_of(file), file, patience, "answers 500 Internal Server Error \\(4 attempts\\)")
    assert len(server.requests) == 4


def test_429_waits_as_long_as_it_asks(server, file, content, model_of, patience):
    server.next_answers[PATH] = [status(429, Retry_After="1")]
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    first, second = (when for when, _, _ in server.requests)
    assert 1 <= second - first < 3


def test_a_server_that_asks_to_wait_too_long_is_given_up(server, file, model_of, patience):
    server.always[PATH] = status(429, Retry_After="3600")
    refused(ModelMissing, model_of(file), file, patience, "429 .*asks to wait 3600 s")
    assert len(server.requests) == 1


def test_416_on_a_whole_file_takes_it(server, file, content, home, model_of, patience):
    partial = cached(home).with_name("net.onnx.partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content)
    known = FileSpec(role="onnx", url=file.url, sha256=file.sha256)
    assert fetch(model_of(known), known, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [f"bytes={len(content)}-"]


def test_416_on_a_beginning_that_is_too_long_starts_again(server, file, content, home, model_of, patience):
    partial = cached(home).with_name("net.onnx.partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content + b"more")
    known = FileSpec(role="onnx", url=file.url, sha256=file.sha256)
    assert fetch(model_of(known), known, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [f"bytes={len(content) + 4}-", None]


PAGE = b"<!DOCTYPE html><html><body>Sign in to this network to go on.</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3000004\n"


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("body", [PAGE, POINTER])
def test_a_page_is_not_a_model(server, file, unpinned, home, model_of, patience, body, kind, pinned):
    server.files[PATH], server.types[PATH] = body, kind
    wanted = file if pinned else unpinned
    refused((ModelMissing, ModelFileCorrupt), model_of(wanted), wanted, patience, "page|no onnx file|bytes, not")
    assert not cached(home).exists()


def test_a_page_in_between_costs_nothing_of_what_came(server, file, content, home, model_of, patience):
    server.next_answers[PATH] = [cut_off, lambda handler, _: handler.answer(200, PAGE, {"Content-Type": "text/html"})]
    refused(ModelMissing, model_of(file), file, patience, "sends a page \\(text/html\\)")
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH)[-1] == f"bytes={CUT}-"


def test_an_empty_answer_is_not_a_model(server, unpinned, home, model_of, patience):
    server.files[PATH] = b""
    refused(ModelFileCorrupt, model_of(unpinned), unpinned, patience, "sends 0 bytes, which is no onnx file")
    assert not cached(home).exists()


def test_redirects_are_followed(server, mirror, file, content, model_of, patience):
    mirror.files["/store/abc"] = content
    server.always["/a"] = status(302, Location="/b?signed=1")
    server.always["/b?signed=1"] = status(307, Location=mirror.url("/store/abc"))
    moved = FileSpec(role="onnx", name="net.onnx", url=(server.url("/a"),), sha256=file.sha256)
    assert fetch(model_of(moved), moved, patience=patience).read_bytes() == content


def test_redirects_in_a_circle_end(server, file, model_of, patience):
    server.always[PATH] = status(302, Location=PATH)
    refused(ModelMissing, model_of(file), file, patience, "redirects more than 10 times")


def test_a_host_that_is_not_there_gives_one_line(file, model_of, patience):
    nowhere = FileSpec(role="onnx", name="net.onnx", url=("http://127.0.0.1:1/net.onnx",), sha256=file.sha256)
    refused(ModelMissing, model_of(nowhere), nowhere, patience, "127.0.0.1:1 cannot be reached")


def test_a_file_of_unknown_hash_is_pinned_at_its_first_download(server, unpinned, content, home, model_of, patience):
    spec = model_of(unpinned)
    path = fetch(spec, unpinned, patience=patience)
    path.unlink()
    server.files[PATH] = content[:-1] + b"!"
    message = refused(ModelFileCorrupt, spec, unpinned, patience, "sha256")
    pin = home / "state" / "pins" / "sample" / "net.onnx.json"
    assert str(pin) in message
    assert not path.exists()
    pin.unlink()
    assert fetch(spec, unpinned, patience=patience).read_bytes() == server.files[PATH]


def test_two_versions_of_a_file_of_unknown_hash_are_never_mixed(server, unpinned, content, model_of, patience):
    newer = content[:4] + content[:3:-1]
    server.etags[PATH] = '"one"'

    def then_replaced(handler, content):
        handler.answer(200, content[:CUT], {"ETag": '"one"'}, length=len(content))
        handler.close_connection = True
        handler.book.files[PATH], handler.book.etags[PATH] = newer, '"two"'

    server.next_answers[PATH] = [then_replaced]
    assert fetch(model_of(unpinned), unpinned, patience=patience).read_bytes() == newer
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]


def test_a_file_of_unknown_hash_without_a_version_starts_again(server, unpinned, content, model_of, patience):
    server.next_answers[PATH] = [cut_off]
    assert fetch(model_of(unpinned), unpinned, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [None, None]


def test_a_file_of_unknown_length_and_hash_is_refused(server, unpinned, home, model_of, patience):
    def endless(handler, content):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content)

    server.always[PATH] = endless
    refused(ModelMissing, model_of(unpinned), unpinned, patience, "does not say how long the file is")
    assert not cached(home).exists()


def test_a_file_that_does_not_fit_is_not_begun(server, unpinned, model_of, patience):
    server.always[PATH] = lambda handler, content: handler.answer(200, content[:100_000], {}, length=10**17)
    refused(
        ModelMissing, model_of(unpinned), unpinned, patience, "does not fit: 1000000000.* MB are needed.*LIFTOUT_HOME"
    )


def test_an_interruption_keeps_what_has_arrived(server, file, content, home, model_of, patience):
    def interrupt(_, done, __):
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(model_of(file), file, progress=interrupt, patience=patience)
    kept = cached(home).with_name("net.onnx.partial").stat().st_size
    assert 1_000_000 < kept < len(content)
    assert not cached(home).exists()
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [None, f"bytes={kept}-"]


def test_a_damaged_file_in_the_cache_is_replaced(server, file, content, home, model_of, patience):
    cached(home).parent.mkdir(parents=True)
    cached(home).write_bytes(b"x" * len(content))
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content


def test_offline_means_no_request_at_all(server, mirror, file, home, model_of, patience, monkeypatch):
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    message = refused(ModelMissing, model_of(file), file, patience, "LIFTOUT_OFFLINE is set")
    assert str(cached(home)) in message
    assert not server.requests
    assert not mirror.requests


def test_offline_uses_what_is_here(server, file, model_of, patience, monkeypatch):
    path = fetch(model_of(file), file, patience=patience)
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    assert fetch(model_of(file), file, patience=patience) == path


def test_the_mirror_is_asked_first(server, mirror, file, content, model_of, patience, monkeypatch):
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin + "/models/")
    mirror.files["/models/sample/net.onnx"] = content
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert not server.requests


def test_the_mirror_serves_files_without_an_address_of_their_own(mirror, content, model_of, patience, monkeypatch):
    file = FileSpec(role="onnx", name="net.onnx")
    refused(ModelMissing, model_of(file), file, patience, "no direct URL")
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    mirror.files["/sample/net.onnx"] = content
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content


def test_the_password_of_a_mirror_is_used_and_never_shown(
    mirror, home, content, model_of, patience, monkeypatch, caplog
):
    caplog.set_level("DEBUG", logger="liftout")
    file = FileSpec(role="onnx", name="net.onnx")
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin.replace("//", "//me:secret@"))
    message = refused(ModelMissing, model_of(file), file, patience, "404")
    mirror.files["/sample/net.onnx"] = content
    fetch(model_of(file), file, patience=patience)
    assert mirror.requests[-1][2]["authorization"].startswith("Basic ")
    kept = "".join(path.read_text() for path in (home / "state").rglob("*.json"))
    assert "secret" not in message + kept + caplog.text


def test_where_the_mirror_lacks_it_the_source_is_asked(server, mirror, file, content, model_of, patience, monkeypatch):
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert len(mirror.requests) == len(server.requests) == 1


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTP_PROXY", "nonsense://127.0.0.1:1"), ("SSL_CERT_FILE", "/there/is/none.pem")]
)
def test_settings_that_cannot_be_used_give_one_line(server, file, model_of, patience, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    refused(ModelMissing, model_of(file), file, patience, "proxy or certificates cannot be used")


def test_a_home_that_cannot_be_written_gives_one_line(server, file, home, model_of, patience):
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the folder should be")
    with pytest.raises(LiftoutError, match=r"sample: .*cannot be written.*LIFTOUT_HOME"):
        fetch(model_of(file), file, patience=patience)


def test_several_processes_fetch_once(server, file, content, home, model_of):
    def slowly(handler, content):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:CUT])
        time.sleep(2)  # until all four have asked
        handler.wfile.write(content[CUT:])

    server.always[PATH] = slowly
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=fetch, args=(model_of(file), file)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert len(server.requests) == 1
    assert cached(home).read_bytes() == content


def test_a_killed_process_leaves_no_lock_and_no_loss(server, file, content, home, model_of, patience):
    server.next_answers[PATH] = [stall]
    worker = multiprocessing.get_context("spawn").Process(target=fetch, args=(model_of(file), file))
    worker.start()
    partial = cached(home).with_name("net.onnx.partial")
    waited = time.monotonic() + 20
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < waited:
        time.sleep(0.05)
    worker.kill()
    worker.join()
    kept = partial.stat().st_size
    assert kept
    assert fetch(model_of(file), file, patience=patience).read_bytes() == content
    assert server.ranges(PATH) == [None, f"bytes={kept}-"]
