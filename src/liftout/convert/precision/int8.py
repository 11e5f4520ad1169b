"""int8, static: weights per channel, activations per tensor, ranges from photos.

ONNX Runtime's quantizer writes the graph; what to quantize is decided here. First every convolution and matrix product is.
Where alphas then differ more than `_ENOUGH` of the bar, the layers are ranked by measurement: groups of neighbouring layers are
quantized alone, then each layer of the worst groups, and the layers that hurt most stay in float, twice as many each time, until
the photos agree. Two layers of U2NetP's 119 are enough, and without them nothing of its alpha would be left.

Weights use seven of their eight bits: on x86 without VNNI an eight-bit product of neighbours overflows sixteen bits.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from liftout import graphs
from liftout.agreement import BARS, Agreement, Runs, UInt8, measure
from liftout.convert.precision.folded import folded
from liftout.convert.precision.photos import Named, Photos
from liftout.engines import EngineOptions, NetworkFile, open_network
from liftout.models.packs import NETWORK, WEIGHTS
from liftout.models.spec import ModelSpec
from liftout.progress import Progress

_PRODUCTS = ("Conv", "MatMul", "Gemm")
"""What costs the time and holds the weights."""

_CARRIED = ("Relu", "MaxPool", "Concat", "Add", "Resize")
"""Operators between two products that pass whole levels on, so that nothing goes back to float in between."""

_GROUPS = 24
_ENOUGH = 0.5
"""Share of the bar that the photos here must keep to, for other photos' sake."""

_WORST_GROUPS = 4
_RANKING_PHOTOS = 3
_SLOW_SECONDS = 2.0
"""From here on a network is calibrated on a third of the photos and ranked on one."""


