"""What learns needs torch; scenes that are drawn serve as photos, as their masks are known."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra `tune`")
pytest.importorskip("onnx", reason="training needs the extra `tune`")

from tests.tuning.shapes import write_shapes


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos with masks."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shop", 12)
