"""`liftout batch --subjects each`: every subject as a file of its own, with a journal that knows them all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from liftout import Remover
from liftout.batch.cutter import Cutter
from liftout.batch.job import Item, Job
from liftout.batch.journal import is_committed
from liftout.batch.planner import Planner
from liftout.batch.storage import Storage
from liftout.options import ResultOptions, RunOptions
from tests.batch.conftest import MemoryFolder
from tests.bright import discs

Call = Callable[..., tuple[int, str, str]]

THREE = ((15, 20, 9), (45, 12, 6), (44, 32, 4))


ALL = ["a/crowd-1.png", "a/crowd-2.png", "a/crowd-3.png", "a/one-1.png", "none-1.png"]


def drawn(*places: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(discs((60, 40), *places)).save(stream, "PNG")
    return stream.getvalue()


class Run:
    """A source, a target, and the command between them."""

    def __init__(self, source: MemoryFolder, target: MemoryFolder, model: str, liftout: Call) -> None:
        self.source, self.target = source, target
        self._call = lambda *more: liftout("batch", source.url, target.url, "-m", model, *more)

    def __call__(self, *more: str, status: int = 0, subjects: str = "each") -> str:
        """Standard error of a run."""
        found, _, err = self._call("--subjects", subjects, *more)
        assert found == status, err
        return err


@pytest.fixture
def run(memory: tuple[MemoryFolder, MemoryFolder], model: str, liftout: Call) -> Run:
    source, target = memory
    source["a/crowd.png"], source["a/one.png"], source["none.png"] = drawn(*THREE), drawn(THREE[0]), drawn()
    return Run(source, target, model, liftout)


def test_each_subject_is_a_file_that_workers_write(
    tmp_path: Path, model: str, liftout: Call, tree: Callable, results: Callable
) -> None:
    photo = drawn(*THREE)
    photos, target = tree(tmp_path / "photos", {"a/crowd.png": photo}), tmp_path / "out"
    status, out, err = liftout("batch", photos, target, "-m", model, "--subjects", "each", "--json")
    assert status == 0, err
    with Remover(model) as remover:
        expected = [subject.to_bytes("png") for subject in remover(photo).subjects()]
    assert results(target) == dict(zip(ALL[:3], expected, strict=True))
    line = json.loads(out)
    assert (line["outputs"], line["bytes_out"]) == (ALL[:3], sum(map(len, expected)))


def test_a_second_run_does_nothing_and_other_options_are_refused(run: Run) -> None:
    assert run().startswith("3 done, 0 failed")
    assert run.target.names() == ALL
    assert run().startswith("0 done, 0 failed, 3 done before")
    assert "subjects was each, now 2" in run(subjects="2", status=2)


@pytest.mark.parametrize("name", ALL[:3])
@pytest.mark.parametrize("content", [None, b"cut short"])
def test_a_photo_is_done_again_where_one_of_its_files_is_not_right(run: Run, name: str, content: bytes | None) -> None:
    run()
    made = run.target.content()
    if content is None:
        del run.target[name]
    else:
        run.target[name] = content
    assert run().startswith("1 done, 0 failed, 2 done before")
    assert run.target.content() == made
    assert run().startswith("0 done")


def test_files_of_subjects_that_are_gone_go_too_and_new_ones_come(run: Run) -> None:
    run()
    run.source["a/crowd.png"], run.source["none.png"] = drawn(*THREE[:2]), drawn(*THREE)
    assert run().startswith("2 done, 0 failed, 1 done before")
    assert run.target.names() == [*ALL[:2], "a/one-1.png", "none-1.png", "none-2.png", "none-3.png"]
    assert len([name for name in run.target.names(journal=True) if "/done/" in name]) == 6
    assert run().startswith("0 done")


def test_a_file_that_no_batch_made_is_kept(run: Run) -> None:
    run()
    for mine in ("a/one-2.png", "none-7.png"):
        run.target[mine] = b"precious"
    run.source["a/one.png"] = drawn(*THREE[:2])
    assert "a/one.png: a/one-2.png exists in the target and was not made by a batch; give --overwrite" in run(status=1)
    assert run.target["a/one-2.png"] == b"precious"
    assert run("--overwrite").startswith("1 done, 0 failed, 2 done")
    assert run.target["a/one-2.png"] != b"precious" and run.target["none-7.png"] == b"precious"


def test_photos_with_names_like_those_of_results_do_not_collide(run: Run) -> None:
    run.source["a/crowd-2.png"], run.source["a/one-1.png"] = drawn(THREE[0]), drawn(*THREE[:2])
    run()
    assert run.target.names() == sorted([*ALL, "a/crowd-2-1.png", "a/one-1-1.png", "a/one-1-2.png"])


def test_a_crash_between_the_files_of_a_photo_leaves_it_to_do(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = Storage(run.source.url), Storage(run.target.url)
    options = ResultOptions(subjects="each")
    job = Job(source=source.url, target=target.url, result=options, run=RunOptions(model=model))

    def planned() -> list[Item]:
        plan = Planner(job, source, target, "identity", ("crowd.png",)).everything()
        return [item for item in plan if isinstance(item, Item)]

    class PowerFailure(BaseException):
        pass

    with Cutter(job) as cutter:
        (item,) = planned()
        picture = cutter.cut(item, cutter.read(item))
        real = Storage.write
        for allowed in range(2 * 3):
            left = [allowed]

            def write(self: Storage, path: str, content: bytes, left: list[int] = left) -> None:
                if left[0] == 0:
                    raise PowerFailure
                left[0] -= 1
                real(self, path, content)

            with monkeypatch.context() as patch:
                patch.setattr(Storage, "write", write)
                with pytest.raises(PowerFailure):
                    cutter.write(item, picture)
            assert not is_committed(target, item)
            (item,) = planned()
        assert cutter.write(item, picture).outputs == tuple(ALL[:3])
        assert is_committed(target, item)
    assert planned() == []
    assert run.target.names() == ALL[:3]
