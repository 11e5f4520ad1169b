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
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real training photos, thirty of each tar and a third of them labelled: what a run starts from."""
    from training.photos import U2NETP, store_photos
    from training.teacher import Labels

    tars = [SHARED / "train" / "train-0.tar", SHARED / "more" / "masked.tar", SHARED / "more" / "no-subject.tar"]
    if missing := [str(path) for path in [*tars, U2NETP] if not path.exists()]:
        pytest.skip(f"no {missing[0]}")
    folder = tmp_path_factory.mktemp("runs")
    photos = store_photos(tars, folder / "photos", workers=1, limit=30)
    labels = Labels(folder / "teacher", len(photos.names))
    labels.alphas[::3] = photos.alphas[::3]
    labels.done[::3] = True
    labels.keep()
    return folder
