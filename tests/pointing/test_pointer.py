"""Points, boxes and a start, answered by the network that ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover, pointing, remove
from liftout.engines import run_once
from liftout.errors import ModelMissing, UsageError
from liftout.models import packs
from liftout.models.add import add_onnx
from liftout.prompts import Asked, Prompts

GROUND = (120, 140, 110)
PERSON, CUP = (150, 250), (470, 250)
"""A point on each subject of the scene."""


@dataclass(frozen=True)
class Scene:
    """Two subjects side by side. pixels: uint8 [400, 640, 3]. person, cup: bool [400, 640]."""

    pixels: np.ndarray
    person: np.ndarray
    cup: np.ndarray

    @property
    def both(self) -> np.ndarray:
        return np.where(self.person | self.cup, 255, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def remover() -> Remover:
    return Remover(threads=1)


@pytest.fixture(scope="module")
def scene(examples: Path, remover: Remover) -> Scene:
    whole = Image.new("RGB", (640, 400), GROUND)
    masks = []
    for name, size, place in (("astronaut", (260, 360), (20, 40)), ("coffee", (280, 220), (330, 140))):
        cutout = remover(examples / f"{name}.jpg")
        subject = Image.fromarray(cutout.rgba).crop(cutout.box).resize(size)
        whole.paste(subject, place, subject)
        mask = Image.new("L", whole.size)
        mask.paste(subject.getchannel("A"), place)
        masks.append(np.asarray(mask) >= 128)
    return Scene(np.asarray(whole), *masks)


def overlap(alpha: np.ndarray, truth: np.ndarray) -> float:
    mask = alpha >= 128
    return float((mask & truth).sum() / (mask | truth).sum())


def test_a_click_on_one_of_two_subjects_selects_it(scene: Scene, remover: Remover) -> None:
    cup, person = (remover(scene.pixels, keep=[at]).alpha for at in (CUP, PERSON))
    assert overlap(cup, scene.cup) > 0.8
    assert overlap(cup, scene.person) < 0.05
    assert overlap(person, scene.person) > overlap(person, scene.cup) + 0.5


def test_points_may_be_percent_and_text(scene: Scene, remover: Remover) -> None:
    in_pixels = remover(scene.pixels, keep=[(480, 240)]).alpha
    for same in (["75%,60%"], "75%,60%", "480,60%", np.array([[480, 240]])):
        assert np.array_equal(remover(scene.pixels, keep=same).alpha, in_pixels)
    assert np.array_equal(remove(scene.pixels, keep="75%,60%", threads=1).alpha, in_pixels)


def test_a_drop_takes_a_subject_from_a_start_and_leaves_the_other_as_it_was(scene: Scene, remover: Remover) -> None:
    result = remover(scene.pixels, drop=[CUP], start=scene.both).alpha
    assert np.array_equal(result[:, :300], scene.both[:, :300])
    assert result[CUP[1], CUP[0]] == 0
    assert overlap(result, scene.cup) < overlap(scene.both, scene.cup)


def test_a_keep_adds_a_subject_to_a_start_and_leaves_the_other_as_it_was(scene: Scene, remover: Remover) -> None:
    start = np.where(scene.person, 255, 0).astype(np.uint8)
    result = remover(scene.pixels, keep=[CUP], start=start).alpha
    assert np.array_equal(result[:, :300], start[:, :300])
    assert overlap(np.where(np.arange(640) < 300, 0, result), scene.cup) > 0.8


def test_a_drop_alone_corrects_the_automatic_alpha(scene: Scene, remover: Remover) -> None:
    automatic = remover(scene.pixels).alpha
    result = remover(scene.pixels, drop=[CUP]).alpha
    assert np.array_equal(result, remover(scene.pixels, drop=[CUP], start=automatic).alpha)
    assert result[CUP[1], CUP[0]] == 0


def test_a_box_selects_what_lies_in_it(scene: Scene, remover: Remover) -> None:
    result = remover(scene.pixels, box=(330, 140, 610, 360)).alpha
    assert overlap(result, scene.cup) > 0.8
    assert np.array_equal(remover(scene.pixels, box="330,35%,610,90%").alpha, result)


def test_a_point_in_what_is_right_already_changes_nothing(scene: Scene, remover: Remover) -> None:
    assert np.array_equal(remover(scene.pixels, keep=[PERSON, CUP], start=scene.both).alpha, scene.both)


def test_any_model_gives_the_edges_of_what_was_pointed_at(scene: Scene, shared: Path, own_home: Path) -> None:
    name = add_onnx("own-u2netp", shared / "data/weights/u2netp.onnx", like="u2netp", run=run_once).name
    with Remover(name, threads=1) as named:
        result = named(scene.pixels, keep=[CUP]).alpha
        assert overlap(result, scene.cup) > 0.8
        assert overlap(result, scene.person) < 0.05
        plain = named.with_edges("plain")(scene.pixels, keep=[CUP]).alpha
        assert overlap(plain, scene.cup) > 0.8
        assert not np.array_equal(plain, result)


def test_refined_edges_apply_to_the_result(examples: Path, remover: Remover) -> None:
    pytest.importorskip("scipy")
    photo = examples / "cat.jpg"
    plain, refined = (remover.with_edges(edges)(photo, keep=["50%,50%"]).alpha for edges in ("auto", "refined"))
    assert not np.array_equal(plain, refined)
    assert overlap(refined, plain >= 128) > 0.8


def test_hidden_parts_of_a_photo_stay_hidden(scene: Scene, remover: Remover) -> None:
    alpha = np.full((400, 640), 255, np.uint8)
    alpha[:, 480:] = 0
    assert remover(np.dstack([scene.pixels, alpha]), keep=[(400, 250)]).alpha[:, 480:].max() == 0


def test_a_photo_is_encoded_once(scene: Scene) -> None:
    pack = packs.built_in(pointing.NAME)
    assert pack is not None
    pointer = pointing.Pointer(pack, threads=1)
    first, again = pointer.see(scene.pixels), pointer.see(scene.pixels.copy())
    assert again.details is first.details
    assert pointer.see(scene.pixels[::-1].copy()).details is not first.details


def test_prompts_may_be_given_as_one_object(scene: Scene, remover: Remover) -> None:
    expected = remover(scene.pixels, keep=[CUP]).alpha
    for prompts in (Prompts(keep=(CUP,)), Asked.of(keep=[CUP])):
        assert np.array_equal(remover.prompted(scene.pixels, prompts).alpha, expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (7, 5)])
def test_tiny_photos_can_be_pointed_at(size: tuple[int, int], remover: Remover) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    start = np.zeros(size, np.uint8)
    for prompts in ({"keep": [(0, 0)]}, {"keep": ["50%,50%"], "start": start}, {"box": (0, 0, size[1], size[0])}):
        assert remover(image, **prompts).alpha.shape == size  # type: ignore[arg-type]


def test_wrong_prompts_are_one_line(scene: Scene, remover: Remover) -> None:
    with pytest.raises(UsageError, match=r"^keep 700,10 lies outside the photo, which is 640x400 pixels; x goes from"):
        remover(scene.pixels, keep=[(700, 10)])
    with pytest.raises(UsageError, match=r"^box 9,9,3,20 is empty"):
        remover(scene.pixels, box=(9, 9, 3, 20))
    with pytest.raises(UsageError, match=r"^start is 10x10 pixels, the photo is 640x400"):
        remover(scene.pixels, start=np.zeros((10, 10), np.uint8))


def test_a_package_without_the_network_says_so(monkeypatch: pytest.MonkeyPatch, scene: Scene, remover: Remover) -> None:
    pointing.load.cache_clear()
    monkeypatch.setattr("liftout.pointing.packs.built_in", lambda _: None)
    with pytest.raises(ModelMissing, match="not in this package"):
        remover(scene.pixels, keep=[CUP])


def test_the_pack_is_what_its_manifest_says() -> None:
    pack = packs.built_in(pointing.NAME)
    assert pack is not None
    packs.verify(pack)
    assert {item.path for item in pack.manifest.files} == {"encode.onnx", "prompt.onnx"}
    assert pack.bytes < 8_000_000
