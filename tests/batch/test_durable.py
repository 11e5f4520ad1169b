"""A power failure at any moment: what the journal says of a target on a disk is true, whatever the disk had not written yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from liftout.batch.job import Item
from liftout.batch.journal import commit
from liftout.batch.storage import Storage

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders are not synchronised there")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is asked of the file system, in its order: `("synchronise", file)`, `("rename", new name)`, `("remove", file)`."""
    steps: list[tuple[str, str]] = []
    real_fsync, real_replace, real_remove = os.fsync, os.replace, os.remove

    def fsync(descriptor: int) -> None:
        steps.append(("synchronise", str(os.fstat(descriptor).st_ino)))
        real_fsync(descriptor)

    def replace(source: Any, target: Any, **more: Any) -> None:
        assert ("synchronise", str(Path(source).stat().st_ino)) in steps, "renamed before its content was on the disk"
        real_replace(source, target, **more)
        steps.append(("rename", str(target)))

    def remove(path: Any, **more: Any) -> None:
        real_remove(path, **more)
        steps.append(("remove", str(path)))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "remove", remove)
    return steps


def test_every_step_of_a_result_is_on_the_disk_before_the_next_begins(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    target = tmp_path / "out"
    new = Item(path="a/cat.jpg", output="a/cat.png", size=None, record=".liftout/done/a/0-1")
    commit(Storage(str(target)), new, b"the first", source="photos")
    again = Item(
        path="a/cat.jpg",
        output="a/cat.png",
        size=None,
        record=".liftout/done/a/0-2",
        old_records=(f"{new.record}-9",),
        old_bytes=9,
    )
    commit(Storage(str(target)), again, b"the other", source="photos")

    folders = {str((target / name).stat().st_ino): name for name in ("a", ".liftout/done/a")}
    changes = [
        Path(name).relative_to(target).as_posix() if kind != "synchronise" else f"synchronise {folders[name]}"
        for kind, name in steps
        if kind != "synchronise" or name in folders
    ]
    assert changes == [
        ".liftout/done/a/0-1-9",
        "synchronise .liftout/done/a",
        "a/cat.png",
        "synchronise a",
        "a/cat.png",  # removed, as the new record would vouch for the old result
        "synchronise a",
        ".liftout/done/a/0-2-9",
        "synchronise .liftout/done/a",
        "a/cat.png",
        "synchronise a",
        ".liftout/done/a/0-1-9",
        "synchronise .liftout/done/a",
    ]
    for folder in ("", "a", ".liftout", ".liftout/done"):  # which hold new names
        assert ("synchronise", str((target / folder).parent.stat().st_ino)) in steps
