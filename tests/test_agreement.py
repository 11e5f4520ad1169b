"""What an agreement tells of its photos."""

from __future__ import annotations

import platform

import numpy as np

from liftout.agreement import Agreement, Bar, compare
from liftout.convert.precision import report
from liftout.machine import processor


def _found() -> Agreement:
    """A photo whose subject is small and gone, and one whose alpha is a little off everywhere."""
    empty, small = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    small[:5, :10] = 255
    whole = np.full((100, 100), 255, np.uint8)
    small_gone, _ = compare(empty, small, "small.jpg")
    pale, _ = compare(whole - 51, whole, "pale.jpg")
    return Agreement((small_gone, pale), 1.0)


def test_the_worst_photo_is_named_by_either_measure() -> None:
    told = _found().to_dict()
    assert told["worst"] == {"photo": "pale.jpg", "mean_difference": 0.2, "iou_at_128": 1.0}
    assert told["worst_iou"] == {"photo": "small.jpg", "mean_difference": 0.005, "iou_at_128": 0.0}


def test_lines_say_what_the_bar_bounds_and_both_worst_photos() -> None:
    bar = Bar(0.2, 0.5)
    lines = report.lines({**_found().to_dict(), "bar": bar.to_dict(), "processor": processor()})
    assert _found().meets(bar)
    assert "  mean difference of alpha    0.10250   (average; at most 0.2)" in lines
    assert "  IoU at 128                  0.50000   (average; at least 0.5)" in lines
    assert "  worst mean difference       0.20000, IoU 1.00000: pale.jpg" in lines
    assert "  worst IoU                   0.00500, IoU 0.00000: small.jpg" in lines


def test_a_manifest_made_before_the_worst_iou_was_recorded_is_told() -> None:
    told = _found().to_dict()
    del told["worst_iou"]
    assert not [line for line in report.lines({**told, "bar": {}}) if line.startswith("  worst IoU")]


def test_the_processor_is_named_with_its_machine() -> None:
    assert platform.machine() in processor()
    assert "\n" not in processor()
