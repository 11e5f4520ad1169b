"""Write the pack of the network that reads prompts: `python -m training.points.export`.

`encode.onnx` is stages 1 and 2 of the built-in network, weights as int8 as it ships them; `prompt.onnx` is all behind them, made from
`training/checkpoints/points.pt`. The same checkpoints give the same bytes. What goes in and out stands in `liftout.pointing.network`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

import liftout
from liftout.convert.graph import Graph
from liftout.convert.nodes import Value
from liftout.models import packs
from liftout.models.catalog import find
from liftout.pointing.network import ENCODE, NAME, PROMPT
from liftout.tuning.graph import add_conv, add_depth, add_encoder, add_fine, store_as_bytes, with_weights, write
from liftout.tuning.network import SIZE, Encoder
from training.photos import ROOT
from training.points.network import (
    CELL,
    DISK_CELLS,
    LIKENESS,
    RADIUS,
    SHARP,
    WIDE,
    PromptedNetwork,
    read,
)
from training.points.train import built_in

PACK = Path(liftout.__file__).parent / "models" / "built_in" / NAME
CHECKPOINT = ROOT / "checkpoints" / "points.pt"
LARGEST = 8_000_000
Float32Array = npt.NDArray[np.float32]


def encode_to_onnx(encoder: Encoder, size: int = SIZE) -> onnx.ModelProto:
    """`input` float32 [1, 3, size, size] -> `details` float32 [1, 64, size / 2, size / 2]."""
    graph = Graph()
    details = add_encoder(graph, graph.input("input", (1, 3, size, size)), encoder)
    return with_weights(graph.finish(details, "details"))


def prompt_to_onnx(network: PromptedNetwork, size: int = SIZE) -> onnx.ModelProto:
    """See `liftout.pointing.network`; any number of points."""
    graph, side = Graph(), size // 2
    details = graph.input("details", (1, 64, side, side))
    keep, drop = (graph.input(name, (1, 2, 1, 1)) for name in ("keep", "drop"))
    box = graph.input("box", (1, 4, 1, 1))
    start, started = graph.input("start", (1, 1, side, side)), graph.input("started", (1, 1, 1, 1))
    with graph.scope("stem"):
        maps = _maps(graph, network, details, keep, drop, box, start, started)
        seen = graph.relu(add_conv(graph, maps, network.stem.first))
        seen = graph.relu(add_conv(graph, seen, network.stem.second))
        entering = graph.add(graph.halve(details), add_conv(graph, graph.halve(seen), network.to_depth))
        sharper = graph.add(details, add_conv(graph, seen, network.to_fine))
        direct = add_conv(graph, seen, network.to_logits)
    deep, logits, _ = add_depth(graph, entering, network.depth)
    logits = graph.add(add_fine(graph, sharper, deep, logits, network.fine), direct)
    alpha = graph.sigmoid(graph.resize(logits, (size, size), align_corners=False))
    lean = graph.finish(alpha, "output")
    for declared in lean.model.graph.input:
        if declared.name in ("keep", "drop"):
            declared.type.tensor_type.shape.dim[0].dim_param = f"{declared.name}s"
    _prune(lean.model)
    return with_weights(lean)


def _prune(model: onnx.ModelProto) -> None:
    """Leave out nodes that nothing reads: the means of the deep maps."""
    needed, kept = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))


def _maps(
    graph: Graph,
    network: PromptedNetwork,
    details: Value,
    keep: Value,
    drop: Value,
    box: Value,
    start: Value,
    started: Value,
) -> Value:
    """See `Stem.maps`."""
    side = details.shape[2]
    middles = ((np.arange(side) + 0.5) / side / CELL).astype(np.float32)
    looks = graph.instance_norm(add_conv(graph, graph.halve(details), network.stem.likeness))
    near, wide, like = [], [], []
    for points in (keep, drop):
        squares = _squares(graph, points, middles)
        disks = _between(graph, squares, -1 / (2 * RADIUS), RADIUS / 2 + 0.5)
        near.append(graph.largest(disks, 0))
        wide.append(graph.largest(_between(graph, squares, -1 / WIDE**2, 1), 0))
        small = graph.halve(disks)
        there = _times(
            graph, graph.mean_of_map(graph.multiply(small, looks)), small.shape[2] * small.shape[3] / DISK_CELLS
        )
        mean = np.full((1, LIKENESS, 1, 1), 1 / LIKENESS, np.float32)
        alike = graph.relu(graph.largest(graph.conv(graph.multiply(there, looks), mean), 0))
        like.append(graph.resize(alike, (side, side), align_corners=False))
    inside, outside = _boxed(graph, box, middles)
    flag = graph.add(_times(graph, start, 0), started)
    return graph.concat([*near, *wide, *like, inside, outside, start, flag], axis=1)


def _squares(graph: Graph, points: Value, middles: Float32Array) -> Value:
    """Squared distances to each point in cells."""
    parts = []
    for place, shape in ((0, (1, 1, 1, -1)), (1, (1, 1, -1, 1))):
        at = _times(graph, graph.slice(points, 1, place, place + 1), 1 / CELL)
        far = graph.add_constant(at, -middles.reshape(shape), "middles")
        parts.append(graph.multiply(far, far))
    return graph.add(*parts)


def _boxed(graph: Graph, box: Value, middles: Float32Array) -> tuple[Value, Value]:
    left, top, right, bottom = (graph.slice(box, 1, place, place + 1) for place in range(4))
    given = graph.clip(_times(graph, graph.add(right, _times(graph, left, -1)), SHARP), 0, 1)
    columns, rows = middles.reshape(1, 1, 1, -1), middles.reshape(1, 1, -1, 1)
    inside = given
    for at, factor, places in ((left, -1, columns), (right, 1, -columns), (top, -1, rows), (bottom, 1, -rows)):
        far = graph.add_constant(_times(graph, at, factor / CELL), (places + np.float32(0.5)), "middles")
        inside = graph.multiply(inside, graph.clip(far, 0, 1))
    return inside, graph.add(given, _times(graph, inside, -1))


def _between(graph: Graph, x: Value, factor: float, shift: float) -> Value:
    """x times `factor` plus `shift`, cut to 0 to 1."""
    return graph.clip(graph.add_constant(_times(graph, x, factor), np.array(shift, np.float32), "shift"), 0, 1)


def _times(graph: Graph, x: Value, factor: float) -> Value:
    return graph.multiply_constant(x, np.array(factor, np.float32))


def write_pack(encode: onnx.ModelProto, prompt: onnx.ModelProto, folder: Path, made_from: dict[str, str]) -> None:
    """The pack that ships. Raises ValueError where both files together would be larger than LARGEST."""
    with packs.writing(folder, overwrite=True) as fresh:
        write(encode, fresh / ENCODE)
        write(prompt, fresh / PROMPT)
        total = sum(path.stat().st_size for path in fresh.iterdir())
        if total > LARGEST:
            raise ValueError(f"the pack would be {total} bytes, more than {LARGEST}")
        spec = dataclasses.replace(
            find("pocket"),
            name=NAME,
            family=NAME,
            architecture=NAME,
            summary="Built in: reads points, boxes and an alpha to start from",
        )
        manifest = packs.Manifest(spec=spec, precision="fp32", files=(), made_from=made_from)
        packs.write_manifest(fresh, manifest, (ENCODE, PROMPT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument(
        "-o", "--output", type=Path, default=PACK, help="folder of the pack; by default inside the package"
    )
    options = parser.parse_args()
    encode = store_as_bytes(encode_to_onnx(built_in().encoder))
    prompt = store_as_bytes(prompt_to_onnx(read(options.checkpoint)))
    digest = hashlib.sha256(options.checkpoint.read_bytes()).hexdigest()
    write_pack(
        encode, prompt, options.output, {"file": options.checkpoint.name, "sha256": digest, "torch": torch.__version__}
    )
    for name in (ENCODE, PROMPT):
        print(f"{name}: {(options.output / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
