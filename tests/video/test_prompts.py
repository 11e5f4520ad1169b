"""Points and boxes at times of a clip, and the choice through it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import liftout.video
from liftout.errors import UsageError
from liftout.options import VideoOptions
from liftout.remover import Remover
from liftout.video.follow import followed
from liftout.video.frame import Frame
from liftout.video.prompts import Said, read_prompts
from tests.command import liftout as command
from tests.video.clips import GREEN, RED, write_film

SIZE = (120, 200)
COUNT = 4


def two_discs(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A red disc that goes down and another one that goes up, over green with a pattern: pixels, and where each is."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels = np.empty((*SIZE, 3), np.uint8)
    pixels[:] = GREEN
    pixels[((rows // 8 + columns // 8) % 2) == 0] -= 20
    left = np.hypot(rows - 40 - 4 * index, columns - 50) < 24
    right = np.hypot(rows - 80 + 4 * index, columns - 150) < 24
    pixels[left | right] = RED
    return pixels, left, right


def frames(count: int = COUNT, first: int = 0) -> list[Frame]:
    times = [Fraction(index, 25) for index in range(count)]
    return [Frame(two_discs(first + index)[0], None, time, time) for index, time in enumerate(times)]


def said(**options: tuple[str, ...]) -> tuple[Said, ...]:
    return read_prompts(VideoOptions(**options), size=SIZE, start=Fraction(0), end=None)


def shares(alpha: np.ndarray, index: int) -> tuple[float, float]:
    """How much of the left and of the right disc an alpha holds."""
    _, left, right = two_discs(index)
    return float((alpha >= 128)[left].mean()), float((alpha >= 128)[right].mean())


def test_times_are_read_and_places_may_be_percent() -> None:
    found = said(keep=("0.08s:50,48", "1:02.5:25%,40%", "150,72"), drop=("0.08:150,72",), box=("0.08s:10,10,90,90",))
    assert [one.time for one in found] == [0, Fraction("0.08"), Fraction("62.5")]
    assert found[1].asked.at(SIZE).keep == ((50, 48),) and found[1].asked.at(SIZE).box == (10, 10, 90, 90)
    assert found[2].asked.at(SIZE).keep == ((50, 48),)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"keep": ("1s:300,20",)}, "keep"),  # outside the frame
        ({"keep": ("1s:10",)}, "keep"),
        ({"drop": ("soon:10,10",)}, "drop"),
        ({"drop": ("9:10,10",)}, "drop"),  # after the end
        ({"box": ("1:10,10,20,20", "1s:10,10,30,30")}, "box"),
    ],
)
def test_what_cannot_be_meant_is_one_line(options: dict[str, tuple[str, ...]], field: str) -> None:
    with pytest.raises(UsageError) as error:
        read_prompts(VideoOptions(**options), size=SIZE, start=Fraction(0), end=Fraction(8))
    assert error.value.field == field


def test_the_disc_that_was_pointed_at_is_followed_and_the_other_left_out(remover: Remover) -> None:
    found = list(followed(remover, frames(), said(keep=("50,40",))))
    assert [one.frame.time for one in found] == [Fraction(index, 25) for index in range(COUNT)]
    for index, one in enumerate(found):
        own, other = shares(one.alpha, index)
        assert own > 0.85 and other < 0.05, (index, own, other)
        assert one.chosen is one.alpha


def test_before_its_time_nothing_is_chosen(remover: Remover) -> None:
    found = list(followed(remover, frames(4), said(keep=("0.08s:150,72",))))
    assert [one.chosen is None for one in found] == [True, True, False, False]
    assert min(shares(found[1].alpha, 1)) > 0.9
    assert shares(found[3].alpha, 3)[0] < 0.05 and shares(found[3].alpha, 3)[1] > 0.85


def test_a_run_that_goes_on_follows_the_same(remover: Remover) -> None:
    whole = list(followed(remover, frames(3), said(keep=("50,40",))))
    rest = list(followed(remover, frames(3)[1:], said(keep=("50,40",)), after=Fraction(1, 25), begun=whole[1].chosen))
    for one, other in zip(whole[1:], rest, strict=True):
        np.testing.assert_array_equal(one.alpha, other.alpha)


def test_the_choice_ends_at_a_cut(remover: Remover) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    cut = [*frames(2), Frame(noise, None, Fraction(2, 25), Fraction(2, 25))]
    assert [one.chosen is None for one in followed(remover, cut, said(keep=("50,40",)))] == [False, False, True]


def test_a_film_takes_prompts(red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_film(tmp_path / "clip.mp4", [two_discs(index)[0] for index in range(3)])
    with liftout.video.open(path, red, keep=["50,40"]) as clip:
        found = list(clip.cut())
    assert len(found) == 3 and shares(found[2].alpha, 2)[0] > 0.85 and shares(found[2].alpha, 2)[1] < 0.05
    assert command("video", path, "-m", red, "--end", "2", "--keep", "9s:10,10", "--quiet") == 2
    assert "--keep `9s:10,10` lies outside the part that is cut out" in capsys.readouterr().err
