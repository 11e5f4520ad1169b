"""`liftout batch --prompts FILE`, and prompts for all photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from liftout import Remover
from liftout.batch import Job, run_batch
from liftout.batch.prompts import PhotoPrompts
from liftout.errors import UsageError
from liftout.options import RunOptions
from tests.bright import discs

Call = Callable[..., tuple[int, str, str]]

LEFT, RIGHT = (15, 20), (45, 22)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of the same two subjects."""
    pair = Image.fromarray(discs((60, 40), (*LEFT, 10), (*RIGHT, 8)))
    for name in ("one.png", "a/two.png", "a/three.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pair.save(path)
    return tmp_path / "photos"


@pytest.fixture
def cut(model: str, photos: Path) -> Callable[..., bytes]:
    """A function that gives what a photo becomes alone."""

    def alone(**prompts: Any) -> bytes:
        with Remover(model) as remover:
            return remover((photos / "one.png").read_bytes(), **prompts).to_bytes("png")

    return alone


CSV = """photo,keep,drop,box
one.png,"15,20; 25%,60%","45,22",
./a/two.png,,,"0,0,50%,100%"

a/three.png,,,
"""
JSON = """{"photo": "one.png", "keep": [[15, 20], "25%,60%"], "drop": "45,22"}

{"photo": "a/two.png", "box": "0,0,50%,100%"}
{"photo": "a/three.png"}
"""


SPREADSHEET = """\ufeffPhoto; Keep; Drop; Box\r
one.png;"15,20; 25%,60%";45,22;\r
a/two.png;;;0,0,50%,100%\r
a/three.png;;;\r
"""
"""As some languages' spreadsheets write it."""


@pytest.mark.parametrize("text", [CSV, SPREADSHEET, JSON], ids=["csv", "spreadsheet", "json"])
def test_each_photo_is_cut_out_by_its_own_prompts(
    photos: Path, tmp_path: Path, model: str, liftout: Call, results: Callable, cut: Callable[..., bytes], text: str
) -> None:
    file = tmp_path / "prompts"
    file.write_text(text, encoding="utf-8", newline="")
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--prompts", file)
    assert status == 0, err
    assert results(tmp_path / "out") == {
        "one.png": cut(keep=[LEFT, "25%,60%"], drop=[RIGHT]),
        "a/two.png": cut(box=(0, 0, 30, 40)),
        "a/three.png": cut(),
    }


def test_only_photos_whose_prompts_changed_are_done_again(
    photos: Path, tmp_path: Path, model: str, liftout: Call, results: Callable, cut: Callable[..., bytes]
) -> None:
    file, target = tmp_path / "prompts.csv", tmp_path / "out"

    def run(text: str | None) -> tuple[set[str], str]:
        more = ()
        if text is not None:
            file.write_text("photo,keep,box\n" + text, encoding="utf-8")
            more = ("--prompts", file)
        status, out, err = liftout("batch", photos, target, "-m", model, "--json", *more)
        assert status == 0, err
        return {json.loads(line)["input"] for line in out.splitlines()}, err

    assert len(run(None)[0]) == 3
    assert run("one.png,,\n")[0] == set()
    assert run('one.png,"15,20",\na/two.png,,"0,0,50%,100%"\n')[0] == {"one.png", "a/two.png"}
    assert run('a/two.png,,"0.0,0,50%,100%"\none.png,"15,20",\n')[0] == set()
    assert run('one.png,"45,22",\na/two.png,,"0,0,50%,100%"\n')[0] == {"one.png"}
    assert results(target)["one.png"] == cut(keep=[RIGHT])
    assert run('one.png,"45,22",\n')[0] == {"a/two.png"}
    assert results(target)["a/two.png"] == cut()
    assert run(None)[0] == {"one.png"}


def test_prompts_for_all_give_way_to_those_for_one(
    photos: Path, tmp_path: Path, model: str, liftout: Call, results: Callable, cut: Callable[..., bytes]
) -> None:
    file, target = tmp_path / "prompts.csv", tmp_path / "out"
    file.write_text('photo,keep\na/two.png,"45,22"\na/three.png,\n', encoding="utf-8")
    call = ("batch", photos, target, "-m", model, "--prompts", file, "--keep")
    assert liftout(*call, "25%,50%")[2].startswith("3 done")
    assert results(target) == {"one.png": cut(keep=[LEFT]), "a/two.png": cut(keep=[RIGHT]), "a/three.png": cut()}
    assert liftout(*call, "25%,50%")[2].startswith("0 done, 0 failed, 3 done before")
    status, _, err = liftout(*call, "75%,55%")
    assert status == 2 and "keep was ['25.0%,50.0%'], now ['75.0%,55.0%']" in err


def test_prompts_that_do_not_fit_their_photo_cost_it_alone(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text('photo,keep\na/two.png,"15,20; 61,20"\n', encoding="utf-8")
    status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--prompts", file)
    first, last = err.splitlines()
    assert status == 1
    assert first == (
        f"liftout: a/two.png: {file}, line 2: keep 61,20 lies outside the photo, which is 60x40 pixels; "
        "x goes from 0 to 60, y from 0 to 40"
    )
    assert last.startswith("2 done, 1 failed")
    status, out, err = liftout("batch", photos, tmp_path / "other", "-m", model, "--drop", "61,20", "--json")
    assert status == 1
    assert "liftout: one.png: --drop 61,20 lies outside the photo" in err
    assert {json.loads(line)["kind"] for line in out.splitlines()} == {"InputError"}


def test_a_line_about_a_photo_that_is_not_there_fails_by_its_number(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text('photo,keep\none.png,"15,20"\na/four.png,"1,1"\nb/one.png,"1,1"\n', encoding="utf-8")
    call = ("batch", photos, tmp_path / "out", "-m", model, "--prompts", file)
    for more, counts in ((("--dry-run",), "3 to do"), ((), "3 done, 2 failed")):
        status, _, err = liftout(*call, *more)
        *lines, last = err.splitlines()
        assert status == 1 and last.startswith(counts)
        assert lines == [
            f"liftout: {file}: line {number}: no photo of the source is called {name}"
            for number, name in ((3, "a/four.png"), (4, "b/one.png"))
        ]
    assert liftout(*call, "--pattern", "one.*")[2].splitlines()[0].endswith("is called b/one.png")
    assert liftout(*call, "--limit", "1")[0] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('photo,keep\none.png,"15"\n', "line 2: keep `15` is not a point; give X,Y in pixels or percent"),
        ('photo,keep\nb.png,"1,2"\none.png,15,20\n', "line 3: has 3 cells, and the head has 2; put points into quotes"),
        ('photo,box\n\n\none.png,"1,2,3"\n', "line 4: box `1,2,3` is not a box"),
        ('photo,keep\n,"1,2"\n', "line 2: names no photo"),
        ('photo,keep\nb.png,"1,2"\n./b.png,"3,4"\n', "line 3: b.png is on line 2 already"),
        ("photo,keap\n", "line 1: is not the head of a table of prompts; it must be photo,keep,drop,box"),
        ('one.png,"15,20"\n', "line 1: is not the head"),
        ('photo,keep\none.png,"15,20\n', "is not CSV"),
        ('photo,keep\none.png,a\nb.png,"1,2"\nc.png,b\nd.png,c\n', "`a` is not a point (and 2 more lines are wrong);"),
        ('{"photo": "one.png", "keep": [[1, 2]]}\n{"photo"\n', "line 2: is not a JSON object"),
        ('{"photo": "one.png", "keap": [[1, 2]]}\n', "line 1: `keap` is no field; there are photo, keep, drop, box"),
        ('{"photo": "one.png", "keep": [1, 2]}\n', "line 1: keep has (1)"),
        ('{"photo": 7}\n', "line 1: names no photo"),
        ('{"photo": "one.png", "box": [1, 2, "x", 4]}\n', "line 1: box has (1, 2, 'x', 4)"),
    ],
)
def test_a_bad_line_is_named_by_its_number_before_anything_is_done(
    photos: Path, tmp_path: Path, model: str, liftout: Call, text: str, words: str
) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text(text, encoding="utf-8")
    status, out, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--prompts", file)
    (line,) = err.splitlines()
    assert (status, out) == (2, "")
    assert line.startswith(f"liftout: {file}: line ") and words in line
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_read_is_one_line(photos: Path, tmp_path: Path, model: str, liftout: Call) -> None:
    (tmp_path / "latin.csv").write_bytes(b"photo,keep\n\xe4.png,\n")
    for name, words in (("nowhere.csv", "cannot be read: "), ("latin.csv", "is not text in UTF-8")):
        status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model, "--prompts", tmp_path / name)
        assert status == 2 and err.startswith(f"liftout: {tmp_path / name}: {words}")


def test_python_takes_both(
    photos: Path, tmp_path: Path, model: str, results: Callable, cut: Callable[..., bytes]
) -> None:
    from liftout.prompts import Asked

    file = tmp_path / "prompts.jsonl"
    file.write_text('{"photo": "one.png", "keep": [[45, 22]]}\n', encoding="utf-8")
    job = Job(
        source=str(photos), target=str(tmp_path / "out"), run=RunOptions(model=model), asked=Asked.of(keep=[LEFT])
    )
    assert run_batch(job, workers=1, prompts=file).done == 3
    other = cut(keep=[LEFT])
    assert results(tmp_path / "out") == {"one.png": cut(keep=[RIGHT]), "a/two.png": other, "a/three.png": other}


def test_a_large_file_is_held_in_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    file = tmp_path / "many.csv"
    count = 20_000
    file.write_text("photo,keep\n" + "".join(f'{n}.jpg,"{n % 97},{n % 89}"\n' for n in range(count)), encoding="utf-8")
    tracemalloc.start()
    prompts = PhotoPrompts(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500 * count
    asked = prompts.of("300.jpg")
    assert asked is not None and asked.described() == {"keep": ["9.0,33.0"]}
    with pytest.raises(UsageError):
        PhotoPrompts(tmp_path)
