"""From a checkpoint's tensors to a lean network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from liftout.convert.graph import Graph
from liftout.convert.lean.ben2 import ben2
from liftout.convert.lean.birefnet import birefnet
from liftout.convert.lean.inspyrenet import inspyrenet
from liftout.convert.lean.modnet import modnet
from liftout.convert.lean.nested_u import isnet, u2net
from liftout.convert.nodes import LeanNetwork, Value
from liftout.convert.weights import Weights
from liftout.errors import UsageError
from liftout.networks import ARCHITECTURES, Architecture, PatchOrder, fit_state
from liftout.progress import Progress

INPUT_NAME = "input"
OUTPUT_NAME = "output"


def build_network(
    architecture: str,
    state: Mapping[str, Tensor],
    *,
    size: tuple[int, int],
    batch: int | None = 1,
    patch_order: PatchOrder = "cgw",
    sigmoid: bool | None = None,
    progress: Progress | None = None,
) -> LeanNetwork:
    """The lean form of `load_network(architecture, state)`: `input` [N, 3, *size] -> `output` [N, classes, *size].

    state: as `read_checkpoint` gives it. size: (height, width). batch: N, or None for any, which networks with a Swin backbone do not allow;
    BEN2 takes one photo per run.
    sigmoid: end in a probability (True) or a logit (False) instead of what the authors' network does.
    Raises CheckpointMismatch where `state` is not the architecture's, UsageError where size or batch do not fit it.
    """
    known = ARCHITECTURES[architecture]
    height, width = size
    if min(size) < known.multiple_of or height % known.multiple_of or width % known.multiple_of:
        raise UsageError(f"{architecture} takes sizes that are multiples of {known.multiple_of}, not {height}x{width}")
    if batch is not None and batch < 1:
        raise UsageError(f"of {batch} is empty", field="batch", remedy="give 1 or more")
    if batch is None and known.backbone:
        raise UsageError(f"{architecture} needs a fixed batch", remedy="give one")
    if known.family == "ben2" and batch != 1:
        raise UsageError(f"{architecture} takes one photo per run", field="batch", remedy="give 1")
    weights = Weights(fit_state(known, state), progress)
    graph = Graph(dynamic_batch=batch is None)
    photo = graph.input(INPUT_NAME, (batch or 1, 3, height, width))
    y = _logits(graph, photo, weights, known, patch_order)
    if known.sigmoid if sigmoid is None else sigmoid:
        y = graph.sigmoid(y)
    return graph.finish(y, OUTPUT_NAME)


def _logits(graph: Graph, photo: Value, weights: Weights, known: Architecture, patch_order: PatchOrder) -> Value:
    if known.family == "birefnet" and known.backbone:
        return birefnet(graph, photo, weights, known.backbone, patch_order)
    if known.family == "inspyrenet" and known.backbone:
        return inspyrenet(graph, photo, weights, known.backbone, known.base)
    if known.family == "ben2" and known.backbone:
        return ben2(graph, photo, weights, known.backbone)
    return {"modnet": modnet, "isnet": isnet, "u2net": u2net}[known.family](graph, photo, weights)
