"""What is wrong with photos and their masks, found before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from liftout.tuning.examples import Examples, likeness

UInt8 = npt.NDArray[np.uint8]
Kind = Literal["unreadable", "empty", "full", "inverted", "duplicate", "suspicious", "small"]
LEFT_OUT: frozenset[Kind] = frozenset({"unreadable", "empty", "full", "inverted", "duplicate"})
"""What is not learnt from."""
EMPTY, FULL = 0.0005, 0.995
"""Shares of a photo that are no subject, or no photo of one."""
SAME = 0.997
"""Likeness from which two photos are one."""
SUSPICIOUS = 0.5
"""IoU with the model's own answer below which a mask deserves a look."""
SMALL = 160
"""Pixels of a photo's shorter side below which its mask tells little."""
_FRAME = 0.04
"""Of the sides: how wide the frame is in which an inverted mask is full."""


@dataclass(frozen=True)
class Finding:
    """name: of the photo. kind: what is wrong. line: the same in words. iou: of the mask with the model's answer, where both are known."""

    name: str
    kind: Kind
    line: str
    iou: float | None = None

    @property
    def left_out(self) -> bool:
        """Whether nothing is learnt from the photo."""
        return self.kind in LEFT_OUT


def check(examples: Examples, answers: UInt8) -> list[Finding]:
    """What is wrong, what is left out first. answers: the alphas of the model as it is, uint8 [N, S, S]."""
    doubles = duplicates(examples)
    findings = []
    for row, name in enumerate(examples.names):
        finding = _finding(name, examples.masks[row], answers[row], examples.sizes[row], doubles.get(row))
        if finding is not None:
            findings.append(finding)
    return sorted(findings, key=lambda finding: (not finding.left_out, finding.iou or 0, finding.name))


def without(examples: Examples, findings: Sequence[Finding]) -> Examples:
    """Those that are learnt from."""
    gone = {finding.name for finding in findings if finding.left_out}
    return examples.take([row for row, name in enumerate(examples.names) if name not in gone])


def overlap(one: UInt8, other: UInt8) -> float:
    """Intersection over union of two masks, decided at 128; 1 where neither has any."""
    first, second = one >= 128, other >= 128
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0


def duplicates(examples: Examples) -> dict[int, str]:
    """Rows of photos that are another one again, with the name of the first."""
    alike, found = likeness(examples.pixels), dict[int, str]()
    for row in range(len(examples)):
        same = np.flatnonzero(alike[row, :row] > SAME)
        first = next((int(other) for other in same if int(other) not in found), None)
        if first is not None:
            found[row] = examples.names[first]
    return found


def _finding(name: str, mask: UInt8, answer: UInt8, size: tuple[int, int], double: str | None) -> Finding | None:
    share, iou = float((mask >= 128).mean()), overlap(mask, answer)
    if share < EMPTY:
        return Finding(name, "empty", "its mask is empty: left out")
    if share > FULL:
        return Finding(name, "full", "its mask covers all of it: left out")
    if _frame_mean(mask) > 0.6 and overlap(255 - mask, answer) > max(0.5, iou + 0.3):
        return Finding(name, "inverted", "its mask looks inverted, white must be the subject: left out", iou)
    if double is not None:
        return Finding(name, "duplicate", f"is the same photo as {double}: left out")
    if iou < SUSPICIOUS:
        return Finding(name, "suspicious", f"the model sees another subject (IoU {iou:.2f}): look at its mask", iou)
    if min(size) < SMALL:
        return Finding(name, "small", f"is only {size[1]} x {size[0]} pixels: its edges teach little", iou)
    return None


def _frame_mean(mask: UInt8) -> float:
    """Mean of a mask in the outermost pixels, from 0 to 1."""
    width = max(1, round(_FRAME * mask.shape[0]))
    inner = mask[width:-width, width:-width]
    return float((mask.sum(dtype=np.int64) - inner.sum(dtype=np.int64)) / (mask.size - inner.size) / 255)
