"""What all tests share: an empty cache, and the material that lies outside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
KEPT = ("LIFTOUT_TEST_WEIGHTS",)
"""Settings that are for the tests themselves."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has an empty LIFTOUT_HOME, no network, and no settings from the person who runs it."""
    home = tmp_path / "home"
    for name in list(os.environ):
        if name.startswith(("LIFTOUT_", "HF_", "HUGGINGFACE_")) and name not in KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("LIFTOUT_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    return home


@pytest.fixture(scope="session")
def shared() -> Path:
    """Weights, photos and reference outputs beside the checkout; tests that need them skip without them."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def examples() -> Path:
    """Photos that ship with the project."""
    return ROOT / "examples"
