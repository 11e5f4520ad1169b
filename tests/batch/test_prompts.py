"""`liftout batch --prompts FILE`, and prompts for all photos."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from liftout import Remover
from liftout.batch import Job, run_batch
from liftout.batch.prompts import PhotoPrompts
from liftout.errors import UsageError
from liftout.options import RunOptions
from liftout.prompts import Asked
from tests.batch.conftest import MemoryFolder
from tests.bright import discs

Call = Callable[..., tuple[int, str, str]]

LEFT, RIGHT = (15, 20), (45, 22)


@pytest.fixture(scope="module")
def pair() -> bytes:
    """A photo of two subjects."""
    stream = io.BytesIO()
    Image.fromarray(discs((60, 40), (*LEFT, 10), (*RIGHT, 8))).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def cut(model: str, pair: bytes) -> Iterator[Callable[..., bytes]]:
    """A function that gives what the photo becomes alone."""
    with Remover(model) as remover:
        yield lambda **prompts: remover(pair, **prompts).to_bytes("png")


class Run:
    """Three copies of the photo, a target, a file of prompts, and the command."""

    def __init__(
        self, source: MemoryFolder, target: MemoryFolder, file: Path, model: str, liftout: Call, pair: bytes
    ) -> None:
        source["one.png"] = source["a/two.png"] = source["a/three.png"] = pair
        self.source, self.target, self.file = source, target, file
        self._call = lambda *more: liftout("batch", source.url, target.url, "-m", model, *more)

    def __call__(self, text: str | None, *more: str, status: int = 0) -> tuple[set[str], str]:
        """The photos that were done, and standard error. text: of the file of prompts, if there is one."""
        if text is not None:
            self.file.write_text(text, encoding="utf-8", newline="")
            more = ("--prompts", str(self.file), *more)
        if "--dry-run" not in more:
            more = (*more, "--json")
        found, out, err = self._call(*more)
        assert found == status, err
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return {line["input"] for line in lines if line["status"] == "done"}, err


@pytest.fixture
def run(memory: tuple[MemoryFolder, MemoryFolder], tmp_path: Path, model: str, liftout: Call, pair: bytes) -> Run:
    return Run(*memory, tmp_path / "prompts.csv", model, liftout, pair)


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
def test_each_photo_is_cut_out_by_its_own_prompts(run: Run, cut: Callable[..., bytes], text: str) -> None:
    run(text)
    assert run.target.content() == {
        "one.png": cut(keep=[LEFT, "25%,60%"], drop=[RIGHT]),
        "a/two.png": cut(box=(0, 0, 30, 40)),
        "a/three.png": cut(),
    }


def test_workers_are_told_the_prompts(
    tmp_path: Path, model: str, liftout: Call, tree: Callable, results: Callable, pair: bytes, cut: Callable[..., bytes]
) -> None:
    photos, file = tree(tmp_path / "photos", {"one.png": pair, "a/two.png": pair}), tmp_path / "prompts.csv"
    file.write_text('photo,keep\na/two.png,"45,22"\n', encoding="utf-8")
    call = ("batch", photos, tmp_path / "out", "-m", model, "--prompts", file, "--keep", "25%,50%")
    assert liftout(*call)[2].startswith("2 done, 0 failed")
    assert results(tmp_path / "out") == {"one.png": cut(keep=[LEFT]), "a/two.png": cut(keep=[RIGHT])}


def test_only_photos_whose_prompts_changed_are_done_again(run: Run, cut: Callable[..., bytes]) -> None:
    head, box = "photo,keep,box\n", 'a/two.png,,"0,0,50%,100%"\n'
    assert len(run(None)[0]) == 3
    assert run(head + "one.png,,\n")[0] == set()
    assert run(head + 'one.png,"15,20",\n' + box)[0] == {"one.png", "a/two.png"}
    assert run(head + box.replace("0,0", "0.0,0") + 'one.png,"15,20",\n')[0] == set()
    assert run(head + 'one.png,"45,22",\n' + box)[0] == {"one.png"}
    assert run.target["one.png"] == cut(keep=[RIGHT])
    assert run(head + 'one.png,"45,22",\n')[0] == {"a/two.png"}
    assert run.target["a/two.png"] == cut()
    assert run(None)[0] == {"one.png"}


def test_prompts_for_all_give_way_to_those_for_one(run: Run, cut: Callable[..., bytes]) -> None:
    text = 'photo,keep\na/two.png,"45,22"\na/three.png,\n'
    assert len(run(text, "--keep", "25%,50%")[0]) == 3
    assert run.target.content() == {"one.png": cut(keep=[LEFT]), "a/two.png": cut(keep=[RIGHT]), "a/three.png": cut()}
    assert run(text, "--keep", "25%,50%")[0] == set()
    assert "keep was ['25.0%,50.0%'], now ['75.0%,55.0%']" in run(text, "--keep", "75%,55%", status=2)[1]


def test_prompts_that_do_not_fit_their_photo_cost_it_alone(run: Run) -> None:
    done, err = run('photo,keep\na/two.png,"15,20; 61,20"\n', status=1)
    first, last = err.splitlines()
    assert first == (
        f"liftout: a/two.png: {run.file}, line 2: keep 61,20 lies outside the photo, which is 60x40 pixels; "
        "x goes from 0 to 60, y from 0 to 40"
    )
    assert last.startswith("2 done, 1 failed") and done == {"one.png", "a/three.png"}
    run('photo,keep\na/two.png,"15,20"\n')


def test_prompts_for_all_that_do_not_fit_are_said_as_the_option(run: Run) -> None:
    done, err = run(None, "--drop", "61,20", status=1)
    assert done == set() and "liftout: one.png: --drop 61,20 lies outside the photo" in err


def test_a_line_about_a_photo_that_is_not_there_fails_by_its_number(run: Run) -> None:
    text = 'photo,keep\none.png,"15,20"\na/four.png,"1,1"\nb/one.png,"1,1"\n'
    for more, counts in ((("--dry-run",), "3 to do"), ((), "3 done, 2 failed")):
        *lines, last = run(text, *more, status=1)[1].splitlines()
        assert last.startswith(counts)
        assert lines == [
            f"liftout: {run.file}: line {number}: no photo of the source is called {name}"
            for number, name in ((3, "a/four.png"), (4, "b/one.png"))
        ]
    assert run(text, "--pattern", "one.*", status=1)[1].splitlines()[0].endswith("is called b/one.png")
    assert run(text, "--limit", "1", status=1)[1].splitlines()[0].endswith("is called a/four.png")


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
def test_a_bad_line_is_named_by_its_number_before_anything_is_done(run: Run, text: str, words: str) -> None:
    (line,) = run(text, status=2)[1].splitlines()
    assert line.startswith(f"liftout: {run.file}: line ") and words in line
    assert run.target.names(journal=True) == []


def test_a_file_that_cannot_be_read_is_one_line(run: Run) -> None:
    run.file.write_bytes(b"photo,keep\n\xe4.png,\n")
    for name, words in (("nowhere.csv", "cannot be read: "), ("prompts.csv", "is not text in UTF-8")):
        file = run.file.with_name(name)
        assert run(None, "--prompts", str(file), status=2)[1].startswith(f"liftout: {file}: {words}")


def test_python_takes_both(run: Run, model: str, cut: Callable[..., bytes]) -> None:
    run.file.write_text('{"photo": "one.png", "keep": [[45, 22]]}\n', encoding="utf-8")
    asked = Asked.of(keep=[LEFT])
    job = Job(source=run.source.url, target=run.target.url, run=RunOptions(model=model), asked=asked)
    assert run_batch(job, workers=1, prompts=run.file).done == 3
    other = cut(keep=[LEFT])
    assert run.target.content() == {"one.png": cut(keep=[RIGHT]), "a/two.png": other, "a/three.png": other}


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
