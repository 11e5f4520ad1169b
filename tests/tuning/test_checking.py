"""What is wrong with masks is found: on real photos, against the model's own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liftout.images import decode
from liftout.tuning.checking import check, without
from liftout.tuning.examples import Examples, shrunk
from liftout.tuning.split import split
from liftout.tuning.start import BuiltIn, answers


@pytest.fixture(scope="module")
def good(request: pytest.FixtureRequest) -> tuple[Examples, np.ndarray]:
    """The example photos with the model's own answers as masks."""
    examples = Path(__file__).parents[2] / "examples"
    names = ("astronaut", "cat", "coffee", "officer")
    photos = np.stack([shrunk(decode(examples / f"{name}.jpg").seen_by_network())[0] for name in names])
    start = BuiltIn()
    masks = answers(start, start.network(), photos)
    return Examples(names, photos, masks.copy(), ((512, 512),) * 4), masks


def _kinds(examples: Examples, answered: np.ndarray) -> dict[str, str]:
    return {finding.name: finding.kind for finding in check(examples, answered)}


def test_good_masks_are_left_alone(good: tuple[Examples, np.ndarray]) -> None:
    assert _kinds(*good) == {}


def test_each_mistake_is_told_apart(good: tuple[Examples, np.ndarray]) -> None:
    examples, answered = good
    masks = examples.masks.copy()
    masks[0] = 0
    masks[1] = 255 - masks[1]
    masks[2] = 255
    masks[3] = np.roll(masks[3], 160, axis=1)
    wrong = Examples(examples.names, examples.pixels, masks, examples.sizes)
    kinds = {"astronaut": "empty", "cat": "inverted", "coffee": "full", "officer": "suspicious"}
    assert _kinds(wrong, answered) == kinds
    kept = without(wrong, check(wrong, answered))
    assert kept.names == ("officer",)  # a person decides


def test_the_same_photo_again_is_left_out_and_stays_on_one_side(good: tuple[Examples, np.ndarray]) -> None:
    examples, answered = good
    lighter = np.clip(examples.pixels[:1].astype(int) + 9, 0, 255).astype(np.uint8)
    twice = Examples(
        (*examples.names, "astronaut-2"),
        np.concatenate([examples.pixels, lighter]),
        np.concatenate([examples.masks, examples.masks[:1]]),
        (*examples.sizes, (512, 512)),
    )
    found = check(twice, np.concatenate([answered, answered[:1]]))
    assert [(finding.name, finding.kind) for finding in found] == [("astronaut-2", "duplicate")]
    assert "astronaut" in found[0].line


def test_small_photos_are_told(good: tuple[Examples, np.ndarray]) -> None:
    examples, answered = good
    small = Examples(examples.names, examples.pixels, examples.masks, ((512, 512), (90, 120), (512, 512), (512, 512)))
    assert _kinds(small, answered) == {"cat": "small"}


def test_photos_of_one_scene_are_on_one_side_of_the_split() -> None:
    chance = np.random.default_rng(4)
    scenes = chance.integers(0, 256, (10, 20, 20, 3))
    photos = [np.kron(scene, np.ones((16, 16, 1))) for scene in scenes for _ in range(3)]
    pixels = np.stack([np.clip(photo + chance.normal(0, 12, photo.shape), 0, 255) for photo in photos]).astype(np.uint8)
    names = tuple(f"{number // 3}-{number % 3}" for number in range(30))
    examples = Examples(names, pixels, np.zeros(pixels.shape[:3], np.uint8), ((320, 320),) * 30)
    for seed in range(4):
        parts = split(examples, seed)
        sides = [
            {names[row].split("-")[0] for row in rows} for rows in (parts.training, parts.choosing, parts.held_out)
        ]
        assert all(sides)
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        assert split(examples, seed) == parts
