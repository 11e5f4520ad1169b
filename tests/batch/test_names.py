"""Names of outputs: mirrored, readable, and never the same twice."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import pytest

from liftout.batch.job import Job
from liftout.batch.planner import Planner, output_names
from liftout.batch.storage import Storage


def test_a_photo_keeps_its_name_where_nobody_else_wants_it() -> None:
    assert output_names(["cat.jpg", "dog.png"], ".png") == {"cat.jpg": "cat.png", "dog.png": "dog.png"}


def test_photos_of_one_stem_keep_their_whole_names() -> None:
    names = output_names(["cat.jpg", "cat.webp", "dog.jpg"], ".png")
    assert names == {"cat.jpg": "cat.jpg.png", "cat.webp": "cat.webp.png", "dog.jpg": "dog.png"}


def test_no_folder_of_awkward_names_gives_one_output_to_two_photos() -> None:
    awkward = ["x.jpg", "X.png", "x.jpg.png", "x.png.jpg", "x", "x.x.jpg", "x.jpg.jpg", "x.webp"]
    for count in range(1, len(awkward) + 1):
        for names in itertools.combinations(awkward, count):
            outputs = [output.casefold() for output in output_names(names, ".png").values()]
            assert len(set(outputs)) == len(names), names


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        ((), {"cat.jpg", "a/b/dog.PNG"}),
        (("*.txt",), {"notes.txt"}),
        (("*.jpg", "*.txt"), {"cat.jpg", "notes.txt"}),
        (("a/**/*.PNG",), {"a/b/dog.PNG"}),
        (("a/*.PNG",), set()),
        (("**/cat.jpg",), {"cat.jpg"}),
    ],
)
def test_patterns_look_at_the_name_or_at_the_whole_path(patterns: tuple[str, ...], wanted: set[str]) -> None:
    storage = Storage("memory://nothing")
    planner = Planner(Job(source="", target=""), storage, Storage("memory://else"), "", patterns)
    paths = ("cat.jpg", "a/b/dog.PNG", "notes.txt", ".hidden.jpg", "a/.DS_Store")
    assert {path for path in paths if planner.wanted(path)} == wanted


def test_a_folders_listing_takes_about_a_kilobyte_for_each_file(tmp_path: Path) -> None:
    count = 5000
    for index in range(count):
        (tmp_path / f"photo-{index:07}.jpg").touch()
    storage = Storage(str(tmp_path))
    storage.listing("")  # what is loaded once is not counted
    tracemalloc.start()
    try:
        assert len(storage.listing("").files) == count
        assert tracemalloc.get_traced_memory()[1] / count < 1100
    finally:
        tracemalloc.stop()
