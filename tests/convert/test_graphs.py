"""What the graphs are made of: sizes, operators, constants."""

from __future__ import annotations

import functools
import math
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from liftout.convert import LeanNetwork, build_network
from liftout.convert.graph import Graph
from liftout.convert.pieces import pieces, spans
from liftout.errors import CheckpointMismatch, UsageError
from liftout.networks import ARCHITECTURES

OPERATORS = {
    *("Add", "Mul", "MatMul", "Conv", "Relu", "Gelu", "Sigmoid", "Softmax", "LayerNormalization"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GridSample", "Resize", "Clip", "InstanceNormalization"),
    *("Concat", "Pad", "Reshape", "Slice", "Transpose"),
}


@functools.cache
def zeros(architecture: str) -> dict[str, torch.Tensor]:
    """A checkpoint of zeros: the structure of a graph does not depend on its weights."""
    with torch.device("meta"):
        names = ARCHITECTURES[architecture].build().state_dict()
    return {name: torch.zeros((), dtype=like.dtype).expand(like.shape) for name, like in names.items()}


def unweighted(architecture: str, size: tuple[int, int]) -> LeanNetwork:
    """The graph, with weights of zero."""
    return build_network(architecture, zeros(architecture), size=size)


@functools.cache
def small(architecture: str) -> LeanNetwork:
    """The graph for as small a photo as it takes, wider than high where it can be."""
    return unweighted(architecture, (512, 512) if architecture == "ben2" else (224, 256))


@pytest.fixture(scope="module", params=["birefnet_swin_v1_t", "birefnet_swin_v1_l"])
def full_size(request: pytest.FixtureRequest) -> LeanNetwork:
    return unweighted(request.param, (1024, 1024))


def inferred_shapes(network: LeanNetwork) -> dict[str, tuple[int, ...]]:
    """What onnx itself makes of the graph; weights are declared, not held."""
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    for name, array in network.weights.items():
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape))
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    return {
        value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in [*inferred.graph.value_info, *inferred.graph.output]
    }


def test_no_tensor_of_birefnet_at_full_size_is_large(full_size: LeanNetwork) -> None:
    shapes = inferred_shapes(full_size)
    assert len(shapes) == len(full_size.model.graph.node)
    sizes = {name: 4 * math.prod(shape) for name, shape in shapes.items()}
    assert max(sizes.values()) < 256_000_000
    sampled = [size for name, size in sizes.items() if "dec_att" in name or "attn" in name or "gelu" in name]
    assert max(sampled) < 64_000_000


def test_the_builder_knows_the_shapes_that_onnx_infers(full_size: LeanNetwork) -> None:
    known = {name: shape for name, shape in full_size.shapes.items() if name != "input"}
    assert known == inferred_shapes(full_size)


@pytest.mark.parametrize("architecture", ["u2netp", "isnet"])
def test_the_builder_knows_the_shapes_of_nested_u_networks(architecture: str) -> None:
    network = unweighted(architecture, (75, 130))
    assert {name: shape for name, shape in network.shapes.items() if name != "input"} == inferred_shapes(network)


@pytest.mark.parametrize(
    "architecture", ["u2net", "u2net_cloth_seg", "isnet", "modnet", "birefnet_swin_v1_t", "inspyrenet_384", "ben2"]
)
def test_nodes_run_on_every_backend(architecture: str) -> None:
    """Few buffers a node, known operators, integers only where they say a shape, an axis or a bound."""
    network = small(architecture)
    integers = {tensor.name for tensor in network.model.graph.initializer}
    for node in network.model.graph.node:
        assert node.op_type in OPERATORS
        assert len(node.input) + len(node.output) <= 8, node.name
        if integers.intersection(node.input):
            assert node.op_type in ("Pad", "Reshape", "Resize", "Slice")
            assert node.input[0] not in integers
    assert [(opset.domain, opset.version) for opset in network.model.opset_import] == [("", 20)]


@pytest.mark.parametrize("architecture", ["u2netp", "isnet", "modnet", "birefnet_swin_v1_t", "inspyrenet_384", "ben2"])
def test_nothing_is_left_to_fold(architecture: str) -> None:
    """Every node depends on the photo, and is needed for the output."""
    network = small(architecture)
    graph = network.model.graph
    made = {"input"} | {name for node in graph.node for name in node.output}
    assert all(made.intersection(node.input) for node in graph.node)
    used = {name for node in graph.node for name in node.input} | {graph.output[0].name}
    assert all(used.intersection(node.output) for node in graph.node)
    assert set(network.weights) | {tensor.name for tensor in graph.initializer} == used - made - {""}


