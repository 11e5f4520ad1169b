"""A convolution of a concatenation is the sum of convolutions of its parts, so that the parts are never joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.nodes import Float32Array, Value


def conv_of_parts(graph: Graph, parts: Sequence[Value], weight: Float32Array, bias: Float32Array) -> Value:
    """3x3 convolution of the concatenation of `parts`, output as large as they are."""
    shares: list[Value] = []
    stop = weight.shape[1]
    for part in reversed(parts):
        start = stop - part.shape[1]
        share = np.ascontiguousarray(weight[:, start:stop])
        shares.append(graph.conv(part, share, None if shares else bias, padding=1))
        stop = start
    return graph.total(shares)
