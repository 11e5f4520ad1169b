"""Films in folders of photos."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from PIL import Image

from liftout.batch import Batch, Job, Outcome, run_batch
from liftout.options import ResultOptions, RunOptions
from liftout.prompts import Asked
from tests.video.clips import read_rgba, scene, write_film

FRAMES = 6
TARGET = "memory://films"  # workers are threads of this process there


@pytest.fixture
def folder(tmp_path: Path, red: str) -> Path:
    (tmp_path / "in/a").mkdir(parents=True)
    write_film(tmp_path / "in/a/disc.mp4", [scene(index)[0] for index in range(FRAMES)])
    Image.fromarray(scene(0)[0]).save(tmp_path / "in/a/disc.png")
    memory = fsspec.filesystem("memory")
    if memory.exists("/films"):
        memory.rm("/films", recursive=True)
    return tmp_path / "in"


def job(folder: Path, result: ResultOptions | None = None, asked: Asked | None = None) -> Job:
    run = RunOptions(model="red")
    return Job(source=str(folder), target=TARGET, result=result or ResultOptions(), run=run, asked=asked or Asked())


def test_films_are_cut_out_beside_photos_and_done_once(folder: Path, tmp_path: Path) -> None:
    found: list[Outcome] = []
    summary = run_batch(job(folder), on_outcome=found.append)
    assert (summary.done, summary.failed) == (2, 0)
    film = next(outcome for outcome in found if outcome.path == "a/disc.mp4")
    assert film.output == "a/disc.webm" and (film.width, film.height, film.frames) == (64, 48, FRAMES)
    written = tmp_path / "disc.webm"
    fsspec.filesystem("memory").get_file("/films/a/disc.webm", str(written))
    assert film.bytes_out == written.stat().st_size
    for index, (_, rgba) in enumerate(read_rgba(written)):
        assert rgba[24, 16 + 2 * index, 3] > 235 and rgba[2, 2, 3] < 20
    again = run_batch(job(folder))
    assert (again.done, again.done_before) == (0, 2)


def test_films_are_made_in_the_target_so_that_a_killed_batch_goes_on(folder: Path, tmp_path: Path) -> None:
    from liftout.batch import films
    from liftout.batch.storage import Storage

    target = Storage(str(tmp_path / "out"))
    planner = Batch(Job(source=str(folder), target=str(tmp_path / "out"), run=RunOptions(model="red")))
    item = next(item for item in planner.plan() if item.path == "a/disc.mp4")
    place = films._place(item, target)
    assert place == films._place(item, target) and place.parent == tmp_path / "out/.liftout/films"


def test_a_film_that_was_cut_short_is_kept_as_far_as_it_goes_and_reported(folder: Path) -> None:
    long = write_film(folder / "long.mkv", [scene(index)[0] for index in range(60)])
    long.write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    found: list[Outcome] = []
    run_batch(job(folder), patterns=("*.mkv",), on_outcome=found.append)
    (film,) = found
    assert film.status == "failed" and film.error.startswith("long.mkv: ") and "holds what could be read" in film.error
    assert fsspec.filesystem("memory").exists("/films/long.webm")


def test_options_for_photos_leave_films_out_or_say_so(folder: Path) -> None:
    cropped = job(folder, ResultOptions(crop=True))
    planned = Batch(cropped)
    assert [item.path for item in planned.plan()] == ["a/disc.png"] and planned.summary.not_photos == 1
    found: list[Outcome] = []
    run_batch(cropped, patterns=("*.mp4",), on_outcome=found.append)
    assert [outcome.status for outcome in found] == ["failed"] and "holds for photos, not for films" in found[0].error


def test_what_is_no_film_fails_alone_under_its_own_name(folder: Path) -> None:
    (folder / "broken.mp4").write_bytes(b"not a film")
    found: list[Outcome] = []
    run_batch(job(folder), patterns=("*.mp4",), on_outcome=found.append)
    assert sorted((outcome.path, outcome.status) for outcome in found) == [
        ("a/disc.mp4", "done"),
        ("broken.mp4", "failed"),
    ]
    assert next(outcome.error for outcome in found if outcome.status == "failed").startswith("broken.mp4: not a film")


def test_without_the_extra_films_are_other_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liftout.batch.films.installed", lambda: False)
    assert [item.path for item in Batch(job(folder)).plan()] == ["a/disc.png"]
