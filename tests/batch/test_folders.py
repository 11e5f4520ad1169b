"""`liftout batch` between folders of a disk, with real worker processes."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from liftout import Remover
from liftout.batch import Batch, Job
from liftout.models import packs
from liftout.options import ResultOptions, RunOptions

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path, photo: Callable[..., bytes], tree: Callable[..., Path]) -> Path:
    return tree(
        tmp_path / "photos",
        {
            "cat.jpg": photo(1),
            "a/cat.jpg": photo(2),
            "a/cat.png": photo(3, kind="PNG"),
            "a/b/täg 1.webp": photo(4, kind="WEBP"),
            "notes.txt": b"not a photo by its name",
            ".hidden.jpg": photo(5),
        },
    )


def test_a_tree_is_mirrored_and_every_result_is_right(
    photos: Path, tmp_path: Path, model: str, liftout: Call, expected: Callable[[bytes], bytes], results: Callable
) -> None:
    before = results(photos)
    status, out, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--workers", "2")
    assert (status, out) == (0, "")
    assert err.startswith("4 done, 0 failed")
    names = {
        "cat.jpg": "cat.png",
        "a/cat.jpg": "a/cat.jpg.png",
        "a/cat.png": "a/cat.png.png",
        "a/b/täg 1.webp": "a/b/täg 1.png",
    }
    assert results(tmp_path / "out") == {output: expected(before[name]) for name, output in names.items()}
    assert results(photos) == before


def test_a_batch_takes_the_path_of_a_pack_and_knows_it_again_elsewhere(
    photos: Path, tmp_path: Path, liftout: Call, results: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "packs" / "mine"
    shutil.copytree(Path(packs.__file__).parent / "built_in" / "pocket", pack)
    monkeypatch.chdir(tmp_path)
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", "packs/mine", "--workers", "1")
    assert status == 0, err
    with Remover(str(pack)) as remover:
        cat = remover((photos / "cat.jpg").read_bytes(), name="oracle").to_bytes("png")
    assert results(tmp_path / "out")["cat.png"] == cat
    pack.rename(tmp_path / "moved")
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", tmp_path / "moved")
    assert (status, err[:30]) == (0, "0 done, 0 failed, 4 done befor")


def test_a_second_run_does_nothing(photos: Path, tmp_path: Path, model: str, liftout: Call) -> None:
    liftout("batch", photos, tmp_path / "out", "-m", model)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    status, out, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--json")
    assert (status, out) == (0, "")
    assert err.startswith("0 done, 0 failed, 4 done before")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times


def test_only_what_changed_is_done_again(
    photos: Path, tmp_path: Path, model: str, liftout: Call, expected: Callable, photo: Callable, results: Callable
) -> None:
    target = tmp_path / "out"
    liftout("batch", photos, target, "-m", model)
    (photos / "cat.jpg").write_bytes(photo(99))
    (target / "a/cat.jpg.png").unlink()
    (target / "a/cat.png.png").write_bytes(b"cut short by a power failure")
    status, out, _ = liftout("batch", photos, target, "-m", model, "--json")
    assert status == 0
    assert {json.loads(line)["input"] for line in out.splitlines()} == {"cat.jpg", "a/cat.jpg", "a/cat.png"}
    made = results(target)
    for name, output in (("cat.jpg", "cat.png"), ("a/cat.jpg", "a/cat.jpg.png"), ("a/cat.png", "a/cat.png.png")):
        assert made[output] == expected((photos / name).read_bytes())
    assert len(list((target / ".liftout/done").rglob("*-*"))) == 4


def test_other_options_are_refused_for_the_same_target_unless_overwrite_is_given(
    photos: Path, tmp_path: Path, model: str, liftout: Call, results: Callable
) -> None:
    target = tmp_path / "out"
    liftout("batch", photos, target, "-m", model)
    assert liftout("batch", photos, target, "-m", model, "--threads", "1", "--workers", "1")[2].startswith("0 done")
    cutouts = results(target)
    for more in ((), ("--dry-run",)):
        status, out, err = liftout("batch", photos, target, "-m", model, "--mask", "--feather", "2", *more)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert "feather was not given, now 2, mask was not given, now True" in err
    assert results(target) == cutouts

    assert liftout("batch", photos, target, "-m", model, "--mask", "--overwrite")[2].startswith("4 done")
    with Image.open(target / "cat.png") as image:
        assert image.mode == "L"
    assert liftout("batch", photos, target, "-m", model, "--mask")[2].startswith("0 done, 0 failed, 4 done before")
    assert "mask was True, now not given" in liftout("batch", photos, target, "-m", model)[2]


def test_a_background_that_was_moved_is_no_other_option_and_another_one_is(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    sky, sea = tmp_path / "sky.png", tmp_path / "sea.png"
    Image.new("RGB", (9, 9), "navy").save(sky)
    Image.new("RGB", (9, 9), "teal").save(sea)
    call = ("batch", photos, tmp_path / "out", "-m", model, "--pattern", "cat.jpg", "--background")
    assert liftout(*call, sky)[2].startswith("2 done")
    moved = sky.rename(tmp_path / "moved.png")
    assert liftout(*call, moved)[2].startswith("0 done, 0 failed, 2 done before")
    assert liftout(*call, sea)[0] == 2
    assert liftout(*call, "white")[0] == 2


def test_a_background_file_with_new_content_makes_new_results(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    behind = tmp_path / "sky.png"
    Image.new("RGB", (9, 9), "navy").save(behind)
    call = ("batch", photos, tmp_path / "out", "-m", model, "--background", behind, "--pattern", "cat.jpg")
    assert liftout(*call)[2].startswith("2 done")
    assert liftout(*call)[2].startswith("0 done")
    Image.new("RGB", (9, 9), "maroon").save(behind)
    assert liftout(*call)[2].startswith("2 done")


def test_poison_files_cost_themselves_only(
    photos: Path, tmp_path: Path, model: str, liftout: Call, photo: Callable, results: Callable
) -> None:
    bomb = io.BytesIO()
    Image.new("1", (30000, 30000)).save(bomb, "PNG", compress_level=1)
    (photos / "bomb.png").write_bytes(bomb.getvalue())
    (photos / "cut-short.jpg").write_bytes(photo(7, (200, 200))[:3000])
    (photos / "empty.jpg").touch()
    (photos / "text.jpg").write_text("this is no photo")
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    status, out, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--json")
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    failed = {line["input"]: line["error"] for line in lines if line["status"] == "failed"}
    assert set(failed) == {"bomb.png", "cut-short.jpg", "empty.jpg", "text.jpg"}
    assert "900 megapixels" in failed["bomb.png"]
    assert "truncated" in failed["cut-short.jpg"]
    assert failed["empty.jpg"] == "empty.jpg: is empty"
    assert "not an image" in failed["text.jpg"]
    assert sorted(err.splitlines()[:-1]) == sorted(f"liftout: {error}" for error in failed.values())
    assert len(results(tmp_path / "out")) == 4
    assert all(line["tries"] == 1 for line in lines)


def test_a_file_that_no_batch_made_is_kept_unless_overwrite_is_given(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "cat.png").write_bytes(b"precious")
    status, _, err = liftout("batch", photos, target, "-m", model)
    assert status == 1
    assert "give --overwrite" in err
    assert (target / "cat.png").read_bytes() == b"precious"
    assert liftout("batch", photos, target, "-m", model, "--overwrite")[0] == 0
    assert (target / "cat.png").read_bytes() != b"precious"


def test_a_result_of_another_source_is_kept_unless_overwrite_is_given(
    photos: Path, tmp_path: Path, model: str, liftout: Call, photo: Callable, tree: Callable, results: Callable
) -> None:
    target = tmp_path / "out"
    assert liftout("batch", photos, target, "-m", model)[0] == 0
    before = results(target)
    more = tree(tmp_path / "more", {"cat.jpg": photo(77), "dog.jpg": photo(78)})
    for arguments in (("--dry-run",), ()):
        status, _, err = liftout("batch", more, target, "-m", model, *arguments)
        assert status == 1
        assert f"cat.jpg: cat.png was made from cat.jpg of {photos}; choose another target" in err
    assert err.splitlines()[-1].startswith("1 done, 1 failed")
    assert results(target) == {**before, "dog.png": results(target)["dog.png"]}

    assert liftout("batch", more, target, "-m", model, "--overwrite")[2].startswith("1 done, 0 failed, 1 done before")
    assert results(target)["cat.png"] != before["cat.png"]
    status, _, err = liftout("batch", photos, target, "-m", model)
    assert status == 1
    assert f"cat.png was made from cat.jpg of {more}" in err


def test_a_photo_that_changed_is_done_again_beside_results_of_another_source(
    photos: Path, tmp_path: Path, model: str, liftout: Call, photo: Callable, tree: Callable
) -> None:
    target, more = tmp_path / "out", tree(tmp_path / "more", {"dog.jpg": photo(78)})
    liftout("batch", photos, target, "-m", model)
    liftout("batch", more, target, "-m", model)
    (more / "dog.jpg").write_bytes(photo(79))
    assert liftout("batch", more, target, "-m", model)[2].startswith("1 done, 0 failed")


def test_a_target_that_cannot_be_written_is_one_line(photos: Path, tmp_path: Path, model: str, liftout: Call) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.liftout").write_text("a file where the journal should be")
    status, out, err = liftout("batch", photos, tmp_path / "out", "-m", model)
    assert (status, out) == (1, "")
    assert err.splitlines()[0].startswith(f"liftout: {tmp_path}/out: cannot be written: ")
    assert len(err.splitlines()) == 1


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    status, out, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--dry-run")
    assert status == 0
    assert out.splitlines() == [
        "cat.jpg -> cat.png",
        "a/cat.jpg -> a/cat.jpg.png",
        "a/cat.png -> a/cat.png.png",
        "a/b/täg 1.webp -> a/b/täg 1.png",
    ]
    assert "4 to do" in err
    assert not (tmp_path / "out").exists()


def test_a_limit_goes_on_where_the_last_run_ended(photos: Path, tmp_path: Path, model: str, liftout: Call) -> None:
    for done in (3, 1, 0):
        assert liftout("batch", photos, tmp_path / "out", "-m", model, "--limit", "3")[2].startswith(f"{done} done")


def test_stop_on_error_begins_nothing_after_the_first_failure(
    tmp_path: Path, model: str, liftout: Call, photo: Callable, tree: Callable
) -> None:
    content = photo(1)
    photos = tree(tmp_path / "photos", {f"{index:03}.jpg": content for index in range(60)} | {"000.jpg": b"bad"})
    status, out, _ = liftout(
        "batch", photos, tmp_path / "out", "-m", model, "--on-error", "stop", "--workers", "1", "--json"
    )
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["status"] == "failed"
    assert len(lines) <= 5


def test_the_report_has_one_line_with_times_for_each_photo(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    report = tmp_path / "reports/run.jsonl"
    (photos / "bad.jpg").write_bytes(b"bad")
    assert liftout("batch", photos, tmp_path / "out", "-m", model, "--report", report, "--quiet")[0] == 1
    lines = {line["input"]: line for line in map(json.loads, report.read_text().splitlines())}
    assert len(lines) == 5
    assert lines["bad.jpg"]["kind"] == "ImageUnreadable"
    done = lines["cat.jpg"]
    assert (done["width"], done["height"], done["bytes_in"]) == (60, 40, (photos / "cat.jpg").stat().st_size)
    assert done["bytes_out"] == (tmp_path / "out/cat.png").stat().st_size
    assert done["cut_seconds"] > 0
    assert 0 < done["subject"] < 1


def test_a_target_in_the_source_is_no_source(photos: Path, model: str, liftout: Call) -> None:
    assert liftout("batch", photos, photos / "cutouts", "-m", model)[2].startswith("4 done")
    assert liftout("batch", photos, photos / "cutouts", "-m", model)[2].startswith("0 done, 0 failed, 4 done before")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("photos", "photos"), 2, "results could replace photos"),
        (("photos/a", "photos"), 2, "results could replace photos"),
        (("nowhere", "out"), 2, "no such folder"),
        (("photos/cat.jpg", "out"), 2, "liftout cut"),
        (("photos", "zip://::out.zip"), 2, "out.zip"),
        (("photos", "bogus://bucket"), 2, "bogus"),
        (("photos", "out", "-m", "brigt"), 2, "did you mean `bright`"),
        (("memory://x", "out", "--watch"), 2, "no such folder"),
        (("photos", "out", "--device", "cuda"), 3, "cpu"),
    ],
)
def test_a_call_that_makes_no_sense_is_one_line(
    photos: Path,
    model: str,
    liftout: Call,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    monkeypatch.chdir(photos.parent)
    chosen = arguments if "-m" in arguments else (*arguments, "-m", model)
    found, _, err = liftout("batch", *chosen)
    assert found == status, err
    assert words in err.splitlines()[0]


def test_a_missing_package_for_a_store_is_named(photos: Path, model: str, liftout: Call) -> None:
    pytest.importorskip("fsspec")
    try:
        import gcsfs  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        status, _, err = liftout("batch", photos, "gs://bucket/out", "-m", model)
        assert status == 3
        assert "pip install gcsfs" in err
    else:
        pytest.skip("gcsfs is installed")


def test_links_to_photos_are_followed_and_links_to_folders_are_not(
    photos: Path, tmp_path: Path, model: str, liftout: Call, results: Callable
) -> None:
    (photos / "linked.jpg").symlink_to(photos / "cat.jpg")
    (photos / "a/loop").symlink_to(photos, target_is_directory=True)
    assert liftout("batch", photos, tmp_path / "out", "-m", model)[2].startswith("5 done")
    made = results(tmp_path / "out")
    assert made["linked.png"] == made["cat.png"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_no_text_is_done_and_can_be_printed(
    photos: Path, tmp_path: Path, model: str, liftout: Call, photo: Callable
) -> None:
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff\n.jpg")).write_bytes(photo(9))
    Path(os.fsdecode(os.fsencode(photos) + b"/\xfe\n.jpg")).write_bytes(b"bad")
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model)
    assert status == 1
    assert len(err.splitlines()) == 2
    assert "\\udcfe\\n.jpg: not an image" in err


def test_half_written_files_of_a_dead_process_are_removed(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    import socket
    import subprocess

    ended = subprocess.Popen(["true"])
    ended.wait()
    partial = tmp_path / "out/.liftout/partial"
    partial.mkdir(parents=True)
    (partial / f"{socket.gethostname()}@{ended.pid}-abcd").write_bytes(b"half")
    (partial / f"{socket.gethostname()}@{os.getpid()}-abcd").write_bytes(b"somebody is at it")
    liftout("batch", photos, tmp_path / "out", "-m", model)
    assert [path.name for path in partial.iterdir()] == [f"{socket.gethostname()}@{os.getpid()}-abcd"]


def test_a_worker_that_dies_over_a_photo_costs_that_photo_only(
    tmp_path: Path, model: str, photo: Callable, tree: Callable, results: Callable
) -> None:
    psutil = pytest.importorskip("psutil")
    photos = tree(tmp_path / "photos", {"0.jpg": photo(0), "1-large.jpg": photo(1, (4000, 4000)), "2.jpg": photo(2)})
    job = Job(source=str(photos), target=str(tmp_path / "out"), run=RunOptions(model=model), retries=0)
    outcomes = {}
    for outcome in Batch(job, workers=1).outcomes():
        outcomes[outcome.path] = outcome
        if outcome.path == "0.jpg":
            time.sleep(0.4)  # the worker has begun the large photo by now, and cannot have ended it
            psutil.Process(int(outcome.worker.rpartition(":")[2])).kill()
    assert [outcomes[path].status for path in sorted(outcomes)] == ["done", "failed", "done"]
    assert outcomes["1-large.jpg"].kind == "WorkerDied"
    assert "SIGKILL" in outcomes["1-large.jpg"].error
    assert set(results(tmp_path / "out")) == {"0.png", "2.png"}


def test_a_photo_whose_worker_was_killed_is_tried_again(
    tmp_path: Path, model: str, photo: Callable, tree: Callable
) -> None:
    psutil = pytest.importorskip("psutil")
    photos = tree(tmp_path / "photos", {"0.jpg": photo(0), "1.jpg": photo(1, (1500, 1000)), "2.jpg": photo(2)})
    job = Job(source=str(photos), target=str(tmp_path / "out"), run=RunOptions(model=model))
    killed, done = set(), set()
    for outcome in Batch(job, workers=1).outcomes():
        pid = int(outcome.worker.rpartition(":")[2])
        if not killed:
            psutil.Process(pid).kill()
            killed.add(pid)
        done.add((outcome.path, outcome.status))
    assert done == {("0.jpg", "done"), ("1.jpg", "done"), ("2.jpg", "done")}


def test_a_model_that_cannot_be_loaded_is_one_error_for_all(
    tmp_path: Path, model: str, photo: Callable, tree: Callable
) -> None:
    from liftout.errors import DeviceUnavailable

    photos = tree(tmp_path / "photos", {"0.jpg": photo(0)})
    job = Job(
        source=str(photos),
        target=str(tmp_path / "out"),
        run=RunOptions(model=model, device="cuda"),
        result=ResultOptions(),
    )
    with pytest.raises(DeviceUnavailable, match="cpu"):
        list(Batch(job).outcomes())
