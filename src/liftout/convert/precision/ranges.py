"""The range of values of each tensor of a network, measured on photos.

Sums of float32 differ from processor to processor in their last digits. So both ends are rounded outwards to four binary
digits: a range grows by a sixteenth on average, a tenth of a bit, and a last digit changes it once in some hundred thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from liftout import graphs
from liftout.convert.precision.in_float import session
from liftout.convert.precision.photos import NamedPhoto
from liftout.errors import NetworkRejected
from liftout.models.spec import ModelSpec
from liftout.progress import Progress

_STEPS = 16
"""Of a power of two: what an end is rounded to."""

_SLACK = 1 / 64
"""Of a step: an end that is a rounding error beyond a step is on it."""

Range = tuple[np.float32, np.float32]


def measure_ranges(
    graph: Path,
    tensors: Sequence[str],
    spec: ModelSpec,
    photos: Sequence[NamedPhoto],
    progress: Progress | None = None,
) -> dict[str, Range]:
    """Smallest and largest value of each tensor over the photos, rounded outwards.

    graph: as `folded` writes it. tensors: their names in it. Returns (low, high) by name. Raises NetworkRejected where a value is not a number.
    """
    model = onnx.load(graph, load_external_data=False)
    for name in tensors:
        for end in ("Min", "Max"):
            extreme = f"{name}.{end}"
            model.graph.node.append(helper.make_node(f"Reduce{end}", [name], [extreme], name=extreme, keepdims=0))
            model.graph.output.append(helper.make_tensor_value_info(extreme, TensorProto.FLOAT, []))
    watching = graph.with_name("watching.onnx")  # beside the weights that it shares with `graph`
    watching.write_bytes(model.SerializeToString())
    network = session(watching, spec.name)
    ends = [output.name for output in network.get_outputs()[-2 * len(tensors) :]]
    extremes = []
    for done, (photo, pixels) in enumerate(photos, 1):
        extremes.append(network.run(ends, {network.get_inputs()[0].name: graphs.prepare(pixels, spec.input)[0]}))
        if not np.isfinite(extremes[-1]).all():
            raise NetworkRejected(f"the network gives values that are not numbers on {photo}", subject=spec.name)
        if progress:
            progress("calibrate", done, len(photos))
    watching.unlink()
    low, high = (np.array(extremes, np.float64)[:, end::2] for end in (0, 1))
    return {
        name: (np.float32(coarse(low[:, k].min())), np.float32(coarse(high[:, k].max())))
        for k, name in enumerate(tensors)
    }


def coarse(value: float) -> float:
    """Away from zero, to the next sixteenth of a power of two."""
    mantissa, exponent = np.frexp(abs(value))
    return float(np.copysign(np.ldexp(np.ceil(mantissa * _STEPS - _SLACK) / _STEPS, exponent), value))
