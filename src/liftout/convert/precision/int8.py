"""int8, static: weights per channel, activations per tensor, ranges from photos.

ONNX Runtime's quantizer writes the graph; what to quantize is decided here. First every convolution and matrix product is.
Where alphas then differ more than `_ENOUGH` of the bar, the layers are ranked by the noise that int8 adds to their output, and
the noisiest stay in float with the layers whose output they read, twice as many each time, until alphas agree. Two of U2NetP's
118 layers have so wide a range of values that quantizing them destroys the alpha.

All of this is decided in float (`in_float`), on the photos to calibrate with: the model, the photos and nothing else decide what
the file holds, not the processor, the number of its cores or what else it does. Where a float sum that comes out a last digit
larger could change that, values are rounded (`ranges`, `_rank`).

Weights use seven of their eight bits: on x86 without VNNI the product of two neighbours, added in sixteen bits, would overflow
with eight. With seven the integer sums are the same on every processor.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from liftout.agreement import BARS, Agreement, Runs, measure
from liftout.convert.precision.folded import folded
from liftout.convert.precision.in_float import InFloat
from liftout.convert.precision.noise import noise_of_layers
from liftout.convert.precision.photos import NamedPhoto, Photos
from liftout.convert.precision.ranges import Range, measure_ranges
from liftout.engines import NetworkFile
from liftout.models.packs import NETWORK, WEIGHTS
from liftout.models.spec import ModelSpec
from liftout.progress import Progress

_PRODUCTS = ("Conv", "MatMul", "Gemm")
"""What costs the time and holds the weights."""

_CARRIED = ("Relu", "MaxPool", "Concat", "Add", "Resize")
"""Operators between two products that pass whole levels on, so that nothing goes back to float in between."""

_ENOUGH = 0.5
"""Share of the bar that the photos here must keep to, for other photos' sake."""

_UNCLEAR = 0.1
"""Share of the photos, the worst, that need only keep to the bar itself, on the average with the others: where it is not clear
what the subject is, any change is large."""

_MOST_IN_FLOAT = 0.2
"""Share of the weights that may stay in float: with more, float16 is smaller and better."""

_CHOOSING, _RANKING = 12, 3
"""Photos to try layers with, and to rank them with."""

_LARGE = 100e9
"""Multiplications for a photo; from here on a third of the photos calibrate, choose and rank."""


