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


@pytest.fixture(scope="session")
def few_scenes(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty scenes of those photos, with what the real teacher makes of them."""
    pytest.importorskip("openvino", reason="the teacher runs in OpenVINO")
    from training.cache import open_cache
    from training.scenes import TEACHER, make_scenes
    from training.selection import select

    if not TEACHER.exists():
        pytest.skip(f"no teacher at {TEACHER}")
    cache = open_cache(small_cache / "192")
    folder = tmp_path_factory.mktemp("scenes")
    make_scenes(cache, select(cache, set(), set()), folder, count=40, seed=5)
    return folder
