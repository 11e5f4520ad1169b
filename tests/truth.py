"""The 14 photos of alphamatting.com with their true mattes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def mattes(shared: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Photo uint8 [H, W, 3], true alpha uint8 [H, W], trimap uint8 [H, W] of 0, 128, 255."""
    folder = shared / "data" / "eval" / "alphamatting"
    for path in sorted((folder / "input").glob("*.png")):
        photo = np.asarray(Image.open(path).convert("RGB"))
        alpha = np.asarray(Image.open(folder / "alpha" / path.name).convert("L"))
        trimap = np.asarray(Image.open(folder / "trimap" / path.name).convert("L"))
        yield photo, alpha, np.where((trimap > 0) & (trimap < 255), 128, trimap).astype(np.uint8)


def averaged(alpha: np.ndarray, side: int) -> np.ndarray:
    """float32 [side, side] in [0, 1]: the mean over the area of each cell."""
    return cv2.resize(alpha.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_AREA)