def write_int8(
    source: NetworkFile,
    folder: Path,
    spec: ModelSpec,
    photos: Photos,
    reference: Runs,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Write the int8 form of a network into `folder`. Returns facts for the manifest: what it was calibrated on, which layers
    stayed in float."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".int8.") as name:
        work = Path(name)
        plain = folded(source.path, work, source.output)
        model = onnx.load(plain, load_external_data=False)
        products = _products(model)
        reference = _Remembered(reference)
        slow = _seconds(reference, spec, photos.measuring[0][1]) > _SLOW_SECONDS
        few = 1 if slow else _RANKING_PHOTOS
        ranges = _ranges(plain, work, spec, photos.calibrating[:: 3 if slow else 1], progress)
        quantizer = _Quantizer(plain, work, ranges, source, spec, reference)
        kept: list[str] = []
        agreement = quantizer.try_out(products, photos.measuring)
        ranked: list[str] = []
        count = 1
        while not _close(agreement) and count < len(products):
            ranked = ranked or quantizer.ranked(products, photos.measuring[:few], progress)
            kept = ranked[:count]
            agreement = quantizer.try_out([layer for layer in products if layer not in set(kept)], photos.measuring)
            count *= 2
        quantizer.write([layer for layer in products if layer not in set(kept)], folder)
    return {
        "calibrated_on": f"{photos.source}, {len(photos.calibrating)} pictures",
        "layers": len(products),
        "layers_in_float": kept,
    }


class _Remembered:
    """A network whose predictions are kept: the same photos are compared many times."""

    def __init__(self, network: Runs) -> None:
        self._network = network
        self._told: dict[bytes, npt.NDArray[np.float32]] = {}

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `Network.run`."""
        key = hashlib.blake2b(tensor.tobytes(), digest_size=16).digest()
        if key not in self._told:
            self._told[key] = self._network.run(tensor)
        return self._told[key]


def _seconds(network: Runs, spec: ModelSpec, photo: UInt8) -> float:
    tensor, _ = graphs.prepare(photo, spec.input)
    started = time.perf_counter()
    network.run(tensor)
    return time.perf_counter() - started


def _close(agreement: Agreement) -> bool:
    bar = BARS["int8"]
    return agreement.difference <= _ENOUGH * bar.mean and agreement.iou >= 1 - _ENOUGH * (1 - bar.iou)


class _Quantizer:
    """Quantizes some layers of one network and measures what that costs."""

    def __init__(
        self, plain: Path, work: Path, ranges: TensorsData, source: NetworkFile, spec: ModelSpec, reference: Runs
    ) -> None:
        self._plain, self._work, self._ranges = plain, work, ranges
        self._source, self._spec, self._reference = source, spec, reference

    def write(self, layers: Sequence[str], folder: Path) -> None:
        """The network with these layers in int8, as `network.onnx` and perhaps `weights.bin`."""
        model = onnx.load(self._plain)
        large = self._plain.with_name(WEIGHTS).exists()
        carried = [node.name for node in model.graph.node if node.op_type in _CARRIED] if layers else []
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[*layers, *self._between(model, set(layers), carried)],
            nodes_to_exclude=[],
            op_types_to_quantize=[*_PRODUCTS, *_CARRIED],
            extra_options={"MinimumRealRange": 1e-4},
        )
        quantizer.quantize_model()
        made = quantizer.model.model
        made.producer_name = "liftout"
        if large and made.ByteSize() > 2**31 - 2**20:
            onnx.save(made, folder / NETWORK, save_as_external_data=True, location=WEIGHTS, size_threshold=4096)
        else:
            onnx.save(made, folder / NETWORK)

    def try_out(self, layers: Sequence[str], photos: Sequence[Named]) -> Agreement:
        """Agreement with the reference when these layers are in int8."""
        with tempfile.TemporaryDirectory(dir=self._work) as name:
            folder = Path(name)
            self.write(layers, folder)
            file = NetworkFile(name=self._source.name, path=folder / NETWORK, size=self._source.size, output=0)
            network = open_network(file, engine="onnxruntime", options=EngineOptions(precision="fp32"))
            try:
                return measure(network, self._reference, self._spec, photos)
            finally:
                network.close()

    def ranked(self, products: Sequence[str], photos: Sequence[Named], progress: Progress | None) -> list[str]:
        """The layers in the order in which they should stay in float: those of the worst groups first, each by its own harm."""
        groups = [list(group) for group in np.array_split(np.array(products, object), min(_GROUPS, len(products)))]
        harm = self._harm(groups, photos, "rank layers", progress)
        order = [groups[k] for k in np.argsort(harm)[::-1]]
        suspects = [layer for group in order[:_WORST_GROUPS] for layer in group]
        own = self._harm([[layer] for layer in suspects], photos, "rank the worst", progress)
        rest = [layer for group in order[_WORST_GROUPS:] for layer in group]
        return [suspects[k] for k in np.argsort(own)[::-1]] + rest

    def _harm(
        self, groups: Sequence[Sequence[str]], photos: Sequence[Named], phase: str, progress: Progress | None
    ) -> list[float]:
        """Mean difference of the alphas when one group alone is in int8, for each group."""
        harm = []
        for done, group in enumerate(groups, 1):
            harm.append(self.try_out(group, photos).difference)
            if progress:
                progress(phase, done, len(groups))
        return harm

    def _between(self, model: onnx.ModelProto, layers: set[str], carried: Sequence[str]) -> list[str]:
        """The carrying operators that touch nothing but quantized layers and each other."""
        kept = set(carried)
        maker = {name: node for node in model.graph.node for name in node.output}
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        changed = True
        while changed:
            changed = False
            for node in model.graph.node:
                if node.name not in kept:
                    continue
                sources = [maker[name] for name in node.input if name in maker and maker[name].op_type != "Constant"]
                around = [*sources, *[reader for name in node.output for reader in readers.get(name, [])]]
                if not all(other.name in layers or other.name in kept for other in around):
                    kept.discard(node.name)
                    changed = True
        return [name for name in carried if name in kept]


def _products(model: onnx.ModelProto) -> list[str]:
    """Names of the layers with weights of their own, in the order of the graph."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _PRODUCTS and any(name in constants for name in node.input[1:2])
    ]


def _ranges(
    plain: Path, work: Path, spec: ModelSpec, photos: Sequence[Named], progress: Progress | None
) -> TensorsData:
    """Smallest and largest value of every tensor over the photos."""
    calibrator = create_calibrator(
        plain,
        op_types_to_calibrate=[*_PRODUCTS, *_CARRIED],
        augmented_model_path=str(work / "augmented.onnx"),
        calibrate_method=CalibrationMethod.MinMax,
        use_external_data_format=plain.with_name(WEIGHTS).exists(),
    )
    with _quietly():
        calibrator.collect_data(_Reader(calibrator.infer_session.get_inputs()[0].name, spec, photos, progress))
        return calibrator.compute_data()


class _Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """Photos as the network's input, one at a time."""

    def __init__(self, name: str, spec: ModelSpec, photos: Sequence[Named], progress: Progress | None) -> None:
        self._tensors = self._read(name, spec, photos, progress)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """The next photo, or None."""
        return next(self._tensors, None)

    @staticmethod
    def _read(
        name: str, spec: ModelSpec, photos: Sequence[Named], progress: Progress | None
    ) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for done, (_, photo) in enumerate(photos, 1):
            yield {name: graphs.prepare(photo, spec.input)[0]}
            if progress:
                progress("calibrate", done, len(photos))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warning that a quantizer logs for every photo."""
    import logging

    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