def write_int8(
    source: NetworkFile,
    folder: Path,
    spec: ModelSpec,
    photos: Photos,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Write the int8 form of a network into `folder`. Returns facts for the manifest: what it was calibrated on, which layers
    stayed in float.

    source: the fp32 network. spec: its preprocessing. photos: to calibrate with. Raises NetworkRejected.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".int8.") as name:
        work = Path(name)
        plain = folded(source, work)
        model = onnx.load(plain, load_external_data=False)
        few = 3 if _multiplications(model) > _LARGE else 1
        calibrating = photos.calibrating[::few]
        choice = _Choice(model, plain, spec, photos.to_choose(_CHOOSING // few), _RANKING // few, progress)
        choice.ranges = measure_ranges(plain, _rounded(model), spec, calibrating, progress)
        in_float = choice.layers_in_float()
        choice.write([layer for layer in choice.products if layer not in set(in_float)], folder)
    return {
        "calibrated_on": f"{photos.source}, {len(calibrating)} pictures",
        "layers": len(choice.products),
        "layers_in_float": in_float,
    }


class _Choice:
    """Which layers of one network stay in float. Everything is tried in float, so that the result is the same on all machines."""

    ranges: Mapping[str, Range]

    def __init__(
        self,
        model: onnx.ModelProto,
        plain: Path,
        spec: ModelSpec,
        photos: Sequence[NamedPhoto],
        ranking: int,
        progress: Progress | None,
    ) -> None:
        self.products = _products(model)
        self._sources = _sources(model, set(self.products))
        self._values = _values(model, set(self.products))
        self._plain, self._work, self._spec = plain, plain.parent, spec
        self._photos, self._ranking, self._progress = photos, ranking, progress

    def layers_in_float(self) -> list[str]:
        """The fewest with which alphas agree; where that would be too much of the network, those that help most."""
        reference = _CachedRuns(InFloat(self._plain, self._spec.name))
        trials: list[tuple[int, list[str]]] = []
        ranked: list[str] = []
        in_float: list[str] = []
        count = 0
        while True:
            agreement = self._simulated(in_float, reference)
            difference, iou = _typical(agreement)
            if _close(difference, iou) and agreement.meets(BARS["int8"]):
                return in_float
            trials.append((_octave(difference, 4), in_float))
            ranked = ranked or self._ranked()
            count = max(1, 2 * count)
            in_float = self._with_sources(ranked[:count])
            if self._share(in_float) > _MOST_IN_FLOAT:
                return min(trials, key=lambda one: (one[0], len(one[1])))[1]

    def write(self, layers: Sequence[str], folder: Path) -> None:
        """The network with these layers in int8, as `network.onnx` and perhaps `weights.bin`."""
        model = onnx.load(self._plain)
        large = self._plain.with_name(WEIGHTS).exists()
        carried = [node.name for node in model.graph.node if node.op_type in _CARRIED] if layers else []
        tensor_ranges = {name: (np.reshape(low, 1), np.reshape(high, 1)) for name, (low, high) in self.ranges.items()}
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, tensor_ranges),
            nodes_to_quantize=[*layers, *_between(model, set(layers), carried)],
            nodes_to_exclude=[],
            op_types_to_quantize=[*_PRODUCTS, *_CARRIED],
            extra_options={"MinimumRealRange": 1e-4},
        )
        quantizer.quantize_model()
        quantized = quantizer.model.model
        quantized.producer_name = "liftout"
        if large and quantized.ByteSize() > 2**31 - 2**20:
            onnx.save(quantized, folder / NETWORK, save_as_external_data=True, location=WEIGHTS, size_threshold=4096)
        else:
            onnx.save(quantized, folder / NETWORK)

    def _simulated(self, in_float: Sequence[str], reference: Runs) -> Agreement:
        """Agreement with the reference when all but these layers are in int8, simulated."""
        phase = f"try int8 with {len(in_float)} layers in float" if in_float else "try int8"
        with tempfile.TemporaryDirectory(dir=self._work) as name:
            folder = Path(name)
            self.write([layer for layer in self.products if layer not in set(in_float)], folder)
            network = InFloat(folder / NETWORK, self._spec.name)
            try:
                return measure(network, reference, self._spec, self._photos_with_progress(phase))
            finally:
                network.close()

    def _photos_with_progress(self, phase: str) -> Iterator[NamedPhoto]:
        """The photos, with progress as they are used up."""
        for done, photo in enumerate(self._photos, 1):
            yield photo
            if self._progress:
                self._progress(phase, done, len(self._photos))

    def _ranked(self) -> list[str]:
        """All layers, the noisiest first; noise of the same octave in the order of the graph."""
        quantized = self._work / "all"
        quantized.mkdir()
        self.write(self.products, quantized)
        photos = self._photos[:: max(1, len(self._photos) // self._ranking)][: self._ranking]
        noise = noise_of_layers(self._plain, quantized / NETWORK, self.products, self._spec, photos, self._progress)
        return sorted(self.products, key=lambda layer: -_octave(noise[layer]))

    def _with_sources(self, layers: Sequence[str]) -> list[str]:
        """The layers with those whose output they read, in the graph's order: the input of a float layer should not be rounded."""
        names = {*layers, *(source for layer in layers for source in self._sources[layer])}
        return [layer for layer in self.products if layer in names]

    def _share(self, layers: Sequence[str]) -> float:
        """Of all weights, those of these layers."""
        return sum(self._values[layer] for layer in layers) / sum(self._values.values())


class _CachedRuns:
    """A network whose predictions are kept: the same photos are compared many times."""

    def __init__(self, network: Runs) -> None:
        self._network = network
        self._predictions: dict[bytes, npt.NDArray[np.float32]] = {}

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `Network.run`."""
        key = hashlib.blake2b(tensor.tobytes(), digest_size=16).digest()
        if key not in self._predictions:
            self._predictions[key] = self._network.run(tensor)
        return self._predictions[key]


def _typical(agreement: Agreement) -> tuple[float, float]:
    """Mean difference and IoU of all photos but the worst in either."""
    left = len(agreement.photos) - math.floor(_UNCLEAR * len(agreement.photos))
    differences = sorted(photo.difference for photo in agreement.photos)[:left]
    overlaps = sorted((photo.iou for photo in agreement.photos), reverse=True)[:left]
    return float(np.mean(differences)), float(np.mean(overlaps))


def _close(difference: float, iou: float) -> bool:
    bar = BARS["int8"]
    return difference <= _ENOUGH * bar.mean and iou >= 1 - _ENOUGH * (1 - bar.iou)


def _octave(value: float, steps: int = 1) -> int:
    """The nearest power of two, or of its root: float sums that differ in a last digit seldom fall into two."""
    return round(steps * math.log2(max(value, 1e-12)))


def _products(model: onnx.ModelProto) -> list[str]:
    """Names of the layers with weights of their own, in the order of the graph."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _PRODUCTS and any(name in constants for name in node.input[1:2])
    ]


def _values(model: onnx.ModelProto, products: set[str]) -> dict[str, int]:
    """How many weights each layer has."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    return {node.name: sizes[node.input[1]] for node in model.graph.node if node.name in products}


def _multiplications(model: onnx.ModelProto) -> float:
    """For one photo, those of the layers with weights; layers of unknown size are left out."""
    shapes = _shapes(model)
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    total = 0.0
    for node in model.graph.node:
        weight, result = weights.get(next(iter(node.input[1:2]), "")), shapes.get(node.output[0])
        if node.op_type in _PRODUCTS and weight and result:
            total += math.prod(result) * math.prod(weight) / (weight[0] if node.op_type == "Conv" else weight[-1])
    return total


def _rounded(model: onnx.ModelProto) -> list[str]:
    """The tensors that int8 may round: what products and carrying operators read and make, constants aside."""
    constants = {tensor.name for tensor in model.graph.initializer}
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in [*_inferred(model).graph.value_info, *model.graph.input, *model.graph.output]
    }
    names = [
        name
        for node in model.graph.node
        if node.op_type in (*_PRODUCTS, *_CARRIED)
        for name in [*node.input, *node.output]
    ]
    return [name for name in dict.fromkeys(names) if name not in constants and kinds.get(name) == TensorProto.FLOAT]


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Of all tensors whose every side is known or a batch of any size, which counts as one."""
    return {
        value.name: [side.dim_value or 1 for side in value.type.tensor_type.shape.dim]
        for value in [*_inferred(model).graph.value_info, *model.graph.output]
    }


def _sources(model: onnx.ModelProto, products: set[str]) -> dict[str, list[str]]:
    """For each product the products whose output it reads, straight or through carrying operators, but at most one sum: what
    runs along a chain of sums is made by half of the network."""
    producers: dict[str, dict[str, int]] = {}  # tensor -> products, and through how many sums
    sources_of = {}
    for node in model.graph.node:
        above: dict[str, int] = {}
        for name in node.input:
            for source, sums in producers.get(name, {}).items():
                above[source] = min(sums, above.get(source, sums))
        if node.name in products:
            sources_of[node.name] = sorted(above)
            above = {node.name: 0}
        elif node.op_type == "Add":
            above = {source: sums + 1 for source, sums in above.items() if sums == 0}
        elif node.op_type not in _CARRIED:
            above = {}
        producers.update(dict.fromkeys(node.output, above))
    return sources_of


def _between(model: onnx.ModelProto, layers: set[str], carried: Sequence[str]) -> list[str]:
    """The carrying operators that touch nothing but quantized layers and each other."""
    inner = set(carried)
    maker = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    changed = True
    while changed:
        changed = False
        for node in model.graph.node:
            if node.name not in inner:
                continue
            sources = [maker[name] for name in node.input if name in maker and maker[name].op_type != "Constant"]
            around = [*sources, *[reader for name in node.output for reader in readers.get(name, [])]]
            if not all(other.name in layers or other.name in inner for other in around):
                inner.discard(node.name)
                changed = True
    return [name for name in carried if name in inner]
