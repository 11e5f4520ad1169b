"""`liftout keys`."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.command import liftout


def test_keys_are_added_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys"

    def keys(*arguments: str) -> tuple[int, str, str]:
        status = liftout("keys", *arguments, "--file", file)
        return status, *capsys.readouterr()

    status, key, _ = keys("add", "shop", "--rate", "100/minute")
    assert (status, len(key.strip()) >= 32) == (0, True)
    assert key.strip() not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    status, _, error = keys("add", "shop")
    assert (status, "remove it first" in error) == (2, True)
    assert keys("add", "other")[0] == 0
    assert keys("list")[1].splitlines() == ["shop  100/minute", "other  no limit of its own"]
    assert keys("remove", "shop")[0] == 0
    assert keys("list")[1].splitlines() == ["other  no limit of its own"]
    assert keys("remove", "shop")[0] == 2
    status, _, error = keys("add", "third", "--rate", "fast")
    assert (status, "100/minute" in error) == (2, True)
