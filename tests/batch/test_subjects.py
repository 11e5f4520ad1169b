"""`liftout batch --subjects each`: every subject as a file of its own, with a journal that knows them all."""

from __future__ import annotations

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
from tests.bright import discs

Call = Callable[..., tuple[int, str, str]]

THREE = ((15, 20, 9), (45, 12, 6), (44, 32, 4))
EACH = ("--subjects", "each")


def draw(path: Path, *places: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(discs((60, 40), *places)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    draw(tmp_path / "photos/a/crowd.png", *THREE)
    draw(tmp_path / "photos/a/one.png", THREE[0])
    draw(tmp_path / "photos/none.png")
    return tmp_path / "photos"


def names(target: Path) -> list[str]:
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*.png"))


ALL = ["a/crowd-1.png", "a/crowd-2.png", "a/crowd-3.png", "a/one-1.png", "none-1.png"]


def test_each_subject_is_a_file_and_a_second_run_does_nothing(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    target = tmp_path / "out"
    status, out, err = liftout("batch", photos, target, "-m", model, *EACH, "--json")
    assert status == 0, err
    assert names(target) == ALL
    lines = {line["input"]: line for line in map(json.loads, out.splitlines())}
    assert lines["a/crowd.png"]["outputs"] == ALL[:3]
    assert lines["a/crowd.png"]["bytes_out"] == sum((target / name).stat().st_size for name in ALL[:3])
    with Remover(model) as remover:
        cutout = remover((photos / "a/crowd.png").read_bytes())
        expected = [subject.to_bytes("png") for subject in cutout.subjects()]
    assert [(target / name).read_bytes() for name in ALL[:3]] == expected
    assert liftout("batch", photos, target, "-m", model, *EACH)[2].startswith("0 done, 0 failed, 3 done before")
    assert "subjects was each, now 2" in liftout("batch", photos, target, "-m", model, "--subjects", "2")[2]


@pytest.mark.parametrize("name", ALL[:3])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"cut short")])
def test_a_photo_is_done_again_where_one_of_its_files_is_not_right(
    photos: Path, tmp_path: Path, model: str, liftout: Call, results: Callable, name: str, damage: Callable
) -> None:
    target = tmp_path / "out"
    liftout("batch", photos, target, "-m", model, *EACH)
    made = results(target)
    damage(target / name)
    assert liftout("batch", photos, target, "-m", model, *EACH)[2].startswith("1 done, 0 failed, 2 done before")
    assert results(target) == made
    assert liftout("batch", photos, target, "-m", model, *EACH)[2].startswith("0 done")


def test_files_of_subjects_that_are_gone_go_too_and_new_ones_come(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    target = tmp_path / "out"
    liftout("batch", photos, target, "-m", model, *EACH)
    draw(photos / "a/crowd.png", *THREE[:2])
    draw(photos / "none.png", *THREE)
    assert liftout("batch", photos, target, "-m", model, *EACH)[2].startswith("2 done, 0 failed, 1 done before")
    assert names(target) == [*ALL[:2], "a/one-1.png", "none-1.png", "none-2.png", "none-3.png"]
    assert len(list((target / ".liftout/done").rglob("*-*"))) == 6
    assert liftout("batch", photos, target, "-m", model, *EACH)[2].startswith("0 done")


def test_a_file_that_no_batch_made_is_kept(photos: Path, tmp_path: Path, model: str, liftout: Call) -> None:
    target = tmp_path / "out"
    liftout("batch", photos, target, "-m", model, *EACH)
    for mine in ("a/one-2.png", "none-7.png"):
        (target / mine).write_bytes(b"precious")
    draw(photos / "a/one.png", *THREE[:2])
    status, _, err = liftout("batch", photos, target, "-m", model, *EACH)
    assert status == 1
    assert "a/one.png: a/one-2.png exists in the target and was not made by a batch; give --overwrite" in err
    assert (target / "a/one-2.png").read_bytes() == b"precious"
    assert liftout("batch", photos, target, "-m", model, *EACH, "--overwrite")[2].startswith("1 done, 0 failed, 2 done")
    assert (target / "a/one-2.png").read_bytes() != b"precious"
    assert (target / "none-7.png").read_bytes() == b"precious"


def test_photos_with_names_like_those_of_results_do_not_collide(
    photos: Path, tmp_path: Path, model: str, liftout: Call
) -> None:
    draw(photos / "a/crowd-2.png", THREE[0])
    draw(photos / "a/one-1.png", *THREE[:2])
    assert liftout("batch", photos, tmp_path / "out", "-m", model, *EACH)[0] == 0
    more = ["a/crowd-2-1.png", "a/one-1-1.png", "a/one-1-2.png"]
    assert names(tmp_path / "out") == sorted([*ALL, *more])


def test_a_crash_between_the_files_of_a_photo_leaves_it_to_do(
    photos: Path, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    job = Job(
        source=str(photos), target=str(target), result=ResultOptions(subjects="each"), run=RunOptions(model=model)
    )
    storage = Storage(str(target))

    def planned() -> list[Item]:
        plan = Planner(job, Storage(str(photos)), storage, "identity", ("crowd.png",)).everything()
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
            assert not is_committed(storage, item)
            (item,) = planned()
        assert cutter.write(item, picture).outputs == tuple(ALL[:3])
        assert is_committed(storage, item)
    assert planned() == []
    assert names(target) == ALL[:3]
