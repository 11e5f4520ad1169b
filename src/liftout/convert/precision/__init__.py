"""Smaller networks that are still the same network: float16 weights, and int8.

    reduced = reduce_network(network_file, "int8", spec, folder, pictures)
    reduced.agreement.meets(BARS["int8"])

Both work on a graph on disk, lean or anybody's. Input and output stay float32. What a reduction costs is measured on photos
and stands in the pack's manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from liftout.agreement import BARS, Agreement, measure
from liftout.convert.precision import photos, report
from liftout.convert.precision.half import write_half
from liftout.convert.precision.int8 import write_int8
from liftout.convert.precision.photos import NamedPhoto, Photos
from liftout.engines import NetworkFile, open_network
from liftout.machine import processor
from liftout.models.packs import NETWORK
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions
from liftout.progress import Progress

__all__ = ["Agreement", "Photos", "Reduced", "photos", "reduce_network", "report", "write_half", "write_int8"]

Reduced = Literal["fp16", "int8"]

_FP32 = RunOptions(precision="fp32")


def reduce_network(
    source: NetworkFile,
    precision: Reduced,
    spec: ModelSpec,
    folder: Path,
    pictures: Photos,
    *,
    progress: Progress | None = None,
) -> tuple[Agreement, dict[str, object]]:
    """Write `network.onnx` (and `weights.bin`) of a reduced precision into `folder`.

    source: the fp32 network. Returns its agreement with the source on `pictures.measuring`, and facts for the manifest: the bar, the
    processor that both ran on, for int8 its layers.
    """
    reference = open_network(source, _FP32)
    try:
        facts: dict[str, object] = {}
        if precision == "fp16":
            write_half(source.path, folder, progress)
        else:
            facts = write_int8(source, folder, spec, pictures, progress)
        output = source.output if precision == "fp16" else None
        file = NetworkFile(name=source.name, path=folder / NETWORK, size=source.size, output=output)
        reduced = open_network(file, _FP32)
        try:
            agreement = measure(reduced, reference, spec, _counted(pictures.measuring, progress))
        finally:
            reduced.close()
    finally:
        reference.close()
    return agreement, {**facts, "bar": BARS[precision].to_dict(), "processor": processor()}


def _counted(photos: Sequence[NamedPhoto], progress: Progress | None) -> Iterator[NamedPhoto]:
    """The photos, one after the other; how many have been compared is reported."""
    for done, photo in enumerate(photos):
        if progress:
            progress("compare", done, len(photos))
        yield photo
    if progress:
        progress("compare", len(photos), len(photos))
