"""Large tensors are made in pieces, so that a network fits where memory is short."""

from __future__ import annotations

import itertools

PIECE_BYTES = 16_000_000
"""Tensors that would be larger are made in pieces where an operator allows it. Smaller pieces save little more and cost nodes; speed
does not depend on it."""


def spans(length: int, count: int) -> list[tuple[int, int]]:
    """`length` cut into `count` consecutive (start, stop) of nearly equal size."""
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def pieces(length: int, item_bytes: int) -> list[tuple[int, int]]:
    """`length` items cut into consecutive (start, stop) that stay below PIECE_BYTES where an item does.

    All pieces are equal but perhaps the last: ONNX Runtime reuses a buffer only for a tensor of the very same shape, so
    that every further shape costs memory of its own.
    """
    at_once = max(1, min(length, PIECE_BYTES // item_bytes))
    even = max(step for step in range(1, at_once + 1) if length % step == 0)
    step = even if 2 * even > at_once else at_once
    return [(start, min(start + step, length)) for start in range(0, length, step)]
