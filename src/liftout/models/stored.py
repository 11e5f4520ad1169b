"""In which precision an ONNX file stores its weights, read from the file's tensors without the package `onnx`.

Source: onnx.proto of ONNX 1.19 (field numbers) and the wire format of protobuf.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

StoredPrecision = Literal["fp32", "fp16", "int8"]

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_ATTRIBUTE = 5  # of NodeProto
_TENSOR = 5  # of AttributeProto
_DIMENSIONS, _TYPE = 1, 2  # of TensorProto
_PRECISIONS: dict[int, StoredPrecision] = {1: "fp32", 2: "int8", 3: "int8", 10: "fp16", 16: "fp16"}
"""TensorProto.DataType: FLOAT, UINT8, INT8, FLOAT16, BFLOAT16."""


def stored_precision(path: Path) -> StoredPrecision:
    """What most of the weights are stored in; `fp32` for a file without any, or that is no ONNX file."""
    counts: Counter[StoredPrecision] = Counter()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            for start, stop in _tensors(content):
                kind, count = _described(content, start, stop)
                if kind in _PRECISIONS:
                    counts[_PRECISIONS[kind]] += count
        except (IndexError, ValueError):
            return "fp32"
    return max(counts, key=lambda precision: counts[precision]) if counts else "fp32"


_Span = tuple[int, int]


def _tensors(content: mmap.mmap) -> Iterator[_Span]:
    """Where the initializers and the constants of nodes stand."""
    for graph in _messages(content, (0, len(content)), _GRAPH):
        yield from _messages(content, graph, _INITIALIZER)
        for node in _messages(content, graph, _NODE):
            for attribute in _messages(content, node, _ATTRIBUTE):
                yield from _messages(content, attribute, _TENSOR)


def _described(content: mmap.mmap, start: int, stop: int) -> tuple[int, int]:
    """Data type and number of values of a tensor."""
    kind, count = 0, 1
    for field, value in _fields(content, (start, stop)):
        if field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _DIMENSIONS and isinstance(value, int):
            count *= value
        elif field == _DIMENSIONS and isinstance(value, tuple):  # packed
            position = value[0]
            while position < value[1]:
                length, position = _number(content, position)
                count *= length
    return kind, count


def _messages(content: mmap.mmap, span: _Span, number: int) -> Iterator[_Span]:
    for field, value in _fields(content, span):
        if field == number and isinstance(value, tuple):
            yield value


def _fields(content: mmap.mmap, span: _Span) -> Iterator[tuple[int, int | _Span]]:
    """Number and value of each field: a number, or where a string, bytes or message stands. Raises ValueError."""
    position, stop = span
    while position < stop:
        key, position = _number(content, position)
        field, form = key >> 3, key & 7
        if form == 0:
            value, position = _number(content, position)
            yield field, value
        elif form == 2:
            length, position = _number(content, position)
            if position + length > stop:
                raise ValueError("a field reaches beyond its message")
            yield field, (position, position + length)
            position += length
        elif form in (1, 5):
            position += 8 if form == 1 else 4
        else:
            raise ValueError(f"form {form} is none of protobuf's")


def _number(content: mmap.mmap, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