def test_masks_and_weights_are_stored_once(full_size: LeanNetwork) -> None:
    """The backbone runs at two sizes; all that is not the photo's size is shared."""
    parameters = sum(array.size for array in full_size.weights.values())
    architecture = "birefnet_swin_v1_l" if parameters > 10**8 else "birefnet_swin_v1_t"
    with torch.device("meta"):
        held = sum(tensor.numel() for tensor in ARCHITECTURES[architecture].build().parameters())
    assert parameters < 1.06 * held


@pytest.mark.parametrize(
    ("architecture", "unused"),
    [
        ("u2net", ()),
        ("isnet", ("side2", "side3", "side4", "side5", "side6")),
        ("birefnet_swin_v1_t", ("conv_ms_spvn", "gdt_convs_pred")),
        ("ben2", ("sideout",)),
        ("modnet", ("lr_branch.conv_lr.", "hr_branch.conv_hr.", "backbone.model")),
    ],
)
def test_only_training_heads_are_left_out(architecture: str, unused: tuple[str, ...]) -> None:
    """Every other tensor goes into the graph."""
    from liftout.convert.lean.ben2 import ben2
    from liftout.convert.lean.birefnet import birefnet
    from liftout.convert.lean.modnet import modnet
    from liftout.convert.lean.nested_u import isnet, u2net
    from liftout.convert.weights import Weights

    known = ARCHITECTURES[architecture]
    weights, graph = Weights(zeros(architecture)), Graph()
    side = 512 if architecture == "ben2" else 64
    photo = graph.input("input", (1, 3, side, side))
    if known.backbone and known.family == "ben2":
        ben2(graph, photo, weights, known.backbone)
    elif known.backbone:
        birefnet(graph, photo, weights, known.backbone, "cgw")
    else:
        {"isnet": isnet, "modnet": modnet}.get(architecture, u2net)(graph, photo, weights)
    assert all(any(part in name for part in unused) for name in weights.left)
    assert {part for part in unused for name in weights.left if part in name} == set(unused)


def test_sizes_and_batches_that_do_not_fit_are_refused() -> None:
    for size in [(100, 128), (1024, 1000), (0, 32), (-32, 32)]:
        with pytest.raises(UsageError, match="multiples of 32"):
            build_network("birefnet_swin_v1_t", {}, size=size)
    with pytest.raises(UsageError, match="fixed batch"):
        build_network("birefnet_swin_v1_t", {}, size=(64, 64), batch=None)
    with pytest.raises(UsageError, match="one photo per run"):
        build_network("ben2", {}, size=(512, 512), batch=2)
    with pytest.raises(UsageError, match="multiples of 512"):
        build_network("ben2", {}, size=(1024, 768))
    with pytest.raises(UsageError, match="batch of 0"):
        build_network("u2netp", {}, size=(64, 64), batch=0)
    with pytest.raises(CheckpointMismatch, match="missing"):
        build_network("u2netp", {}, size=(64, 64))


def test_a_symbolic_batch_refuses_operators_that_would_fix_it() -> None:
    graph = Graph(dynamic_batch=True)
    x = graph.input("input", (1, 3, 4, 4))
    with pytest.raises(ValueError, match="Reshape"):
        graph.reshape(x, (1, 48))
    with pytest.raises(ValueError, match="Pad"):
        graph.pad(x, 2, 0, 1)


def test_a_mistake_in_shapes_is_found_where_it_is_made() -> None:
    graph = Graph()
    x = graph.input("input", (1, 3, 4, 4))
    with pytest.raises(ValueError, match="Conv"):
        graph.conv(x, np.zeros((2, 4, 1, 1), np.float32))
    with pytest.raises(ValueError, match="Reshape"):
        graph.reshape(x, (1, 47))
    with pytest.raises(ValueError, match="Slice"):
        graph.slice(x, 2, 3, 5)


@pytest.mark.parametrize("length", [1, 7, 37, 256])
@pytest.mark.parametrize("item_bytes", [10, 1_000_000, 5_000_000, 99_000_000])
def test_pieces_cover_everything_once_in_equal_steps(length: int, item_bytes: int) -> None:
    cut = pieces(length, item_bytes)
    assert [index for start, stop in cut for index in range(start, stop)] == list(range(length))
    steps = Counter(stop - start for start, stop in cut[:-1])
    assert len(steps) <= 1
    assert all((stop - start) * item_bytes <= 16_000_000 or stop - start == 1 for start, stop in cut)


def test_spans_cover_everything_once() -> None:
    assert spans(10, 3) == [(0, 3), (3, 6), (6, 10)]


def test_long_concatenations_become_trees() -> None:
    graph = Graph()
    x = graph.input("input", (1, 60, 2, 2))
    parts = [graph.slice(x, 1, i, i + 1) for i in range(60)]
    network = graph.finish(graph.concat(parts, axis=1), "output")
    concats = [node for node in network.model.graph.node if node.op_type == "Concat"]
    assert max(len(node.input) for node in concats) <= 7
    assert network.shapes["output"] == (1, 60, 2, 2)
