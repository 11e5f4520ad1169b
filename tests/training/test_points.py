"""The network that reads prompts starts as the built-in one, its file computes what was trained, and users are simulated as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from liftout.tuning.graph import store_as_bytes
from liftout.tuning.network import PocketNetwork, halve
from training.photos import serves_for_choosing
from training.points.export import CHECKPOINT, LARGEST, PACK, encode_to_onnx, prompt_to_onnx
from training.points.network import Marks, PromptedNetwork, compact, prompted, read
from training.points.scenes import Scenes
from training.points.session import KINDS, Session, marks
from training.points.simulate import box_around, inner, largest_error, middle, overlap, somewhere, stroke
from training.points.train import Recipe, Run, built_in
from training.targets import open_targets

SIDE = 96


@pytest.fixture(scope="module")
def pocket() -> PocketNetwork:
    return built_in()


@pytest.fixture(scope="module")
def loud(pocket: PocketNetwork) -> PromptedNetwork:
    """A network whose prompts do something, as if it had learnt."""
    network = prompted(pocket)
    torch.manual_seed(3)
    with torch.no_grad():
        for layer in (network.to_depth, network.to_fine, network.to_logits):
            layer.weight.normal_(0, 0.2)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def details(pocket: PocketNetwork) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return pocket.encoder(torch.randn(1, 3, SIDE, SIDE))


def said(
    keep: list[tuple[float, float]] | None = None,
    drop: list[tuple[float, float]] | None = None,
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    *,
    start: bool = False,
) -> Marks:
    torch.manual_seed(2)
    side = SIDE // 2
    return Marks(
        torch.tensor([keep or [(-1.0, -1.0)]]),
        torch.tensor([drop or [(-1.0, -1.0)]]),
        torch.tensor([box]),
        torch.rand(1, 1, side, side) if start else torch.zeros(1, 1, side, side),
        torch.tensor([float(start)]),
    )


def test_it_starts_as_the_built_in_network(pocket: PocketNetwork, details: torch.Tensor) -> None:
    with torch.no_grad():
        deep, logits, _ = pocket.depth(halve(details))
        expected = pocket.fine(details, deep, logits[3])
        for marks in (said(), said([(0.5, 0.5)], [(0.1, 0.2)], (0.1, 0.1, 0.6, 0.7), start=True)):
            assert torch.allclose(prompted(pocket)(details, marks)[0], expected, atol=1e-4)


def test_points_that_fill_a_batch_up_say_nothing(loud: PromptedNetwork, details: torch.Tensor) -> None:
    none = (-1.0, -1.0)
    few, filled = said([(0.3, 0.4)]), said([(0.3, 0.4), none, none], [none, none])
    assert torch.allclose(loud(details, few)[0], loud(details, filled)[0], atol=1e-4)
    assert not torch.allclose(loud(details, few)[0], loud(details, said())[0], atol=1e-1)


def test_the_maps_show_where_the_prompts_are(loud: PromptedNetwork, details: torch.Tensor) -> None:
    maps = loud.stem.maps(details, said([(0.25, 0.75)], box=(0.0, 0.5, 0.5, 1.0), start=True))[0]
    side = SIDE // 2
    keep, drop, inside, outside = maps[0], maps[1], maps[6], maps[7]
    assert np.unravel_index(int(keep.argmax()), (side, side)) in {(35, 11), (35, 12), (36, 11), (36, 12)}
    assert not drop.any()
    assert float(inside[side // 2 + 2 :, : side // 2 - 2].min()) == 1
    assert torch.allclose(inside + outside, torch.ones(side, side))
    assert float(maps[9].min()) == 1
    assert not loud.stem.maps(details, said())[0, 6:].any()


@pytest.mark.parametrize(
    "marks",
    [
        said(),
        said([(0.5, 0.5)]),
        said([(0.5, 0.5), (0.2, 0.9), (0.7, 0.1)], [(0.1, 0.2), (0.9, 0.9)], start=True),
        said(box=(0.2, 0.1, 0.8, 0.6)),
    ],
    ids=["nothing", "a point", "points and a start", "a box"],
)
def test_the_graph_computes_what_torch_does(loud: PromptedNetwork, details: torch.Tensor, marks: Marks) -> None:
    model = prompt_to_onnx(loud, SIDE)
    logits = loud(details, marks)[0]
    expected = torch.sigmoid(torch.nn.functional.interpolate(logits, scale_factor=2.0, mode="bilinear")).numpy()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(
        None,
        {
            "details": details.numpy(),
            "keep": marks.keep[0, :, :, None, None].numpy(),
            "drop": marks.drop[0, :, :, None, None].numpy(),
            "box": marks.box[:, :, None, None].numpy(),
            "start": marks.start.numpy(),
            "started": marks.started[:, None, None, None].numpy(),
        },
    )[0]
    assert np.abs(found - expected).max() < 1e-3


def test_the_encoder_is_that_of_the_built_in_network(pocket: PocketNetwork, details: torch.Tensor) -> None:
    torch.manual_seed(1)
    photo = torch.randn(1, 3, SIDE, SIDE).numpy()
    session = onnxruntime.InferenceSession(
        encode_to_onnx(pocket.encoder, SIDE).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert np.allclose(session.run(None, {"input": photo})[0], details.numpy(), atol=1e-3, rtol=1e-3)


def test_a_compact_checkpoint_is_read_back(loud: PromptedNetwork, details: torch.Tensor, tmp_path: Path) -> None:
    torch.save(compact(loud), tmp_path / "points.pt")
    marks = said([(0.5, 0.5)], start=True)
    again = read(tmp_path / "points.pt")(details, marks)[0]
    expected = loud(details, marks)[0]
    assert float((again - expected).abs().mean()) < 0.01 * float(expected.abs().mean())  # float16


def test_what_ships_comes_out_of_the_checkpoints_that_are_kept(pocket: PocketNetwork) -> None:
    made = {
        "encode.onnx": store_as_bytes(encode_to_onnx(pocket.encoder)),
        "prompt.onnx": store_as_bytes(prompt_to_onnx(read(CHECKPOINT))),
    }
    for name, model in made.items():
        ships = onnx.load(PACK / name)
        assert [node.op_type for node in model.graph.node] == [node.op_type for node in ships.graph.node]
        ours, theirs = (
            {item.name: numpy_helper.to_array(item) for item in one.graph.initializer} for one in (model, ships)
        )
        assert ours.keys() == theirs.keys()
        for key, values in ours.items():
            difference = np.abs(values.astype(np.float64) - theirs[key])
            # a weight that falls between two levels may be rounded up on one processor and down on another
            assert difference.max() <= (1 if key.endswith(".int8") else 1e-4 + 1e-4 * np.abs(values).max()), key
            if key.endswith(".int8"):
                assert difference.mean() < 1e-3, key
    assert sum(path.stat().st_size for path in PACK.glob("*.onnx")) <= LARGEST


def squares() -> tuple[np.ndarray, np.ndarray]:
    truth, mask = np.zeros((40, 60), np.bool_), np.zeros((40, 60), np.bool_)
    truth[5:25, 5:25] = True
    mask[5:25, 15:25] = True  # the left half is missing: 200 pixels
    mask[30:38, 40:50] = True  # 80 pixels too many
    return mask, truth


def test_the_next_click_lies_in_the_middle_of_the_largest_error() -> None:
    mask, truth = squares()
    region, keep = largest_error(mask, truth)
    assert keep
    assert region.sum() == 200
    x, y = middle(region)
    assert 9 <= x <= 11
    assert 8 <= y <= 22
    mask[5:25, 5:25] = True
    region, keep = largest_error(mask, truth)
    assert not keep
    assert region.sum() == 80
    assert not largest_error(truth, truth)[0].any()


def test_a_region_at_the_edge_of_the_picture_is_clicked_inside() -> None:
    region = np.zeros((40, 60), np.bool_)
    region[:, :20] = True
    assert inner(region)[0, 5] == 1
    x, y = middle(region)
    assert 9 <= x <= 11
    assert 9 <= y <= 31


def test_clicks_and_strokes_stay_in_their_region() -> None:
    _, truth = squares()
    for seed in range(20):
        chance = np.random.default_rng(seed)
        places = [somewhere(truth, chance), *stroke(truth, chance, 8)]
        assert all(truth[int(y), int(x)] for x, y in places)


def test_boxes_lie_around_the_mask_and_within_the_picture() -> None:
    _, truth = squares()
    assert box_around(truth) == (5, 5, 25, 25)
    for seed in range(20):
        left, top, right, bottom = box_around(truth, np.random.default_rng(seed), 0.4)
        assert 0 <= left < right <= 60
        assert 0 <= top < bottom <= 40
    assert overlap(truth, truth) == 1
    assert overlap(truth, ~truth) == 0


@pytest.fixture(scope="module")
def drawn(runs: Path) -> Scenes:
    return Scenes(open_targets(runs / "photos", runs / "teacher"), choosing=False)


def test_scenes_are_drawn_by_number_and_their_subjects_share_no_pixel(drawn: Scenes) -> None:
    several = 0
    for number in range(8):
        scene = drawn.draw(1, number, 1.0)
        again = drawn.draw(1, number, 1.0)
        assert np.array_equal(scene.pixels, again.pixels)
        assert np.array_equal(scene.subjects, again.subjects)
        assert scene.subjects.sum(0).max() <= 1 + 1e-5
        several += len(scene.subjects) > 1
    assert several >= 4


def test_nothing_is_trained_on_that_serves_for_choosing(runs: Path, drawn: Scenes) -> None:
    names = {name for groups in drawn.whole.values() for part in groups for name in part} | set(drawn.empty)
    assert names
    assert not any(serves_for_choosing(name) for name in names)
    others = Scenes(open_targets(runs / "photos", runs / "teacher"), choosing=True)
    assert all(serves_for_choosing(name) for groups in others.whole.values() for part in groups for name in part)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_says_what_is_right(kind: str, drawn: Scenes) -> None:
    for number in range(6):
        scene, chance = drawn.draw(2, number, 1.0), np.random.default_rng(number)
        session = Session.begin(scene, np.zeros((160, 160), np.float32), kind, chance)
        for answer in (np.zeros((160, 160), np.float32), np.ones((160, 160), np.float32)):
            for points, wanted in ((session.keep, True), (session.drop, False)):
                assert all((session.truth[int(160 * y), int(160 * x)] > 0.5) == wanted for x, y in points)
            session.go_on(answer, chance)
        read_by_network = marks([session], 128)
        assert read_by_network.start.shape == (1, 1, 128, 128)
        assert float(read_by_network.keep.max()) <= 1


def test_a_run_that_was_stopped_continues_to_the_same_weights(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("NORM_SCENES", 2), ("CHOOSING_PHOTOS", 1), ("CHOOSING_SCENES", 1)):
        monkeypatch.setattr(f"training.points.train.{name}", count)
    # in a million minutes the rate does not fall
    recipe = Recipe(minutes=1e6, batch=1, clicks=2, side=96, warm_up=1)
    folders = runs / "photos", runs / "teacher"
    Run(recipe, tmp_path / "whole", *folders).train(1e6, batches=2)
    Run(recipe, tmp_path / "broken", *folders).train(1e6, batches=1)
    Run(recipe, tmp_path / "broken", *folders).train(1e6, batches=2)
    ours, theirs = (read(tmp_path / name / "points.pt").state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    started = prompted(built_in()).state_dict()
    assert not torch.equal(ours["to_fine.weight"], started["to_fine.weight"])
    with pytest.raises(SystemExit, match="another recipe"):
        Run(Recipe(minutes=1e6, batch=2), tmp_path / "whole", *folders)
