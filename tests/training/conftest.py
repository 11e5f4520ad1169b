"""Training lives beside the package, not inside it; its tests need torch and the training photos."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))

pytest.importorskip("torch", reason="training needs the extra `convert`")


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty real training photos, decoded the way a training run does."""
    from training.cache import build_cache

    tars = sorted((SHARED / "train").glob("*.tar"))
    if not tars:
        pytest.skip(f"no training photos in {SHARED / 'train'}")
    folder = tmp_path_factory.mktemp("cache")
    build_cache(tars[:1], folder / "192", 192, workers=1, limit=60)
    return folder
